/* SPDX-License-Identifier: MIT */
/*
 * Opcode maps of MMX, SSE to SSE4.2, AES and SHA (SDM 2D, appendix A.3): the rows of 0F that the integer map leaves empty,
 * 0F 38 and 0F 3A, with the few integer and system operations that live there.
 *
 * Operations that move or combine bits without looking at them have one operation for their PS and PD opcodes
 * (MOVAPD is movaps, ANDPD andps). Form 1 marks MMX operands. Prefixes select as hardware does: F2 and F3 win over 66.
 */
#include "vmm-core/x86/insn.h"

#define W F_W64
#define MEM (F_W64 | F_MEMONLY)
#define REG (F_W64 | F_REGONLY)
#define OP3F(name, a, b, c, f, fo) \
	{.op = CV_OP_##name, .o = {O_##a, O_##b, O_##c}, .flags = (f), .form = (fo)}

/* One row a prefix: none, 66, F3, F2. NO leaves it #UD. */
#define NO {.op = CV_OP_none}
#define PFX(...) {.sub = (const struct cv_opcode[4]){__VA_ARGS__}, .select = S_PREFIX}
#define MOD(...) {.sub = (const struct cv_opcode[2]){__VA_ARGS__}, .select = S_MOD}

/* Floating point in its four widths; in packed widths alone. */
#define FLOAT4(n) PFX(OP(n##ps, Vps, Wps, W), OP(n##pd, Vpd, Wpd, W), OP(n##ss, Vss, Wss, W), OP(n##sd, Vsd, Wsd, W))
#define BITS2(n) PFX(OP(n, Vps, Wps, W), OP(n, Vpd, Wpd, W), NO, NO)
/* An integer operation on MMX (form 1) and XMM registers; on XMM alone. */
#define INT2(n) PFX(OPF(n, Pq, Qq, W, 1), OP(n, Vdq, Wdq, W), NO, NO)
#define INT1(n) PFX(NO, OP(n, Vdq, Wdq, W), NO, NO)
#define IMM1(n) PFX(NO, OP3(n, Vdq, Wdq, Ib, W), NO, NO)

#define AES(n) PFX(NO, OPX(aes, n, Vdq, Wdq, W), NO, NO)
#define SHA(n) PFX(OPX(sha, n, Vdq, Wdq, W), NO, NO, NO)
#define OPX3(feat, name, a, b, c, f) \
	{.op = CV_OP_##name, .o = {O_##a, O_##b, O_##c}, .flags = (f), .feature = CV_FEATURE_##feat}

/* Shifts by an immediate: 0F 71..73 by ModRM.reg. */
#define SHIFT2(n) PFX(OPF(n, Nq, Ib, REG, 1), OP(n, Udq, Ib, REG), NO, NO)
#define SHIFT1(n) PFX(NO, OP(n, Udq, Ib, REG), NO, NO)

static const struct cv_opcode group12[8] = {
	[2] = SHIFT2(psrlw_i), [4] = SHIFT2(psraw_i), [6] = SHIFT2(psllw_i),
};
static const struct cv_opcode group13[8] = {
	[2] = SHIFT2(psrld_i), [4] = SHIFT2(psrad_i), [6] = SHIFT2(pslld_i),
};
static const struct cv_opcode group14[8] = {
	[2] = SHIFT2(psrlq_i), [3] = SHIFT1(psrldq_i), [6] = SHIFT2(psllq_i), [7] = SHIFT1(pslldq_i),
};

const struct cv_opcode cv_map_0f_simd[256] = {
	[0x10] = PFX(OP(movups, Vps, Wps, W), OP(movups, Vpd, Wpd, W), OP(movss, Vss, Wss, W), OP(movsd, Vsd, Wsd, W)),
	[0x11] = PFX(OP(movups_st, Wps, Vps, W), OP(movups_st, Wpd, Vpd, W), OP(movss_st, Wss, Vss, W),
		     OP(movsd_st, Wsd, Vsd, W)),
	[0x12] = PFX(MOD(OP(movlps, Vq, Mq, W), OP(movhlps, Vq, Uq, W)), OP(movlps, Vq, Mq, MEM),
		     OP(movsldup, Vps, Wps, W), OP(movddup, Vpd, Wq, W)),
	[0x13] = PFX(OP(movlps_st, Mq, Vq, MEM), OP(movlps_st, Mq, Vq, MEM), NO, NO),
	[0x14] = PFX(OP(unpcklps, Vps, Wps, W), OP(unpcklpd, Vpd, Wpd, W), NO, NO),
	[0x15] = PFX(OP(unpckhps, Vps, Wps, W), OP(unpckhpd, Vpd, Wpd, W), NO, NO),
	[0x16] = PFX(MOD(OP(movhps, Vq, Mq, W), OP(movlhps, Vq, Uq, W)), OP(movhps, Vq, Mq, MEM),
		     OP(movshdup, Vps, Wps, W), NO),
	[0x17] = PFX(OP(movhps_st, Mq, Vq, MEM), OP(movhps_st, Mq, Vq, MEM), NO, NO),
	[0x28] = BITS2(movaps),
	[0x29] = PFX(OP(movaps_st, Wps, Vps, W), OP(movaps_st, Wpd, Vpd, W), NO, NO),
	[0x2a] = PFX(OP(cvtpi2ps, Vps, Qq, W), OP(cvtpi2pd, Vpd, Qq, W), OP(cvtsi2ss, Vss, Ey, W),
		     OP(cvtsi2sd, Vsd, Ey, W)),
	[0x2b] = PFX(OP(movntps, Mdq, Vps, MEM), OP(movntps, Mdq, Vpd, MEM), NO, NO),
	[0x2c] = PFX(OP(cvttps2pi, Pq, Wq, W), OP(cvttpd2pi, Pq, Wpd, W), OP(cvttss2si, Gy, Wss, W),
		     OP(cvttsd2si, Gy, Wsd, W)),
	[0x2d] = PFX(OP(cvtps2pi, Pq, Wq, W), OP(cvtpd2pi, Pq, Wpd, W), OP(cvtss2si, Gy, Wss, W),
		     OP(cvtsd2si, Gy, Wsd, W)),
	[0x2e] = PFX(OP(ucomiss, Vss, Wss, W), OP(ucomisd, Vsd, Wsd, W), NO, NO),
	[0x2f] = PFX(OP(comiss, Vss, Wss, W), OP(comisd, Vsd, Wsd, W), NO, NO),
	[0x50] = PFX(OP(movmskps, Gd, Udq, REG), OP(movmskpd, Gd, Udq, REG), NO, NO),
	[0x51] = FLOAT4(sqrt),
	[0x52] = PFX(OP(rsqrtps, Vps, Wps, W), NO, OP(rsqrtss, Vss, Wss, W), NO),
	[0x53] = PFX(OP(rcpps, Vps, Wps, W), NO, OP(rcpss, Vss, Wss, W), NO),
	[0x54] = BITS2(andps),
	[0x55] = BITS2(andnps),
	[0x56] = BITS2(orps),
	[0x57] = BITS2(xorps),
	[0x58] = FLOAT4(add),
	[0x59] = FLOAT4(mul),
	[0x5a] = PFX(OP(cvtps2pd, Vpd, Wq, W), OP(cvtpd2ps, Vps, Wpd, W), OP(cvtss2sd, Vsd, Wss, W),
		     OP(cvtsd2ss, Vss, Wsd, W)),
	[0x5b] = PFX(OP(cvtdq2ps, Vps, Wdq, W), OP(cvtps2dq, Vdq, Wps, W), OP(cvttps2dq, Vdq, Wps, W), NO),
	[0x5c] = FLOAT4(sub),
	[0x5d] = FLOAT4(min),
	[0x5e] = FLOAT4(div),
	[0x5f] = FLOAT4(max),
	[0x60] = PFX(OPF(punpcklbw, Pq, Qd, W, 1), OP(punpcklbw, Vdq, Wdq, W), NO, NO),
	[0x61] = PFX(OPF(punpcklwd, Pq, Qd, W, 1), OP(punpcklwd, Vdq, Wdq, W), NO, NO),
	[0x62] = PFX(OPF(punpckldq, Pq, Qd, W, 1), OP(punpckldq, Vdq, Wdq, W), NO, NO),
	[0x63] = INT2(packsswb),
	[0x64] = INT2(pcmpgtb),
	[0x65] = INT2(pcmpgtw),
	[0x66] = INT2(pcmpgtd),
	[0x67] = INT2(packuswb),
	[0x68] = INT2(punpckhbw),
	[0x69] = INT2(punpckhwd),
	[0x6a] = INT2(punpckhdq),
	[0x6b] = INT2(packssdw),
	[0x6c] = INT1(punpcklqdq),
	[0x6d] = INT1(punpckhqdq),
	[0x6e] = PFX(OP(movd_mm, Pd, Ey, W), OP(movd, Vd, Ey, W), NO, NO),
	[0x6f] = PFX(OP(movq_mm, Pq, Qq, W), OP(movdqa, Vdq, Wdq, W), OP(movdqu, Vdq, Wdq, W), NO),
	[0x70] = PFX(OP3(pshufw, Pq, Qq, Ib, W), OP3(pshufd, Vdq, Wdq, Ib, W), OP3(pshufhw, Vdq, Wdq, Ib, W),
		     OP3(pshuflw, Vdq, Wdq, Ib, W)),
	[0x71] = SUB(REG, group12),
	[0x72] = SUB(REG, group13),
	[0x73] = SUB(REG, group14),
	[0x74] = INT2(pcmpeqb),
	[0x75] = INT2(pcmpeqw),
	[0x76] = INT2(pcmpeqd),
	[0x77] = PFX(OP(emms, none, none, W), NO, NO, NO),
	[0x7c] = PFX(NO, OP(haddpd, Vpd, Wpd, W), NO, OP(haddps, Vps, Wps, W)),
	[0x7d] = PFX(NO, OP(hsubpd, Vpd, Wpd, W), NO, OP(hsubps, Vps, Wps, W)),
	[0x7e] = PFX(OP(movd_mm_st, Ey, Pd, W), OP(movd_st, Ey, Vd, W), OP(movq, Vq, Wq, W), NO),
	[0x7f] = PFX(OP(movq_mm_st, Qq, Pq, W), OP(movdqa_st, Wdq, Vdq, W), OP(movdqu_st, Wdq, Vdq, W), NO),
	[0xc2] = PFX(OP3(cmpps, Vps, Wps, Ib, W), OP3(cmppd, Vpd, Wpd, Ib, W), OP3(cmpss, Vss, Wss, Ib, W),
		     OP3(cmpsd, Vsd, Wsd, Ib, W)),
	[0xc4] = PFX(OP3F(pinsrw, Pq, Rdm, Ib, W, 1),
		     OP3(pinsrw, Vdq, Rdm, Ib, W), NO, NO),
	[0xc5] = PFX(OP3F(pextrw, Gd, Nq, Ib, REG, 1),
		     OP3(pextrw, Gd, Udq, Ib, REG), NO, NO),
	[0xc6] = PFX(OP3(shufps, Vps, Wps, Ib, W), OP3(shufpd, Vpd, Wpd, Ib, W), NO, NO),
	[0xd0] = PFX(NO, OP(addsubpd, Vpd, Wpd, W), NO, OP(addsubps, Vps, Wps, W)),
	[0xd1] = INT2(psrlw),
	[0xd2] = INT2(psrld),
	[0xd3] = INT2(psrlq),
	[0xd4] = INT2(paddq),
	[0xd5] = INT2(pmullw),
	[0xd6] = PFX(NO, OP(movq_st, Wq, Vq, W), OP(movq2dq, Vdq, Nq, REG), OP(movdq2q, Pq, Uq, REG)),
	[0xd7] = PFX(OPF(pmovmskb, Gd, Nq, REG, 1), OP(pmovmskb, Gd, Udq, REG), NO, NO),
	[0xd8] = INT2(psubusb),
	[0xd9] = INT2(psubusw),
	[0xda] = INT2(pminub),
	[0xdb] = INT2(pand),
	[0xdc] = INT2(paddusb),
	[0xdd] = INT2(paddusw),
	[0xde] = INT2(pmaxub),
	[0xdf] = INT2(pandn),
	[0xe0] = INT2(pavgb),
	[0xe1] = INT2(psraw),
	[0xe2] = INT2(psrad),
	[0xe3] = INT2(pavgw),
	[0xe4] = INT2(pmulhuw),
	[0xe5] = INT2(pmulhw),
	[0xe6] = PFX(NO, OP(cvttpd2dq, Vq, Wpd, W), OP(cvtdq2pd, Vpd, Wq, W), OP(cvtpd2dq, Vq, Wpd, W)),
	[0xe7] = PFX(OP(movntq, Mq, Pq, MEM), OP(movntdq, Mdq, Vdq, MEM), NO, NO),
	[0xe8] = INT2(psubsb),
	[0xe9] = INT2(psubsw),
	[0xea] = INT2(pminsw),
	[0xeb] = INT2(por),
	[0xec] = INT2(paddsb),
	[0xed] = INT2(paddsw),
	[0xee] = INT2(pmaxsw),
	[0xef] = INT2(pxor),
	[0xf0] = PFX(NO, NO, NO, OP(lddqu, Vdq, Mdq, MEM)),
	[0xf1] = INT2(psllw),
	[0xf2] = INT2(pslld),
	[0xf3] = INT2(psllq),
	[0xf4] = INT2(pmuludq),
	[0xf5] = INT2(pmaddwd),
	[0xf6] = INT2(psadbw),
	/* The third operand is the store's: DS or an override, rDI. */
	[0xf7] = PFX(OP3F(maskmovdqu, Pq, Nq, Xb, REG, 1), OP3(maskmovdqu, Vdq, Udq, Xb, REG), NO, NO),
	[0xf8] = INT2(psubb),
	[0xf9] = INT2(psubw),
	[0xfa] = INT2(psubd),
	[0xfb] = INT2(psubq),
	[0xfc] = INT2(paddb),
	[0xfd] = INT2(paddw),
	[0xfe] = INT2(paddd),
};

const struct cv_opcode cv_map_0f38[256] = {
	[0x00] = INT2(pshufb),
	[0x01] = INT2(phaddw),
	[0x02] = INT2(phaddd),
	[0x03] = INT2(phaddsw),
	[0x04] = INT2(pmaddubsw),
	[0x05] = INT2(phsubw),
	[0x06] = INT2(phsubd),
	[0x07] = INT2(phsubsw),
	[0x08] = INT2(psignb),
	[0x09] = INT2(psignw),
	[0x0a] = INT2(psignd),
	[0x0b] = INT2(pmulhrsw),
	[0x10] = INT1(pblendvb),
	[0x14] = INT1(blendvps),
	[0x15] = INT1(blendvpd),
	[0x17] = INT1(ptest),
	[0x1c] = INT2(pabsb),
	[0x1d] = INT2(pabsw),
	[0x1e] = INT2(pabsd),
	[0x20] = PFX(NO, OP(pmovsxbw, Vdq, Wq, W), NO, NO),
	[0x21] = PFX(NO, OP(pmovsxbd, Vdq, Wd, W), NO, NO),
	[0x22] = PFX(NO, OP(pmovsxbq, Vdq, Ww, W), NO, NO),
	[0x23] = PFX(NO, OP(pmovsxwd, Vdq, Wq, W), NO, NO),
	[0x24] = PFX(NO, OP(pmovsxwq, Vdq, Wd, W), NO, NO),
	[0x25] = PFX(NO, OP(pmovsxdq, Vdq, Wq, W), NO, NO),
	[0x28] = INT1(pmuldq),
	[0x29] = INT1(pcmpeqq),
	[0x2a] = PFX(NO, OP(movntdqa, Vdq, Mdq, MEM), NO, NO),
	[0x2b] = INT1(packusdw),
	[0x30] = PFX(NO, OP(pmovzxbw, Vdq, Wq, W), NO, NO),
	[0x31] = PFX(NO, OP(pmovzxbd, Vdq, Wd, W), NO, NO),
	[0x32] = PFX(NO, OP(pmovzxbq, Vdq, Ww, W), NO, NO),
	[0x33] = PFX(NO, OP(pmovzxwd, Vdq, Wq, W), NO, NO),
	[0x34] = PFX(NO, OP(pmovzxwq, Vdq, Wd, W), NO, NO),
	[0x35] = PFX(NO, OP(pmovzxdq, Vdq, Wq, W), NO, NO),
	[0x37] = INT1(pcmpgtq),
	[0x38] = INT1(pminsb),
	[0x39] = INT1(pminsd),
	[0x3a] = INT1(pminuw),
	[0x3b] = INT1(pminud),
	[0x3c] = INT1(pmaxsb),
	[0x3d] = INT1(pmaxsd),
	[0x3e] = INT1(pmaxuw),
	[0x3f] = INT1(pmaxud),
	[0x40] = INT1(pmulld),
	[0x41] = INT1(phminposuw),
	[0x82] = PFX(NO, OPX(invpcid, invpcid, Gy, Mdq, F_SINGLE | F_F64), NO, NO),
	[0xc8] = SHA(sha1nexte), [0xc9] = SHA(sha1msg1), [0xca] = SHA(sha1msg2),
	[0xcb] = SHA(sha256rnds2), [0xcc] = SHA(sha256msg1), [0xcd] = SHA(sha256msg2),
	[0xdb] = AES(aesimc), [0xdc] = AES(aesenc), [0xdd] = AES(aesenclast), [0xde] = AES(aesdec), [0xdf] = AES(aesdeclast),
	/* The source's size follows 66 and REX.W here, as for an integer operation. */
	[0xf0] = PFX(OPX(movbe, movbe, Gv, Mv, 0), OPX(movbe, movbe, Gv, Mv, 0), NO, OP(crc32_b, Gd, Eb, 0)),
	[0xf1] = PFX(OPX(movbe, movbe, Mv, Gv, 0), OPX(movbe, movbe, Mv, Gv, 0), NO, OP(crc32, Gd, Ev, 0)),
	[0xf6] = PFX(NO, OPX(adx, adcx, Gy, Ey, W), OPX(adx, adox, Gy, Ey, W), NO),
};

const struct cv_opcode cv_map_0f3a[256] = {
	[0x08] = IMM1(roundps),
	[0x09] = IMM1(roundpd),
	[0x0a] = PFX(NO, OP3(roundss, Vss, Wss, Ib, W), NO, NO),
	[0x0b] = PFX(NO, OP3(roundsd, Vsd, Wsd, Ib, W), NO, NO),
	[0x0c] = IMM1(blendps),
	[0x0d] = IMM1(blendpd),
	[0x0e] = IMM1(pblendw),
	[0x0f] = PFX(OP3F(palignr, Pq, Qq, Ib, W, 1),
		     OP3(palignr, Vdq, Wdq, Ib, W), NO, NO),
	[0x14] = PFX(NO, OP3(pextrb, Rdm, Vdq, Ib, W), NO, NO),
	[0x15] = PFX(NO, OP3(pextrw_st, Rdm, Vdq, Ib, W), NO, NO),
	[0x16] = PFX(NO, OP3(pextrd, Ey, Vdq, Ib, W), NO, NO),
	[0x17] = PFX(NO, OP3(extractps, Ed, Vdq, Ib, W), NO, NO),
	[0x20] = PFX(NO, OP3(pinsrb, Vdq, Rdm, Ib, W), NO, NO),
	[0x21] = PFX(NO, OP3(insertps, Vdq, Wd, Ib, W), NO, NO),
	[0x22] = PFX(NO, OP3(pinsrd, Vdq, Ey, Ib, W), NO, NO),
	[0x40] = IMM1(dpps),
	[0x41] = IMM1(dppd),
	[0x42] = IMM1(mpsadbw),
	[0x44] = PFX(NO, OPX3(pclmulqdq, pclmulqdq, Vdq, Wdq, Ib, W), NO, NO),
	[0x60] = IMM1(pcmpestrm),
	[0x61] = IMM1(pcmpestri),
	[0x62] = IMM1(pcmpistrm),
	[0x63] = IMM1(pcmpistri),
	[0xcc] = PFX(OPX3(sha, sha1rnds4, Vdq, Wdq, Ib, W), NO, NO, NO),
	[0xdf] = PFX(NO, OPX3(aes, aeskeygenassist, Vdq, Wdq, Ib, W), NO, NO),
};
