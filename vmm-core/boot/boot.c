/* SPDX-License-Identifier: MIT */
/*
 * Boot: telling images apart, room in RAM, and the CPU's entry state. See loader.h for how a load works.
 *
 * An image that is several things at once is the first of: bzImage (boot signature and "HdrS"), Multiboot (a valid
 * header in the first 8 KiB), ELF64 with a PVH note, ELF64.
 */
#include "vmm-core/boot/loader.h"

#include <assert.h>

/* --- Names and strings --- */

const char *loader_name(const struct cv_image *image)
{
	return image->name ? image->name : "kernel";
}

const char *loader_basename(const struct cv_image *image)
{
	const char *name = loader_name(image), *slash = strrchr(name, '/');

	return slash ? slash + 1 : name;
}

const char *loader_cmdline(const struct loader *ld)
{
	return ld->images->cmdline ? ld->images->cmdline : "";
}

int loader_string(struct loader *ld, const char *what, const char *a, const char *b, uint64_t *gpa)
{
	size_t na = strlen(a), nb = b ? strlen(b) : 0;
	int rc;

	if (na > LOADER_STRING_MAX || nb > LOADER_STRING_MAX - na)
		return cv_error_set(ld->err, CV_E_BADINPUT, "%s: %s is longer than %u bytes",
				    loader_name(&ld->images->kernel), what, LOADER_STRING_MAX);
	rc = loader_alloc_low(ld, what, na + nb + 2, gpa);
	if (rc)
		return rc;
	loader_write(ld, *gpa, a, na);
	if (b) {
		loader_write(ld, *gpa + na, " ", 1);
		loader_write(ld, *gpa + na + 1, b, nb);
	}
	return 0;
}

/* --- Room --- */

static const struct loader_claim *overlapping(const struct loader *ld, uint64_t base, uint64_t end)
{
	for (unsigned i = 0; i < ld->nclaims; i++)
		if (base < ld->claims[i].end && ld->claims[i].base < end)
			return &ld->claims[i];
	return NULL;
}

static int no_room(struct loader *ld, const char *who, const char *what, uint64_t len)
{
	return cv_error_set(ld->err, CV_E_BADINPUT,
			    "%s: no room in %llu MiB of memory for %s (%llu KiB): give the machine more",
			    who, (unsigned long long)(ld->mem->size >> 20), what,
			    (unsigned long long)(len / 1024 + (len % 1024 != 0)));
}

static int take(struct loader *ld, const char *who, const char *what, uint64_t base, uint64_t len)
{
	if (ld->nclaims == LOADER_CLAIMS)
		return cv_error_set(ld->err, CV_E_BADINPUT, "%s: too many parts to load (more than %u)", who,
				    LOADER_CLAIMS);
	ld->claims[ld->nclaims++] = (struct loader_claim){base, base + len, what};
	return 0;
}

int loader_claim(struct loader *ld, const char *who, const char *what, uint64_t base, uint64_t len)
{
	const struct loader_claim *other;

	if (!len)
		return 0;
	if (base >= ld->top || len > ld->top - base)
		return cv_error_set(ld->err, CV_E_BADINPUT,
				    "%s: %s at 0x%llx (%llu KiB) does not fit in %llu MiB of memory", who, what,
				    (unsigned long long)base, (unsigned long long)(len / 1024 + (len % 1024 != 0)),
				    (unsigned long long)(ld->mem->size >> 20));
	other = overlapping(ld, base, base + len);
	if (other)
		return cv_error_set(ld->err, CV_E_BADINPUT, "%s: %s at 0x%llx-0x%llx overlaps %s at 0x%llx-0x%llx", who,
				    what, (unsigned long long)base, (unsigned long long)(base + len - 1), other->what,
				    (unsigned long long)other->base, (unsigned long long)(other->end - 1));
	return take(ld, who, what, base, len);
}

int loader_alloc(struct loader *ld, const char *who, const char *what, uint64_t len, uint64_t align, uint64_t min,
		 uint64_t max, uint64_t *gpa)
{
	const struct loader_claim *other;
	uint64_t base = (min + align - 1) & ~(align - 1);

	if (max > ld->top)
		max = ld->top;
	for (;;) {
		if (base >= max || len > max - base)
			return no_room(ld, who, what, len);
		other = overlapping(ld, base, base + len);
		if (!other)
			break;
		base = (other->end + align - 1) & ~(align - 1);
	}
	*gpa = base;
	return take(ld, who, what, base, len);
}

int loader_alloc_high(struct loader *ld, const char *who, const char *what, uint64_t len, uint64_t align, uint64_t min,
		      uint64_t max, uint64_t *gpa)
{
	const struct loader_claim *other;
	uint64_t end = max < ld->top ? max : ld->top, base;

	for (;;) {
		if (end < min || len > end - min)
			return no_room(ld, who, what, len);
		base = (end - len) & ~(align - 1);
		if (base < min)
			return no_room(ld, who, what, len);
		other = overlapping(ld, base, base + len);
		if (!other)
			break;
		end = other->base;
	}
	*gpa = base;
	return take(ld, who, what, base, len);
}

int loader_alloc_low(struct loader *ld, const char *what, uint64_t len, uint64_t *gpa)
{
	return loader_alloc(ld, loader_name(&ld->images->kernel), what, len, 16, 0, LOADER_EBDA, gpa);
}

void loader_write(struct loader *ld, uint64_t gpa, const void *p, size_t n)
{
	size_t done = cv_memory_write(ld->mem, gpa, p, n);

	assert(done == n);
	(void)done;
}

/* --- Entry state --- */

#define SEL_CODE 0x10
#define SEL_DATA 0x18
#define SEL_TSS 0x20
#define GDT_CODE32 0x00cf9b000000ffffull
#define GDT_CODE64 0x00af9b000000ffffull
#define GDT_DATA 0x00cf93000000ffffull
#define GDT_TSS 0x00008b0000000067ull
#define GDT_LEN 48u
#define AR_CODE32 (0xbu | CV_AR_S | CV_AR_P | CV_AR_DB | CV_AR_G)
#define AR_CODE64 (0xbu | CV_AR_S | CV_AR_P | CV_AR_L | CV_AR_G)
#define AR_DATA (0x3u | CV_AR_S | CV_AR_P | CV_AR_DB | CV_AR_G)
#define AR_TSS (0xbu | CV_AR_P)

static int write_gdt(struct loader *ld, uint64_t code)
{
	uint8_t gdt[GDT_LEN] = {0};
	int rc = loader_alloc_low(ld, "the GDT", sizeof(gdt), &ld->gdt);

	if (rc)
		return rc;
	put_le64(gdt + SEL_CODE, code);
	put_le64(gdt + SEL_DATA, GDT_DATA);
	put_le64(gdt + SEL_TSS, GDT_TSS);
	loader_write(ld, ld->gdt, gdt, sizeof(gdt));
	return 0;
}

static void set_flat(struct loader *ld, uint32_t code_ar, uint64_t rip)
{
	struct cv_vcpu_state *cpu = ld->cpu;

	memset(cpu->gpr, 0, sizeof(cpu->gpr));
	cpu->seg[CV_CS] = (struct cv_seg){.limit = UINT32_MAX, .ar = code_ar, .sel = SEL_CODE};
	for (unsigned s = CV_ES; s <= CV_GS; s++)
		if (s != CV_CS)
			cpu->seg[s] = (struct cv_seg){.limit = UINT32_MAX, .ar = AR_DATA, .sel = SEL_DATA};
	cpu->seg[CV_TR] = (struct cv_seg){.limit = 0x67, .ar = AR_TSS, .sel = SEL_TSS};
	cpu->gdtr = (struct cv_dtr){.base = ld->gdt, .limit = GDT_LEN - 1};
	cpu->idtr = (struct cv_dtr){.base = 0, .limit = 0};
	cpu->rflags = 2;
	cpu->rip = rip;
	cpu->cr0 = CV_CR0_PE | CV_CR0_ET;
	cpu->cr3 = 0;
	cpu->cr4 = 0;
	cpu->efer = 0;
	cpu->a20_masked = false;
}

int loader_enter_protected(struct loader *ld, uint64_t eip)
{
	int rc = write_gdt(ld, GDT_CODE32);

	if (rc)
		return rc;
	set_flat(ld, AR_CODE32, eip);
	return 0;
}

/* One PML4, one PDPT, four page directories of 2 MiB pages. */
static int write_page_tables(struct loader *ld, uint64_t *pml4)
{
	uint8_t page[CV_PAGE_SIZE];
	uint64_t base;
	int rc = loader_alloc(ld, loader_name(&ld->images->kernel), "page tables", 6 * CV_PAGE_SIZE, CV_PAGE_SIZE, 0,
			      LOADER_EBDA, &base);

	if (rc)
		return rc;
	memset(page, 0, sizeof(page));
	put_le64(page, (base + CV_PAGE_SIZE) | 3);
	loader_write(ld, base, page, sizeof(page));
	for (unsigned i = 0; i < 4; i++)
		put_le64(page + 8 * i, (base + (2 + i) * CV_PAGE_SIZE) | 3);
	loader_write(ld, base + CV_PAGE_SIZE, page, sizeof(page));
	for (uint64_t i = 0; i < 4; i++) {
		for (uint64_t k = 0; k < 512; k++)
			put_le64(page + 8 * k, (i << 30 | k << 21) | 0x83);
		loader_write(ld, base + (2 + i) * CV_PAGE_SIZE, page, sizeof(page));
	}
	*pml4 = base;
	return 0;
}

int loader_enter_longmode(struct loader *ld, uint64_t rip)
{
	uint64_t pml4;
	int rc = write_page_tables(ld, &pml4);

	if (!rc)
		rc = write_gdt(ld, GDT_CODE64);
	if (rc)
		return rc;
	set_flat(ld, AR_CODE64, rip);
	ld->cpu->cr0 |= CV_CR0_PG;
	ld->cpu->cr3 = pml4;
	ld->cpu->cr4 = CV_CR4_PAE;
	ld->cpu->efer = CV_EFER_LME | CV_EFER_LMA;
	return 0;
}

/* --- The front door --- */

static int refuse_unknown(const struct cv_image *kernel, struct cv_error *err)
{
	const uint8_t *p = kernel->data;
	const char *name = loader_name(kernel);

	if (kernel->size >= 2 && p[0] == 0x1f && p[1] == 0x8b)
		return cv_error_set(err, CV_E_BADINPUT, "%s: gzip-compressed: unpack it first", name);
	return cv_error_set(err, CV_E_BADINPUT,
			    "%s: not a kernel that can be booted (no Linux bzImage, no x86-64 ELF, no Multiboot header)",
			    name);
}

int cv_boot_identify(const struct cv_image *kernel, struct cv_error *err)
{
	struct elf e;
	uint32_t entry;
	int rc;

	if (!kernel->size)
		return cv_error_set(err, CV_E_BADINPUT, "%s: empty file", loader_name(kernel));
	if (bzimage_is(kernel))
		return CV_BOOT_BZIMAGE;
	if (multiboot_is(kernel))
		return CV_BOOT_MULTIBOOT;
	if (!elf_is(kernel))
		return refuse_unknown(kernel, err);
	rc = elf_open(&e, kernel, err);
	if (rc)
		return rc;
	if (!e.is64)
		return cv_error_set(err, CV_E_BADINPUT, "%s: a 32-bit ELF needs a Multiboot header",
				    loader_name(kernel));
	return elf_pvh_entry(&e, &entry) ? CV_BOOT_PVH : CV_BOOT_ELF64;
}

/* An empty initrd counts as none; an empty module is a mistake. */
static int check_modules(const struct cv_boot_images *images, int kind, struct cv_error *err)
{
	if (images->nmodules && kind == CV_BOOT_BZIMAGE)
		return cv_error_set(err, CV_E_BADINPUT, "%s: a Linux bzImage takes an initrd, no modules",
				    loader_name(&images->kernel));
	for (unsigned i = 0; i < images->nmodules; i++)
		if (!images->modules[i].size)
			return cv_error_set(err, CV_E_BADINPUT, "%s: empty file", loader_name(&images->modules[i]));
	return 0;
}

static int claim_fixed(struct loader *ld)
{
	const struct cv_boot_firmware *fw = ld->fw;
	int rc = loader_claim(ld, "machine", "the BIOS data area", 0, CV_PAGE_SIZE);

	if (!rc)
		rc = loader_claim(ld, "machine", "the BIOS area", LOADER_EBDA, LOADER_1M - LOADER_EBDA);
	if (!rc && (fw->tables_base < LOADER_EBDA || fw->tables_base >= LOADER_1M))
		rc = loader_claim(ld, "machine", "the firmware tables", fw->tables_base, fw->tables_len);
	return rc;
}

int cv_boot_load(const struct cv_boot_images *images, const struct cv_boot_firmware *fw, struct cv_memory *mem,
		 struct cv_vcpu_state *cpu, struct cv_error *err)
{
	struct loader ld = {
		.images = images, .fw = fw, .mem = mem, .cpu = cpu, .err = err,
		.top = mem->size < CV_RAM_LOW_MAX ? mem->size : CV_RAM_LOW_MAX,
	};
	int kind = cv_boot_identify(&images->kernel, err), rc;

	if (kind < 0)
		return kind;
	rc = check_modules(images, kind, err);
	if (!rc)
		rc = claim_fixed(&ld);
	if (rc)
		return rc;
	e820_write_bda(mem);
	switch (kind) {
	case CV_BOOT_BZIMAGE:
		return bzimage_load(&ld);
	case CV_BOOT_MULTIBOOT:
		return multiboot_load(&ld);
	case CV_BOOT_PVH:
		return pvh_load(&ld);
	default:
		return elf64_load(&ld);
	}
}
