/* SPDX-License-Identifier: MIT */
/*
 * What an ELF file of the guest's kernel knows: names of addresses, and the unwind tables of its own compiler. Where
 * there is no file, a Linux kernel's own tables in the guest's memory: kallsyms and ORC.
 *
 * Unwind tables come from .eh_frame, or from .debug_frame, which is rewritten into the same form. A kernel may run at
 * another address than it was linked for (KASLR): the slide is the difference, and is added to every address of the
 * file. Everything needed is copied: the file may go.
 */
#ifndef CV_SYMBOLS_H
#define CV_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gdbstub/linux_orc.h"
#include "vmm-core/error.h"
#include "vmm-core/memory.h"
#include "vmm-core/state.h"

struct cv_symbols;

/* CV_E_BADINPUT: no ELF file for x86. A file without symbols is fine: look-ups find nothing. */
int cv_symbols_open_file(struct cv_symbols **out, const char *path, struct cv_error *err);
int cv_symbols_open_bytes(struct cv_symbols **out, const void *data, size_t n, struct cv_error *err);
/*
 * From the memory of a guest that runs Linux now; takes some hundredths of a second. CV_E_BADINPUT: it does not, or too
 * early in its boot, or its kernel has no kallsyms.
 */
int cv_symbols_open_guest(struct cv_symbols **out, const struct cv_memory *mem, const struct cv_vcpu_state *state,
			  struct cv_error *err);
void cv_symbols_free(struct cv_symbols *s);

/* ELFCLASS64? Decides which target description GDB must be given to accept the same file. */
bool cv_symbols_is_64(const struct cv_symbols *s);

/*
 * Where the file's code really is. Linux: MSR LSTAR holds entry_SYSCALL_64, so the difference tells. 0 where the state
 * says nothing.
 */
uint64_t cv_symbols_slide(const struct cv_symbols *s, const struct cv_vcpu_state *state);

/* The function or object that contains addr (as linked): its name (borrowed) and the offset in it, or NULL. */
const char *cv_symbols_lookup(const struct cv_symbols *s, uint64_t addr, uint64_t *offset);
bool cv_symbols_find(const struct cv_symbols *s, const char *name, uint64_t *addr);

/* All of them, by address (as linked), i from 0 to below the count: the name (borrowed); code: is it a function? */
size_t cv_symbols_count(const struct cv_symbols *s);
const char *cv_symbols_get(const struct cv_symbols *s, size_t i, uint64_t *addr, bool *code);

/*
 * Writes an ELF file of the symbols for GDB, addresses as linked; a file of that name is replaced. CV_E_IO, CV_E_NOMEM: there
 * is none then.
 */
int cv_symbols_write_elf(const struct cv_symbols *s, const char *path, struct cv_error *err);

/* The kernel's ORC table (borrowed), or NULL. Its addresses are those where the kernel runs. */
const struct cv_orc *cv_symbols_orc(const struct cv_symbols *s);

/* One function's entry in the table: as libunwind's binary search table has it, relative to `base`. */
struct cv_unwind_entry {
	int32_t start, fde;
};

struct cv_unwind {
	uint64_t base;	     /* address (as linked) of the first byte of frames */
	const uint8_t *frames; /* borrowed: CIEs and FDEs in the form of .eh_frame */
	size_t len;
	const struct cv_unwind_entry *entries; /* borrowed, sorted by start */
	size_t n;
};

/* False where the file has none (then n is 0). 64-bit files only. */
bool cv_symbols_unwind(const struct cv_symbols *s, struct cv_unwind *u);

#endif
