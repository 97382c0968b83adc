/* SPDX-License-Identifier: MIT */
/*
 * Registers between struct cv_vcpu_state and GDB. The numbers are those of QEMU's x86-64 description, so that the same
 * session can be compared: general registers, RIP, EFLAGS, selectors, bases, control registers, x87, SSE.
 *
 * A CPU with AVX has the upper halves of its YMM registers behind all others: without it the numbers are the same.
 *
 * x87: the state holds physical registers R0..R7 and one tag bit each; GDB shows the stack, ST(i) = R[(TOP + i) mod 8],
 * and the full tag word (SDM 1 8.1.7), which is computed from the contents.
 */
#include "gdbstub/regs.h"

#include <string.h>

#define GPR64(n, t, i) { n, t, 64, CV_FEATURE_CORE, CV_REG_GPR, i }
#define GPR32(n, t, i) { n, t, 32, CV_FEATURE_CORE, CV_REG_GPR, i }
#define SEL(n, i) { n, "int32", 32, CV_FEATURE_CORE, CV_REG_SEL, i }
#define ST(n, i) { n, "i387_ext", 80, CV_FEATURE_CORE, CV_REG_ST, i }
#define FPU(n, i) { n, "int", 32, CV_FEATURE_CORE, CV_REG_FPU, i }
#define XMM(n, i) { n, "vec128", 128, CV_FEATURE_SSE, CV_REG_XMM, i }
#define YMMH(n, i) { n, "uint128", 128, CV_FEATURE_AVX, CV_REG_YMMH, i }
#define SYS(n, t, b, k) { n, t, b, CV_FEATURE_SYSTEM, k, 0 }
#define MXCSR { "mxcsr", "i386_mxcsr", 32, CV_FEATURE_SSE, CV_REG_MXCSR, 0 }
#define X87                                                                                                            \
	ST("st0", 0), ST("st1", 1), ST("st2", 2), ST("st3", 3), ST("st4", 4), ST("st5", 5), ST("st6", 6), ST("st7", 7),  \
		FPU("fctrl", CV_FCTRL), FPU("fstat", CV_FSTAT), FPU("ftag", CV_FTAG), FPU("fiseg", CV_FISEG),            \
		FPU("fioff", CV_FIOFF), FPU("foseg", CV_FOSEG), FPU("fooff", CV_FOOFF), FPU("fop", CV_FOP)
#define XMM0_7                                                                                                         \
	XMM("xmm0", 0), XMM("xmm1", 1), XMM("xmm2", 2), XMM("xmm3", 3), XMM("xmm4", 4), XMM("xmm5", 5),                  \
		XMM("xmm6", 6), XMM("xmm7", 7)
#define YMMH0_7                                                                                                        \
	YMMH("ymm0h", 0), YMMH("ymm1h", 1), YMMH("ymm2h", 2), YMMH("ymm3h", 3), YMMH("ymm4h", 4), YMMH("ymm5h", 5),       \
		YMMH("ymm6h", 6), YMMH("ymm7h", 7)
enum { YMMHS_64 = 16, YMMHS_32 = 8 };

static const struct cv_reg regs64[] = {
	GPR64("rax", "int64", CV_RAX), GPR64("rbx", "int64", CV_RBX), GPR64("rcx", "int64", CV_RCX),
	GPR64("rdx", "int64", CV_RDX), GPR64("rsi", "int64", CV_RSI), GPR64("rdi", "int64", CV_RDI),
	GPR64("rbp", "data_ptr", CV_RBP), GPR64("rsp", "data_ptr", CV_RSP), GPR64("r8", "int64", CV_R8),
	GPR64("r9", "int64", CV_R9), GPR64("r10", "int64", CV_R10), GPR64("r11", "int64", CV_R11),
	GPR64("r12", "int64", CV_R12), GPR64("r13", "int64", CV_R13), GPR64("r14", "int64", CV_R14),
	GPR64("r15", "int64", CV_R15),
	{ "rip", "code_ptr", 64, CV_FEATURE_CORE, CV_REG_RIP, 0 },
	{ "eflags", "i386_eflags", 32, CV_FEATURE_CORE, CV_REG_FLAGS, 0 },
	SEL("cs", CV_CS), SEL("ss", CV_SS), SEL("ds", CV_DS), SEL("es", CV_ES), SEL("fs", CV_FS), SEL("gs", CV_GS),
	{ "fs_base", "int64", 64, CV_FEATURE_SEGMENTS, CV_REG_SEG_BASE, CV_FS },
	{ "gs_base", "int64", 64, CV_FEATURE_SEGMENTS, CV_REG_SEG_BASE, CV_GS },
	SYS("k_gs_base", "int64", 64, CV_REG_KERNEL_GS_BASE),
	SYS("cr0", "x86_cr0", 64, CV_REG_CR0), SYS("cr2", "int64", 64, CV_REG_CR2),
	SYS("cr3", "int64", 64, CV_REG_CR3), SYS("cr4", "x86_cr4", 64, CV_REG_CR4),
	SYS("cr8", "int64", 64, CV_REG_CR8), SYS("efer", "x86_efer", 64, CV_REG_EFER),
	X87, XMM0_7,
	XMM("xmm8", 8), XMM("xmm9", 9), XMM("xmm10", 10), XMM("xmm11", 11), XMM("xmm12", 12), XMM("xmm13", 13),
	XMM("xmm14", 14), XMM("xmm15", 15), MXCSR, YMMH0_7,
	YMMH("ymm8h", 8), YMMH("ymm9h", 9), YMMH("ymm10h", 10), YMMH("ymm11h", 11), YMMH("ymm12h", 12),
	YMMH("ymm13h", 13), YMMH("ymm14h", 14), YMMH("ymm15h", 15),
};

static const struct cv_reg regs32[] = {
	GPR32("eax", "int32", CV_RAX), GPR32("ecx", "int32", CV_RCX), GPR32("edx", "int32", CV_RDX),
	GPR32("ebx", "int32", CV_RBX), GPR32("esp", "data_ptr", CV_RSP), GPR32("ebp", "data_ptr", CV_RBP),
	GPR32("esi", "int32", CV_RSI), GPR32("edi", "int32", CV_RDI),
	{ "eip", "code_ptr", 32, CV_FEATURE_CORE, CV_REG_RIP, 0 },
	{ "eflags", "i386_eflags", 32, CV_FEATURE_CORE, CV_REG_FLAGS, 0 },
	SEL("cs", CV_CS), SEL("ss", CV_SS), SEL("ds", CV_DS), SEL("es", CV_ES), SEL("fs", CV_FS), SEL("gs", CV_GS),
	X87, XMM0_7, MXCSR,
	SYS("cr0", "x86_cr0", 32, CV_REG_CR0), SYS("cr2", "int32", 32, CV_REG_CR2),
	SYS("cr3", "int32", 32, CV_REG_CR3), SYS("cr4", "x86_cr4", 32, CV_REG_CR4),
	SYS("efer", "x86_efer", 32, CV_REG_EFER), YMMH0_7,
};

const struct cv_reg *cv_regs(enum cv_gdb_arch arch, bool avx, size_t *n)
{
	if (arch == CV_GDB_I386) {
		*n = sizeof(regs32) / sizeof(regs32[0]) - (avx ? 0 : YMMHS_32);
		return regs32;
	}
	*n = sizeof(regs64) / sizeof(regs64[0]) - (avx ? 0 : YMMHS_64);
	return regs64;
}

int cv_reg_find(enum cv_gdb_arch arch, const char *name)
{
	size_t n;
	const struct cv_reg *r = cv_regs(arch, true, &n);

	for (size_t i = 0; i < n; i++)
		if (!strcmp(r[i].name, name))
			return (int)i;
	return -1;
}

static unsigned top_of(const struct cv_x87 *f)
{
	return f->fsw >> 11 & 7;
}

/* Two bits a register: 0 valid, 1 zero, 2 special (NaN, infinity, denormal, unnormal), 3 empty. */
static uint16_t full_tags(const struct cv_x87 *f)
{
	unsigned tags = 0;

	for (unsigned i = 0; i < 8; i++) {
		unsigned exponent = f->se[i] & 0x7fff, tag;

		if (!(f->ftw >> i & 1))
			tag = 3;
		else if (!exponent && !f->mant[i])
			tag = 1;
		else if (!exponent || exponent == 0x7fff || !(f->mant[i] >> 63))
			tag = 2;
		else
			tag = 0;
		tags |= tag << 2 * i;
	}
	return (uint16_t)tags;
}

static uint64_t get_fpu(const struct cv_x87 *f, unsigned which)
{
	switch (which) {
	case CV_FCTRL:
		return f->fcw;
	case CV_FSTAT:
		return f->fsw;
	case CV_FTAG:
		return full_tags(f);
	case CV_FISEG: /* in 64-bit mode there is no selector: the upper half of the address */
		return f->fip >> 32 ? f->fip >> 32 : f->fcs;
	case CV_FIOFF:
		return f->fip & 0xffffffff;
	case CV_FOSEG:
		return f->fdp >> 32 ? f->fdp >> 32 : f->fds;
	case CV_FOOFF:
		return f->fdp & 0xffffffff;
	default:
		return f->fop;
	}
}

static uint64_t get_number(const struct cv_reg *reg, const struct cv_vcpu_state *s, uint64_t cr8)
{
	switch (reg->kind) {
	case CV_REG_GPR:
		return s->gpr[reg->index];
	case CV_REG_RIP:
		return s->rip;
	case CV_REG_FLAGS:
		return s->rflags;
	case CV_REG_SEL:
		return s->seg[reg->index].sel;
	case CV_REG_SEG_BASE:
		return s->seg[reg->index].base;
	case CV_REG_KERNEL_GS_BASE:
		return s->kernel_gs_base;
	case CV_REG_CR0:
		return s->cr0;
	case CV_REG_CR2:
		return s->cr2;
	case CV_REG_CR3:
		return s->cr3;
	case CV_REG_CR4:
		return s->cr4;
	case CV_REG_CR8:
		return cr8;
	case CV_REG_EFER:
		return s->efer;
	case CV_REG_FPU:
		return get_fpu(&s->x87, reg->index);
	default:
		return s->mxcsr;
	}
}

static void store(uint8_t *out, uint64_t v, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		out[i] = (uint8_t)(v >> 8 * i);
}

static uint64_t load(const uint8_t *in, unsigned n)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < n; i++)
		v |= (uint64_t)in[i] << 8 * i;
	return v;
}

void cv_reg_get(const struct cv_reg *reg, const struct cv_vcpu_state *s, uint64_t cr8, uint8_t *out)
{
	unsigned i;

	switch (reg->kind) {
	case CV_REG_ST:
		i = (top_of(&s->x87) + reg->index) & 7;
		store(out, s->x87.mant[i], 8);
		store(out + 8, s->x87.se[i], 2);
		break;
	case CV_REG_XMM:
		store(out, s->ymm[reg->index][0], 8);
		store(out + 8, s->ymm[reg->index][1], 8);
		break;
	case CV_REG_YMMH:
		store(out, s->ymm[reg->index][2], 8);
		store(out + 8, s->ymm[reg->index][3], 8);
		break;
	default:
		store(out, get_number(reg, s, cr8), reg->bits / 8u);
	}
}

static void set_fpu(struct cv_x87 *f, unsigned which, uint32_t v)
{
	switch (which) {
	case CV_FCTRL:
		f->fcw = (uint16_t)v;
		break;
	case CV_FSTAT:
		f->fsw = (uint16_t)v;
		break;
	case CV_FTAG:
		f->ftw = 0;
		for (unsigned i = 0; i < 8; i++)
			if ((v >> 2 * i & 3) != 3)
				f->ftw |= (uint8_t)(1u << i);
		break;
	case CV_FISEG:
		f->fcs = (uint16_t)v;
		break;
	case CV_FIOFF:
		f->fip = (f->fip & ~0xffffffffull) | v;
		break;
	case CV_FOSEG:
		f->fds = (uint16_t)v;
		break;
	case CV_FOOFF:
		f->fdp = (f->fdp & ~0xffffffffull) | v;
		break;
	default:
		f->fop = (uint16_t)(v & 0x7ff);
	}
}

/* A register of 32 bits leaves the upper half of its 64-bit place as it is only if the guest is 32-bit: it is zero. */
static bool set_number(const struct cv_reg *reg, struct cv_vcpu_state *s, uint64_t v)
{
	switch (reg->kind) {
	case CV_REG_GPR:
		s->gpr[reg->index] = v;
		return true;
	case CV_REG_RIP:
		s->rip = v;
		return true;
	case CV_REG_FLAGS:
		s->rflags = (v & 0x3f7fd5) | 2;
		return true;
	case CV_REG_SEG_BASE:
		s->seg[reg->index].base = v;
		return true;
	case CV_REG_KERNEL_GS_BASE:
		s->kernel_gs_base = v;
		return true;
	case CV_REG_CR0:
		s->cr0 = v;
		return true;
	case CV_REG_CR2:
		s->cr2 = v;
		return true;
	case CV_REG_CR3:
		s->cr3 = v;
		return true;
	case CV_REG_CR4:
		s->cr4 = v;
		return true;
	case CV_REG_EFER:
		s->efer = v;
		return true;
	case CV_REG_FPU:
		set_fpu(&s->x87, reg->index, (uint32_t)v);
		return true;
	case CV_REG_MXCSR:
		s->mxcsr = (uint32_t)v & 0xffff;
		return true;
	default: /* selectors, CR8 */
		return false;
	}
}

bool cv_reg_set(const struct cv_reg *reg, struct cv_vcpu_state *s, uint64_t cr8, const uint8_t *in)
{
	uint8_t now[CV_REG_BYTES_MAX];
	unsigned i;

	cv_reg_get(reg, s, cr8, now);
	if (!memcmp(now, in, reg->bits / 8u)) /* GDB writes back what it has read */
		return true;
	switch (reg->kind) {
	case CV_REG_ST:
		i = (top_of(&s->x87) + reg->index) & 7;
		s->x87.mant[i] = load(in, 8);
		s->x87.se[i] = (uint16_t)load(in + 8, 2);
		return true;
	case CV_REG_XMM:
		s->ymm[reg->index][0] = load(in, 8);
		s->ymm[reg->index][1] = load(in + 8, 8);
		return true;
	case CV_REG_YMMH:
		s->ymm[reg->index][2] = load(in, 8);
		s->ymm[reg->index][3] = load(in + 8, 8);
		return true;
	default:
		return set_number(reg, s, load(in, reg->bits / 8u));
	}
}

unsigned cv_code_bits(const struct cv_vcpu_state *s)
{
	if (!(s->cr0 & CV_CR0_PE) || (s->rflags & CV_FLAG_VM))
		return 16;
	if ((s->efer & CV_EFER_LMA) && (s->seg[CV_CS].ar & CV_AR_L))
		return 64;
	return s->seg[CV_CS].ar & CV_AR_DB ? 32 : 16;
}
