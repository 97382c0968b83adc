/* SPDX-License-Identifier: MIT */
/*
 * Symbols from an ELF file through libelf: functions and objects of .symtab (else .dynsym), sorted by address. Of
 * several names at one address a global one wins over a local, then the first in the table.
 *
 * Or from a Linux kernel's own tables in the guest's memory. Their addresses are those where the kernel runs; LSTAR must
 * hold the address of its entry_SYSCALL_64, which proves that they are this kernel's, and the slide is then 0.
 *
 * Look-up: the last symbol at or before the address; one with a size must contain it, one without (assembly) reaches to
 * the next symbol, at most 64 KiB.
 */
#include "gdbstub/symbols.h"

#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gdbstub/frames.h"
#include "gdbstub/linux_image.h"
#include "gdbstub/linux_kallsyms.h"

#define REACH 0x10000u

struct symbol {
	uint64_t addr, size;
	uint32_t name; /* in names */
	uint32_t order; /* 0..: index in the table, locals after all globals */
	bool code;
};

struct cv_symbols {
	bool is_64;
	struct symbol *list; /* owned, sorted by addr, then order */
	size_t n;
	char *names; /* owned */
	uint64_t syscall_entry; /* entry_SYSCALL_64 as linked, 0: none */
	uint8_t *frames;	/* owned */
	size_t frames_len;
	uint64_t frames_base;
	struct cv_unwind_entry *entries; /* owned */
	size_t nentries;
	struct cv_orc orc; /* n 0: none */
};

void cv_symbols_free(struct cv_symbols *s)
{
	if (!s)
		return;
	free(s->list);
	free(s->names);
	free(s->frames);
	free(s->entries);
	cv_orc_release(&s->orc);
	free(s);
}

static int by_addr(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static bool wanted(const GElf_Sym *sym)
{
	unsigned type = GELF_ST_TYPE(sym->st_info);

	return sym->st_shndx != SHN_UNDEF && sym->st_shndx != SHN_ABS && sym->st_name && sym->st_value &&
	       (type == STT_FUNC || type == STT_OBJECT || type == STT_NOTYPE);
}

static int read_symbols(struct cv_symbols *s, Elf *elf, Elf_Scn *scn, const GElf_Shdr *sh)
{
	Elf_Data *data = elf_getdata(scn, NULL);
	size_t count, names_len;
	Elf_Data *strings = elf_getdata(elf_getscn(elf, sh->sh_link), NULL);

	if (!data || !strings || !strings->d_buf || !strings->d_size || !sh->sh_entsize)
		return 0;
	names_len = strings->d_size;
	count = data->d_size / sh->sh_entsize;
	s->names = malloc(names_len + 1);
	s->list = calloc(count ? count : 1, sizeof(*s->list));
	if (!s->names || !s->list || names_len > UINT32_MAX || count > INT32_MAX)
		return CV_E_NOMEM;
	memcpy(s->names, strings->d_buf, names_len);
	s->names[names_len] = '\0';
	for (size_t i = 0; i < count; i++) {
		GElf_Sym sym;
		bool local;

		if (!gelf_getsym(data, (int)i, &sym) || !wanted(&sym) || sym.st_name >= names_len)
			continue;
		local = GELF_ST_BIND(sym.st_info) == STB_LOCAL;
		s->list[s->n++] = (struct symbol){ sym.st_value, sym.st_size, sym.st_name,
						   (uint32_t)(local ? i + count : i),
						   GELF_ST_TYPE(sym.st_info) == STT_FUNC };
		if (!strcmp(s->names + sym.st_name, "entry_SYSCALL_64"))
			s->syscall_entry = sym.st_value;
	}
	qsort(s->list, s->n, sizeof(*s->list), by_addr);
	return 0;
}

static int read_frames(struct cv_symbols *s, Elf_Scn *scn, const GElf_Shdr *sh, bool debug)
{
	Elf_Data *data;

	if ((sh->sh_flags & SHF_COMPRESSED) && elf_compress(scn, 0, 0) < 0)
		return 0;
	data = elf_getdata(scn, NULL);
	if (!data || !data->d_buf || !data->d_size)
		return 0;
	s->frames = malloc(data->d_size);
	if (!s->frames)
		return CV_E_NOMEM;
	memcpy(s->frames, data->d_buf, data->d_size);
	s->frames_len = data->d_size;
	/* A section that is not loaded gets a place near the code, so that 32-bit offsets reach. */
	s->frames_base = sh->sh_addr;
	if (debug) {
		cv_frames_from_debug_frame(s->frames, s->frames_len);
		s->frames_base = s->n ? (s->list[s->n / 2].addr & ~0xfffull) : 0;
	}
	return cv_frames_index(s->frames, s->frames_len, s->frames_base, &s->entries, &s->nentries);
}

static Elf_Scn *section(Elf *elf, const char *name, GElf_Word type, GElf_Shdr *sh)
{
	size_t strings;
	Elf_Scn *scn = NULL;

	if (elf_getshdrstrndx(elf, &strings) < 0)
		return NULL;
	while ((scn = elf_nextscn(elf, scn)) != NULL) {
		const char *its;

		if (!gelf_getshdr(scn, sh) || sh->sh_type == SHT_NOBITS)
			continue;
		its = elf_strptr(elf, strings, sh->sh_name);
		if (name ? its && !strcmp(its, name) : sh->sh_type == type)
			return scn;
	}
	return NULL;
}

static int read_elf(struct cv_symbols *s, Elf *elf)
{
	GElf_Shdr sh;
	Elf_Scn *scn;
	int r = 0;

	s->is_64 = gelf_getclass(elf) == ELFCLASS64;
	scn = section(elf, NULL, SHT_SYMTAB, &sh);
	if (!scn)
		scn = section(elf, NULL, SHT_DYNSYM, &sh);
	if (scn)
		r = read_symbols(s, elf, scn, &sh);
	if (r < 0 || !s->is_64)
		return r;
	scn = section(elf, ".eh_frame", 0, &sh);
	if (scn)
		return read_frames(s, scn, &sh, false);
	scn = section(elf, ".debug_frame", 0, &sh);
	return scn ? read_frames(s, scn, &sh, true) : 0;
}

static int take_elf(struct cv_symbols **out, Elf *elf, const char *name, struct cv_error *err)
{
	struct cv_symbols *s;
	GElf_Ehdr eh;
	int r;

	*out = NULL;
	if (!elf || elf_kind(elf) != ELF_K_ELF || !gelf_getehdr(elf, &eh) ||
	    (eh.e_machine != EM_X86_64 && eh.e_machine != EM_386))
		return cv_error_set(err, CV_E_BADINPUT, "%s: not an ELF file for x86", name);
	s = calloc(1, sizeof(*s));
	r = s ? read_elf(s, elf) : CV_E_NOMEM;
	if (r < 0) {
		cv_symbols_free(s);
		return cv_error_set(err, r, "%s: out of memory reading symbols", name);
	}
	*out = s;
	return 0;
}

int cv_symbols_open_file(struct cv_symbols **out, const char *path, struct cv_error *err)
{
	int r, fd = open(path, O_RDONLY | O_CLOEXEC);
	Elf *elf;

	*out = NULL;
	if (fd < 0)
		return cv_error_set(err, CV_E_BADINPUT, "%s: %m", path);
	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ_MMAP_PRIVATE, NULL);
	r = take_elf(out, elf, path, err);
	elf_end(elf);
	close(fd);
	return r;
}

int cv_symbols_open_bytes(struct cv_symbols **out, const void *data, size_t n, struct cv_error *err)
{
	char *copy = malloc(n ? n : 1); /* libelf may write into what it is given (decompression, alignment) */
	Elf *elf;
	int r;

	*out = NULL;
	if (!copy)
		return cv_error_set(err, CV_E_NOMEM, "out of memory reading symbols");
	memcpy(copy, data, n);
	elf_version(EV_CURRENT);
	elf = elf_memory(copy, n);
	r = take_elf(out, elf, "kernel image", err);
	elf_end(elf);
	free(copy);
	return r;
}

/* --- Out of a guest's memory --- */

/* Per-CPU variables and constants are listed with addresses that are none. */
static bool is_linear(const struct cv_linux_image *image, uint64_t addr)
{
	return addr - image->base < image->len;
}

static int take_kallsyms(struct cv_symbols *s, struct cv_kallsyms *k, const struct cv_linux_image *image)
{
	s->is_64 = true;
	s->list = calloc(k->n, sizeof(*s->list));
	if (!s->list)
		return CV_E_NOMEM;
	for (size_t i = 0; i < k->n; i++) {
		const struct cv_kallsym *sym = &k->list[i];
		bool code = sym->type == 't' || sym->type == 'T' || sym->type == 'w' || sym->type == 'W';

		if (!is_linear(image, sym->addr))
			continue;
		s->list[s->n++] = (struct symbol){ sym->addr, 0, sym->name, (uint32_t)i, code };
		if (!strcmp(k->names + sym->name, "entry_SYSCALL_64"))
			s->syscall_entry = sym->addr;
	}
	s->names = k->names;
	k->names = NULL;
	return 0;
}

/* Sorted they are already. Kernels without ORC, or with tables that make no sense, are fine: only memory can fail. */
static int take_orc(struct cv_symbols *s, const struct cv_linux_image *image)
{
	uint64_t ip, ip_end, entries, entries_end;
	int r;

	if (!cv_symbols_find(s, "__start_orc_unwind_ip", &ip) || !cv_symbols_find(s, "__stop_orc_unwind_ip", &ip_end) ||
	    !cv_symbols_find(s, "__start_orc_unwind", &entries) ||
	    !cv_symbols_find(s, "__stop_orc_unwind", &entries_end))
		return 0;
	r = cv_orc_init(&s->orc, image->data, image->len, image->base, ip, ip_end, entries, entries_end);
	return r == CV_E_NOMEM ? r : 0;
}

static int take_image(struct cv_symbols *s, const struct cv_linux_image *image, uint64_t lstar)
{
	struct cv_kallsyms k;
	int r = cv_kallsyms_find(&k, image->data, image->len, image->base);

	if (!r)
		r = take_kallsyms(s, &k, image);
	if (!r && (!lstar || s->syscall_entry != lstar))
		r = CV_E_BADINPUT;
	if (!r)
		r = take_orc(s, image);
	cv_kallsyms_release(&k);
	return r;
}

static int try_guest(struct cv_symbols **out, const struct cv_memory *mem, const struct cv_vcpu_state *state)
{
	struct cv_linux_image image = { 0 };
	struct cv_symbols *s = calloc(1, sizeof(*s));
	int r = s ? cv_linux_image_copy(&image, mem, state) : CV_E_NOMEM;

	if (!r)
		r = take_image(s, &image, state->lstar);
	cv_linux_image_release(&image);
	if (r)
		cv_symbols_free(s);
	else
		*out = s;
	return r;
}

int cv_symbols_open_guest(struct cv_symbols **out, const struct cv_memory *mem, const struct cv_vcpu_state *state,
			  struct cv_error *err)
{
	int r;

	*out = NULL;
	r = try_guest(out, mem, state);
	/*
	 * Under page table isolation user code runs on tables with little of the kernel: the second page of a pair, of which
	 * the first is the kernel's own.
	 */
	if (r == CV_E_BADINPUT && (state->cr3 & CV_PAGE_SIZE)) {
		struct cv_vcpu_state kernel = *state;

		kernel.cr3 &= ~(uint64_t)CV_PAGE_SIZE;
		r = try_guest(out, mem, &kernel);
	}
	if (!r)
		return 0;
	return cv_error_set(err, r, r == CV_E_NOMEM ? "out of memory reading the guest's symbols" :
				    "no Linux kernel with a symbol table runs in this guest");
}

/* --- Questions --- */

size_t cv_symbols_count(const struct cv_symbols *s)
{
	return s ? s->n : 0;
}

const char *cv_symbols_get(const struct cv_symbols *s, size_t i, uint64_t *addr, bool *code)
{
	*addr = s->list[i].addr;
	*code = s->list[i].code;
	return s->names + s->list[i].name;
}

const struct cv_orc *cv_symbols_orc(const struct cv_symbols *s)
{
	return s && s->orc.n ? &s->orc : NULL;
}

bool cv_symbols_is_64(const struct cv_symbols *s)
{
	return s->is_64;
}

uint64_t cv_symbols_slide(const struct cv_symbols *s, const struct cv_vcpu_state *state)
{
	/* KASLR moves by multiples of 2 MiB (CONFIG_PHYSICAL_ALIGN); anything else is another kernel's entry. */
	uint64_t slide = s && s->syscall_entry && state->lstar ? state->lstar - s->syscall_entry : 0;

	return slide & 0x1fffff ? 0 : slide;
}

const char *cv_symbols_lookup(const struct cv_symbols *s, uint64_t addr, uint64_t *offset)
{
	size_t lo = 0, hi = s ? s->n : 0;

	while (lo < hi) { /* the first symbol past addr */
		size_t mid = lo + (hi - lo) / 2;

		if (s->list[mid].addr <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (size_t back = 0; lo && back < 16; back++) {
		const struct symbol *c = &s->list[--lo];

		/* The first by `order` of those at this address. */
		while (lo && s->list[lo - 1].addr == c->addr)
			c = &s->list[--lo];
		if (c->size ? addr - c->addr < c->size : !back && addr - c->addr < REACH) {
			*offset = addr - c->addr;
			return s->names + c->name;
		}
	}
	return NULL;
}

bool cv_symbols_find(const struct cv_symbols *s, const char *name, uint64_t *addr)
{
	for (size_t i = 0; s && i < s->n; i++) {
		if (!strcmp(s->names + s->list[i].name, name)) {
			*addr = s->list[i].addr;
			return true;
		}
	}
	return false;
}

bool cv_symbols_unwind(const struct cv_symbols *s, struct cv_unwind *u)
{
	memset(u, 0, sizeof(*u));
	if (!s || !s->nentries)
		return false;
	*u = (struct cv_unwind){ s->frames_base, s->frames, s->frames_len, s->entries, s->nentries };
	return true;
}
