/* SPDX-License-Identifier: MIT */
/*
 * A tiny deterministic CPU behind struct cv_engine_ops, and one chip: what the tests of replay/ run on.
 *
 * Every instruction is chosen by a hash of RAX and the bytes it finds in memory; it stores to memory, reads the clock,
 * asks for entropy, arms a timer, prints, halts, faults once, or repeats a store RCX times. So whatever differs anywhere soon
 * differs everywhere. Like the real engine it remembers the last page it wrote and marks it dirty only when that
 * memory was flushed: a checkpoint that forgets the flush is caught.
 */
#ifndef CV_FAKE_MACHINE_H
#define CV_FAKE_MACHINE_H

#include <stdlib.h>
#include <string.h>

#include "vmm-core/machine.h"

#define FAKE_CODE 0x100100u
#define FAKE_RIPS 97u
#define FAKE_DATA 0x200000u
#define FAKE_DATA_PAGES 300u
#define FAKE_VECTOR 0x30u

/* At the start of the image, which the loader puts at 1 MiB. */
struct fake_image {
	uint32_t magic, flags, checksum, header_addr, load_addr, load_end, bss_end, entry; /* Multiboot 1 */
	uint64_t seed, end_insns, end_kind, panic_insns;
	uint8_t pad[512];
};

static inline void fake_image_init(struct fake_image *im, uint64_t seed, uint64_t end_insns, enum cv_end kind,
				   uint64_t panic_insns)
{
	memset(im, 0, sizeof(*im));
	im->magic = 0x1badb002;
	im->flags = 0x10000;
	im->checksum = -(im->magic + im->flags);
	im->header_addr = im->load_addr = 0x100000;
	im->entry = 0x100100;
	im->seed = seed;
	im->end_insns = end_insns;
	im->end_kind = kind;
	im->panic_insns = panic_insns;
}

/* --- The chip: interrupt controller, timer, console --- */

struct fake_chip {
	struct cv_machine *m;
	struct cv_timer timer;
	uint8_t pending, nin;
	uint8_t in[16];
	uint64_t fired;
};

static inline void fake_chip_expired(void *dev, uint64_t when)
{
	struct fake_chip *c = dev;

	c->pending = 1;
	c->fired += when;
}

static inline bool fake_chip_pending(void *dev)
{
	return ((struct fake_chip *)dev)->pending;
}

static inline int fake_chip_acknowledge(void *dev)
{
	((struct fake_chip *)dev)->pending = 0;
	return FAKE_VECTOR;
}

static inline size_t fake_chip_room(void *dev)
{
	return sizeof(((struct fake_chip *)dev)->in) - ((struct fake_chip *)dev)->nin;
}

static inline void fake_chip_put(void *dev, const uint8_t *p, size_t n)
{
	struct fake_chip *c = dev;

	memcpy(c->in + c->nin, p, n);
	c->nin = (uint8_t)(c->nin + n);
	c->pending = 1;
}

static inline void fake_chip_reset(void *dev)
{
	struct fake_chip *c = dev;

	c->pending = c->nin = 0;
	memset(c->in, 0, sizeof(c->in));
	c->fired = 0;
	cv_timer_cancel(&c->timer);
}

static inline void fake_chip_save(const void *dev, struct cv_wbuf *w)
{
	const struct fake_chip *c = dev;

	cv_put_u8(w, 1);
	cv_put_u8(w, c->pending);
	cv_put_u8(w, c->nin);
	cv_put_bytes(w, c->in, sizeof(c->in));
	cv_put_u64(w, c->fired);
}

static inline void fake_chip_load(void *dev, struct cv_rbuf *r)
{
	struct fake_chip *c = dev;

	cv_get_u8(r);
	c->pending = cv_get_u8(r);
	c->nin = cv_get_u8(r);
	cv_get_bytes(r, c->in, sizeof(c->in));
	c->fired = cv_get_u64(r);
}

static const struct cv_irqchip_ops fake_irqchip = {
	.pending = fake_chip_pending,
	.acknowledge = fake_chip_acknowledge,
};

static const struct cv_device_ops fake_chip_ops = {
	.name = "fake chip",
	.reset = fake_chip_reset,
	.save = fake_chip_save,
	.load = fake_chip_load,
	.free = free,
};

static inline int fake_wire(struct cv_machine *m, struct cv_error *err)
{
	struct fake_chip *c = calloc(1, sizeof(*c));

	if (!c)
		return cv_error_set(err, CV_E_NOMEM, "out of memory");
	c->m = m;
	cv_timer_add(&m->clock, &c->timer, fake_chip_expired, c);
	m->irqchip = &fake_irqchip;
	m->irqchip_dev = c;
	m->console_room = fake_chip_room;
	m->console_put = fake_chip_put;
	m->console_dev = c;
	cv_machine_add_device(m, &fake_chip_ops, c);
	return 0;
}

static const struct cv_board_ops fake_board = {.wire = fake_wire};

/* --- The CPU --- */

struct fake_engine {
	struct cv_engine engine;
	struct cv_engine_host host;
	struct cv_vcpu_state s;
	bool kicked;
	uint64_t tlb; /* the page that may be written without marking it, or UINT64_MAX */
	uint64_t breaks[16];
	size_t nbreaks;
	struct cv_watch watches[16];
	size_t nwatches;
	struct cv_page_filter *wrote;
	bool hit;
	uint64_t hit_addr;
	enum cv_watch_type hit_type;
};

static inline struct fake_engine *fake_self(struct cv_engine *e)
{
	return (struct fake_engine *)e;
}

static inline uint64_t fake_hash(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static inline void fake_touch(struct fake_engine *f, uint64_t addr, unsigned n, enum cv_watch_type type)
{
	if (f->wrote && type == CV_WATCH_WRITE) {
		cv_page_filter_add(f->wrote, addr);
		cv_page_filter_add(f->wrote, addr + n - 1);
	}
	for (size_t i = 0; i < f->nwatches; i++) {
		const struct cv_watch *w = &f->watches[i];

		if (f->hit || !(w->type & type) || addr + n <= w->addr || addr >= w->addr + w->len)
			continue;
		f->hit = true;
		f->hit_addr = addr > w->addr ? addr : w->addr;
		f->hit_type = type;
	}
}

static inline uint64_t fake_load(struct fake_engine *f, uint64_t addr)
{
	uint64_t v;

	memcpy(&v, f->host.mem->ram + addr, sizeof(v));
	fake_touch(f, addr, 8, CV_WATCH_READ);
	return v;
}

static inline void fake_store(struct fake_engine *f, uint64_t addr, uint64_t v)
{
	uint64_t page = addr >> CV_PAGE_SHIFT;

	if (f->tlb != page) {
		cv_memory_mark_dirty(f->host.mem, (uint32_t)page);
		f->tlb = page;
	}
	memcpy(f->host.mem->ram + addr, &v, sizeof(v));
	fake_touch(f, addr, 8, CV_WATCH_WRITE);
}

static inline void fake_print(struct fake_engine *f, const char *text)
{
	cv_machine_console_out(f->host.ctx, (const uint8_t *)text, strlen(text));
}

/* Address of an aligned qword that the hash chooses; most of them on few pages. */
static inline uint64_t fake_address(uint64_t h)
{
	uint64_t page = h & 3 ? (h >> 8) % 4 : (h >> 8) % FAKE_DATA_PAGES;

	return FAKE_DATA + page * CV_PAGE_SIZE + ((h >> 32) % 512) * 8;
}

/* Does the instruction retire now? */
static inline bool fake_execute(struct fake_engine *f, const struct fake_image *im)
{
	struct cv_vcpu_state *s = &f->s;
	struct fake_chip *chip = f->host.irqchip_dev;
	uint64_t h = fake_hash(s->gpr[CV_RAX] + im->seed), v = 0;
	char text[3] = {(char)('a' + h % 26), 0, 0};
	struct cv_machine *m = f->host.ctx;

	if (s->pos.insns == im->panic_insns)
		fake_print(f, "\npanic: as asked\n");
	if (s->pos.insns >= im->end_insns)
		cv_machine_end(m, (enum cv_end)im->end_kind, 0);
	if (s->pos.in_rep) {
		fake_store(f, s->gpr[CV_RDI], s->gpr[CV_RCX]);
		s->gpr[CV_RDI] += 8;
		if (--s->gpr[CV_RCX]) {
			s->pos.rcx = s->gpr[CV_RCX];
			return false;
		}
		s->pos.in_rep = false;
		s->pos.rcx = 0;
		goto retire;
	}
	switch ((h >> 16) % 64) {
	case 0:
	case 1:
	case 2:
		v = f->host.tsc(f->host.ctx);
		break;
	case 3:
		f->host.entropy(f->host.ctx, (uint8_t *)&v, sizeof(v));
		break;
	case 4:
		v = cv_clock_read(&m->clock, CV_EV_CLOCK);
		cv_timer_arm(&chip->timer, v + 500 + h % 3000);
		break;
	case 5:
		if (h % 16 == 0)
			text[1] = '\n';
		fake_print(f, text);
		break;
	case 6:
		s->halted = chip->timer.when != CV_NEVER || chip->pending;
		break;
	case 7:
		s->gpr[CV_RCX] = 2 + h % 7;
		s->gpr[CV_RDI] = fake_address(h) & ~0xfffull;
		s->pos.in_rep = true;
		s->pos.rcx = s->gpr[CV_RCX];
		fake_store(f, s->gpr[CV_RDI] + 0x800, h);
		return false;
	case 8:
		if (!s->gpr[CV_RBX]) { /* faults once, then goes through */
			s->gpr[CV_RBX] = 1;
			s->pos.sub++;
			return false;
		}
		s->gpr[CV_RBX] = 0;
		break;
	case 9:
		for (unsigned i = 0; i < chip->nin; i++)
			v = v * 31 + chip->in[i];
		chip->nin = 0;
		break;
	case 10:
	case 11:
	case 12:
		v = fake_load(f, fake_address(h));
		break;
	default:
		fake_store(f, fake_address(h), h);
		v = chip->fired;
	}
retire:
	s->gpr[CV_RAX] = fake_hash(s->gpr[CV_RAX] + 0x9e3779b97f4a7c15ull) ^ v;
	s->rip = FAKE_CODE + 4 * (s->gpr[CV_RAX] % FAKE_RIPS);
	s->pos.branches += s->gpr[CV_RAX] >> 63;
	s->pos.insns++;
	s->pos.sub = 0;
	return true;
}

static inline bool fake_at_break(const struct fake_engine *f)
{
	for (size_t i = 0; i < f->nbreaks; i++)
		if (f->breaks[i] == f->s.rip && !f->s.pos.in_rep)
			return true;
	return false;
}

static inline bool fake_deliver(struct fake_engine *f)
{
	if (f->s.pos.in_rep || !f->host.irqchip->pending(f->host.irqchip_dev))
		return false;
	f->host.irqchip->acknowledge(f->host.irqchip_dev);
	f->host.delivered(f->host.ctx, FAKE_VECTOR);
	f->s.halted = false;
	f->s.gpr[CV_RAX] += FAKE_VECTOR;
	f->s.rip = FAKE_CODE;
	f->s.pos.sub++;
	return true;
}

static inline int fake_run(struct cv_engine *e, const struct cv_stop *stop, struct cv_exit *exit, struct cv_error *err)
{
	struct fake_engine *f = fake_self(e);
	const struct fake_image *im = (const struct fake_image *)(f->host.mem->ram + 0x100000);
	bool skip = stop->skip_first_break;

	(void)err;
	memset(exit, 0, sizeof(*exit));
	f->kicked = false;
	for (;;) {
		struct cv_pos before = f->s.pos;

		exit->kind = CV_EXIT_POSITION;
		if (f->s.pos.insns >= stop->insns)
			return 0;
		if (fake_deliver(f)) {
			if (stop->step || stop->stop_at_delivery)
				return 0;
			skip = false;
			continue;
		}
		if (f->s.halted) {
			exit->kind = CV_EXIT_HALT;
			return 0;
		}
		exit->addr = f->s.rip;
		exit->kind = CV_EXIT_BREAK;
		if (!skip && fake_at_break(f))
			return 0;
		skip = false;
		if (f->s.pos.insns == im->end_insns && im->end_kind == CV_END_TRIPLE_FAULT) {
			exit->kind = CV_EXIT_SHUTDOWN;
			return 0;
		}
		f->hit = false;
		fake_execute(f, im);
		if (f->hit) {
			exit->kind = CV_EXIT_WATCH;
			exit->addr = f->hit_addr;
			exit->type = f->hit_type;
			return 0;
		}
		exit->kind = CV_EXIT_POSITION;
		if (stop->step && (before.insns != f->s.pos.insns || before.sub != f->s.pos.sub))
			return 0;
		exit->kind = CV_EXIT_KICK;
		if (f->kicked && !f->s.halted)
			return 0;
	}
}

static inline void fake_position(struct cv_engine *e, struct cv_pos *pos)
{
	*pos = fake_self(e)->s.pos;
	pos->rip = fake_self(e)->s.rip;
}

static inline void fake_get_state(struct cv_engine *e, struct cv_vcpu_state *s)
{
	*s = fake_self(e)->s;
	fake_position(e, &s->pos);
}

static inline void fake_set_state(struct cv_engine *e, const struct cv_vcpu_state *s)
{
	fake_self(e)->s = *s;
	fake_self(e)->s.rflags |= CV_FLAG_IF;
	fake_self(e)->tlb = UINT64_MAX;
}

static inline void fake_kick(struct cv_engine *e)
{
	fake_self(e)->kicked = true;
}

static inline void fake_flush(struct cv_engine *e)
{
	fake_self(e)->tlb = UINT64_MAX;
}

static inline void fake_ram_written(struct cv_engine *e, uint32_t page, uint32_t offset, uint32_t len)
{
	(void)e;
	(void)page;
	(void)offset;
	(void)len;
}

static inline int fake_set_points(struct cv_engine *e, const uint64_t *breaks, size_t nb, const struct cv_watch *w,
				  size_t nw, struct cv_error *err)
{
	struct fake_engine *f = fake_self(e);

	if (nb > 16 || nw > 16)
		return cv_error_set(err, CV_E_BADINPUT, "too many points");
	if (nb)
		memcpy(f->breaks, breaks, nb * sizeof(*breaks));
	if (nw)
		memcpy(f->watches, w, nw * sizeof(*w));
	f->nbreaks = nb;
	f->nwatches = nw;
	return 0;
}

static inline bool fake_translate(struct cv_engine *e, uint64_t linear, uint64_t *gpa)
{
	*gpa = linear;
	return linear < fake_self(e)->host.mem->size;
}

static inline void fake_free(struct cv_engine *e)
{
	free(e);
}

static inline void fake_note_writes(struct cv_engine *e, struct cv_page_filter *f)
{
	fake_self(e)->wrote = f;
}

static const struct cv_engine_ops fake_engine_ops = {
	.name = "fake",
	.free = fake_free,
	.run = fake_run,
	.get_state = fake_get_state,
	.set_state = fake_set_state,
	.position = fake_position,
	.kick = fake_kick,
	.flush_tlb = fake_flush,
	.ram_written = fake_ram_written,
	.set_points = fake_set_points,
	.translate = fake_translate,
	.note_writes = fake_note_writes,
};

static inline struct cv_engine *fake_engine_new(const struct cv_engine_host *host, struct cv_error *err)
{
	struct fake_engine *f = calloc(1, sizeof(*f));

	if (!f) {
		cv_error_set(err, CV_E_NOMEM, "out of memory");
		return NULL;
	}
	f->engine.ops = &fake_engine_ops;
	f->host = *host;
	f->tlb = UINT64_MAX;
	return &f->engine;
}

/* image stays the caller's and must outlive the machine. */
static inline struct cv_machine_config fake_config(const struct fake_image *im, enum cv_clock_mode clock)
{
	struct cv_machine_config c = {
		.ram_size = CV_RAM_MIN,
		.clock = clock,
		.epoch = 1700000000,
		.cpu = "chronovisor-v2",
		.images = {.kernel = {.name = "fake", .data = (const uint8_t *)im, .size = sizeof(*im)},
			   .cmdline = "one two"},
	};

	return c;
}

#endif
