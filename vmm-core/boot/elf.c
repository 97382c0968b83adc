/* SPDX-License-Identifier: MIT */
/*
 * ELF images, 32-bit and 64-bit, and plain ELF64 kernels.
 *
 * Read by hand, since every field is untrusted and few are needed: file header, program headers, notes, section
 * headers. Segments go to their physical addresses. The entry point may be virtual (linked high) or physical; the
 * kernel starts at the physical address that it stands for.
 *
 * A plain ELF64 kernel (no PVH note, no Multiboot header) is entered in 64-bit mode, paging on, the first 4 GiB mapped
 * 1:1 and writable by 2 MiB pages, flat segments, interrupts off, with an empty IDT, and
 *	RDI = address of a struct hvm_start_info (Xen's public/arch-x86/hvm/start_info.h, version 1)
 *	RSP = top of a 16 KiB stack below 640 KiB, holding a return address of 0: as a C function expects it
 * and all other general registers 0.
 */
#include "vmm-core/boot/loader.h"

#define PT_LOAD 1
#define PT_NOTE 4
#define ET_EXEC 2
#define ET_DYN 3
#define EM_386 3
#define EM_X86_64 62
#define XEN_ELFNOTE_PHYS32_ENTRY 18
#define STACK_LEN 16384u

/* Sizes and offsets that differ between the classes. */
static unsigned ehdr_size(const struct elf *e)
{
	return e->is64 ? 64 : 52;
}

static unsigned phdr_size(const struct elf *e)
{
	return e->is64 ? 56 : 32;
}

static unsigned shdr_size(const struct elf *e)
{
	return e->is64 ? 64 : 40;
}

bool elf_is(const struct cv_image *image)
{
	return image->size >= 4 && !memcmp(image->data, "\177ELF", 4);
}

static bool table_fits(const struct cv_image *image, uint64_t offset, uint64_t len)
{
	return offset <= image->size && len <= image->size - offset;
}

/* Section headers are a luxury: unusable ones count as none. */
static void open_sections(struct elf *e, unsigned entsize, unsigned num)
{
	if (!num || entsize != shdr_size(e) || !table_fits(e->image, e->shoff, (uint64_t)num * entsize) ||
	    e->shstrndx >= num)
		return;
	e->shnum = num;
}

int elf_open(struct elf *e, const struct cv_image *image, struct cv_error *err)
{
	const uint8_t *p = image->data;
	const char *name = loader_name(image);
	unsigned counts, type;

	memset(e, 0, sizeof(*e));
	e->image = image;
	if (image->size < 52)
		return cv_error_set(err, CV_E_BADINPUT, "%s: truncated: no whole ELF header", name);
	e->is64 = p[4] == 2;
	if ((p[4] != 1 && p[4] != 2) || p[5] != 1)
		return cv_error_set(err, CV_E_BADINPUT, "%s: not a little-endian ELF file", name);
	if (image->size < ehdr_size(e))
		return cv_error_set(err, CV_E_BADINPUT, "%s: truncated: no whole ELF header", name);
	type = le16(p + 16);
	e->machine = le16(p + 18);
	if (e->machine != EM_X86_64 && e->machine != EM_386)
		return cv_error_set(err, CV_E_BADINPUT, "%s: an ELF file for another machine (e_machine %u)", name,
				    e->machine);
	if (type != ET_EXEC && type != ET_DYN)
		return cv_error_set(err, CV_E_BADINPUT, "%s: an ELF file that is not executable (e_type %u)", name,
				    type);
	e->entry = e->is64 ? le64(p + 24) : le32(p + 24);
	e->phoff = e->is64 ? le64(p + 32) : le32(p + 28);
	e->shoff = e->is64 ? le64(p + 40) : le32(p + 32);
	counts = e->is64 ? 54 : 42; /* e_phentsize, e_phnum, e_shentsize, e_shnum, e_shstrndx */
	e->phnum = le16(p + counts + 2);
	e->shstrndx = le16(p + counts + 8);
	if (!e->phnum)
		return cv_error_set(err, CV_E_BADINPUT, "%s: an ELF file without program headers", name);
	if (le16(p + counts) != phdr_size(e))
		return cv_error_set(err, CV_E_BADINPUT, "%s: program headers of %u bytes instead of %u", name,
				    le16(p + counts), phdr_size(e));
	if (!table_fits(image, e->phoff, (uint64_t)e->phnum * phdr_size(e)))
		return cv_error_set(err, CV_E_BADINPUT, "%s: truncated: program headers end after the file", name);
	open_sections(e, le16(p + counts + 4), le16(p + counts + 6));
	return 0;
}

void elf_phdr(const struct elf *e, unsigned i, struct elf_phdr *ph)
{
	const uint8_t *p = e->image->data + e->phoff + (uint64_t)i * phdr_size(e);

	ph->type = le32(p);
	ph->offset = e->is64 ? le64(p + 8) : le32(p + 4);
	ph->vaddr = e->is64 ? le64(p + 16) : le32(p + 8);
	ph->paddr = e->is64 ? le64(p + 24) : le32(p + 12);
	ph->filesz = e->is64 ? le64(p + 32) : le32(p + 16);
	ph->memsz = e->is64 ? le64(p + 40) : le32(p + 20);
}

void elf_shdr(const struct elf *e, unsigned i, struct elf_shdr *sh)
{
	const uint8_t *p = e->image->data + e->shoff + (uint64_t)i * shdr_size(e);

	sh->type = le32(p + 4);
	sh->flags = e->is64 ? le64(p + 8) : le32(p + 8);
	sh->addr = e->is64 ? le64(p + 16) : le32(p + 12);
	sh->offset = e->is64 ? le64(p + 24) : le32(p + 16);
	sh->size = e->is64 ? le64(p + 32) : le32(p + 20);
}

bool elf_covers(const struct elf *e, uint64_t paddr)
{
	for (unsigned i = 0; i < e->phnum; i++) {
		struct elf_phdr ph;

		elf_phdr(e, i, &ph);
		if (ph.type == PT_LOAD && paddr >= ph.paddr && paddr - ph.paddr < ph.memsz)
			return true;
	}
	return false;
}

/* --- Loading --- */

static bool entry_to_physical(const struct elf *e, uint64_t *entry)
{
	for (unsigned i = 0; i < e->phnum; i++) {
		struct elf_phdr ph;

		elf_phdr(e, i, &ph);
		if (ph.type == PT_LOAD && e->entry >= ph.vaddr && e->entry - ph.vaddr < ph.memsz) {
			*entry = ph.paddr + (e->entry - ph.vaddr);
			return true;
		}
	}
	*entry = e->entry;
	return elf_covers(e, e->entry);
}

static int load_segment(const struct elf *e, struct loader *ld, unsigned i, const struct elf_phdr *ph)
{
	const char *name = loader_name(e->image);
	int rc;

	if (ph->filesz > ph->memsz)
		return cv_error_set(ld->err, CV_E_BADINPUT, "%s: segment %u is larger in the file than in memory",
				    name, i);
	if (!table_fits(e->image, ph->offset, ph->filesz))
		return cv_error_set(ld->err, CV_E_BADINPUT, "%s: truncated: segment %u ends after the file", name, i);
	rc = loader_claim(ld, name, "a kernel segment", ph->paddr, ph->memsz);
	if (rc)
		return rc;
	loader_write(ld, ph->paddr, e->image->data + ph->offset, ph->filesz);
	if (ph->paddr + ph->memsz > ld->kernel_end)
		ld->kernel_end = ph->paddr + ph->memsz;
	return 0;
}

int elf_load(const struct elf *e, struct loader *ld, uint64_t *entry)
{
	unsigned loaded = 0;

	for (unsigned i = 0; i < e->phnum; i++) {
		struct elf_phdr ph;
		int rc;

		elf_phdr(e, i, &ph);
		if (ph.type != PT_LOAD || !ph.memsz)
			continue;
		rc = load_segment(e, ld, i, &ph);
		if (rc)
			return rc;
		loaded++;
	}
	if (!loaded)
		return cv_error_set(ld->err, CV_E_BADINPUT, "%s: nothing to load in this ELF file",
				    loader_name(e->image));
	if (!entry_to_physical(e, entry))
		return cv_error_set(ld->err, CV_E_BADINPUT, "%s: entry point 0x%llx lies in no segment",
				    loader_name(e->image), (unsigned long long)e->entry);
	return 0;
}

/* --- Notes --- */

/* One PT_NOTE: a list of (namesz, descsz, type, name, desc), name and desc padded to 4 bytes. */
static bool find_note(const uint8_t *p, uint64_t len, uint32_t *entry)
{
	while (len >= 12) {
		uint64_t namesz = le32(p), descsz = le32(p + 4);
		uint64_t name = (namesz + 3) & ~3ull, desc = (descsz + 3) & ~3ull;

		if (name > len - 12 || descsz > len - 12 - name)
			return false;
		if (namesz == 4 && !memcmp(p + 12, "Xen", 4) && le32(p + 8) == XEN_ELFNOTE_PHYS32_ENTRY &&
		    (descsz == 4 || (descsz == 8 && !le32(p + 12 + name + 4)))) {
			*entry = le32(p + 12 + name);
			return true;
		}
		if (desc > len - 12 - name)
			return false;
		p += 12 + name + desc;
		len -= 12 + name + desc;
	}
	return false;
}

bool elf_pvh_entry(const struct elf *e, uint32_t *entry)
{
	for (unsigned i = 0; i < e->phnum; i++) {
		struct elf_phdr ph;

		elf_phdr(e, i, &ph);
		if (ph.type == PT_NOTE && table_fits(e->image, ph.offset, ph.filesz) &&
		    find_note(e->image->data + ph.offset, ph.filesz, entry))
			return true;
	}
	return false;
}

/* --- Plain ELF64 --- */

int elf64_load(struct loader *ld)
{
	uint64_t entry, info, stack;
	struct elf e;
	int rc = elf_open(&e, &ld->images->kernel, ld->err);

	if (!rc && e.machine != EM_X86_64)
		rc = cv_error_set(ld->err, CV_E_BADINPUT, "%s: an ELF64 file for another machine",
				  loader_name(&ld->images->kernel));
	if (!rc)
		rc = elf_load(&e, ld, &entry);
	if (!rc)
		rc = pvh_start_info(ld, &info);
	if (!rc)
		rc = loader_alloc_high(ld, loader_name(e.image), "a stack", STACK_LEN, 16, CV_PAGE_SIZE, LOADER_EBDA,
				       &stack);
	if (!rc)
		rc = loader_enter_longmode(ld, entry);
	if (rc)
		return rc;
	ld->cpu->gpr[CV_RDI] = info;
	ld->cpu->gpr[CV_RSP] = stack + STACK_LEN - 8;
	return 0;
}
