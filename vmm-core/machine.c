/* SPDX-License-Identifier: MIT */
/*
 * The machine's life: power-on, reset, devices, and how a run ends. run.c has the loop, save.c the bytes.
 *
 * Invariant: everything here is a function of the configuration and of what the environment answers. A device that
 * ends the run, resets the machine or prints does so in mid-instruction; the loop acts on it when that instruction
 * has retired.
 */
#include "vmm-core/machine.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* How many instructions a kernel may go on for after its panic line, to print its report. */
#define PANIC_GRACE 400000000ull
#define FNV_OFFSET 0xcbf29ce484222325ull
#define FNV_PRIME 0x100000001b3ull

static uint64_t host_tsc(void *ctx)
{
	struct cv_machine *m = ctx;

	return cv_clock_read(&m->clock, CV_EV_TSC);
}

/* Deadlines may lie behind the clock as it stands; time that an engine gives is never less than what was seen. */
static bool host_tsc_base(void *ctx, uint64_t *delta, uint64_t *floor)
{
	struct cv_machine *m = ctx;

	if (m->clock.virtual_clock || !m->env->ops->clock_base || !m->env->ops->clock_base(m->env, delta, floor))
		return false;
	if (*floor < cv_clock_now(&m->clock))
		*floor = cv_clock_now(&m->clock);
	return true;
}

/* As cv_clock_read would have left the clock. */
static void host_tsc_taken(void *ctx, uint64_t t)
{
	struct cv_machine *m = ctx;
	struct cv_pos pos;

	cv_machine_position(m, &pos);
	m->env->ops->clock_taken(m->env, &pos, t);
	cv_clock_note(&m->clock, t);
	if (m->env->failed)
		m->engine->ops->kick(m->engine);
}

static void host_entropy(void *ctx, uint8_t *p, size_t n)
{
	struct cv_machine *m = ctx;
	struct cv_pos pos;

	cv_machine_position(m, &pos);
	m->env->ops->entropy(m->env, &pos, p, n);
	if (m->env->failed)
		m->engine->ops->kick(m->engine);
}

static void host_delivered(void *ctx, unsigned vector)
{
	struct cv_machine *m = ctx;
	struct cv_pos pos;

	cv_machine_position(m, &pos);
	m->env->ops->interrupt(m->env, &pos, vector);
	if (m->env->failed)
		m->engine->ops->kick(m->engine);
}

static uint64_t clock_ask(void *ctx, enum cv_event_kind why)
{
	struct cv_machine *m = ctx;
	struct cv_pos pos;
	uint64_t t;

	cv_machine_position(m, &pos);
	if (m->clock.virtual_clock)
		return pos.insns + m->clock.skipped;
	t = m->env->ops->clock(m->env, &pos, why);
	if (m->env->failed)
		m->engine->ops->kick(m->engine);
	return t;
}

static void clock_kick(void *ctx)
{
	struct cv_machine *m = ctx;

	if (m->engine)
		m->engine->ops->kick(m->engine);
}

static void ram_written(void *ctx, uint32_t page, uint32_t offset, uint32_t len)
{
	struct cv_machine *m = ctx;

	if (m->engine)
		m->engine->ops->ram_written(m->engine, page, offset, len);
}

static uint64_t tsc_offset(struct cv_machine *m)
{
	struct cv_vcpu_state s;

	m->engine->ops->get_state(m->engine, &s);
	return s.tsc_offset;
}

static void raise_nmi(struct cv_machine *m)
{
	m->nmi_asked = true;
	m->engine->ops->kick(m->engine);
}

void cv_machine_position(struct cv_machine *m, struct cv_pos *pos)
{
	m->engine->ops->position(m->engine, pos);
}

void cv_machine_add_device(struct cv_machine *m, const struct cv_device_ops *ops, void *dev)
{
	assert(m->ndevices < CV_MACHINE_DEVICES);
	m->devices[m->ndevices].ops = ops;
	m->devices[m->ndevices].dev = dev;
	m->ndevices++;
}

/* Zeroed RAM, reset devices, firmware tables, kernel, and a CPU at the kernel's entry. The position goes on. */
static int power_on(struct cv_machine *m, const struct cv_pos *pos, struct cv_error *err)
{
	struct cv_boot_firmware fw = {0};
	struct cv_vcpu_state cpu;
	int rc;

	cv_memory_zero(&m->mem);
	for (unsigned i = 0; i < m->ndevices; i++)
		m->devices[i].ops->reset(m->devices[i].dev);
	if (m->board->write_tables)
		m->board->write_tables(m, &fw);
	memset(&cpu, 0, sizeof(cpu));
	cv_vcpu_reset(&cpu);
	cv_cpuid_firmware_state(&m->model, &cpu);
	rc = cv_boot_load(&m->config.images, &fw, &m->mem, &cpu, err);
	if (rc)
		return rc;
	cpu.pos = *pos;
	cpu.pos.sub = 0;
	cpu.pos.in_rep = false;
	m->engine->ops->set_state(m->engine, &cpu);
	m->settled = false;
	return 0;
}

int cv_machine_reset(struct cv_machine *m, struct cv_error *err)
{
	struct cv_pos pos;

	cv_machine_position(m, &pos);
	m->reset_pending = false;
	return power_on(m, &pos, err);
}

static int check_config(const struct cv_machine_config *c, struct cv_error *err)
{
	if (c->ram_size < CV_RAM_MIN || c->ram_size > CV_RAM_MAX || c->ram_size % (1u << 20))
		return cv_error_set(err, CV_E_BADINPUT, "memory size %llu bytes: give whole MiB from 16M to 16G",
				    (unsigned long long)c->ram_size);
	return 0;
}

static int make_engine(struct cv_machine *m, cv_engine_factory factory, struct cv_error *err)
{
	struct cv_engine_host host = {
		.mem = &m->mem,
		.bus = &m->bus,
		.irqchip = m->irqchip,
		.irqchip_dev = m->irqchip_dev,
		.ctx = m,
		.tsc = host_tsc,
		.entropy = host_entropy,
		.delivered = host_delivered,
		.tsc_taken = host_tsc_taken,
		.tsc_base = host_tsc_base,
		.model = &m->model,
		.unit = m->config.count,
	};

	m->engine = factory(&host, err);
	return m->engine ? 0 : (err && err->code ? err->code : CV_E_NOMEM);
}

int cv_machine_new_with_engine(struct cv_machine **out, const struct cv_machine_config *config,
			       const struct cv_board_ops *board, cv_engine_factory factory, struct cv_env *env,
			       struct cv_error *err)
{
	const struct cv_pos start = {0};
	struct cv_machine *m;
	int rc = check_config(config, err);

	*out = NULL;
	if (rc)
		return rc;
	m = calloc(1, sizeof(*m));
	if (!m)
		return cv_error_set(err, CV_E_NOMEM, "out of memory for the machine");
	m->config = *config;
	m->board = board;
	m->env = env;
	m->out_hash = FNV_OFFSET;
	m->panic_deadline = UINT64_MAX;
	m->mem.fd = -1;
	rc = cv_cpuid_model_parse(config->cpu, &m->model, err);
	if (rc)
		goto fail;
	m->config.cpu = m->model.name;
	cv_clock_init(&m->clock, config->clock == CV_CLOCK_VIRTUAL);
	m->clock.ask = clock_ask;
	m->clock.kick = clock_kick;
	m->clock.ctx = m;
	rc = cv_memory_init(&m->mem, config->ram_size, err);
	if (rc)
		goto fail;
	m->mem.written = ram_written;
	m->mem.written_ctx = m;
	m->tsc_offset = tsc_offset;
	m->raise_nmi = raise_nmi;
	rc = board->wire(m, err);
	if (rc)
		goto fail;
	rc = make_engine(m, factory, err);
	if (rc)
		goto fail;
	rc = power_on(m, &start, err);
	if (rc)
		goto fail;
	*out = m;
	return 0;
fail:
	cv_machine_free(m);
	return rc;
}

int cv_machine_new(struct cv_machine **out, const struct cv_machine_config *config, const struct cv_board_ops *board,
		   struct cv_env *env, struct cv_error *err)
{
	return cv_machine_new_with_engine(out, config, board, cv_soft_new, env, err);
}

void cv_machine_free(struct cv_machine *m)
{
	if (!m)
		return;
	if (m->engine)
		m->engine->ops->free(m->engine);
	for (unsigned i = m->ndevices; i-- > 0;)
		if (m->devices[i].ops->free)
			m->devices[i].ops->free(m->devices[i].dev);
	cv_memory_release(&m->mem);
	free(m);
}

static bool end_is_crash(enum cv_end kind, uint64_t code)
{
	return kind == CV_END_TRIPLE_FAULT || kind == CV_END_PANIC_DEVICE || kind == CV_END_CONSOLE_PANIC ||
	       (kind == CV_END_DEBUG_EXIT && code != 0);
}

void cv_machine_end(struct cv_machine *m, enum cv_end kind, uint64_t code)
{
	struct cv_end_info *e = &m->end;

	if (e->kind != CV_END_NONE)
		return;
	e->kind = kind;
	e->code = code;
	cv_machine_position(m, &e->pos);
	if (!e->crashed && end_is_crash(kind, code)) {
		e->crashed = true;
		e->crash_kind = kind;
		e->crash_pos = e->pos;
	}
	m->engine->ops->kick(m->engine);
}

void cv_machine_request_reset(struct cv_machine *m)
{
	m->reset_pending = true;
	m->engine->ops->kick(m->engine);
}

void cv_machine_set_a20(struct cv_machine *m, bool on)
{
	if (m->engine->ops->set_a20)
		m->engine->ops->set_a20(m->engine, !on);
}

/*
 * A kernel's last words. Linux: "Kernel panic - not syncing: ...", after an optional "[   1.234567] ". The BSDs, xv6
 * and many home-made kernels: a line that begins with "panic: ".
 */
static bool is_panic_line(const char *line)
{
	if (line[0] == '[') {
		const char *close = strstr(line, "] ");

		if (close)
			line = close + 2;
	}
	return !strncmp(line, "Kernel panic - not syncing", 26) || !strncmp(line, "panic: ", 7);
}

static void console_line(struct cv_machine *m)
{
	struct cv_pos pos;

	m->line[m->line_len] = 0;
	if (!m->end.crashed && is_panic_line(m->line)) {
		cv_machine_position(m, &pos);
		m->end.crashed = true;
		m->end.crash_kind = CV_END_CONSOLE_PANIC;
		m->end.crash_pos = pos;
		m->panic_deadline = pos.insns + PANIC_GRACE;
		m->engine->ops->kick(m->engine);
	} else if (m->end.crash_kind == CV_END_CONSOLE_PANIC && strstr(m->line, "---[ end Kernel panic")) {
		cv_machine_end(m, CV_END_CONSOLE_PANIC, 0);
	}
	m->line_len = 0;
}

void cv_machine_console_out(struct cv_machine *m, const uint8_t *p, size_t n)
{
	struct cv_pos pos;

	cv_machine_position(m, &pos);
	m->env->ops->console_out(m->env, &pos, p, n);
	m->out_count += n;
	for (size_t i = 0; i < n; i++) {
		m->out_hash = (m->out_hash ^ p[i]) * FNV_PRIME;
		if (p[i] == '\n')
			console_line(m);
		else if (p[i] != '\r' && m->line_len < sizeof(m->line) - 1)
			m->line[m->line_len++] = (char)p[i];
	}
	if (m->env->failed)
		m->engine->ops->kick(m->engine);
}

const char *cv_end_name(enum cv_end e)
{
	static const char *const names[] = {
		[CV_END_NONE] = "running",
		[CV_END_POWEROFF] = "power-off",
		[CV_END_RESET] = "reset",
		[CV_END_TRIPLE_FAULT] = "triple fault",
		[CV_END_PANIC_DEVICE] = "panic device",
		[CV_END_DEBUG_EXIT] = "debug exit",
		[CV_END_CONSOLE_PANIC] = "kernel panic on the console",
		[CV_END_STOPPED] = "stopped",
		[CV_END_DEAD] = "halted for good",
	};

	return (unsigned)e < sizeof(names) / sizeof(names[0]) ? names[e] : "unknown";
}

int cv_machine_read_linear(struct cv_machine *m, uint64_t addr, void *p, size_t n)
{
	size_t done = 0;

	while (done < n) {
		uint64_t gpa;
		size_t part = CV_PAGE_SIZE - ((addr + done) & (CV_PAGE_SIZE - 1));

		if (part > n - done)
			part = n - done;
		if (!m->engine->ops->translate(m->engine, addr + done, &gpa))
			return CV_E_FAULT;
		if (cv_memory_read(&m->mem, gpa, (uint8_t *)p + done, part) != part)
			return CV_E_FAULT;
		done += part;
	}
	return 0;
}

int cv_machine_write_linear(struct cv_machine *m, uint64_t addr, const void *p, size_t n)
{
	size_t done = 0;

	while (done < n) {
		uint64_t gpa;
		size_t part = CV_PAGE_SIZE - ((addr + done) & (CV_PAGE_SIZE - 1));

		if (part > n - done)
			part = n - done;
		if (!m->engine->ops->translate(m->engine, addr + done, &gpa))
			return CV_E_FAULT;
		if (cv_memory_write(&m->mem, gpa, (const uint8_t *)p + done, part) != part)
			return CV_E_FAULT;
		done += part;
	}
	return 0;
}
