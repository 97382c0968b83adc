/* SPDX-License-Identifier: MIT */
/*
 * The one-byte map and the 0F map without SIMD (SDM 2D tables ). A row that is empty here is #UD, or, in the
 * 0F map, the business of cv_map_0f_simd.
 */
#include "vmm-core/x86/insn.h"

#define JCC (F_CONDBR | F_F64)
#define SYS F_SINGLE
#define SYSBR (F_SINGLE | F_BRANCH)

#define ALU(code, name, lock) \
	[(code) + 0] = OP(name, Eb, Gb, lock), [(code) + 1] = OP(name, Ev, Gv, lock), \
	[(code) + 2] = OP(name, Gb, Eb, 0), [(code) + 3] = OP(name, Gv, Ev, 0), \
	[(code) + 4] = OP(name, AL, Ib, 0), [(code) + 5] = OP(name, rAX, Iz, 0)

#define EIGHT(code, ...) \
	[(code) + 0] = __VA_ARGS__, [(code) + 1] = __VA_ARGS__, [(code) + 2] = __VA_ARGS__, [(code) + 3] = __VA_ARGS__, \
	[(code) + 4] = __VA_ARGS__, [(code) + 5] = __VA_ARGS__, [(code) + 6] = __VA_ARGS__, [(code) + 7] = __VA_ARGS__
#define SIXTEEN(code, ...) EIGHT(code, __VA_ARGS__), EIGHT((code) + 8, __VA_ARGS__)

static const struct cv_opcode g1_eb_ib[8] = {
	OP(add, Eb, Ib, F_LOCK), OP(or, Eb, Ib, F_LOCK), OP(adc, Eb, Ib, F_LOCK), OP(sbb, Eb, Ib, F_LOCK),
	OP(and, Eb, Ib, F_LOCK), OP(sub, Eb, Ib, F_LOCK), OP(xor, Eb, Ib, F_LOCK), OP(cmp, Eb, Ib, 0),
};
static const struct cv_opcode g1_ev_iz[8] = {
	OP(add, Ev, Iz, F_LOCK), OP(or, Ev, Iz, F_LOCK), OP(adc, Ev, Iz, F_LOCK), OP(sbb, Ev, Iz, F_LOCK),
	OP(and, Ev, Iz, F_LOCK), OP(sub, Ev, Iz, F_LOCK), OP(xor, Ev, Iz, F_LOCK), OP(cmp, Ev, Iz, 0),
};
static const struct cv_opcode g1_ev_ib[8] = {
	OP(add, Ev, Ibs, F_LOCK), OP(or, Ev, Ibs, F_LOCK), OP(adc, Ev, Ibs, F_LOCK), OP(sbb, Ev, Ibs, F_LOCK),
	OP(and, Ev, Ibs, F_LOCK), OP(sub, Ev, Ibs, F_LOCK), OP(xor, Ev, Ibs, F_LOCK), OP(cmp, Ev, Ibs, 0),
};
static const struct cv_opcode g1a[8] = {OP(pop, Ev, none, F_D64)};

/* /6 is SHL once more, on every Intel and AMD processor. */
#define GROUP2(e, count) \
	{OP(rol, e, count, 0), OP(ror, e, count, 0), OP(rcl, e, count, 0), OP(rcr, e, count, 0), \
	 OP(shl, e, count, 0), OP(shr, e, count, 0), OP(shl, e, count, 0), OP(sar, e, count, 0)}
static const struct cv_opcode g2_eb_ib[8] = GROUP2(Eb, Ib), g2_ev_ib[8] = GROUP2(Ev, Ib);
static const struct cv_opcode g2_eb_1[8] = GROUP2(Eb, 1), g2_ev_1[8] = GROUP2(Ev, 1);
static const struct cv_opcode g2_eb_cl[8] = GROUP2(Eb, CL), g2_ev_cl[8] = GROUP2(Ev, CL);

static const struct cv_opcode g3_eb[8] = {
	OP(test, Eb, Ib, 0), OP(test, Eb, Ib, 0), OP(not, Eb, none, F_LOCK), OP(neg, Eb, none, F_LOCK),
	OP(mul, Eb, none, 0), OP(imul, Eb, none, 0), OP(div, Eb, none, 0), OP(idiv, Eb, none, 0),
};
static const struct cv_opcode g3_ev[8] = {
	OP(test, Ev, Iz, 0), OP(test, Ev, Iz, 0), OP(not, Ev, none, F_LOCK), OP(neg, Ev, none, F_LOCK),
	OP(mul, Ev, none, 0), OP(imul, Ev, none, 0), OP(div, Ev, none, 0), OP(idiv, Ev, none, 0),
};
static const struct cv_opcode g4[8] = {OP(inc, Eb, none, F_LOCK), OP(dec, Eb, none, F_LOCK)};
static const struct cv_opcode g5[8] = {
	OP(inc, Ev, none, F_LOCK), OP(dec, Ev, none, F_LOCK), OP(call_ind, Ev, none, F_BRANCH | F_F64),
	OP(call_far_ind, Mp, none, SYSBR), OP(jmp_ind, Ev, none, F_BRANCH | F_F64), OP(jmp_far_ind, Mp, none, SYSBR),
	OP(push, Ev, none, F_D64),
};
static const struct cv_opcode g6[8] = {
	OP(sldt, Ew_Mw, none, SYS), OP(str, Ew_Mw, none, SYS), OP(lldt, Ew, none, SYS), OP(ltr, Ew, none, SYS),
	OP(verr, Ew, none, SYS), OP(verw, Ew, none, SYS),
};

static const struct cv_opcode g7_1_reg[8] = {
	[2] = OPX(smap, clac, none, none, SYS | F_NOPFX), [3] = OPX(smap, stac, none, none, SYS | F_NOPFX),
};
static const struct cv_opcode g7_2_reg[8] = {OP(xgetbv, none, none, SYS | F_NOPFX), OP(xsetbv, none, none, SYS | F_NOPFX)};
static const struct cv_opcode g7_7_reg[8] = {OP(swapgs, none, none, SYS | F_ONLY64), OP(rdtscp, none, none, SYS)};
static const struct cv_opcode g7_0[2] = {OP(sgdt, Ms, none, SYS)};
static const struct cv_opcode g7_1[2] = {OP(sidt, Ms, none, SYS), SUB(RM, g7_1_reg)};
static const struct cv_opcode g7_2[2] = {OP(lgdt, Ms, none, SYS | F_F64), SUB(RM, g7_2_reg)};
static const struct cv_opcode g7_3[2] = {OP(lidt, Ms, none, SYS | F_F64)};
static const struct cv_opcode g7_7[2] = {OP(invlpg, M, none, SYS), SUB(RM, g7_7_reg)};
static const struct cv_opcode g7[8] = {
	SUB(MOD, g7_0), SUB(MOD, g7_1), SUB(MOD, g7_2), SUB(MOD, g7_3),
	OP(smsw, Ew_Mw, none, SYS), {0}, OP(lmsw, Ew, none, SYS), SUB(MOD, g7_7),
};

static const struct cv_opcode g8[8] = {
	[4] = OP(bt, Ev, Ib, 0), OP(bts, Ev, Ib, F_LOCK), OP(btr, Ev, Ib, F_LOCK), OP(btc, Ev, Ib, F_LOCK),
};

static const struct cv_opcode g9_1[2] = {OP(cmpxchg8b, Mq, none, F_LOCK), OP(cmpxchg16b, Mdq, none, F_LOCK)};
static const struct cv_opcode g9_6[4] = {OPX(rdrand, rdrand, Rv, none, SYS), OPX(rdrand, rdrand, Rv, none, SYS)};
static const struct cv_opcode g9_7[4] = {
	OPX(rdseed, rdseed, Rv, none, SYS), OPX(rdseed, rdseed, Rv, none, SYS), OPX(rdpid, rdpid, Rv, none, SYS | F_F64),
};
static const struct cv_opcode g9[8] = {[4] = OPX(xsavec, xsavec, M, none, SYS | F_NOPFX), [1] = SUB(REXW, g9_1), [6] = SUB(PREFIX, g9_6), [7] = SUB(PREFIX, g9_7)};

static const struct cv_opcode g11_eb[8] = {OP(mov, Eb, Ib, 0)};
static const struct cv_opcode g11_ev[8] = {OP(mov, Ev, Iz, 0)};

static const struct cv_opcode g15_6[4] = {OPX(xsaveopt, xsaveopt, M, none, SYS), OPX(clwb, clflush, Mb, none, SYS)};
static const struct cv_opcode g15_7[4] = {OP(clflush, Mb, none, SYS), OPX(clflushopt, clflush, Mb, none, SYS)};
static const struct cv_opcode g15_mem[8] = {
	OP(fxsave, M, none, SYS | F_NOPFX), OP(fxrstor, M, none, SYS | F_NOPFX), OP(ldmxcsr, Md, none, F_NOPFX),
	OP(stmxcsr, Md, none, F_NOPFX), OP(xsave, M, none, SYS | F_NOPFX), OP(xrstor, M, none, SYS | F_NOPFX),
	SUB(PREFIX, g15_6), SUB(PREFIX, g15_7),
};
static const struct cv_opcode g15_reg_none[8] = {
	[5] = OP(fence, none, none, SYS), OP(fence, none, none, SYS), OP(fence, none, none, SYS),
};
#define FSGS (SYS | F_ONLY64 | F_W64)
static const struct cv_opcode g15_reg_f3[8] = {
	OPX(fsgsbase, rdfsbase, Ry, none, FSGS), OPX(fsgsbase, rdgsbase, Ry, none, FSGS), OPX(fsgsbase, wrfsbase, Ry, none, FSGS),
	OPX(fsgsbase, wrgsbase, Ry, none, FSGS),
};
static const struct cv_opcode g15_reg[4] = {SUB(REG, g15_reg_none), [2] = SUB(REG, g15_reg_f3)};
static const struct cv_opcode g15[2] = {SUB(REG, g15_mem), SUB(PREFIX, g15_reg)};

static const struct cv_opcode g16[8] = {
	OP(prefetch, Mb, none, 0), OP(prefetch, Mb, none, 0), OP(prefetch, Mb, none, 0), OP(prefetch, Mb, none, 0),
	OP(nop, Ev, none, 0), OP(nop, Ev, none, 0), OP(nop, Ev, none, 0), OP(nop, Ev, none, 0),
};
static const struct cv_opcode g16_mod[2] = {SUB(REG, g16), OP(nop, Ev, none, 0)};
static const struct cv_opcode gp_mod[2] = {OP(prefetch, Mb, none, 0), OP(nop, Ev, none, 0)};

static const struct cv_opcode op_82[2] = {SUB(REG, g1_eb_ib)};
static const struct cv_opcode op_63[2] = {OP(arpl, Ew, Gw, SYS), OP(movsxd, Gv, Ed, 0)};
static const struct cv_opcode op_b8[4] = {[2] = OP(popcnt, Gv, Ev, 0)};
/* F3 makes them TZCNT and LZCNT where these exist, and is ignored where they don't. */
static const struct cv_opcode tzcnt[2] = {OP(bsf, Gv, Ev, 0), OP(tzcnt, Gv, Ev, 0)};
static const struct cv_opcode lzcnt[2] = {OP(bsr, Gv, Ev, 0), OP(lzcnt, Gv, Ev, 0)};
#define BY_FEATURE(feat, table) {.sub = (table), .select = S_FEATURE, .feature = CV_FEATURE_##feat}
static const struct cv_opcode op_bc[4] = {OP(bsf, Gv, Ev, 0), OP(bsf, Gv, Ev, 0), BY_FEATURE(bmi1, tzcnt), OP(bsf, Gv, Ev, 0)};
static const struct cv_opcode op_bd[4] = {OP(bsr, Gv, Ev, 0), OP(bsr, Gv, Ev, 0), BY_FEATURE(lzcnt, lzcnt), OP(bsr, Gv, Ev, 0)};
static const struct cv_opcode op_c3[4] = {OP(mov, My, Gy, F_W64)};

const struct cv_opcode cv_map_1[256] = {
	ALU(0x00, add, F_LOCK), ALU(0x08, or, F_LOCK), ALU(0x10, adc, F_LOCK), ALU(0x18, sbb, F_LOCK),
	ALU(0x20, and, F_LOCK), ALU(0x28, sub, F_LOCK), ALU(0x30, xor, F_LOCK), ALU(0x38, cmp, 0),
	[0x06] = OP(push_sreg, ES, none, SYS | F_NO64), [0x07] = OP(pop_sreg, ES, none, SYS | F_NO64),
	[0x0e] = OP(push_sreg, CS, none, SYS | F_NO64),
	[0x16] = OP(push_sreg, SS, none, SYS | F_NO64), [0x17] = OP(pop_sreg, SS, none, SYS | F_NO64),
	[0x1e] = OP(push_sreg, DS, none, SYS | F_NO64), [0x1f] = OP(pop_sreg, DS, none, SYS | F_NO64),
	[0x27] = OP(daa, none, none, F_NO64), [0x2f] = OP(das, none, none, F_NO64),
	[0x37] = OP(aaa, none, none, F_NO64), [0x3f] = OP(aas, none, none, F_NO64),
	EIGHT(0x40, OP(inc, Zv, none, F_NO64)), EIGHT(0x48, OP(dec, Zv, none, F_NO64)),
	EIGHT(0x50, OP(push, Zv, none, F_D64)), EIGHT(0x58, OP(pop, Zv, none, F_D64)),
	[0x60] = OP(pusha, none, none, F_NO64), [0x61] = OP(popa, none, none, F_NO64),
	[0x62] = OP(bound, Gv, Ma, F_NO64), [0x63] = SUB(MODE64, op_63),
	[0x68] = OP(push, Iz, none, F_D64), [0x69] = OP3(imul2, Gv, Ev, Iz, 0),
	[0x6a] = OP(push, Ibs, none, F_D64), [0x6b] = OP3(imul2, Gv, Ev, Ibs, 0),
	[0x6c] = OP(ins, Yb, DX, SYS), [0x6d] = OP(ins, Yz, DX, SYS),
	[0x6e] = OP(outs, DX, Xb, SYS | F_BYTE), [0x6f] = OP(outs, DX, Xz, SYS),
	SIXTEEN(0x70, OP(jcc, Jb, none, JCC)),
	[0x80] = SUB(REG, g1_eb_ib), [0x81] = SUB(REG, g1_ev_iz), [0x82] = SUB(MODE64, op_82),
	[0x83] = SUB(REG, g1_ev_ib),
	[0x84] = OP(test, Eb, Gb, 0), [0x85] = OP(test, Ev, Gv, 0),
	[0x86] = OP(xchg, Eb, Gb, F_LOCK), [0x87] = OP(xchg, Ev, Gv, F_LOCK),
	[0x88] = OP(mov, Eb, Gb, 0), [0x89] = OP(mov, Ev, Gv, 0), [0x8a] = OP(mov, Gb, Eb, 0), [0x8b] = OP(mov, Gv, Ev, 0),
	[0x8c] = OP(mov_from_sreg, Ew_Mw, Sw, SYS), [0x8d] = OP(lea, Gv, M, 0),
	[0x8e] = OP(mov_to_sreg, Sw, Ew, SYS), [0x8f] = SUB(REG, g1a),
	EIGHT(0x90, OP(xchg, Zv, rAX, 0)),
	[0x98] = OP(cbw, none, none, 0), [0x99] = OP(cwd, none, none, 0), [0x9a] = OP(call_far, Ap, none, SYSBR | F_NO64),
	[0x9b] = OP(fwait, none, none, 0),
	[0x9c] = OP(pushf, Fv, none, SYS | F_D64), [0x9d] = OP(popf, Fv, none, SYS | F_D64),
	[0x9e] = OP(sahf, none, none, 0), [0x9f] = OP(lahf, none, none, 0),
	[0xa0] = OP(mov, AL, Ob, 0), [0xa1] = OP(mov, rAX, Ov, 0), [0xa2] = OP(mov, Ob, AL, 0), [0xa3] = OP(mov, Ov, rAX, 0),
	[0xa4] = OP(movs, Yb, Xb, 0), [0xa5] = OP(movs, Yv, Xv, 0), [0xa6] = OP(cmps, Xb, Yb, 0), [0xa7] = OP(cmps, Xv, Yv, 0),
	[0xa8] = OP(test, AL, Ib, 0), [0xa9] = OP(test, rAX, Iz, 0),
	[0xaa] = OP(stos, Yb, AL, 0), [0xab] = OP(stos, Yv, rAX, 0), [0xac] = OP(lods, AL, Xb, 0), [0xad] = OP(lods, rAX, Xv, 0),
	[0xae] = OP(scas, AL, Yb, 0), [0xaf] = OP(scas, rAX, Yv, 0),
	EIGHT(0xb0, OP(mov, Zb, Ib, 0)), EIGHT(0xb8, OP(mov, Zv, Iv, 0)),
	[0xc0] = SUB(REG, g2_eb_ib), [0xc1] = SUB(REG, g2_ev_ib),
	[0xc2] = OP(ret, Iw, none, F_BRANCH | F_F64), [0xc3] = OP(ret, none, none, F_BRANCH | F_F64),
	[0xc4] = OP(les, Gv, Mp, SYS | F_NO64), [0xc5] = OP(lds, Gv, Mp, SYS | F_NO64),
	[0xc6] = SUB(REG, g11_eb), [0xc7] = SUB(REG, g11_ev),
	[0xc8] = OP(enter, Iw, Ib2, F_D64), [0xc9] = OP(leave, none, none, F_D64),
	[0xca] = OP(ret_far, Iw, none, SYSBR), [0xcb] = OP(ret_far, none, none, SYSBR),
	[0xcc] = OP(int3, none, none, SYSBR), [0xcd] = OP(int, Ib, none, SYSBR), [0xce] = OP(into, none, none, SYSBR | F_NO64),
	[0xcf] = OP(iret, none, none, SYSBR),
	[0xd0] = SUB(REG, g2_eb_1), [0xd1] = SUB(REG, g2_ev_1), [0xd2] = SUB(REG, g2_eb_cl), [0xd3] = SUB(REG, g2_ev_cl),
	[0xd4] = OP(aam, Ib, none, F_NO64), [0xd5] = OP(aad, Ib, none, F_NO64), [0xd6] = OP(salc, none, none, F_NO64),
	[0xd7] = OP(xlat, Xb, none, 0),
	[0xe0] = OP(loopne, Jb, none, JCC), [0xe1] = OP(loope, Jb, none, JCC), [0xe2] = OP(loop, Jb, none, JCC),
	[0xe3] = OP(jcxz, Jb, none, JCC),
	[0xe4] = OP(in, AL, Ib, SYS), [0xe5] = OP(in, eAX, Ib, SYS), [0xe6] = OP(out, Ib, AL, SYS | F_BYTE),
	[0xe7] = OP(out, Ib, eAX, SYS),
	[0xe8] = OP(call, Jz, none, F_BRANCH | F_F64), [0xe9] = OP(jmp, Jz, none, F_BRANCH | F_F64),
	[0xea] = OP(jmp_far, Ap, none, SYSBR | F_NO64), [0xeb] = OP(jmp, Jb, none, F_BRANCH | F_F64),
	[0xec] = OP(in, AL, DX, SYS), [0xed] = OP(in, eAX, DX, SYS), [0xee] = OP(out, DX, AL, SYS | F_BYTE),
	[0xef] = OP(out, DX, eAX, SYS),
	[0xf1] = OP(int1, none, none, SYSBR), [0xf4] = OP(hlt, none, none, SYS), [0xf5] = OP(cmc, none, none, 0),
	[0xf6] = SUB(REG, g3_eb), [0xf7] = SUB(REG, g3_ev),
	[0xf8] = OP(clc, none, none, 0), [0xf9] = OP(stc, none, none, 0), [0xfa] = OP(cli, none, none, SYS),
	[0xfb] = OP(sti, none, none, SYS), [0xfc] = OP(cld, none, none, 0), [0xfd] = OP(std, none, none, 0),
	[0xfe] = SUB(REG, g4), [0xff] = SUB(REG, g5),
};

const struct cv_opcode cv_map_0f[256] = {
	[0x00] = SUB(REG, g6), [0x01] = SUB(REG, g7), [0x02] = OP(lar, Gv, Ew, SYS), [0x03] = OP(lsl, Gv, Ew, SYS),
	[0x05] = OP(syscall, none, none, SYSBR), [0x06] = OP(clts, none, none, SYS), [0x07] = OP(sysret, none, none, SYSBR),
	[0x08] = OP(invd, none, none, SYS), [0x09] = OP(wbinvd, none, none, SYS), [0x0b] = OP(ud, none, none, 0),
	[0x0d] = SUB(MOD, gp_mod),
	[0x18] = SUB(MOD, g16_mod), [0x19] = OP(nop, Ev, none, 0), [0x1a] = OP(nop, Ev, none, 0), [0x1b] = OP(nop, Ev, none, 0),
	[0x1c] = OP(nop, Ev, none, 0), [0x1d] = OP(nop, Ev, none, 0), [0x1e] = OP(nop, Ev, none, 0), [0x1f] = OP(nop, Ev, none, 0),
	[0x20] = OP(mov_from_cr, Rd, Cd, SYS | F_F64), [0x21] = OP(mov_from_dr, Rd, Dd, SYS | F_F64),
	[0x22] = OP(mov_to_cr, Cd, Rd, SYS | F_F64), [0x23] = OP(mov_to_dr, Dd, Rd, SYS | F_F64),
	[0x30] = OP(wrmsr, none, none, SYS), [0x31] = OP(rdtsc, none, none, SYS), [0x32] = OP(rdmsr, none, none, SYS),
	[0x33] = OP(rdpmc, none, none, SYS), [0x34] = OP(sysenter, none, none, SYSBR), [0x35] = OP(sysexit, none, none, SYSBR),
	SIXTEEN(0x40, OP(cmovcc, Gv, Ev, 0)),
	SIXTEEN(0x80, OP(jcc, Jz, none, JCC)), SIXTEEN(0x90, OP(setcc, Eb, none, 0)),
	[0xa0] = OP(push_sreg, FS, none, SYS | F_D64), [0xa1] = OP(pop_sreg, FS, none, SYS | F_D64),
	[0xa2] = OP(cpuid, none, none, SYS), [0xa3] = OP(bt, Ev, Gv, 0), [0xa4] = OP3(shld, Ev, Gv, Ib, 0),
	[0xa5] = OP3(shld, Ev, Gv, CL, 0),
	[0xa8] = OP(push_sreg, GS, none, SYS | F_D64), [0xa9] = OP(pop_sreg, GS, none, SYS | F_D64),
	[0xab] = OP(bts, Ev, Gv, F_LOCK), [0xac] = OP3(shrd, Ev, Gv, Ib, 0), [0xad] = OP3(shrd, Ev, Gv, CL, 0),
	[0xae] = SUB(MOD, g15), [0xaf] = OP(imul2, Gv, Ev, 0),
	[0xb0] = OP(cmpxchg, Eb, Gb, F_LOCK), [0xb1] = OP(cmpxchg, Ev, Gv, F_LOCK),
	[0xb2] = OP(lss, Gv, Mp, SYS), [0xb3] = OP(btr, Ev, Gv, F_LOCK), [0xb4] = OP(lfs, Gv, Mp, SYS),
	[0xb5] = OP(lgs, Gv, Mp, SYS), [0xb6] = OP(movzx, Gv, Eb, 0), [0xb7] = OP(movzx, Gv, Ew, 0),
	[0xb8] = SUB(PREFIX, op_b8), [0xb9] = OP(ud, Gv, Ev, 0), [0xba] = SUB(REG, g8), [0xbb] = OP(btc, Ev, Gv, F_LOCK),
	[0xbc] = SUB(PREFIX, op_bc), [0xbd] = SUB(PREFIX, op_bd), [0xbe] = OP(movsx, Gv, Eb, 0), [0xbf] = OP(movsx, Gv, Ew, 0),
	[0xc0] = OP(xadd, Eb, Gb, F_LOCK), [0xc1] = OP(xadd, Ev, Gv, F_LOCK), [0xc3] = SUB(PREFIX, op_c3),
	[0xc7] = SUB(REG, g9), EIGHT(0xc8, OP(bswap, Zv, none, 0)), [0xff] = OP(ud, Gv, Ev, 0),
};
