/* SPDX-License-Identifier: MIT */
/*
 * Linux bzImage, boot protocol 2.06 or later (Documentation/arch/x86/boot.rst, zero-page.rst).
 *
 * The file is (setup_sects + 1) sectors of real-mode code with the setup header at 1F1, then the kernel, which is put at
 * pref_address (16 MiB as a rule) with init_size bytes to itself. The real-mode code isn't used: the kernel starts at
 * its 64-bit entry (200 bytes into it) when XLF_KERNEL_64 says that there is one, else at its 32-bit entry, with RSI =
 * struct boot_params. Where the kernel decompresses itself to, at random or not, is its own affair.
 */
#include "vmm-core/boot/loader.h"

/* The setup header, by offset in the file, which is the offset in boot_params too. */
enum {
	SETUP_SECTS = 0x1f1,
	SYSSIZE = 0x1f4,
	VID_MODE = 0x1fa,
	BOOT_FLAG = 0x1fe,
	HEADER_LEN = 0x201, /* the header ends this many bytes after 202 */
	HEADER_MAGIC = 0x202,
	VERSION = 0x206,
	TYPE_OF_LOADER = 0x210,
	LOADFLAGS = 0x211,
	CODE32_START = 0x214,
	RAMDISK_IMAGE = 0x218,
	RAMDISK_SIZE = 0x21c,
	HEAP_END_PTR = 0x224,
	CMD_LINE_PTR = 0x228,
	INITRD_ADDR_MAX = 0x22c,
	XLOADFLAGS = 0x236,
	CMDLINE_SIZE = 0x238,
	PAYLOAD_OFFSET = 0x248,
	PAYLOAD_LENGTH = 0x24c,
	PREF_ADDRESS = 0x258,
	INIT_SIZE = 0x260,
	HEADER_END = 0x290, /* of the room for it in boot_params */
};

/* Other fields of boot_params. */
enum {
	SCREEN_INFO = 0x000,
	ACPI_RSDP_ADDR = 0x070,
	ALT_MEM_K = 0x1e0,
	E820_ENTRIES = 0x1e8,
	E820_TABLE = 0x2d0,
	E820_ENTRY_LEN = 20,
	BOOT_PARAMS_LEN = 4096,
};

#define LOADED_HIGH 0x01u
#define CAN_USE_HEAP 0x80u
#define XLF_KERNEL_64 0x01u
#define SECTOR 512u
#define ENTRY64 0x200u
#define LOADER_UNKNOWN 0xff
#define VIDEO_NORMAL 0xffff

struct bzimage {
	const struct cv_image *image; /* borrowed */
	const uint8_t *code;
	size_t code_len;
	unsigned version;
	bool entry64;
	uint64_t load;	  /* where the code goes */
	uint64_t reserve; /* what it needs there */
	uint64_t initrd_max; /* one past the highest address of the initrd */
	uint32_t cmdline_max;
};

bool bzimage_is(const struct cv_image *image)
{
	return image->size >= HEADER_MAGIC + 4 && le16(image->data + BOOT_FLAG) == 0xaa55 &&
	       !memcmp(image->data + HEADER_MAGIC, "HdrS", 4);
}

static int refuse(struct loader *ld, const char *why)
{
	return cv_error_set(ld->err, CV_E_BADINPUT, "%s: %s", loader_name(&ld->images->kernel), why);
}

/* Finds the kernel proper and whether all of it is there. */
static int parse_layout(struct bzimage *k, struct loader *ld)
{
	const uint8_t *p = k->image->data;
	size_t setup = ((size_t)(p[SETUP_SECTS] ? p[SETUP_SECTS] : 4) + 1) * SECTOR;

	if (setup < HEADER_END || setup >= k->image->size)
		return refuse(ld, "truncated, or not a kernel: the setup code takes the whole file");
	k->code = p + setup;
	k->code_len = k->image->size - setup;
	/* syssize counts paragraphs, the last one may be partly there. */
	if ((uint64_t)le32(p + SYSSIZE) * 16 >= (uint64_t)k->code_len + 16)
		return cv_error_set(ld->err, CV_E_BADINPUT, "%s: truncated: %llu bytes of kernel expected, %llu found",
				    loader_name(k->image), (unsigned long long)le32(p + SYSSIZE) * 16,
				    (unsigned long long)k->code_len);
	if (k->version >= 0x208 &&
	    (uint64_t)le32(p + PAYLOAD_OFFSET) + le32(p + PAYLOAD_LENGTH) > (uint64_t)k->code_len)
		return refuse(ld, "truncated: the compressed kernel ends after the file");
	return 0;
}

static int parse(struct bzimage *k, struct loader *ld)
{
	const uint8_t *p = k->image->data;
	int rc;

	if (k->image->size < HEADER_END)
		return refuse(ld, "truncated: no whole setup header");
	k->version = le16(p + VERSION);
	if (k->version < 0x206)
		return cv_error_set(ld->err, CV_E_BADINPUT, "%s: Linux boot protocol %u.%02u is older than 2.06",
				    loader_name(k->image), k->version >> 8, k->version & 0xff);
	if (!(p[LOADFLAGS] & LOADED_HIGH))
		return refuse(ld, "a zImage, which loads below 640 KiB: only bzImage can be booted");
	rc = parse_layout(k, ld);
	if (rc)
		return rc;
	k->entry64 = k->version >= 0x20c && (le16(p + XLOADFLAGS) & XLF_KERNEL_64);
	if (k->entry64 && k->code_len <= ENTRY64)
		return refuse(ld, "truncated: no 64-bit entry point");
	k->cmdline_max = le32(p + CMDLINE_SIZE);
	k->initrd_max = (uint64_t)le32(p + INITRD_ADDR_MAX) + 1;
	k->load = LOADER_1M;
	k->reserve = k->code_len;
	if (k->version >= 0x20a) {
		k->load = le64(p + PREF_ADDRESS);
		if (le32(p + INIT_SIZE) > k->reserve)
			k->reserve = le32(p + INIT_SIZE);
	}
	if (k->load < LOADER_1M || k->load % CV_PAGE_SIZE)
		return cv_error_set(ld->err, CV_E_BADINPUT, "%s: a preferred address of 0x%llx makes no sense",
				    loader_name(k->image), (unsigned long long)k->load);
	return 0;
}

static int place_kernel(const struct bzimage *k, struct loader *ld)
{
	int rc;

	if (k->load >= ld->top || k->reserve > ld->top - k->load)
		return cv_error_set(ld->err, CV_E_BADINPUT,
				    "%s: needs at least %llu MiB of memory below 3 GiB; the machine has %llu MiB",
				    loader_name(k->image),
				    (unsigned long long)((k->load >> 20) + (k->reserve >> 20) + 2),
				    (unsigned long long)(ld->mem->size >> 20));
	rc = loader_claim(ld, loader_name(k->image), "the kernel", k->load, k->reserve);
	if (rc)
		return rc;
	loader_write(ld, k->load, k->code, k->code_len);
	return 0;
}

static int place_initrd(const struct bzimage *k, struct loader *ld, uint8_t *params)
{
	const struct cv_image *initrd = &ld->images->initrd;
	uint64_t gpa;
	int rc;

	if (!initrd->size)
		return 0;
	rc = loader_alloc_high(ld, loader_name(initrd), "the initrd", initrd->size, CV_PAGE_SIZE, LOADER_1M,
			       k->initrd_max, &gpa);
	if (rc)
		return rc;
	loader_write(ld, gpa, initrd->data, initrd->size);
	put_le32(params + RAMDISK_IMAGE, (uint32_t)gpa);
	put_le32(params + RAMDISK_SIZE, (uint32_t)initrd->size);
	return 0;
}

static int place_cmdline(const struct bzimage *k, struct loader *ld, uint8_t *params)
{
	const char *cmdline = loader_cmdline(ld);
	size_t len = strlen(cmdline);
	uint64_t gpa;
	int rc;

	if (len > k->cmdline_max)
		return cv_error_set(ld->err, CV_E_BADINPUT,
				    "%s: a command line of %zu bytes is too long: this kernel takes %u",
				    loader_name(k->image), len, k->cmdline_max);
	rc = loader_alloc_low(ld, "the command line", len + 1, &gpa);
	if (rc)
		return rc;
	loader_write(ld, gpa, cmdline, len);
	put_le32(params + CMD_LINE_PTR, (uint32_t)gpa);
	return 0;
}

/* Colour text, 80x25, as the BIOS leaves it: struct screen_info. */
static void describe_screen(uint8_t *params)
{
	uint8_t *s = params + SCREEN_INFO;

	s[0x06] = 3;  /* orig_video_mode */
	s[0x07] = 80; /* orig_video_cols */
	put_le16(s + 0x0a, 3); /* orig_video_ega_bx: 256 KiB, colour */
	s[0x0e] = 25; /* orig_video_lines */
	s[0x0f] = 1;  /* orig_video_isVGA */
	put_le16(s + 0x10, 16); /* orig_video_points */
}

static void describe_memory(struct loader *ld, uint8_t *params)
{
	struct e820_entry map[E820_MAX];
	unsigned n = e820_build(ld->mem, ld->fw, map);

	for (unsigned i = 0; i < n; i++) {
		uint8_t *p = params + E820_TABLE + i * E820_ENTRY_LEN;

		put_le64(p, map[i].base);
		put_le64(p + 8, map[i].len);
		put_le32(p + 16, map[i].type);
	}
	params[E820_ENTRIES] = (uint8_t)n;
	put_le32(params + ALT_MEM_K, e820_upper_kib(map, n));
}

/* The setup header as the file has it, then what a loader fills in. */
static void describe_kernel(const struct bzimage *k, struct loader *ld, uint8_t *params)
{
	const uint8_t *p = k->image->data;
	size_t end = HEADER_MAGIC + (size_t)p[HEADER_LEN];

	if (end > HEADER_END)
		end = HEADER_END;
	memcpy(params + SETUP_SECTS, p + SETUP_SECTS, end - SETUP_SECTS);
	params[TYPE_OF_LOADER] = LOADER_UNKNOWN;
	params[LOADFLAGS] |= CAN_USE_HEAP;
	put_le16(params + HEAP_END_PTR, 0xfe00);
	put_le16(params + VID_MODE, VIDEO_NORMAL);
	put_le32(params + CODE32_START, (uint32_t)k->load);
	if (k->version >= 0x20e)
		put_le64(params + ACPI_RSDP_ADDR, ld->fw->rsdp);
}

int bzimage_load(struct loader *ld)
{
	struct bzimage k = {.image = &ld->images->kernel};
	uint8_t params[BOOT_PARAMS_LEN] = {0};
	uint64_t gpa;
	int rc = parse(&k, ld);

	if (!rc)
		rc = place_kernel(&k, ld);
	if (!rc)
		rc = loader_alloc(ld, loader_name(k.image), "boot_params", sizeof(params), CV_PAGE_SIZE, 0,
				  LOADER_EBDA, &gpa);
	if (rc)
		return rc;
	describe_screen(params);
	describe_memory(ld, params);
	describe_kernel(&k, ld, params);
	rc = place_cmdline(&k, ld, params);
	if (!rc)
		rc = place_initrd(&k, ld, params);
	if (!rc)
		rc = k.entry64 ? loader_enter_longmode(ld, k.load + ENTRY64) : loader_enter_protected(ld, k.load);
	if (rc)
		return rc;
	loader_write(ld, gpa, params, sizeof(params));
	ld->cpu->gpr[CV_RSI] = gpa;
	return 0;
}
