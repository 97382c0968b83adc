/* SPDX-License-Identifier: MIT */
/*
 * Symbols as an ELF file that GDB can load, for kernels that have none: an ET_EXEC without segments.
 *
 *   .text	the range of all functions, without bytes (SHT_NOBITS): GDB asks the guest for those
 *   .symtab	functions as STT_FUNC in .text; all else as STT_OBJECT at absolute addresses
 *   .debug_frame	unwind information, where the symbols are a Linux kernel's own and it has an ORC table
 *   .strtab, .shstrtab
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gdbstub/symbols.h"
#include "vmm-core/buf.h"

enum { SEC_NULL, SEC_TEXT, SEC_SYMTAB, SEC_STRTAB, SEC_SHSTRTAB, SEC_FRAME, SECTIONS };

static const char section_names[] = "\0.text\0.symtab\0.strtab\0.shstrtab\0.debug_frame";
enum { NAME_TEXT = 1, NAME_SYMTAB = 7, NAME_STRTAB = 15, NAME_SHSTRTAB = 23, NAME_FRAME = 33 };

struct tables {
	struct cv_wbuf symtab, strtab, frame;
	uint64_t text, text_end;
};

/* Up to the next symbol at another address; 0 for the last one. */
static uint64_t size_of(const struct cv_symbols *s, size_t i)
{
	uint64_t addr, next;
	bool code;

	cv_symbols_get(s, i, &addr, &code);
	while (++i < cv_symbols_count(s)) {
		cv_symbols_get(s, i, &next, &code);
		if (next != addr)
			return next - addr;
	}
	return 0;
}

static void fill(struct tables *t, const struct cv_symbols *s)
{
	Elf64_Sym none = { 0 };

	cv_put_bytes(&t->symtab, &none, sizeof(none));
	cv_put_u8(&t->strtab, 0);
	for (size_t i = 0; i < cv_symbols_count(s); i++) {
		uint64_t addr;
		bool code;
		const char *name = cv_symbols_get(s, i, &addr, &code);
		Elf64_Sym sym = {
			.st_name = (Elf64_Word)t->strtab.len,
			.st_info = ELF64_ST_INFO(STB_GLOBAL, code ? STT_FUNC : STT_OBJECT),
			.st_shndx = code ? SEC_TEXT : SHN_ABS,
			.st_value = addr,
			.st_size = size_of(s, i),
		};

		if (code && (!t->text || addr < t->text))
			t->text = addr;
		if (code && addr + sym.st_size > t->text_end)
			t->text_end = addr + sym.st_size;
		cv_put_bytes(&t->symtab, &sym, sizeof(sym));
		cv_put_bytes(&t->strtab, name, strlen(name) + 1);
	}
	if (cv_symbols_orc(s))
		cv_orc_put_debug_frame(cv_symbols_orc(s), &t->frame);
}

static void put_file(struct cv_wbuf *out, const struct tables *t)
{
	const size_t symtab = sizeof(Elf64_Ehdr) + SECTIONS * sizeof(Elf64_Shdr);
	const size_t strtab = symtab + t->symtab.len, shstrtab = strtab + t->strtab.len;
	const size_t frame = shstrtab + sizeof(section_names);
	const Elf64_Ehdr eh = {
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_EXEC,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_shoff = sizeof(eh),
		.e_ehsize = sizeof(eh),
		.e_shentsize = sizeof(Elf64_Shdr),
		.e_shnum = SECTIONS,
		.e_shstrndx = SEC_SHSTRTAB,
	};
	const Elf64_Shdr sh[SECTIONS] = {
		[SEC_TEXT] = { .sh_name = NAME_TEXT, .sh_type = SHT_NOBITS, .sh_flags = SHF_ALLOC | SHF_EXECINSTR,
			       .sh_addr = t->text, .sh_offset = symtab, .sh_size = t->text_end - t->text,
			       .sh_addralign = 1 },
		[SEC_SYMTAB] = { .sh_name = NAME_SYMTAB, .sh_type = SHT_SYMTAB, .sh_offset = symtab,
				 .sh_size = t->symtab.len, .sh_link = SEC_STRTAB, .sh_info = 1, .sh_addralign = 8,
				 .sh_entsize = sizeof(Elf64_Sym) },
		[SEC_STRTAB] = { .sh_name = NAME_STRTAB, .sh_type = SHT_STRTAB, .sh_offset = strtab,
				 .sh_size = t->strtab.len, .sh_addralign = 1 },
		[SEC_SHSTRTAB] = { .sh_name = NAME_SHSTRTAB, .sh_type = SHT_STRTAB, .sh_offset = shstrtab,
				   .sh_size = sizeof(section_names), .sh_addralign = 1 },
		[SEC_FRAME] = { .sh_name = NAME_FRAME, .sh_type = SHT_PROGBITS, .sh_offset = frame,
				.sh_size = t->frame.len, .sh_addralign = 1 },
	};

	cv_put_bytes(out, &eh, sizeof(eh));
	cv_put_bytes(out, sh, sizeof(sh));
	cv_put_bytes(out, t->symtab.data, t->symtab.len);
	cv_put_bytes(out, t->strtab.data, t->strtab.len);
	cv_put_bytes(out, section_names, sizeof(section_names));
	cv_put_bytes(out, t->frame.data, t->frame.len);
}

/* A new file: what had the name before is left to those that have it open. */
static int write_new(const char *path, const struct cv_wbuf *w, struct cv_error *err)
{
	size_t done = 0;
	int fd;

	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return cv_error_set(err, CV_E_IO, "%s: %s", path, strerror(errno));
	while (done < w->len) {
		ssize_t n = write(fd, w->data + done, w->len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			int r = cv_error_set(err, CV_E_IO, "%s: %s", path, strerror(errno));

			close(fd);
			unlink(path);
			return r;
		}
		done += (size_t)n;
	}
	close(fd);
	return 0;
}

int cv_symbols_write_elf(const struct cv_symbols *s, const char *path, struct cv_error *err)
{
	struct tables t = { 0 };
	struct cv_wbuf out = { 0 };
	int r;

	fill(&t, s);
	put_file(&out, &t);
	if (t.symtab.err || t.strtab.err || t.frame.err || out.err)
		r = cv_error_set(err, CV_E_NOMEM, "out of memory writing symbols");
	else
		r = write_new(path, &out, err);
	cv_wbuf_release(&t.symtab);
	cv_wbuf_release(&t.strtab);
	cv_wbuf_release(&t.frame);
	cv_wbuf_release(&out);
	return r;
}
