/* SPDX-License-Identifier: MIT */
/*
 * The machine: one vCPU on an engine, RAM, a bus, a clock, devices wired by the board, and the run loop that applies
 * inputs from the environment at exact positions.
 *
 * A machine is a pure function of (struct cv_machine_config, inputs from env). Everything that the recorder, the
 * replayer and the timeline do, they do through this header.
 */
#ifndef CV_MACHINE_H
#define CV_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm-core/boot/boot.h"
#include "vmm-core/bus.h"
#include "vmm-core/clock.h"
#include "vmm-core/engine.h"
#include "vmm-core/env.h"
#include "vmm-core/error.h"
#include "vmm-core/memory.h"
#include "vmm-core/x86/cpuid.h"

struct cv_machine;

/* --- Devices --- */

struct cv_device_ops {
	const char *name;
	void (*reset)(void *dev); /* as at power-on */
	void (*save)(const void *dev, struct cv_wbuf *w); /* first a u8 version */
	void (*load)(void *dev, struct cv_rbuf *r);
	void (*free)(void *dev); /* may be NULL */
};

#define CV_MACHINE_DEVICES 24

/* --- Configuration: the initial machine --- */

enum cv_clock_mode { CV_CLOCK_HOST = 0, CV_CLOCK_VIRTUAL = 1 };

struct cv_machine_config {
	bool test_device;	   /* the board has devices/test_device.c, too */
	uint64_t ram_size;	   /* bytes, a multiple of 1 MiB within CV_RAM_MIN..CV_RAM_MAX */
	enum cv_clock_mode clock;
	enum cv_count_unit count;  /* what positions count */
	uint64_t epoch;		   /* seconds since 1970 that the RTC shows at power-on */
	bool reboot;		   /* a guest reset restarts the machine instead of ending the run */
	const char *cpu;	   /* borrowed: "chronovisor-v2", "v3,+la57" (cv_cpuid_model_parse); a machine's own is canonical */
	struct cv_boot_images images; /* borrowed bytes: kernel, initrd, modules, command line */
};

/* How a run ended, or may have. */
enum cv_end {
	CV_END_NONE = 0,
	CV_END_POWEROFF = 1,	 /* ACPI S5 */
	CV_END_RESET = 2,	 /* reset by the guest, without config.reboot */
	CV_END_TRIPLE_FAULT = 3, /* crash */
	CV_END_PANIC_DEVICE = 4, /* crash: pvpanic */
	CV_END_DEBUG_EXIT = 5,	 /* port 0xf4; code: the value written; a crash if it is not 0 */
	CV_END_CONSOLE_PANIC = 6, /* crash: a kernel's panic line on the console */
	CV_END_STOPPED = 7,	 /* CV_CMD_STOP: the user, or --until */
	CV_END_DEAD = 8,	 /* halted with interrupts off (or no timer armed) and no input can ever come */
};

struct cv_end_info {
	enum cv_end kind;
	uint64_t code;
	struct cv_pos pos;	  /* where the run ended */
	bool crashed;		  /* exit status 3 */
	enum cv_end crash_kind;	  /* what crashed, CV_END_NONE if nothing did */
	struct cv_pos crash_pos;  /* for a console panic: where its line ended; else as pos */
};

const char *cv_end_name(enum cv_end e); /* "power-off", "triple-fault", ... */

/* --- The machine --- */

/* Wires all devices into a new machine and writes its tables (devices/board.h): given, since devices lie above. */
struct cv_board_ops {
	int (*wire)(struct cv_machine *m, struct cv_error *err);
	void (*write_tables)(struct cv_machine *m, struct cv_boot_firmware *fw);
};

struct cv_machine {
	struct cv_machine_config config; /* [i] */
	const struct cv_board_ops *board; /* [i] borrowed */
	struct cv_cpuid_model model; /* [i] */
	struct cv_memory mem;
	struct cv_bus bus;
	struct cv_clock clock;
	struct cv_engine *engine; /* owned */
	struct cv_env *env;	  /* borrowed; may be exchanged between runs */

	const struct cv_irqchip_ops *irqchip; /* set by the board */
	void *irqchip_dev;
	struct {
		const struct cv_device_ops *ops;
		void *dev;
	} devices[CV_MACHINE_DEVICES];
	unsigned ndevices;

	/* Console: the first serial port, set by the board. */
	size_t (*console_room)(void *dev);
	void (*console_put)(void *dev, const uint8_t *p, size_t n);
	void *console_dev;
	/*
	 * [h] What a device asks of the CPU in mid-instruction. Set by the machine before the board wires; NULL (in tests):
	 * an offset of 0, an NMI that is lost.
	 */
	uint64_t (*tsc_offset)(struct cv_machine *m); /* TSC as the guest reads it = guest ns + this */
	void (*raise_nmi)(struct cv_machine *m);      /* an NMI becomes pending; it kicks the engine */
	void (*power_button)(void *dev);
	void *power_dev;
	/* VGA text: fills rows*cols bytes of text (no attributes); set by the board. */
	void (*screen_text)(void *dev, char *text, unsigned *rows, unsigned *cols); /* text: at least 132*60 bytes */
	void *screen_dev;

	struct cv_end_info end;	  /* [s] kind is CV_END_NONE while the run goes on */
	uint64_t out_count;	  /* [s] console bytes printed since power-on */
	uint64_t out_hash;	  /* [s] running FNV-1a 64 of them */
	char line[256];		  /* [s] the console line being printed, for the panic watcher */
	unsigned line_len;	  /* [s] */
	uint64_t panic_deadline;  /* [s] insns at which a run that printed a panic line ends; UINT64_MAX: none */
	bool reset_pending;	  /* [h] */
	bool nmi_asked;		  /* [h] a device raised an NMI in the instruction that is running */
	bool settled;		  /* [h] virtual clock: inputs and deadlines at settled_pos were applied */
	struct cv_pos settled_pos; /* [h] */
	struct cv_error err;	  /* [h] first host error of a callback */
};

/*
 * A machine in its power-on state, kernel loaded. env, and all that config borrows, must outlive it.
 * CV_E_BADINPUT for images that cannot boot (one line says why).
 */
int cv_machine_new(struct cv_machine **out, const struct cv_machine_config *config, const struct cv_board_ops *board,
		   struct cv_env *env, struct cv_error *err);
/* The same on an engine of the caller's: tests, and engines other than the default. factory: as cv_soft_new. */
typedef struct cv_engine *(*cv_engine_factory)(const struct cv_engine_host *host, struct cv_error *err);
int cv_machine_new_with_engine(struct cv_machine **out, const struct cv_machine_config *config,
			       const struct cv_board_ops *board, cv_engine_factory factory, struct cv_env *env,
			       struct cv_error *err);
void cv_machine_free(struct cv_machine *m);

/* For the board, in its one function. Order of devices is the order of reset and of saving. */
void cv_machine_add_device(struct cv_machine *m, const struct cv_device_ops *ops, void *dev);

/* For devices. All may be called in mid-instruction. The first end sticks. */
void cv_machine_end(struct cv_machine *m, enum cv_end kind, uint64_t code);
void cv_machine_request_reset(struct cv_machine *m);
void cv_machine_set_a20(struct cv_machine *m, bool on); /* on: address line 20 follows the CPU; off: it is 0 */
void cv_machine_console_out(struct cv_machine *m, const uint8_t *p, size_t n);

/* --- Running --- */

enum cv_run_why {
	CV_RUN_POSITION = 1, /* `until` was reached */
	CV_RUN_END,	     /* the run ended: m->end */
	CV_RUN_BREAK,
	CV_RUN_WATCH,
	CV_RUN_ENV,	     /* env->failed: divergence, log trouble, or the log's end; ask the env's owner */
	CV_RUN_IDLE,	     /* halted and env->wait had nothing: call again, or stop */
	CV_RUN_YIELD,	     /* a slice ended (see cv_machine_run's `yield`) */
};

struct cv_run {
	enum cv_run_why why;
	struct cv_exit exit; /* for BREAK and WATCH */
};

/*
 * Runs the machine: polls env, applies inputs, lets the engine run, fires deadlines, until `until` or one of enum
 * cv_run_why. Asynchronous inputs due at the position where the machine stands are applied on entry; none are applied
 * at the position where it stops for CV_RUN_POSITION (they will be on the next entry).
 * yield: return CV_RUN_YIELD after each engine run that ends at the environment's horizon or in a HLT, so that a
 * debugger can look at its socket and a recorder can commit, also while the guest idles.
 */
int cv_machine_run(struct cv_machine *m, const struct cv_stop *until, bool yield, struct cv_run *run,
		   struct cv_error *err);

void cv_machine_position(struct cv_machine *m, struct cv_pos *pos);

/* Power-on again at the present position (a guest reset with config.reboot). The run loop's business. */
int cv_machine_reset(struct cv_machine *m, struct cv_error *err);

/* --- Saving --- */

/* CPU, clock, devices and end state, without RAM. The bytes of equal machines are equal. */
void cv_machine_save(struct cv_machine *m, struct cv_wbuf *w);
/* Loads what save wrote (RAM is the caller's business: before or after). Flushes the engine. CV_E_CORRUPT. */
int cv_machine_load(struct cv_machine *m, const void *p, size_t n, struct cv_error *err);

/* XXH3-128 as 16 bytes, big-endian canonical form. */
struct cv_digest {
	uint8_t b[16];
};
/* Of cv_machine_save's bytes and of every RAM page that is not all zero, in order of page number. */
int cv_machine_digest(struct cv_machine *m, struct cv_digest *d, struct cv_error *err);
/* Of cv_machine_save's bytes and the pages now dirty, in order of page number. Leaves them dirty. */
int cv_machine_digest_dirty(struct cv_machine *m, struct cv_digest *d, struct cv_error *err);

/* Guest memory for debuggers: linear (through the guest's page tables) or physical. RAM only, no side effects. */
int cv_machine_read_linear(struct cv_machine *m, uint64_t addr, void *p, size_t n);
int cv_machine_write_linear(struct cv_machine *m, uint64_t addr, const void *p, size_t n);

#endif
