/* SPDX-License-Identifier: MIT */
/* The CPU model: what it announces, and that its registers and state images agree with it. */
#include "soft_fixture.h"
#include "vmm-core/clock.h"
#include "vmm-core/soft/sys.h"

static struct fixture f;
static struct soft_cpu *c;
static uint32_t r[4];

static void setup(void)
{
	fx_init(&f);
	c = f.c;
}

static void teardown(void)
{
	fx_release(&f);
}

static const uint32_t *leaf(uint32_t n, uint32_t sub)
{
	cv_cpuid(c->host.model, &c->s, n, sub, r);
	return r;
}

static uint64_t test_tsc(void *ctx)
{
	return *(uint64_t *)ctx;
}

START_TEST(cpuid_unknown_model_is_not_found)
{
	ck_assert_ptr_null(cv_cpuid_model_find("chronovisor-v9"));
	ck_assert_str_eq(cv_cpuid_model_find("chronovisor-v2")->name, "chronovisor-v2");
}
END_TEST

START_TEST(cpuid_vendor_and_brand_are_readable)
{
	char name[49] = "";

	leaf(0, 0);
	memcpy(name, &r[1], 4);
	memcpy(name + 4, &r[3], 4);
	memcpy(name + 8, &r[2], 4);
	ck_assert_str_eq(name, "GenuineIntel");
	ck_assert_uint_ge(r[0], 0x16);
	for (unsigned k = 0; k < 3; k++) {
		leaf(0x80000002 + k, 0);
		memcpy(name + 16 * k, r, 16);
	}
	ck_assert_str_eq(name, "Chronovisor v2 virtual CPU");
	leaf(0x40000000, 0);
	memcpy(name, &r[1], 12);
	ck_assert_str_eq(name, "Chronovisor");
}
END_TEST

START_TEST(cpuid_announces_x86_64_v2_and_no_more)
{
	leaf(1, 0);
	/* SSE3 SSSE3 CX16 SSE4.1 SSE4.2 POPCNT. */
	ck_assert_uint_eq(r[2] & 0x982201, 0x982201);
	/* Absent: PCLMUL, MONITOR, VMX, FMA, PCID, x2APIC, MOVBE, AES, AVX, F16C. */
	ck_assert_uint_eq(r[2] & (1u << 1 | 1u << 3 | 1u << 5 | 1u << 12 | 1u << 17 | 1u << 21 | 1u << 22 | 1u << 25 |
				  1u << 28 | 1u << 29), 0);
	/* Absent: VME, MCE, MCA. FXSR SSE SSE2 are there. */
	ck_assert_uint_eq(r[3] & (1u << 1 | 1u << 7 | 1u << 14), 0);
	ck_assert_uint_eq(r[3] >> 24 & 7, 7);
	leaf(7, 0);
	ck_assert_uint_eq(r[1] & (1u << 3 | 1u << 5 | 1u << 8 | 1u << 10 | 1u << 16 | 1u << 19), 0); /* BMI AVX2 INVPCID.. */
	ck_assert_uint_eq(r[1] >> 13 & 1, 1); /* FCS and FDS deprecated */
	leaf(0xd, 1);
	ck_assert_uint_eq(r[0], 0); /* no XSAVEOPT, XSAVEC, XGETBV of 1, XSAVES */
	leaf(0x80000001, 0);
	ck_assert_uint_eq(r[2], 1);
	ck_assert_uint_eq(r[3] & (1u << 20 | 1u << 26 | 1u << 27 | 1u << 29), 1u << 20 | 1u << 26 | 1u << 27 | 1u << 29);
}
END_TEST

START_TEST(cpuid_cr4_mask_agrees_with_features)
{
	uint64_t cr4 = c->host.model->cr4_mask;

	leaf(7, 0);
	ck_assert_int_eq(!!(cr4 & CV_CR4_SMEP), r[1] >> 7 & 1);
	ck_assert_int_eq(!!(cr4 & CV_CR4_SMAP), r[1] >> 20 & 1);
	ck_assert_int_eq(!!(cr4 & CV_CR4_FSGSBASE), r[1] & 1);
	ck_assert_int_eq(!!(cr4 & CV_CR4_UMIP), r[2] >> 2 & 1);
	leaf(1, 0);
	ck_assert_int_eq(!!(cr4 & CV_CR4_OSXSAVE), r[2] >> 26 & 1);
	ck_assert_int_eq(!!(cr4 & CV_CR4_PCIDE), r[2] >> 17 & 1);
	ck_assert_int_eq(!!(cr4 & CV_CR4_VME), r[3] >> 1 & 1);
	ck_assert_int_eq(!!(cr4 & CV_CR4_MCE), r[3] >> 7 & 1);
	ck_assert_uint_eq(cr4 & CV_CR4_LA57, 0);
}
END_TEST

START_TEST(cpuid_tsc_leaf_gives_the_clock_rate)
{
	leaf(0x15, 0);
	ck_assert_uint_eq((uint64_t)r[2] * r[1] / r[0], CV_TSC_HZ);
	leaf(0x16, 0);
	ck_assert_uint_eq(r[0] * 1000000ull, CV_TSC_HZ);
	leaf(0x80000007, 0);
	ck_assert_uint_eq(r[3], 1 << 8);
}
END_TEST

START_TEST(cpuid_osxsave_follows_cr4)
{
	ck_assert_uint_eq(leaf(1, 0)[2] >> 27 & 1, 0);
	c->s.cr4 |= CV_CR4_OSXSAVE;
	ck_assert_uint_eq(leaf(1, 0)[2] >> 27 & 1, 1);
	leaf(0xd, 0);
	ck_assert_uint_eq(r[0], c->host.model->xcr0_mask);
	ck_assert_uint_eq(r[1], 576);
	ck_assert_uint_eq(r[2], 576);
}
END_TEST

/* SDM 2A, CPUID: EAX is type, level, self-initialising; EBX ways and line size less one; ECX sets less one. */
START_TEST(cpuid_cache_leaf_gives_four_levels_and_ends)
{
	static const struct {
		uint32_t type, level, kib;
	} levels[] = {{1, 1, 32}, {2, 1, 32}, {3, 2, 256}, {3, 3, 8192}};

	for (unsigned k = 0; k < 4; k++) {
		leaf(4, k);
		ck_assert_uint_eq(r[0] & 0x1f, levels[k].type);
		ck_assert_uint_eq(r[0] >> 5 & 7, levels[k].level);
		ck_assert_uint_eq((r[1] & 0xfff) + 1, 64);
		ck_assert_uint_eq(((r[1] >> 22) + 1) * 64 * (r[2] + 1), levels[k].kib << 10);
	}
	ck_assert_uint_eq(leaf(4, 4)[0] & 0x1f, 0);
}
END_TEST

/* SDM 3A 8.9.1: levels until one whose type (ECX 15:8) is 0; ECX 7:0 is always the subleaf asked for. */
START_TEST(cpuid_topology_leaf_has_one_thread_and_ends)
{
	for (unsigned k = 0; k < 4; k++) {
		leaf(0xb, k);
		ck_assert_uint_eq(r[2] & 0xff, k);
		ck_assert_uint_eq(r[2] >> 8, k < 2 ? k + 1 : 0);
		ck_assert_uint_eq(r[1], k < 2 ? 1 : 0);
		ck_assert_uint_eq(r[0], 0);
	}
}
END_TEST

START_TEST(cpuid_other_hypervisor_leaves_are_empty)
{
	static const uint32_t none[4];

	ck_assert_mem_eq(leaf(0x40000001, 0), none, sizeof(none));
	ck_assert_mem_eq(leaf(0x4fffffff, 7), none, sizeof(none));
	ck_assert_uint_eq(leaf(0x40000000, 0)[0], 0x40000000); /* the highest one */
}
END_TEST

START_TEST(cpuid_beyond_last_leaf_answers_with_last_leaf)
{
	uint32_t last[4];

	memcpy(last, leaf(leaf(0, 0)[0], 0), sizeof(last));
	ck_assert_mem_eq(leaf(0x1234, 0), last, sizeof(last));
	ck_assert_mem_eq(leaf(0x80000009, 0), last, sizeof(last));
	c->s.misc_enable = 1 << 22;
	ck_assert_uint_eq(leaf(0, 0)[0], 3);
}
END_TEST

START_TEST(cpuid_syscall_is_announced_in_64bit_mode_only)
{
	ck_assert_uint_eq(leaf(0x80000001, 0)[3] >> 11 & 1, 0);
	c->s.efer = CV_EFER_LME | CV_EFER_LMA;
	c->s.seg[CV_CS].ar |= CV_AR_L;
	ck_assert_uint_eq(leaf(0x80000001, 0)[3] >> 11 & 1, 1);
}
END_TEST

/* --- MSRs --- */

START_TEST(msr_unknown_and_reserved_are_refused)
{
	static const struct {
		uint32_t msr;
		uint64_t v;
	} bad[] = {{0xc0000080, 1 << 1}, {0x277, 2}, {0x2ff, 2}, {0x250, 3}, {0x200, 0x100}, {0x201, 1},
		   {0xc0000082, 1ull << 63}, {0xc0000100, 0x800000000000ull}, {0x48, 0}, {0x10a, 0}, {0xfe, 0},
		   {0xc0000103, 1ull << 32}, {0x9999, 0}};
	uint64_t v;

	ck_assert(!sys_read_msr(c, 0x9999, &v));
	ck_assert(!sys_read_msr(c, 0x49, &v));
	for (unsigned k = 0; k < sizeof(bad) / sizeof(bad[0]); k++)
		ck_assert_msg(!sys_write_msr(c, bad[k].msr, bad[k].v), "MSR %x", bad[k].msr);
}
END_TEST

START_TEST(msr_values_written_are_read_back)
{
	static const struct {
		uint32_t msr;
		uint64_t v;
	} good[] = {{0x174, 0x10}, {0x175, 0xffff800000001000}, {0x277, 0x0007040600070406}, {0x2ff, 0xc06}, {0x26f, 0x0505},
		    {0x20e, 0x80000006}, {0x20f, 0x7fc0000800}, {0xc0000081, 0x0023001000000000}, {0xc0000084, 0x47700},
		    {0xc0000102, 0xffff888000000000}, {0xc0000103, 7}, {0x3b, 5}};
	uint64_t v;

	for (unsigned k = 0; k < sizeof(good) / sizeof(good[0]); k++) {
		ck_assert_msg(sys_write_msr(c, good[k].msr, good[k].v), "MSR %x", good[k].msr);
		ck_assert(sys_read_msr(c, good[k].msr, &v));
		ck_assert_msg(v == good[k].v, "MSR %x", good[k].msr);
	}
}
END_TEST

START_TEST(msr_tsc_write_moves_offset_and_adjust)
{
	uint64_t now = 1000, v;

	c->host.tsc = test_tsc;
	c->host.ctx = &now;
	ck_assert(sys_write_msr(c, 0x10, 5000));
	now += 10;
	ck_assert(sys_read_msr(c, 0x10, &v));
	ck_assert_uint_eq(v, 5010);
	ck_assert(sys_read_msr(c, 0x3b, &v));
	ck_assert_uint_eq(v, 4000);
	ck_assert(sys_write_msr(c, 0x3b, 0));
	ck_assert(sys_read_msr(c, 0x10, &v));
	ck_assert_uint_eq(v, 1010);
}
END_TEST

START_TEST(msr_efer_lme_cannot_change_while_paging)
{
	c->s.cr0 |= CV_CR0_PG | CV_CR0_PE;
	ck_assert(!sys_write_msr(c, 0xc0000080, CV_EFER_LME));
	ck_assert(sys_write_msr(c, 0xc0000080, CV_EFER_NXE | CV_EFER_SCE));
	ck_assert_uint_eq(c->s.efer, CV_EFER_NXE | CV_EFER_SCE);
}
END_TEST

START_TEST(msr_misc_enable_takes_what_a_bios_writes)
{
	uint64_t v;

	ck_assert_uint_eq(leaf(0x80000001, 0)[3] >> 20 & 1, 1);
	ck_assert(sys_write_msr(c, 0x1a0, 0x400c51809));
	ck_assert(sys_read_msr(c, 0x1a0, &v));
	ck_assert_uint_eq(v, 0x400c51809);
	ck_assert_uint_eq(leaf(0x80000001, 0)[3] >> 20 & 1, 0);
	ck_assert(!sys_write_msr(c, 0xc0000080, CV_EFER_NXE));
	ck_assert(!sys_write_msr(c, 0x1a0, 0x400c51809 | 1 << 20));
	ck_assert(sys_write_msr(c, 0x1a0, 0x1801));
	ck_assert(sys_write_msr(c, 0xc0000080, CV_EFER_NXE));
	ck_assert(sys_read_msr(c, 0x179, &v)); /* machine checks: no banks, none to be written */
	ck_assert_uint_eq(v, 0);
	ck_assert(!sys_write_msr(c, 0x179, 0));
	ck_assert(!sys_read_msr(c, 0x400, &v));
}
END_TEST

START_TEST(msr_firmware_state_is_one_that_kernels_accept)
{
	uint64_t v;

	cv_cpuid_firmware_state(c->host.model, &c->s);
	ck_assert(sys_read_msr(c, 0x2ff, &v));
	ck_assert_uint_eq(v, 0xc06);
	ck_assert(sys_write_msr(c, 0x200, c->s.mtrr_base[0]));
	ck_assert(sys_write_msr(c, 0x201, c->s.mtrr_mask[0]));
	ck_assert(sys_read_msr(c, 0x1a0, &v));
	ck_assert_uint_eq(v & 1, 1);
}
END_TEST

/* --- State images --- */

static void run(cv_handler *h, struct cv_insn i)
{
	i.flags = CV_INSN_SINGLE;
	i.seg = CV_DS;
	i.base = i.index = CV_NOREG;
	i.asize = 8;
	c->single = true;
	c->fault.vector = -1;
	c->tlb_now = c->tlb[c->mmu];
	h(c, &i);
}

/* A 64-bit CPU with the first 2 MiB mapped onto themselves. */
static void long_mode(void)
{
	fx_put(&f, 0x10000, 0x11007, 8);
	fx_put(&f, 0x11000, 0x12007, 8);
	fx_put(&f, 0x12000, 0x87, 8);
	c->s.cr0 = CV_CR0_PE | CV_CR0_PG | CV_CR0_ET;
	c->s.cr3 = 0x10000;
	c->s.cr4 = CV_CR4_PAE | CV_CR4_OSFXSR | CV_CR4_OSXSAVE;
	c->s.efer = CV_EFER_LME | CV_EFER_LMA;
	c->s.seg[CV_CS].ar = 0xa09b;
	c->s.xcr0 = 3;
	c->s.mxcsr = 0x1f80;
	soft_update_mode(c);
}

static void fill_registers(void)
{
	c->s.x87 = (struct cv_x87){.fcw = 0x37f, .fsw = 5 << 11, .ftw = 0x81, .fop = 0x123, .fip = 0x1122334455667788,
				   .fdp = 0x99aabbccddeeff00};
	for (unsigned k = 0; k < 8; k++) {
		c->s.x87.mant[k] = 0x8000000000000000 + k;
		c->s.x87.se[k] = (uint16_t)(0x3fff + k);
	}
	for (unsigned k = 0; k < 16; k++) {
		c->s.ymm[k][0] = 0x1000 + k;
		c->s.ymm[k][1] = 0x2000 + k;
	}
}

START_TEST(fxsave_image_is_by_stack_position_and_fxrstor_undoes_it)
{
	struct cv_x87 before;

	long_mode();
	fill_registers();
	before = c->s.x87;
	fx_put(&f, 0x8000 + 416, 0x5a5a, 2);
	run(sys_op_fxsave, (struct cv_insn){.disp = 0x8000, .rex = 0x48});
	ck_assert_int_eq(c->fault.vector, -1);
	ck_assert_uint_eq(fx_get(&f, 0x8000, 2), 0x37f);
	ck_assert_uint_eq(fx_get(&f, 0x8004, 2), 0x81);
	ck_assert_uint_eq(fx_get(&f, 0x8008, 8), 0x1122334455667788);
	ck_assert_uint_eq(fx_get(&f, 0x8018, 8), 0xffff00001f80);
	ck_assert_uint_eq(fx_get(&f, 0x8020, 8), 0x8000000000000005); /* ST0 is R5 */
	ck_assert_uint_eq(fx_get(&f, 0x8028, 8), 0x4004);
	ck_assert_uint_eq(fx_get(&f, 0x80a0 + 15 * 16 + 8, 8), 0x200f);
	ck_assert_uint_eq(fx_get(&f, 0x8000 + 416, 2), 0x5a5a); /* not ours */
	memset(&c->s.x87, 0, sizeof(c->s.x87));
	memset(c->s.ymm, 0, sizeof(c->s.ymm));
	run(sys_op_fxrstor, (struct cv_insn){.disp = 0x8000, .rex = 0x48});
	ck_assert_int_eq(c->fault.vector, -1);
	ck_assert_mem_eq(&c->s.x87.mant, &before.mant, sizeof(before.mant));
	ck_assert_mem_eq(&c->s.x87.se, &before.se, sizeof(before.se));
	ck_assert_uint_eq(c->s.x87.fip, before.fip);
	ck_assert_uint_eq(c->s.ymm[15][1], 0x200f);
}
END_TEST

/* What CPUID leaf 7 says of FCS and FDS: whatever FXRSTOR finds in an image, FXSAVE stores zeros. */
START_TEST(fxsave_selectors_deprecated_are_saved_as_zero)
{
	long_mode();
	fx_put(&f, 0x8000, 0x37f, 2);
	fx_put(&f, 0x8008, 0xabcd123455667788, 8);
	fx_put(&f, 0x8010, 0xabcd5678ddeeff00, 8);
	fx_put(&f, 0x8018, 0x1f80, 4);
	run(sys_op_fxrstor, (struct cv_insn){.disp = 0x8000});
	ck_assert_int_eq(c->fault.vector, -1);
	run(sys_op_fxsave, (struct cv_insn){.disp = 0x8000});
	ck_assert_int_eq(c->fault.vector, -1);
	ck_assert_uint_eq(fx_get(&f, 0x8008, 8), 0x55667788);
	ck_assert_uint_eq(fx_get(&f, 0x8010, 8), 0xddeeff00);
}
END_TEST

START_TEST(fxsave_faults_are_exact)
{
	long_mode();
	run(sys_op_fxsave, (struct cv_insn){.disp = 0x8008});
	ck_assert_int_eq(c->fault.vector, EXC_GP);
	c->s.cr0 |= CV_CR0_TS;
	run(sys_op_fxsave, (struct cv_insn){.disp = 0x8000});
	ck_assert_int_eq(c->fault.vector, EXC_NM);
	c->s.cr0 &= ~(uint64_t)CV_CR0_TS;
	fx_put(&f, 0x8000 + 24, 0x10000, 4);
	c->s.mxcsr = 0x1f00;
	run(sys_op_fxrstor, (struct cv_insn){.disp = 0x8000});
	ck_assert_int_eq(c->fault.vector, EXC_GP);
	ck_assert_uint_eq(c->s.mxcsr, 0x1f00);
}
END_TEST

START_TEST(xsave_writes_asked_components_and_xrstor_initialises_the_rest)
{
	long_mode();
	fill_registers();
	c->s.gpr[CV_RAX] = 2;
	c->s.gpr[CV_RDX] = 0;
	fx_put(&f, 0x8000 + 512, 1, 8);
	fx_put(&f, 0x8000, 0x7777, 2);
	run(sys_op_xsave, (struct cv_insn){.disp = 0x8000, .rex = 0x48});
	ck_assert_int_eq(c->fault.vector, -1);
	ck_assert_uint_eq(fx_get(&f, 0x8000, 2), 0x7777); /* x87 was not asked for */
	ck_assert_uint_eq(fx_get(&f, 0x8000 + 512, 8), 3);
	ck_assert_uint_eq(fx_get(&f, 0x80a0, 8), 0x1000);
	fx_put(&f, 0x8000 + 512, 0, 8);
	c->s.gpr[CV_RAX] = 3;
	run(sys_op_xrstor, (struct cv_insn){.disp = 0x8000, .rex = 0x48});
	ck_assert_int_eq(c->fault.vector, -1);
	ck_assert_uint_eq(c->s.x87.fcw, 0x37f);
	ck_assert_uint_eq(c->s.x87.ftw, 0);
	ck_assert_uint_eq(c->s.ymm[3][0], 0);
	ck_assert_uint_eq(c->s.mxcsr, 0x1f80);
}
END_TEST

START_TEST(xrstor_bad_header_is_gp)
{
	long_mode();
	c->s.gpr[CV_RAX] = 3;
	fx_put(&f, 0x8000 + 24, 0x1f80, 4);
	fx_put(&f, 0x8000 + 512, 4, 8); /* AVX is not in XCR0 */
	run(sys_op_xrstor, (struct cv_insn){.disp = 0x8000});
	ck_assert_int_eq(c->fault.vector, EXC_GP);
	fx_put(&f, 0x8000 + 512, 3, 8);
	fx_put(&f, 0x8000 + 520, 1, 8);
	run(sys_op_xrstor, (struct cv_insn){.disp = 0x8000});
	ck_assert_int_eq(c->fault.vector, EXC_GP);
	fx_put(&f, 0x8000 + 520, 0, 8);
	run(sys_op_xrstor, (struct cv_insn){.disp = 0x8020});
	ck_assert_int_eq(c->fault.vector, EXC_GP); /* 64-byte alignment */
	c->s.cr4 &= ~(uint64_t)CV_CR4_OSXSAVE;
	run(sys_op_xrstor, (struct cv_insn){.disp = 0x8000});
	ck_assert_int_eq(c->fault.vector, EXC_UD);
}
END_TEST

/* --- Control registers --- */

START_TEST(mov_cr_checks_each_reserved_bit)
{
	struct cv_insn cr0 = {.reg = 0, .modrm = 0xc0, .osize = 8}, cr3 = {.reg = 3, .modrm = 0xd8, .osize = 8},
		       cr4 = {.reg = 4, .modrm = 0xe0, .osize = 8}, cr1 = {.reg = 1, .modrm = 0xc8, .osize = 8};
	static const uint64_t bad_cr0[] = {1ull << 32, CV_CR0_PG, CV_CR0_PE | CV_CR0_PG | CV_CR0_NW, CV_CR0_PE};

	long_mode();
	run(sys_op_mov_to_cr, cr1);
	ck_assert_int_eq(c->fault.vector, EXC_UD);
	for (unsigned k = 0; k < 4; k++) { /* the last: paging off in 64-bit mode */
		c->s.gpr[CV_RAX] = bad_cr0[k];
		run(sys_op_mov_to_cr, cr0);
		ck_assert_int_eq(c->fault.vector, EXC_GP);
	}
	c->s.gpr[CV_RAX] = 1ull << 39;
	run(sys_op_mov_to_cr, cr3);
	ck_assert_int_eq(c->fault.vector, EXC_GP);
	c->s.gpr[CV_RAX] = CV_CR4_PAE | CV_CR4_PCIDE;
	run(sys_op_mov_to_cr, cr4);
	ck_assert_int_eq(c->fault.vector, EXC_GP);
	c->s.gpr[CV_RAX] = CV_CR4_PGE; /* without PAE */
	run(sys_op_mov_to_cr, cr4);
	ck_assert_int_eq(c->fault.vector, EXC_GP);
	c->s.gpr[CV_RAX] = CV_CR4_PAE | CV_CR4_SMAP;
	run(sys_op_mov_to_cr, cr4);
	ck_assert_int_eq(c->fault.vector, -1);
	ck_assert_uint_eq(c->mmu, SOFT_MMU_SUPER);
	run(sys_op_stac, (struct cv_insn){0});
	ck_assert_uint_eq(c->mmu, SOFT_MMU_SUPER_AC);
	run(sys_op_clac, (struct cv_insn){0});
	ck_assert_uint_eq(c->mmu, SOFT_MMU_SUPER);
}
END_TEST

START_TEST(umip_at_cpl_3_hides_system_registers)
{
	static cv_handler *const stores[] = {sys_op_sgdt, sys_op_sidt, sys_op_sldt, sys_op_str, sys_op_smsw};

	long_mode();
	c->cpl = 3;
	for (unsigned k = 0; k < sizeof(stores) / sizeof(stores[0]); k++) {
		struct cv_insn i = {.disp = 0x8000, .osize = 8};

		c->s.cr4 &= ~(uint64_t)CV_CR4_UMIP;
		run(stores[k], i);
		ck_assert_int_eq(c->fault.vector, -1);
		c->s.cr4 |= CV_CR4_UMIP;
		run(stores[k], i);
		ck_assert_int_eq(c->fault.vector, EXC_GP);
		c->cpl = 0;
		run(stores[k], i);
		ck_assert_int_eq(c->fault.vector, -1);
		c->cpl = 3;
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cpuid");
	TCase *t = tcase_create("cpuid");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, cpuid_unknown_model_is_not_found);
	tcase_add_test(t, cpuid_vendor_and_brand_are_readable);
	tcase_add_test(t, cpuid_announces_x86_64_v2_and_no_more);
	tcase_add_test(t, cpuid_cr4_mask_agrees_with_features);
	tcase_add_test(t, cpuid_tsc_leaf_gives_the_clock_rate);
	tcase_add_test(t, cpuid_osxsave_follows_cr4);
	tcase_add_test(t, cpuid_cache_leaf_gives_four_levels_and_ends);
	tcase_add_test(t, cpuid_topology_leaf_has_one_thread_and_ends);
	tcase_add_test(t, cpuid_other_hypervisor_leaves_are_empty);
	tcase_add_test(t, cpuid_beyond_last_leaf_answers_with_last_leaf);
	tcase_add_test(t, cpuid_syscall_is_announced_in_64bit_mode_only);
	tcase_add_test(t, msr_unknown_and_reserved_are_refused);
	tcase_add_test(t, msr_values_written_are_read_back);
	tcase_add_test(t, msr_tsc_write_moves_offset_and_adjust);
	tcase_add_test(t, msr_efer_lme_cannot_change_while_paging);
	tcase_add_test(t, msr_misc_enable_takes_what_a_bios_writes);
	tcase_add_test(t, msr_firmware_state_is_one_that_kernels_accept);
	tcase_add_test(t, fxsave_image_is_by_stack_position_and_fxrstor_undoes_it);
	tcase_add_test(t, fxsave_selectors_deprecated_are_saved_as_zero);
	tcase_add_test(t, fxsave_faults_are_exact);
	tcase_add_test(t, xsave_writes_asked_components_and_xrstor_initialises_the_rest);
	tcase_add_test(t, xrstor_bad_header_is_gp);
	tcase_add_test(t, mov_cr_checks_each_reserved_bit);
	tcase_add_test(t, umip_at_cpl_3_hides_system_registers);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
