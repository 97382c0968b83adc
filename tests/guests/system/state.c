/* SPDX-License-Identifier: MIT */
/*
 * State images and model-specific registers: XCR0 and XGETBV (SDM 1 13.3), what XSAVE, XSAVEOPT and XSAVEC write (13.7, 13.9, 13.10),
 * what XRSTOR takes and refuses (13.8), with what current Intel processors do where the SDM lets them choose; #UD and #NM; MSRs that
 * kernels read and write, and their reserved bits (SDM 4 chapter 2); stepping over branches (3B 17.4.3); RDPID, CLFLUSHOPT, CLWB.
 * What a CPU model hasn't is #UD, or #GP where the instruction exists.
 */
#include "guest.h"

enum { X87 = 1, SSE = 2, AVX = 4 };
static bool has_avx, has_opt, has_compact, has_xgetbv1;
uint8_t image[1024] __attribute__((aligned(64))), from[1024] __attribute__((aligned(64)));
uint64_t rfbm, msr_value;
uint32_t msr_number, mxcsr, xcr_number;

static void cpuid(uint32_t leaf, uint32_t sub, uint32_t r[4])
{
	__asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(sub));
}
static void put64(uint8_t *p, uint64_t v)
{
	__builtin_memcpy(p, &v, 8);
}
static uint64_t get64(const uint8_t *p)
{
	uint64_t v;

	__builtin_memcpy(&v, p, 8);
	return v;
}
static void put32(uint8_t *p, uint32_t v)
{
	__builtin_memcpy(p, &v, 4);
}
static void fill(uint8_t *p, uint8_t v)
{
	for (unsigned k = 0; k < 1024; k++)
		((volatile uint8_t *)p)[k] = v;
}

#define XCR(insn) TRY_FROM("movl xcr_number, %%ecx\n movl rfbm, %%eax\n movl rfbm + 4, %%edx\n", insn)
#define XSETBV(n, v) (xcr_number = (n), rfbm = (v)); XCR("xsetbv")
#define GP0(name) check_trap(name, 13, 0, want_rip)
#define UD(name) check_trap(name, 6, NO_ERROR, want_rip)

static uint64_t xgetbv(uint32_t n)
{
	uint32_t lo, hi;

	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(n));
	return (uint64_t)hi << 32 | lo;
}

static void xcr0(void)
{
	uint64_t all = has_avx ? 7 : 3;
	uint32_t r[4];

	WRITE_REG(cr4, READ_REG(cr4) & ~0x40000ull);
	xcr_number = 0;
	XCR("xgetbv");
	UD("UD XGETBV without OSXSAVE");
	XSETBV(0, 3);
	UD("UD XSETBV without OSXSAVE");
	TRY("xsave image");
	UD("UD XSAVE without OSXSAVE");
	TRY("xrstor image");
	UD("UD XRSTOR without OSXSAVE");
	cpuid(1, 0, r);
	check("CPUID.OSXSAVE is CR4's", r[2] >> 27 & 1, 0);
	WRITE_REG(cr4, READ_REG(cr4) | 0x40000);
	cpuid(1, 0, r);
	check("CPUID.OSXSAVE", r[2] >> 27 & 1, 1);
	check("XCR0 as reset leaves it", xgetbv(0), 1);
	cpuid(0xd, 0, r);
	check("CPUID.D: what XCR0 may hold", r[0], all);
	check("CPUID.D: size with x87 alone", r[1], 576);
	check("CPUID.D: size at most", r[2], has_avx ? 832 : 576);
	XSETBV(0, 2);
	GP0("GP XCR0 without x87");
	XSETBV(0, 5);
	GP0("GP XCR0 with AVX and without SSE");
	XSETBV(0, 0xb);
	GP0("GP XCR0 with a reserved bit");
	XSETBV(0, 1ull << 63 | 3);
	GP0("GP XCR0 with bit 63");
	XSETBV(1, 3);
	GP0("GP XCR1");
	XSETBV(0, 7);
	if (has_avx)
		check_none("XCR0: all that there is");
	else
		GP0("GP XCR0 with AVX, which isn't there");
	XSETBV(0, all);
	check_none("XSETBV");
	check("XGETBV", xgetbv(0), all);
	cpuid(0xd, 0, r);
	check("CPUID.D: size with all", r[1], has_avx ? 832 : 576);
	cpuid(0xd, 2, r);
	check("CPUID.D.2: AVX has 256 bytes", r[0], has_avx ? 256 : 0);
	check("CPUID.D.2: at 576", r[1], has_avx ? 576 : 0);
	xcr_number = 1;
	XCR("xgetbv");
	if (has_xgetbv1)
		check_none("XGETBV 1");
	else
		GP0("GP XGETBV 1");
	xcr_number = 2;
	XCR("xgetbv");
	GP0("GP XGETBV 2");
}

/* --- What is written --- */

/* Brings the CPU into the state of `from` with the components of bv in use, the others initial. */
static void state(uint64_t bv, uint32_t csr)
{
	fill(from, 0);
	if (bv & X87) {
		put32(from, 0x027f);
		put64(from + 32, 0x8000000000000001);
		put32(from + 40, 0x3fff);
		from[4] = 0x80;
	}
	for (unsigned k = 0; k < 256; k++) {
		if (bv & SSE)
			from[160 + k] = (uint8_t)(k ^ 0x55);
		if (bv & AVX)
			from[576 + k] = (uint8_t)(k ^ 0xaa);
	}
	put32(from + 24, csr);
	put64(from + 512, bv);
	__asm__ volatile("xrstor64 from" : : "a"(7), "d"(0) : "memory");
}

enum how { PLAIN, OPTIMIZED, COMPACTED };

/* The image that must come out of 1024 bytes CCh. */
static void expected(uint8_t *p, uint64_t bv, uint32_t csr, uint64_t asked, enum how how)
{
	uint64_t used = bv | (csr != 0x1f80 ? SSE : 0), components;
	bool csr_written;

	asked &= has_avx ? 7 : 3;
	used &= asked;
	components = how == PLAIN ? asked : used;
	csr_written = how == COMPACTED ? used & SSE : asked & (SSE | AVX);
	fill(p, 0xcc);
	for (unsigned k = 0; k < 24; k++)
		if (components & X87)
			p[k] = k == 0 ? (bv & X87 ? from[0] : 0x7f) : k == 1 ? (bv & X87 ? from[1] : 3) : from[k];
	for (unsigned k = 32; k < 160; k++)
		if (components & X87)
			p[k] = from[k];
	if (csr_written) {
		put32(p + 24, csr);
		put32(p + 28, 0xffff);
	}
	for (unsigned k = 0; k < 256; k++) {
		if (components & SSE)
			p[160 + k] = from[160 + k];
		if (components & AVX)
			p[576 + k] = from[576 + k];
	}
	put64(p + 512, how == COMPACTED ? used : (0xccccccccccccccccull & ~asked) | used);
	if (how == COMPACTED)
		put64(p + 520, asked | 1ull << 63);
}

static bool same(const uint8_t *a, const uint8_t *b)
{
	for (unsigned k = 0; k < 1024; k++)
		if (a[k] != b[k])
			return false;
	return true;
}

static void images(void)
{
	static uint8_t want[1024];
	unsigned good = 0, all = 0, inuse = 0;

	for (uint64_t bv = 0; bv < 8; bv++) {
		for (unsigned c = 0; c < 2; c++) {
			for (rfbm = 0; rfbm < 16; rfbm++) {
				for (enum how how = PLAIN; how <= COMPACTED; how++) {
					uint64_t there = has_avx ? bv : bv & 3;

					if ((how == OPTIMIZED && !has_opt) || (how == COMPACTED && !has_compact))
						continue;
					state(there, c ? 0x3f80 : 0x1f80);
					if (has_xgetbv1)
						inuse += xgetbv(1) == (there | (c ? SSE : 0));
					fill(image, 0xcc);
					if (how == PLAIN)
						__asm__ volatile("xsave64 image" : : "a"(rfbm), "d"(0) : "memory");
					else if (how == OPTIMIZED)
						__asm__ volatile("xsaveopt64 image" : : "a"(rfbm), "d"(0) : "memory");
					else
						__asm__ volatile("xsavec64 image" : : "a"(rfbm), "d"(0) : "memory");
					expected(want, there, c ? 0x3f80 : 0x1f80, rfbm, how);
					all++;
					good += same(image, want);
				}
			}
		}
	}
	check("images of XSAVE and its kin", good, all);
	check(" so many", all, 256 * (1 + has_opt + has_compact));
	check("XINUSE by contents", inuse, has_xgetbv1 ? all : 0);
	if (!has_opt) {
		TRY("xsaveopt image");
		UD("UD XSAVEOPT");
	}
	if (!has_compact) {
		TRY("xsavec image");
		UD("UD XSAVEC");
	}
}

/* --- What XRSTOR takes --- */

#define XRSTOR TRY_FROM("movl rfbm, %%eax\n xorl %%edx, %%edx\n", "xrstor64 image")

static uint32_t get_mxcsr(void)
{
	__asm__ volatile("stmxcsr mxcsr" : : : "memory");
	return mxcsr;
}

static void restores(void)
{
	static const struct {
		const char *name;
		uint16_t at;
		uint8_t value;
		bool compacted, good;
	} t[] = {
		{"header: nothing wrong", 1023, 0, false, true}, {"GP header: byte 8", 520, 1, false, false},
		{"GP header: byte 23", 535, 1, false, false}, {"header: byte 24 may be anything", 536, 1, false, true},
		{"header: byte 63 may be anything", 575, 1, false, true}, {"GP header: a component that XCR0 hasn't", 512, 0x17, false, false},
		{"compacted: nothing wrong", 1023, 0, true, true}, {"GP compacted: byte 16", 528, 1, true, false},
		{"GP compacted: byte 24", 536, 1, true, false}, {"GP compacted: byte 63", 575, 1, true, false},
		{"GP compacted: more than its format", 520, 1, true, false}, {"GP compacted: format that XCR0 hasn't", 520, 0x17, true, false},
	};
	uint64_t mine = has_avx ? 7 : 3;
	unsigned wrong = 0;

	for (unsigned k = 0; k < sizeof(t) / sizeof(t[0]); k++) {
		fill(image, 0);
		put32(image + 24, 0x1f80);
		put64(image + 512, mine);
		if (t[k].compacted)
			put64(image + 520, mine | 1ull << 63);
		image[t[k].at] = t[k].value;
		rfbm = mine;
		XRSTOR;
		if (t[k].good && (has_compact || !t[k].compacted))
			check_none(t[k].name);
		else
			GP0(t[k].name);
	}
	/* When MXCSR comes from the image, when from nowhere, and when it is looked at. */
	for (unsigned compacted = 0; compacted < 1u + has_compact; compacted++) {
		for (rfbm = 0; rfbm < 8; rfbm++) {
			for (uint64_t bv = 0; bv <= mine; bv++) {
				bool taken = compacted ? rfbm & bv & SSE : rfbm & (SSE | (has_avx ? AVX : 0));
				uint32_t want = taken ? 0x3f80 : compacted && (rfbm & SSE) ? 0x1f80 : 0x5f80;

				state(0, 0x5f80);
				fill(image, 0);
				put64(image + 512, bv);
				put64(image + 520, compacted ? mine | 1ull << 63 : 0);
				put32(image + 24, 0x3f80);
				XRSTOR;
				wrong += traps != 0 || get_mxcsr() != want;
				put32(image + 24, 0x10000);
				XRSTOR;
				wrong += taken ? traps != 1 || last.vector != 13 : traps != 0;
			}
		}
	}
	check("MXCSR of images", wrong, 0);
	state(mine, 0x1f80);
	fill(image, 0);
	put32(image + 24, 0x1f80);
	rfbm = SSE;
	XRSTOR;
	fill(image, 0xcc);
	__asm__ volatile("xsave64 image" : : "a"(7), "d"(0) : "memory");
	check("a component that the image hasn't becomes initial", get64(image + 160 + 15 * 16), 0);
	check(" the others stay: x87", get64(image + 32), 0x8000000000000001);
	if (has_avx)
		check(" the others stay: AVX", image[576 + 255], 255 ^ 0xaa);
	check(" XSTATE_BV says so", image[512] & mine, mine & ~2ull);
	TRY("xsave image + 32");
	GP0("GP XSAVE off 64 bytes");
	TRY("xrstor image + 16");
	GP0("GP XRSTOR off 64 bytes");
	WRITE_REG(cr0, READ_REG(cr0) | 8);
	TRY("xsave image");
	check_trap("NM XSAVE", 7, NO_ERROR, want_rip);
	TRY("xrstor image + 16");
	check_trap("NM XRSTOR, before alignment", 7, NO_ERROR, want_rip);
	__asm__ volatile("clts");
}

static void avx_faults(void)
{
	TRY(".byte 0xc5, 0xf4, 0x58, 0xc1"); /* vaddps %ymm1, %ymm1, %ymm0 */
	if (!has_avx) {
		UD("UD AVX");
		return;
	}
	check_none("AVX");
	WRITE_REG(cr0, READ_REG(cr0) | 8);
	TRY(".byte 0xc5, 0xf4, 0x58, 0xc1");
	check_trap("NM AVX with TS", 7, NO_ERROR, want_rip);
	__asm__ volatile("clts");
	WRITE_REG(cr0, READ_REG(cr0) | 4);
	TRY(".byte 0xc5, 0xf4, 0x58, 0xc1");
	check_none("AVX with EM, which means nothing to it");
	WRITE_REG(cr0, READ_REG(cr0) & ~4ull);
	XSETBV(0, 3);
	TRY(".byte 0xc5, 0xf4, 0x58, 0xc1");
	UD("UD AVX with XCR0 3");
	WRITE_REG(cr0, READ_REG(cr0) | 8);
	TRY(".byte 0xc5, 0xf4, 0x58, 0xc1");
	UD("UD AVX, before NM");
	__asm__ volatile("clts");
	XSETBV(0, 7);
	WRITE_REG(cr4, READ_REG(cr4) & ~0x40000ull);
	TRY(".byte 0xc5, 0xf4, 0x58, 0xc1");
	UD("UD AVX without OSXSAVE");
	WRITE_REG(cr4, READ_REG(cr4) | 0x40000);
	check("XCR0 outlives OSXSAVE", xgetbv(0), 7);
}

/* --- Model-specific registers --- */

#define RDMSR TRY_FROM("movl msr_number, %%ecx\n", "rdmsr")
#define WRMSR TRY_FROM("movl msr_number, %%ecx\n movl msr_value, %%eax\n movl msr_value + 4, %%edx\n", "wrmsr")

static void writable(const char *name, uint32_t n, uint64_t good, uint64_t bad)
{
	uint64_t before = rdmsr(n);

	msr_number = n;
	msr_value = good;
	WRMSR;
	check_none(name);
	check(" keeps it", rdmsr(n), good);
	msr_value = bad;
	WRMSR;
	GP0(" GP: what is reserved");
	check(" and it stays", rdmsr(n), good);
	wrmsr(n, before);
}
static void constant(const char *name, uint32_t n, uint64_t v)
{
	msr_number = n;
	msr_value = v;
	check(name, rdmsr(n), v);
	WRMSR;
	GP0(" GP: it can't be written");
}
static void absent(const char *name, uint32_t n)
{
	msr_number = n;
	msr_value = 0;
	RDMSR;
	GP0(name);
	WRMSR;
	GP0(" nor written");
}

static void msrs(void)
{
	constant("IA32_PLATFORM_ID", 0x17, 0);
	constant("IA32_FEATURE_CONTROL is locked", 0x3a, 1);
	constant("IA32_MTRRCAP", 0xfe, 0x508);
	msr_number = 0x79;
	RDMSR;
	GP0("GP IA32_BIOS_UPDT_TRIG can't be read");
	check("IA32_BIOS_SIGN_ID has a revision", rdmsr(0x8b) >> 32 != 0, 1);
	wrmsr(0x8b, 0);
	writable("IA32_PAT", 0x277, 0x0007040600070406 ^ 7ull << 32, 0x0007040600070402);
	writable("IA32_MTRR_DEF_TYPE", 0x2ff, 0xc00, 0xc02);
	writable("IA32_MTRR_DEF_TYPE, reserved bits", 0x2ff, 0x806, 0x1006);
	writable("IA32_MTRR_PHYSBASE7: type", 0x20e, 0x12345006, 0x12345003);
	writable("IA32_MTRR_PHYSBASE7: beyond the physical address", 0x20e, 0x12345001, 1ull << 52 | 1);
	writable("IA32_MTRR_PHYSMASK7", 0x20f, 0x7ffff00800, 0x7ffff00c00);
	writable("IA32_MTRR_FIX64K", 0x250, 0x0606060606060600, 0x0606060606060602);
	writable("IA32_MTRR_FIX4K_F8000", 0x26f, 0x0505050505050505, 0x0303030303030303);
	writable("IA32_EFER", 0xc0000080, 0xd01, 0xd03);
	writable("IA32_LSTAR", 0xc0000082, 0xffff800012345678, 1ull << 62);
	writable("IA32_SYSENTER_EIP", 0x176, 0x7fffffffffff, 0x8000000000000000);
	writable("IA32_KERNEL_GS_BASE", 0xc0000102, 0xffff900012345678, 0x7000000000000000);
	writable("IA32_FMASK", 0xc0000084, 0xffffffff, 1ull << 32);
	writable("IA32_TSC_AUX", 0xc0000103, 0xffffffff, 1ull << 32);
	writable("IA32_DEBUGCTL", 0x1d9, 2, 4);
	msr_number = 0xc0000080;
	msr_value = 0xc01; /* LME with paging on */
	WRMSR;
	GP0("GP IA32_EFER.LME can't change while paging");
	absent("GP IA32_SPEC_CTRL, which isn't announced", 0x48);
	absent("GP IA32_XSS without XSAVES", 0xda0);
	absent("GP IA32_MPERF", 0xe7);
	absent("GP IA32_PMC0", 0xc1);
	absent("GP IA32_PERF_GLOBAL_CTRL", 0x38f);
	absent("GP IA32_MC0_CTL", 0x400);
	absent("GP IA32_VMX_BASIC", 0x480);
	absent("GP an MSR that nobody has", 0xdeadbeef);
	absent("GP beyond the variable MTRRs", 0x210);
}

/* --- Stepping --- */

static unsigned steps;
static uint64_t step_rip[8], step_dr6[8];

static void stepped(struct frame *f)
{
	if (f->vector == 1 && steps < 8) {
		step_rip[steps] = f->rip;
		step_dr6[steps++] = READ_REG(dr6);
		WRITE_REG(dr6, 0xffff0ff0);
	}
}

extern uint8_t btf_target[];

static void branch_stepping(void)
{
	hook = stepped;
	wrmsr(0x1d9, 2);
	check("BTF can be read", rdmsr(0x1d9), 2);
	__asm__ volatile("pushfq\n orl $0x100, (%%rsp)\n popfq\n nop\n xorl %%eax, %%eax\n jnz 1f\n nop\n jz 1f\n ud2\n"
			 ".globl btf_target\n btf_target: 1: nop\n nop\n jmp 2f\n 2: pushfq\n andl $~0x100, (%%rsp)\n popfq" : : : "rax", "memory", "cc");
	check("BTF: the first trap is at the branch taken", step_rip[0], (uint64_t)btf_target);
	check("BTF: DR6.BS", step_dr6[0], 0xffff4ff0);
	check("BTF is cleared by the trap", rdmsr(0x1d9), 0);
	check("then each instruction", step_rip[1], (uint64_t)btf_target + 1);
	hook = NULL;
	wrmsr(0x1d9, 0);
}

static void small_ones(void)
{
	uint32_t r[4];
	uint64_t v = 0;

	cpuid(7, 0, r);
	wrmsr(0xc0000103, 0x87654321);
	if (r[2] >> 22 & 1) {
		__asm__ volatile("movq $-1, %0\n rdpid %0" : "=r"(v));
		check("RDPID", v, 0x87654321);
	} else {
		TRY(".byte 0xf3, 0x0f, 0xc7, 0xf8");
		UD("UD RDPID");
	}
	TRY(".byte 0x66, 0x0f, 0xae, 0x3c, 0x25\n .long image"); /* clflushopt image */
	if (r[1] >> 23 & 1)
		check_none("CLFLUSHOPT");
	else
		UD("UD CLFLUSHOPT");
	TRY(".byte 0x66, 0x0f, 0xae, 0x34, 0x25\n .long image"); /* clwb image */
	if (r[1] >> 24 & 1)
		check_none("CLWB");
	else
		UD("UD CLWB");
	TRY_FROM("movq $0x123456789000, %%rbx\n", "clflush (%%rbx)");
	check_trap("PF CLFLUSH", 14, 0, want_rip);
	TRY_FROM("movq $0x8000000000000000, %%rbx\n", "clflush (%%rbx)");
	GP0("GP CLFLUSH of no address");
	TRY("wbinvd");
	check_none("WBINVD");
	TRY("invd");
	check_none("INVD");
	TRY("rdpmc");
	GP0("GP RDPMC without counters");
	TRY("monitor");
	UD("UD MONITOR");
	TRY("mwait");
	UD("UD MWAIT");
	TRY("vmcall");
	UD("UD VMCALL");
	TRY("xsaves image");
	UD("UD XSAVES");
	TRY("rsm");
	UD("UD RSM");
}

void kmain(const uint32_t *multiboot)
{
	uint32_t r[4];

	guest_init(multiboot);
	cpuid(1, 0, r);
	has_avx = r[2] >> 28 & 1;
	cpuid(0xd, 1, r);
	has_opt = r[0] & 1;
	has_compact = r[0] >> 1 & 1;
	has_xgetbv1 = r[0] >> 2 & 1;
	xcr0();
	images();
	restores();
	avx_faults();
	msrs();
	branch_stepping();
	small_ones();
	say(failures ? "failed\n" : "passed\n");
	leave(failures ? 1 : 0);
}
