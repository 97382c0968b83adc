/* SPDX-License-Identifier: MIT */
/*
 * The VEX maps (SDM 2D tables, the rows marked v, and appendix A's group tables): AVX, AVX2, FMA, F16C, BMI.
 *
 * A vector row without a feature of its own is AVX's; Y2 makes its 256-bit form AVX2's. A row whose operands include none of
 * H.. or By wants VEX.vvvv = 1111b. Rows that say nothing of VEX.L ignore it (scalars) or take both.
 */
#include "vmm-core/x86/insn.h"

#define W F_W64
#define Y2 F_Y2
#define OP4(name, a, b, c, d, f) {.op = CV_OP_##name, .o = {O_##a, O_##b, O_##c, O_##d}, .flags = (f) | W}
#define OP3V(name, a, b, c, f) OP3(name, a, b, c, (f) | W)
#define OP2V(name, a, b, f) OP(name, a, b, (f) | W)
#define OPF3(feat, name, a, b, c, f) \
	{.op = CV_OP_##name, .o = {O_##a, O_##b, O_##c}, .flags = (f) | W, .feature = CV_FEATURE_##feat}
#define OPF4(feat, name, a, b, c, d, f) \
	{.op = CV_OP_##name, .o = {O_##a, O_##b, O_##c, O_##d}, .flags = (f) | W, .feature = CV_FEATURE_##feat}
#define OPF2(feat, name, a, b, f) OPX(feat, name, a, b, (f) | W)

/* One row a mandatory prefix: none, 66, F3, F2; one by mod: memory, register; one by VEX.W. NO is #UD. */
#define NO {.op = CV_OP_none}
#define PFX(...) {.sub = (const struct cv_opcode[4]){__VA_ARGS__}, .select = S_PREFIX}
#define P66(...) PFX(NO, __VA_ARGS__, NO, NO)
#define MOD(...) {.sub = (const struct cv_opcode[2]){__VA_ARGS__}, .select = S_MOD}
#define BYW(...) {.sub = (const struct cv_opcode[2]){__VA_ARGS__}, .select = S_REXW}

#define FLOAT4(n) \
	PFX(OP3V(n##ps, Vx, Hx, Wx, 0), OP3V(n##pd, Vx, Hx, Wx, 0), OP3V(n##ss, Vss, Hss, Wss, 0), OP3V(n##sd, Vsd, Hsd, Wsd, 0))
#define BITS3(n) PFX(OP3V(n, Vx, Hx, Wx, 0), OP3V(n, Vx, Hx, Wx, 0), NO, NO)
#define INT3(n) P66(OP3V(n, Vx, Hx, Wx, Y2))
#define INT2(n) P66(OP2V(n, Vx, Wx, Y2))
#define SHIFT(n) P66(OP3V(n, Vx, Hx, Wdq, Y2))
#define SHIFT_I(n) P66(OP3V(n, Hx, Ux, Ib, Y2))
/* Memory alone, and 128-bit registers. */
#define LANE(name, a, b, c, f) MOD(OP3V(name, a, b, c, (f) | F_L0), NO)
/* PS with W0 and PD with W1; then the scalars. */
#define FMA2(n) P66(BYW(OPF3(fma, n##ps, Vx, Hx, Wx, 0), OPF3(fma, n##pd, Vx, Hx, Wx, 0)))
#define FMA1(n) P66(BYW(OPF3(fma, n##ss, Vss, Hss, Wss, 0), OPF3(fma, n##sd, Vsd, Hsd, Wsd, 0)))

static const struct cv_opcode group12[8] = {
	[2] = SHIFT_I(vpsrlw_i), [4] = SHIFT_I(vpsraw_i), [6] = SHIFT_I(vpsllw_i),
};
static const struct cv_opcode group13[8] = {
	[2] = SHIFT_I(vpsrld_i), [4] = SHIFT_I(vpsrad_i), [6] = SHIFT_I(vpslld_i),
};
static const struct cv_opcode group14[8] = {
	[2] = SHIFT_I(vpsrlq_i), [3] = SHIFT_I(vpsrldq_i), [6] = SHIFT_I(vpsllq_i), [7] = SHIFT_I(vpslldq_i),
};
static const struct cv_opcode group15[8] = {
	[2] = PFX(OP2V(vldmxcsr, Md, none, F_L0), NO, NO, NO), [3] = PFX(OP2V(vstmxcsr, Md, none, F_L0), NO, NO, NO),
};
#define BMI (F_GPR | F_L0)
static const struct cv_opcode group17[8] = {
	[1] = PFX(OPF2(bmi1, blsr, By, Ey, BMI), NO, NO, NO), [2] = PFX(OPF2(bmi1, blsmsk, By, Ey, BMI), NO, NO, NO),
	[3] = PFX(OPF2(bmi1, blsi, By, Ey, BMI), NO, NO, NO),
};

const struct cv_opcode cv_map_vex_0f[256] = {
	[0x10] = PFX(OP2V(vmovups, Vx, Wx, 0), OP2V(vmovups, Vx, Wx, 0),
		     MOD(OP2V(vmovss, Vss, Md, 0), OP3V(vmovss, Vss, Hss, Wss, 0)),
		     MOD(OP2V(vmovsd, Vsd, Mq, 0), OP3V(vmovsd, Vsd, Hsd, Wsd, 0))),
	[0x11] = PFX(OP2V(vmovups_st, Wx, Vx, 0), OP2V(vmovups_st, Wx, Vx, 0),
		     MOD(OP2V(vmovss_st, Md, Vss, 0), OP3V(vmovss_st, Wss, Hss, Vss, 0)),
		     MOD(OP2V(vmovsd_st, Mq, Vsd, 0), OP3V(vmovsd_st, Wsd, Hsd, Vsd, 0))),
	[0x12] = PFX(MOD(OP3V(vmovlps, Vdq, Hdq, Mq, F_L0), OP3V(vmovhlps, Vdq, Hdq, Udq, F_L0)),
		     LANE(vmovlps, Vdq, Hdq, Mq, 0), OP2V(vmovsldup, Vx, Wx, 0),
		     {.sub = (const struct cv_opcode[2]){OP2V(vmovddup, Vdq, Wq, F_L0), OP2V(vmovddup, Vqq, Wqq, F_L1)},
		      .select = S_VEXL}),
	[0x13] = PFX(OP2V(vmovlps_st, Mq, Vq, F_L0), OP2V(vmovlps_st, Mq, Vq, F_L0), NO, NO),
	[0x14] = PFX(OP3V(vunpcklps, Vx, Hx, Wx, 0), OP3V(vunpcklpd, Vx, Hx, Wx, 0), NO, NO),
	[0x15] = PFX(OP3V(vunpckhps, Vx, Hx, Wx, 0), OP3V(vunpckhpd, Vx, Hx, Wx, 0), NO, NO),
	[0x16] = PFX(MOD(OP3V(vmovhps, Vdq, Hdq, Mq, F_L0), OP3V(vmovlhps, Vdq, Hdq, Udq, F_L0)),
		     LANE(vmovhps, Vdq, Hdq, Mq, 0), OP2V(vmovshdup, Vx, Wx, 0), NO),
	[0x17] = PFX(OP2V(vmovhps_st, Mq, Vq, F_L0), OP2V(vmovhps_st, Mq, Vq, F_L0), NO, NO),
	[0x28] = PFX(OP2V(vmovaps, Vx, Wx, 0), OP2V(vmovaps, Vx, Wx, 0), NO, NO),
	[0x29] = PFX(OP2V(vmovaps_st, Wx, Vx, 0), OP2V(vmovaps_st, Wx, Vx, 0), NO, NO),
	[0x2a] = PFX(NO, NO, OP3V(vcvtsi2ss, Vss, Hss, Ey, 0), OP3V(vcvtsi2sd, Vsd, Hsd, Ey, 0)),
	[0x2b] = PFX(OP2V(vmovntps, Mx, Vx, 0), OP2V(vmovntps, Mx, Vx, 0), NO, NO),
	[0x2c] = PFX(NO, NO, OP2V(vcvttss2si, Gy, Wss, 0), OP2V(vcvttsd2si, Gy, Wsd, 0)),
	[0x2d] = PFX(NO, NO, OP2V(vcvtss2si, Gy, Wss, 0), OP2V(vcvtsd2si, Gy, Wsd, 0)),
	[0x2e] = PFX(OP2V(vucomiss, Vss, Wss, 0), OP2V(vucomisd, Vsd, Wsd, 0), NO, NO),
	[0x2f] = PFX(OP2V(vcomiss, Vss, Wss, 0), OP2V(vcomisd, Vsd, Wsd, 0), NO, NO),
	[0x50] = PFX(OP2V(vmovmskps, Gd, Ux, 0), OP2V(vmovmskpd, Gd, Ux, 0), NO, NO),
	[0x51] = PFX(OP2V(vsqrtps, Vx, Wx, 0), OP2V(vsqrtpd, Vx, Wx, 0), OP3V(vsqrtss, Vss, Hss, Wss, 0),
		     OP3V(vsqrtsd, Vsd, Hsd, Wsd, 0)),
	[0x52] = PFX(OP2V(vrsqrtps, Vx, Wx, 0), NO, OP3V(vrsqrtss, Vss, Hss, Wss, 0), NO),
	[0x53] = PFX(OP2V(vrcpps, Vx, Wx, 0), NO, OP3V(vrcpss, Vss, Hss, Wss, 0), NO),
	[0x54] = BITS3(vandps), [0x55] = BITS3(vandnps), [0x56] = BITS3(vorps), [0x57] = BITS3(vxorps),
	[0x58] = FLOAT4(vadd), [0x59] = FLOAT4(vmul),
	[0x5a] = PFX(OP2V(vcvtps2pd, Vx, Wxh, 0), OP2V(vcvtpd2ps, Vdq, Wx, 0), OP3V(vcvtss2sd, Vsd, Hsd, Wss, 0),
		     OP3V(vcvtsd2ss, Vss, Hss, Wsd, 0)),
	[0x5b] = PFX(OP2V(vcvtdq2ps, Vx, Wx, 0), OP2V(vcvtps2dq, Vx, Wx, 0), OP2V(vcvttps2dq, Vx, Wx, 0), NO),
	[0x5c] = FLOAT4(vsub), [0x5d] = FLOAT4(vmin), [0x5e] = FLOAT4(vdiv), [0x5f] = FLOAT4(vmax),
	[0x60] = INT3(vpunpcklbw),
	[0x61] = INT3(vpunpcklwd),
	[0x62] = INT3(vpunpckldq),
	[0x63] = INT3(vpacksswb),
	[0x64] = INT3(vpcmpgtb),
	[0x65] = INT3(vpcmpgtw),
	[0x66] = INT3(vpcmpgtd),
	[0x67] = INT3(vpackuswb),
	[0x68] = INT3(vpunpckhbw),
	[0x69] = INT3(vpunpckhwd),
	[0x6a] = INT3(vpunpckhdq),
	[0x6b] = INT3(vpackssdw),
	[0x6c] = INT3(vpunpcklqdq),
	[0x6d] = INT3(vpunpckhqdq),
	[0x6e] = P66(OP2V(vmovd, Vd, Ey, F_L0)),
	[0x6f] = PFX(NO, OP2V(vmovdqa, Vx, Wx, 0), OP2V(vmovdqu, Vx, Wx, 0), NO),
	[0x70] = PFX(NO, OP3V(vpshufd, Vx, Wx, Ib, Y2), OP3V(vpshufhw, Vx, Wx, Ib, Y2), OP3V(vpshuflw, Vx, Wx, Ib, Y2)),
	[0x71] = SUB(REG, group12), [0x72] = SUB(REG, group13), [0x73] = SUB(REG, group14),
	[0x74] = INT3(vpcmpeqb),
	[0x75] = INT3(vpcmpeqw),
	[0x76] = INT3(vpcmpeqd),
	[0x77] = PFX({.sub = (const struct cv_opcode[2]){OP2V(vzeroupper, none, none, 0), OP2V(vzeroall, none, none, 0)},
		      .select = S_VEXL}, NO, NO, NO),
	[0x7c] = PFX(NO, OP3V(vhaddpd, Vx, Hx, Wx, 0), NO, OP3V(vhaddps, Vx, Hx, Wx, 0)),
	[0x7d] = PFX(NO, OP3V(vhsubpd, Vx, Hx, Wx, 0), NO, OP3V(vhsubps, Vx, Hx, Wx, 0)),
	[0x7e] = PFX(NO, OP2V(vmovd_st, Ey, Vd, F_L0), OP2V(vmovq, Vq, Wq, F_L0), NO),
	[0x7f] = PFX(NO, OP2V(vmovdqa_st, Wx, Vx, 0), OP2V(vmovdqu_st, Wx, Vx, 0), NO),
	[0xae] = SUB(REG, group15),
	[0xc2] = PFX(OP4(vcmpps, Vx, Hx, Wx, Ib, 0), OP4(vcmppd, Vx, Hx, Wx, Ib, 0), OP4(vcmpss, Vss, Hss, Wss, Ib, 0),
		     OP4(vcmpsd, Vsd, Hsd, Wsd, Ib, 0)),
	[0xc4] = P66(OP4(vpinsrw, Vdq, Hdq, Rdm, Ib, F_L0)),
	[0xc5] = P66(OP3V(vpextrw, Gd, Udq, Ib, F_L0)),
	[0xc6] = PFX(OP4(vshufps, Vx, Hx, Wx, Ib, 0), OP4(vshufpd, Vx, Hx, Wx, Ib, 0), NO, NO),
	[0xd0] = PFX(NO, OP3V(vaddsubpd, Vx, Hx, Wx, 0), NO, OP3V(vaddsubps, Vx, Hx, Wx, 0)),
	[0xd1] = SHIFT(vpsrlw),
	[0xd2] = SHIFT(vpsrld),
	[0xd3] = SHIFT(vpsrlq),
	[0xd4] = INT3(vpaddq),
	[0xd5] = INT3(vpmullw),
	[0xd6] = P66(OP2V(vmovq_st, Wq, Vq, F_L0)),
	[0xd7] = P66(OP2V(vpmovmskb, Gd, Ux, Y2)),
	[0xd8] = INT3(vpsubusb),
	[0xd9] = INT3(vpsubusw),
	[0xda] = INT3(vpminub),
	[0xdb] = INT3(vpand),
	[0xdc] = INT3(vpaddusb),
	[0xdd] = INT3(vpaddusw),
	[0xde] = INT3(vpmaxub),
	[0xdf] = INT3(vpandn),
	[0xe0] = INT3(vpavgb),
	[0xe1] = SHIFT(vpsraw),
	[0xe2] = SHIFT(vpsrad),
	[0xe3] = INT3(vpavgw),
	[0xe4] = INT3(vpmulhuw),
	[0xe5] = INT3(vpmulhw),
	[0xe6] = PFX(NO, OP2V(vcvttpd2dq, Vdq, Wx, 0), OP2V(vcvtdq2pd, Vx, Wxh, 0), OP2V(vcvtpd2dq, Vdq, Wx, 0)),
	[0xe7] = P66(OP2V(vmovntdq, Mx, Vx, 0)),
	[0xe8] = INT3(vpsubsb),
	[0xe9] = INT3(vpsubsw),
	[0xea] = INT3(vpminsw),
	[0xeb] = INT3(vpor),
	[0xec] = INT3(vpaddsb),
	[0xed] = INT3(vpaddsw),
	[0xee] = INT3(vpmaxsw),
	[0xef] = INT3(vpxor),
	[0xf0] = PFX(NO, NO, NO, OP2V(vlddqu, Vx, Mx, 0)),
	[0xf1] = SHIFT(vpsllw),
	[0xf2] = SHIFT(vpslld),
	[0xf3] = SHIFT(vpsllq),
	[0xf4] = INT3(vpmuludq),
	[0xf5] = INT3(vpmaddwd),
	[0xf6] = INT3(vpsadbw),
	/* The third operand is the store's: DS or an override, rDI. */
	[0xf7] = P66(OP3V(vmaskmovdqu, Vdq, Udq, Xb, F_L0)),
	[0xf8] = INT3(vpsubb),
	[0xf9] = INT3(vpsubw),
	[0xfa] = INT3(vpsubd),
	[0xfb] = INT3(vpsubq),
	[0xfc] = INT3(vpaddb),
	[0xfd] = INT3(vpaddw),
	[0xfe] = INT3(vpaddd),
};

const struct cv_opcode cv_map_vex_0f38[256] = {
	[0x00] = INT3(vpshufb),
	[0x01] = INT3(vphaddw),
	[0x02] = INT3(vphaddd),
	[0x03] = INT3(vphaddsw),
	[0x04] = INT3(vpmaddubsw),
	[0x05] = INT3(vphsubw),
	[0x06] = INT3(vphsubd),
	[0x07] = INT3(vphsubsw),
	[0x08] = INT3(vpsignb),
	[0x09] = INT3(vpsignw),
	[0x0a] = INT3(vpsignd),
	[0x0b] = INT3(vpmulhrsw),
	[0x0c] = P66(OP3V(vpermilps, Vx, Hx, Wx, F_W0)), [0x0d] = P66(OP3V(vpermilpd, Vx, Hx, Wx, F_W0)),
	[0x0e] = P66(OP2V(vtestps, Vx, Wx, F_W0)), [0x0f] = P66(OP2V(vtestpd, Vx, Wx, F_W0)),
	[0x13] = P66(OPF2(f16c, vcvtph2ps, Vx, Wxh, F_W0)),
	[0x16] = P66(OPF3(avx2, vpermps, Vqq, Hqq, Wqq, F_W0 | F_L1)),
	[0x17] = P66(OP2V(vptest, Vx, Wx, 0)),
	[0x18] = P66(OP2V(vbroadcastss, Vx, Wd, F_W0 | F_R2)),
	[0x19] = P66(OP2V(vbroadcastsd, Vqq, Wq, F_W0 | F_L1 | F_R2)),
	[0x1a] = P66(OP2V(vbroadcastf128, Vqq, Mdq, F_W0 | F_L1)),
	[0x1c] = INT2(vpabsb), [0x1d] = INT2(vpabsw), [0x1e] = INT2(vpabsd),
	[0x20] = P66(OP2V(vpmovsxbw, Vx, Wxh, Y2)),
	[0x21] = P66(OP2V(vpmovsxbd, Vx, Wxq, Y2)),
	[0x22] = P66(OP2V(vpmovsxbq, Vx, Wxo, Y2)),
	[0x23] = P66(OP2V(vpmovsxwd, Vx, Wxh, Y2)),
	[0x24] = P66(OP2V(vpmovsxwq, Vx, Wxq, Y2)),
	[0x25] = P66(OP2V(vpmovsxdq, Vx, Wxh, Y2)),
	[0x28] = INT3(vpmuldq),
	[0x29] = INT3(vpcmpeqq),
	[0x2a] = P66(OP2V(vmovntdqa, Vx, Mx, Y2)),
	[0x2b] = INT3(vpackusdw),
	[0x2c] = P66(OP3V(vmaskmovps, Vx, Hx, Mx, F_W0)), [0x2d] = P66(OP3V(vmaskmovpd, Vx, Hx, Mx, F_W0)),
	[0x2e] = P66(OP3V(vmaskmovps_st, Mx, Hx, Vx, F_W0)), [0x2f] = P66(OP3V(vmaskmovpd_st, Mx, Hx, Vx, F_W0)),
	[0x30] = P66(OP2V(vpmovzxbw, Vx, Wxh, Y2)),
	[0x31] = P66(OP2V(vpmovzxbd, Vx, Wxq, Y2)),
	[0x32] = P66(OP2V(vpmovzxbq, Vx, Wxo, Y2)),
	[0x33] = P66(OP2V(vpmovzxwd, Vx, Wxh, Y2)),
	[0x34] = P66(OP2V(vpmovzxwq, Vx, Wxq, Y2)),
	[0x35] = P66(OP2V(vpmovzxdq, Vx, Wxh, Y2)),
	[0x36] = P66(OPF3(avx2, vpermd, Vqq, Hqq, Wqq, F_W0 | F_L1)),
	[0x37] = INT3(vpcmpgtq),
	[0x38] = INT3(vpminsb),
	[0x39] = INT3(vpminsd),
	[0x3a] = INT3(vpminuw),
	[0x3b] = INT3(vpminud),
	[0x3c] = INT3(vpmaxsb),
	[0x3d] = INT3(vpmaxsd),
	[0x3e] = INT3(vpmaxuw),
	[0x3f] = INT3(vpmaxud),
	[0x40] = INT3(vpmulld),
	[0x41] = P66(OP2V(vphminposuw, Vdq, Wdq, F_L0)),
	[0x45] = P66(BYW(OPF3(avx2, vpsrlvd, Vx, Hx, Wx, 0), OPF3(avx2, vpsrlvq, Vx, Hx, Wx, 0))),
	[0x46] = P66(OPF3(avx2, vpsravd, Vx, Hx, Wx, F_W0)),
	[0x47] = P66(BYW(OPF3(avx2, vpsllvd, Vx, Hx, Wx, 0), OPF3(avx2, vpsllvq, Vx, Hx, Wx, 0))),
	[0x58] = P66(OPF2(avx2, vpbroadcastd, Vx, Wd, F_W0)), [0x59] = P66(OPF2(avx2, vpbroadcastq, Vx, Wq, F_W0)),
	[0x5a] = P66(OPF2(avx2, vbroadcasti128, Vqq, Mdq, F_W0 | F_L1)),
	[0x78] = P66(OPF2(avx2, vpbroadcastb, Vx, Wb, F_W0)), [0x79] = P66(OPF2(avx2, vpbroadcastw, Vx, Ww, F_W0)),
	[0x8c] = P66(BYW(OPF3(avx2, vpmaskmovd, Vx, Hx, Mx, 0), OPF3(avx2, vpmaskmovq, Vx, Hx, Mx, 0))),
	[0x8e] = P66(BYW(OPF3(avx2, vpmaskmovd_st, Mx, Hx, Vx, 0), OPF3(avx2, vpmaskmovq_st, Mx, Hx, Vx, 0))),
	[0x90] = P66(BYW(OPF3(avx2, vpgatherdd, Vx, Mdx, Hx, 0), OPF3(avx2, vpgatherdq, Vx, Mdx, Hx, 0))),
	[0x91] = P66(BYW(OPF3(avx2, vpgatherqd, Vdq, Mdx, Hdq, 0), OPF3(avx2, vpgatherqq, Vx, Mdx, Hx, 0))),
	[0x92] = P66(BYW(OPF3(avx2, vgatherdps, Vx, Mdx, Hx, 0), OPF3(avx2, vgatherdpd, Vx, Mdx, Hx, 0))),
	[0x93] = P66(BYW(OPF3(avx2, vgatherqps, Vdq, Mdx, Hdq, 0), OPF3(avx2, vgatherqpd, Vx, Mdx, Hx, 0))),
	[0x96] = FMA2(vfmaddsub132), [0x97] = FMA2(vfmsubadd132),
	[0x98] = FMA2(vfmadd132), [0x99] = FMA1(vfmadd132),
	[0x9a] = FMA2(vfmsub132), [0x9b] = FMA1(vfmsub132),
	[0x9c] = FMA2(vfnmadd132), [0x9d] = FMA1(vfnmadd132),
	[0x9e] = FMA2(vfnmsub132), [0x9f] = FMA1(vfnmsub132),
	[0xa6] = FMA2(vfmaddsub213), [0xa7] = FMA2(vfmsubadd213),
	[0xa8] = FMA2(vfmadd213), [0xa9] = FMA1(vfmadd213),
	[0xaa] = FMA2(vfmsub213), [0xab] = FMA1(vfmsub213),
	[0xac] = FMA2(vfnmadd213), [0xad] = FMA1(vfnmadd213),
	[0xae] = FMA2(vfnmsub213), [0xaf] = FMA1(vfnmsub213),
	[0xb6] = FMA2(vfmaddsub231), [0xb7] = FMA2(vfmsubadd231),
	[0xb8] = FMA2(vfmadd231), [0xb9] = FMA1(vfmadd231),
	[0xba] = FMA2(vfmsub231), [0xbb] = FMA1(vfmsub231),
	[0xbc] = FMA2(vfnmadd231), [0xbd] = FMA1(vfnmadd231),
	[0xbe] = FMA2(vfnmsub231), [0xbf] = FMA1(vfnmsub231),
	[0xdb] = P66(OPF2(aes, vaesimc, Vdq, Wdq, F_L0)),
	[0xdc] = P66(OPF3(aes, vaesenc, Vdq, Hdq, Wdq, F_L0)), [0xdd] = P66(OPF3(aes, vaesenclast, Vdq, Hdq, Wdq, F_L0)),
	[0xde] = P66(OPF3(aes, vaesdec, Vdq, Hdq, Wdq, F_L0)), [0xdf] = P66(OPF3(aes, vaesdeclast, Vdq, Hdq, Wdq, F_L0)),
	[0xf2] = PFX(OPF3(bmi1, andn, Gy, By, Ey, BMI), NO, NO, NO),
	[0xf3] = SUB(REG, group17),
	[0xf5] = PFX(OPF3(bmi2, bzhi, Gy, Ey, By, BMI), NO, OPF3(bmi2, pext, Gy, By, Ey, BMI), OPF3(bmi2, pdep, Gy, By, Ey, BMI)),
	[0xf6] = PFX(NO, NO, NO, OPF3(bmi2, mulx, Gy, By, Ey, BMI)),
	[0xf7] = PFX(OPF3(bmi1, bextr, Gy, Ey, By, BMI), OPF3(bmi2, shlx, Gy, Ey, By, BMI), OPF3(bmi2, sarx, Gy, Ey, By, BMI),
		     OPF3(bmi2, shrx, Gy, Ey, By, BMI)),
};

const struct cv_opcode cv_map_vex_0f3a[256] = {
	[0x00] = P66(OPF3(avx2, vpermq, Vqq, Wqq, Ib, F_L1 | F_W1)), [0x01] = P66(OPF3(avx2, vpermpd, Vqq, Wqq, Ib, F_L1 | F_W1)),
	[0x02] = P66(OPF4(avx2, vpblendd, Vx, Hx, Wx, Ib, F_W0)),
	[0x04] = P66(OP3V(vpermilps_i, Vx, Wx, Ib, F_W0)), [0x05] = P66(OP3V(vpermilpd_i, Vx, Wx, Ib, F_W0)),
	[0x06] = P66(OP4(vperm2f128, Vqq, Hqq, Wqq, Ib, F_L1 | F_W0)),
	[0x08] = P66(OP3V(vroundps, Vx, Wx, Ib, 0)), [0x09] = P66(OP3V(vroundpd, Vx, Wx, Ib, 0)),
	[0x0a] = P66(OP4(vroundss, Vss, Hss, Wss, Ib, 0)), [0x0b] = P66(OP4(vroundsd, Vsd, Hsd, Wsd, Ib, 0)),
	[0x0c] = P66(OP4(vblendps, Vx, Hx, Wx, Ib, 0)), [0x0d] = P66(OP4(vblendpd, Vx, Hx, Wx, Ib, 0)),
	[0x0e] = P66(OP4(vpblendw, Vx, Hx, Wx, Ib, Y2)), [0x0f] = P66(OP4(vpalignr, Vx, Hx, Wx, Ib, Y2)),
	[0x14] = P66(OP3V(vpextrb, Rdm, Vdq, Ib, F_L0)), [0x15] = P66(OP3V(vpextrw_st, Rdm, Vdq, Ib, F_L0)),
	[0x16] = P66(OP3V(vpextrd, Ey, Vdq, Ib, F_L0)), [0x17] = P66(OP3V(vextractps, Ed, Vdq, Ib, F_L0)),
	[0x18] = P66(OP4(vinsertf128, Vqq, Hqq, Wdq, Ib, F_L1 | F_W0)), [0x19] = P66(OP3V(vextractf128, Wdq, Vqq, Ib, F_L1 | F_W0)),
	[0x1d] = P66(OPF3(f16c, vcvtps2ph, Wxh, Vx, Ib, F_W0)),
	[0x20] = P66(OP4(vpinsrb, Vdq, Hdq, Rdm, Ib, F_L0)), [0x21] = P66(OP4(vinsertps, Vdq, Hdq, Wd, Ib, F_L0)),
	[0x22] = P66(OP4(vpinsrd, Vdq, Hdq, Ey, Ib, F_L0)),
	[0x38] = P66(OPF4(avx2, vinserti128, Vqq, Hqq, Wdq, Ib, F_L1 | F_W0)),
	[0x39] = P66(OPF3(avx2, vextracti128, Wdq, Vqq, Ib, F_L1 | F_W0)),
	[0x40] = P66(OP4(vdpps, Vx, Hx, Wx, Ib, 0)), [0x41] = P66(OP4(vdppd, Vdq, Hdq, Wdq, Ib, F_L0)),
	[0x42] = P66(OP4(vmpsadbw, Vx, Hx, Wx, Ib, Y2)), [0x44] = P66(OPF4(pclmulqdq, vpclmulqdq, Vdq, Hdq, Wdq, Ib, F_L0)),
	[0x46] = P66(OPF4(avx2, vperm2i128, Vqq, Hqq, Wqq, Ib, F_L1 | F_W0)),
	[0x4a] = P66(OP4(vblendvps, Vx, Hx, Wx, Lx, F_W0)), [0x4b] = P66(OP4(vblendvpd, Vx, Hx, Wx, Lx, F_W0)),
	[0x4c] = P66(OP4(vpblendvb, Vx, Hx, Wx, Lx, F_W0 | Y2)),
	[0x60] = P66(OP3V(vpcmpestrm, Vdq, Wdq, Ib, F_L0)), [0x61] = P66(OP3V(vpcmpestri, Vdq, Wdq, Ib, F_L0)),
	[0x62] = P66(OP3V(vpcmpistrm, Vdq, Wdq, Ib, F_L0)), [0x63] = P66(OP3V(vpcmpistri, Vdq, Wdq, Ib, F_L0)),
	[0xdf] = P66(OPF3(aes, vaeskeygenassist, Vdq, Wdq, Ib, F_L0)),
	[0xf0] = PFX(NO, NO, NO, OPF3(bmi2, rorx, Gy, Ey, Ib, BMI)),
};
