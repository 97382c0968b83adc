/* SPDX-License-Identifier: MIT */
/*
 * What isn't run natively, or not compared, and why: it would call the kernel, isn't the CPU's own answer, or belongs to features of
 * the host that the engine's models don't have.
 */
#include "tests/native/native.h"

/* Operations that both know. */
static const char *operation(const struct nat_host *h, const struct cv_insn *i, unsigned mode)
{
	(void)mode;
	switch (i->op) {
	case CV_OP_syscall: case CV_OP_sysenter: return "enters the kernel";
	case CV_OP_int: return i->imm == 0x80 ? "enters the kernel" : NULL;
	case CV_OP_sgdt: case CV_OP_sidt: case CV_OP_sldt: case CV_OP_str: case CV_OP_smsw:
		return "Linux emulates it for programs where UMIP forbids it";
	case CV_OP_cpuid: case CV_OP_rdtsc: case CV_OP_rdtscp: case CV_OP_rdrand: case CV_OP_rdseed: case CV_OP_rdpid:
		return "its result isn't the same twice";
	case CV_OP_rdpmc: return "allowed where Linux lets it";
	case CV_OP_xgetbv: return "XCR0 is the host's";
	case CV_OP_lsl: case CV_OP_lar: case CV_OP_verr: case CV_OP_verw: return "segments of the kernel's own differ";
	case CV_OP_xsave: case CV_OP_xsavec: case CV_OP_xsaveopt: case CV_OP_xrstor:
		return i->base == CV_RAX || i->index == CV_RAX || i->base == CV_RDX || i->index == CV_RDX ?
			"its address is its mask of components" : NULL;
	case CV_OP_rdfsbase: case CV_OP_rdgsbase: case CV_OP_wrfsbase: case CV_OP_wrgsbase:
		return h->fsgsbase ? NULL : "the kernel doesn't allow it";
	case CV_OP_rcpps: case CV_OP_rcpss: case CV_OP_rsqrtps: case CV_OP_rsqrtss:
		return h->intel ? NULL : "each maker has its own approximation";
	default: return NULL;
	}
}

/* The opcode bytes of an instruction that our decoder refuses, as the host might read them. */
struct raw {
	bool vex, f2, f3, o66, lock;
	unsigned map; /* 0: one byte, 1: 0F, 2: 0F 38, 3: 0F 3A; or VEX's */
	uint8_t opcode, modrm;
	bool l, w;
};

static void read_raw(struct raw *r, const uint8_t *p, unsigned mode)
{
	unsigned k = 0;

	memset(r, 0, sizeof(*r));
	for (; k < 14; k++) {
		uint8_t b = p[k];

		if (b == 0xf2)
			r->f2 = true;
		else if (b == 0xf3)
			r->f3 = true;
		else if (b == 0x66)
			r->o66 = true;
		else if (b == 0xf0)
			r->lock = true;
		else if (b != 0x67 && b != 0x2e && b != 0x36 && b != 0x3e && b != 0x26 && b != 0x64 && b != 0x65 &&
			 !(mode == 64 && (b & 0xf0) == 0x40))
			break;
	}
	if ((p[k] == 0xc4 || p[k] == 0xc5) && (mode == 64 || p[k + 1] >= 0xc0)) {
		r->vex = true;
		r->map = p[k] == 0xc5 ? 1 : p[k + 1] & 31;
		k += p[k] == 0xc5 ? 2 : 3;
		r->l = p[k - 1] >> 2 & 1;
		r->w = p[k - 1] >> 7;
		r->opcode = p[k];
		r->modrm = p[k + 1];
		return;
	}
	if (p[k] == 0x0f && k < 14) {
		r->map = 1;
		k++;
		if (p[k] == 0x38 || p[k] == 0x3a) {
			r->map = p[k] == 0x38 ? 2 : 3;
			k++;
		}
	}
	r->opcode = p[k];
	r->modrm = p[k + 1];
}

static const char *vex_extension(const struct raw *r)
{
	if (r->map == 1 && ((r->opcode >= 0x41 && r->opcode <= 0x4b) || (r->opcode >= 0x90 && r->opcode <= 0x99)))
		return "AVX-512's mask registers";
	if (r->map == 3 && r->opcode >= 0x30 && r->opcode <= 0x33)
		return "AVX-512's mask registers";
	if (r->map == 2 && r->opcode >= 0x50 && r->opcode <= 0x53)
		return "AVX-VNNI";
	if (r->map == 2 && (r->opcode == 0xb4 || r->opcode == 0xb5))
		return "AVX-IFMA";
	if (r->map == 2 && (r->opcode == 0xb0 || r->opcode == 0xb1 || r->opcode == 0x72))
		return "AVX-NE-CONVERT";
	if (r->map == 2 && (r->opcode == 0x49 || r->opcode == 0x4b || (r->opcode >= 0x5c && r->opcode <= 0x5e) ||
			    r->opcode == 0x6c))
		return "AMX";
	if (r->map == 2 && r->opcode >= 0xe0 && r->opcode <= 0xef)
		return "CMPccXADD";
	if (r->map == 2 && (r->opcode == 0xcb || r->opcode == 0xcc || r->opcode == 0xcd || r->opcode == 0xd2 || r->opcode == 0xd3 ||
			    r->opcode == 0xda))
		return "AVX-VNNI-INT16, SHA512, SM3, SM4";
	if ((r->map == 2 && r->opcode == 0xcf) || (r->map == 3 && (r->opcode == 0xce || r->opcode == 0xcf)))
		return "GFNI";
	if (((r->map == 2 && r->opcode >= 0xdc && r->opcode <= 0xdf) || (r->map == 3 && r->opcode == 0x44)) && r->l)
		return "VAES, VPCLMULQDQ";
	if (r->map > 3)
		return "maps of later extensions";
	return NULL;
}

static const char *extension(const struct raw *r, unsigned mode)
{
	if (r->map == 0) {
		if (r->opcode == 0x62 && (mode == 64 || r->modrm >= 0xc0))
			return "EVEX";
		if (r->opcode == 0xd5 && mode == 64)
			return "REX2";
		if (r->opcode == 0x8f && (r->modrm & 0x38))
			return "AMD's XOP";
		if ((r->opcode == 0xc6 || r->opcode == 0xc7) && r->modrm == 0xf8)
			return "transactional memory";
		return NULL;
	}
	if (r->map == 1) {
		switch (r->opcode) {
		case 0x01:
			return r->modrm >= 0xc0 ? "virtualization, transactions, protection keys, shadow stacks, user interrupts, "
						  "MONITOR" :
						  (r->modrm & 0x38) == 0x28 ? "shadow stacks" : NULL;
		case 0x0a: case 0x04: case 0x0f: case 0x0e: return "another maker's";
		case 0x37: return "GETSEC";
		case 0x78: case 0x79: return "VMREAD, VMWRITE, SSE4a";
		case 0x6f: case 0x7f: return NULL;
		case 0xae: return "PTWRITE, WAITPKG, shadow stacks, CLWB";
		case 0xc7: return "XSAVES, VMPTRLD and so on, user interrupts";
		case 0x09: return "WBNOINVD";
		default: return NULL;
		}
	}
	if (r->map == 2) {
		switch (r->opcode) {
		case 0x80: case 0x81: case 0x82: return "INVEPT, INVVPID, INVPCID";
		case 0xcf: return "GFNI";
		case 0xd8: case 0xdc: case 0xdd: case 0xde: case 0xdf: return "Key Locker";
		case 0xf5: case 0xf6: return "shadow stacks";
		case 0xf8: case 0xf9: case 0xfc: case 0xfa: case 0xfb: return "MOVDIR, ENQCMD, RAO-INT";
		case 0x8a: case 0x8b: return "MOVRS";
		default: return NULL;
		}
	}
	return r->opcode == 0xce || r->opcode == 0xcf ? "GFNI" : r->opcode == 0xf0 ? "HRESET" : NULL;
}

const char *nat_filter(const struct nat_host *h, const uint8_t *code, const struct cv_insn *i, enum cv_decode_result result,
		       unsigned mode)
{
	struct cv_insn whole;
	struct raw r;

	read_raw(&r, code, mode);
	if (cv_decode(code, 15, mode, CV_FEATURES_ALL, &whole) != result || (result == CV_DECODE_OK && whole.op != i->op))
		return "belongs to a feature that only one of both has";
	if (result == CV_DECODE_OK) {
		if (r.vex && r.l && vex_extension(&r))
			return vex_extension(&r);
		return operation(h, i, mode);
	}
	if (result == CV_DECODE_LONG)
		return NULL;
	return r.vex ? vex_extension(&r) : extension(&r, mode);
}

/*
 * These stand alone: what they may do differently from the host, as compare.c knows, can't be told apart once other instructions have
 * used it.
 */
bool nat_alone(enum cv_op op)
{
	switch (op) {
	case CV_OP_f2xm1: case CV_OP_fyl2x: case CV_OP_fyl2xp1: case CV_OP_fptan: case CV_OP_fpatan: case CV_OP_fsin:
	case CV_OP_fcos: case CV_OP_fsincos:
	case CV_OP_xsave: case CV_OP_xsavec: case CV_OP_xsaveopt: case CV_OP_xrstor: case CV_OP_fxsave: case CV_OP_popf: case CV_OP_iret:
	case CV_OP_mov_to_sreg: case CV_OP_pop_sreg: case CV_OP_les: case CV_OP_lds: case CV_OP_lss: case CV_OP_lfs: case CV_OP_lgs:
		return true;
	default:
		return false;
	}
}
