/* SPDX-License-Identifier: MIT */
/* AVX, AVX2, FMA and F16C: three-operand forms on 128 and 256 bits, and what SSE hasn't got. */
#include "digest.h"

/* ymm2 and ymm1 are the sources, ymm0 is written; x: 128 bits, y: 256, m: 256 from memory. */
#define XYM(n) \
	AVX(x_##n, "v" #n " %%xmm1, %%xmm2, %%xmm0") AVX(y_##n, "v" #n " %%ymm1, %%ymm2, %%ymm0") \
	AVX(m_##n, "v" #n " 32(%%rdi), %%ymm2, %%ymm0")
#define XYM_ROW(n) ROW(x_##n) ROW(y_##n) ROW(m_##n)
#define SCALAR(n) AVX(x_##n, "v" #n " %%xmm1, %%xmm2, %%xmm0") AVX(m_##n, "v" #n " 32(%%rdi), %%xmm2, %%xmm0")
#define SCALAR_ROW(n) ROW(x_##n) ROW(m_##n)
#define XONLY(n) AVX(x_##n, "v" #n " %%xmm1, %%xmm2, %%xmm0")
#define XONLY_ROW(n) ROW(x_##n)
#define TWO(n) \
	AVX(x_##n, "v" #n " %%xmm1, %%xmm0") AVX(y_##n, "v" #n " %%ymm1, %%ymm0") AVX(m_##n, "v" #n " 32(%%rdi), %%ymm0")
#define XTWO(n) AVX(x_##n, "v" #n " %%xmm1, %%xmm0")
#define WIDEN(n) AVX(x_##n, "v" #n " %%xmm1, %%xmm0") AVX(y_##n, "v" #n " %%xmm1, %%ymm0")
#define WIDEN_ROW(n) ROW(x_##n) ROW(y_##n)
#define IMM3(n, i) AVX(x_##n##_##i, "v" #n " $" #i ", %%xmm1, %%xmm2, %%xmm0") AVX(y_##n##_##i, "v" #n " $" #i ", %%ymm1, %%ymm2, %%ymm0")
#define IMM3_ROW(n, i) ROW(x_##n##_##i) ROW(y_##n##_##i)
#define IMM2(n, i) AVX(x_##n##_##i, "v" #n " $" #i ", %%xmm1, %%xmm0") AVX(y_##n##_##i, "v" #n " $" #i ", %%ymm1, %%ymm0")
#define XIMM3(n, i) AVX(x_##n##_##i, "v" #n " $" #i ", %%xmm1, %%xmm2, %%xmm0")
#define XIMM3_ROW(n, i) ROW(x_##n##_##i)

/* clang-format off */
#define SINGLE(X) \
	X(addps) X(subps) X(mulps) X(divps) X(minps) X(maxps) X(haddps) X(hsubps) X(addsubps) X(andps) X(andnps) X(orps) X(xorps) \
	X(unpcklps) X(unpckhps) X(permilps)
#define SINGLE_S(X) X(addss) X(subss) X(mulss) X(divss) X(minss) X(maxss) X(sqrtss)
#define SINGLE_2(X) X(sqrtps) X(movshdup) X(movsldup) X(testps)
/* Comparisons 8 to 31 exist with VEX alone. */
#define COMPARES(X, n) \
	X(n, 0) X(n, 1) X(n, 3) X(n, 4) X(n, 8) X(n, 9) X(n, 10) X(n, 11) X(n, 12) X(n, 13) X(n, 14) X(n, 15) X(n, 16) X(n, 17) \
	X(n, 18) X(n, 19) X(n, 20) X(n, 21) X(n, 22) X(n, 23) X(n, 24) X(n, 25) X(n, 26) X(n, 27) X(n, 28) X(n, 29) X(n, 30) X(n, 31)
#define SINGLE_I(X) COMPARES(X, cmpps) X(shufps, 0x1b) X(dpps, 0xf1) X(dpps, 0x7e) X(blendps, 0xa5)
#define SINGLE_XI(X) X(cmpss, 2) X(cmpss, 21) X(roundss, 1) X(roundss, 4) X(insertps, 0x4d)
#define SINGLE_I2(X) X(roundps, 0) X(roundps, 2) X(roundps, 4) X(roundps, 11) X(permilps, 0x93)
#define DOUBLE(X) \
	X(addpd) X(subpd) X(mulpd) X(divpd) X(minpd) X(maxpd) X(haddpd) X(hsubpd) X(addsubpd) X(andpd) X(andnpd) X(orpd) X(xorpd) \
	X(unpcklpd) X(unpckhpd) X(permilpd)
#define DOUBLE_S(X) X(addsd) X(subsd) X(mulsd) X(divsd) X(minsd) X(maxsd) X(sqrtsd)
#define DOUBLE_2(X) X(sqrtpd) X(movddup) X(testpd)
#define DOUBLE_I(X) COMPARES(X, cmppd) X(shufpd, 9) X(blendpd, 6)
#define DOUBLE_XI(X) X(cmpsd, 5) X(cmpsd, 28) X(roundsd, 2) X(roundsd, 4) X(dppd, 0x31)
#define DOUBLE_I2(X) X(roundpd, 1) X(roundpd, 3) X(roundpd, 4) X(roundpd, 8) X(permilpd, 5)
#define CONVERT_2(X) X(cvtdq2ps) X(cvtps2dq) X(cvttps2dq)
#define CONVERT_W(X) X(cvtps2pd) X(cvtdq2pd)
#define CONVERT_S(X) X(cvtss2sd) X(cvtsd2ss)
#define CONVERT_G(X) \
	X(y_cvtpd2ps, "vcvtpd2ps %%ymm1, %%xmm0") X(x_cvtpd2ps, "vcvtpd2ps %%xmm1, %%xmm0") \
	X(y_cvtpd2dq, "vcvtpd2dq %%ymm1, %%xmm0") X(y_cvttpd2dq, "vcvttpd2dqy 32(%%rdi), %%xmm0") \
	X(x_cvttpd2dq, "vcvttpd2dq %%xmm1, %%xmm0") X(v_cvtss2si, "vcvtss2si %%xmm0, %%rax") \
	X(v_cvttsd2si, "vcvttsd2si %%xmm0, %%eax") X(v_cvtsi2ss, "vcvtsi2ssq %%rdx, %%xmm2, %%xmm0") \
	X(v_cvtsi2sd, "vcvtsi2sdl %%edx, %%xmm2, %%xmm0") X(v_movmskps, "vmovmskps %%ymm0, %%eax") \
	X(v_movmskpd, "vmovmskpd %%ymm0, %%eax")
#define APPROXIMATE_2(X) X(rcpps) X(rsqrtps)
#define APPROXIMATE_S(X) X(rcpss) X(rsqrtss)
/* On 128 bits with AVX alone; on 256 with AVX2. */
#define INTEGER(X) \
	X(paddb) X(paddw) X(paddd) X(paddq) X(paddsb) X(paddsw) X(paddusb) X(paddusw) X(psubb) X(psubw) X(psubd) X(psubq) \
	X(psubsb) X(psubsw) X(psubusb) X(psubusw) X(pmullw) X(pmulhw) X(pmulhuw) X(pmuludq) X(pmuldq) X(pmulld) X(pmaddwd) \
	X(pmaddubsw) X(pmulhrsw) X(psadbw) X(pavgb) X(pavgw) X(pminub) X(pminsw) X(pmaxub) X(pmaxsw) X(pminsb) X(pminuw) \
	X(pminud) X(pminsd) X(pmaxsb) X(pmaxuw) X(pmaxud) X(pmaxsd) X(pcmpeqb) X(pcmpeqw) X(pcmpeqd) X(pcmpeqq) X(pcmpgtb) \
	X(pcmpgtw) X(pcmpgtd) X(pcmpgtq) X(packsswb) X(packssdw) X(packuswb) X(packusdw) X(punpcklbw) X(punpcklwd) \
	X(punpckldq) X(punpcklqdq) X(punpckhbw) X(punpckhwd) X(punpckhdq) X(punpckhqdq) X(pand) X(pandn) X(por) X(pxor) X(pshufb) \
	X(phaddw) X(phaddd) X(phaddsw) X(phsubw) X(phsubd) X(phsubsw) X(psignb) X(psignw) X(psignd)
#define SHIFTS(X) X(psllw) X(pslld) X(psllq) X(psrlw) X(psrld) X(psrlq) X(psraw) X(psrad)
#define INTEGER_2(X) X(pabsb) X(pabsw) X(pabsd)
#define INTEGER_W(X) \
	X(pmovsxbw) X(pmovsxbd) X(pmovsxbq) X(pmovsxwd) X(pmovsxwq) X(pmovsxdq) X(pmovzxbw) X(pmovzxbd) X(pmovzxbq) X(pmovzxwd) \
	X(pmovzxwq) X(pmovzxdq)
#define INTEGER_I(X) X(palignr, 5) X(palignr, 25) X(pblendw, 0x5a) X(mpsadbw, 0x2a)
#define INTEGER_I2(X) X(pshufd, 0x1b) X(pshufhw, 0x93) X(pshuflw, 0x72)
#define AVX_ONLY(X) \
	X(v_ptest, "vptest %%ymm1, %%ymm0") X(v_phminposuw, "vphminposuw %%xmm1, %%xmm0") \
	X(v_pcmpistri, "vpcmpistri $0x1a, %%xmm1, %%xmm0") X(v_pcmpestrm, "vpcmpestrm $0x45, %%xmm1, %%xmm0") \
	X(v_perm2f128, "vperm2f128 $0x21, %%ymm1, %%ymm2, %%ymm0") X(v_perm2f128_z, "vperm2f128 $0x83, %%ymm1, %%ymm2, %%ymm0") \
	X(v_insertf128, "vinsertf128 $1, %%xmm1, %%ymm2, %%ymm0") X(v_extractf128, "vextractf128 $1, %%ymm1, %%xmm0") \
	X(v_broadcastss, "vbroadcastss 36(%%rdi), %%ymm0") X(v_broadcastsd, "vbroadcastsd 40(%%rdi), %%ymm0") \
	X(v_broadcastf128, "vbroadcastf128 32(%%rdi), %%ymm0") X(v_maskmovps, "vmaskmovps 32(%%rdi), %%ymm2, %%ymm0") \
	X(v_maskmovpd, "vmaskmovpd 32(%%rdi), %%ymm2, %%ymm0") X(v_blendvps, "vblendvps %%ymm2, %%ymm1, %%ymm0, %%ymm0") \
	X(v_blendvpd, "vblendvpd %%ymm2, %%ymm1, %%ymm0, %%ymm0") X(v_pblendvb, "vpblendvb %%xmm2, %%xmm1, %%xmm0, %%xmm0") \
	X(v_zeroupper, "vzeroupper") X(v_zeroall, "vzeroall") X(v_movss, "vmovss %%xmm1, %%xmm2, %%xmm0") \
	X(v_movhlps, "vmovhlps %%xmm1, %%xmm2, %%xmm0") X(v_movhpd, "vmovhpd 32(%%rdi), %%xmm2, %%xmm0") \
	X(v_movq, "vmovq %%rdx, %%xmm0") X(v_pinsrd, "vpinsrd $1, %%edx, %%xmm2, %%xmm0") X(v_pextrq, "vpextrq $1, %%xmm1, %%rax") \
	X(v_pslldq, "vpslldq $5, %%xmm1, %%xmm0") X(v_lddqu, "vlddqu 37(%%rdi), %%ymm0") \
	X(sse_after, "addps %%xmm1, %%xmm0") X(v_x_psllw, "vpsllw %%xmm1, %%xmm2, %%xmm0") X(v_x_psrlq, "vpsrlq $9, %%xmm1, %%xmm0")
#define AVX2_ONLY(X) \
	X(v_permd, "vpermd %%ymm1, %%ymm2, %%ymm0") X(v_permps, "vpermps 32(%%rdi), %%ymm2, %%ymm0") \
	X(v_permq, "vpermq $0x39, %%ymm1, %%ymm0") X(v_permpd, "vpermpd $0xc6, 32(%%rdi), %%ymm0") \
	X(v_perm2i128, "vperm2i128 $0x31, %%ymm1, %%ymm2, %%ymm0") X(v_inserti128, "vinserti128 $0, %%xmm1, %%ymm2, %%ymm0") \
	X(v_extracti128, "vextracti128 $1, %%ymm1, %%xmm0") X(v_pbroadcastb, "vpbroadcastb %%xmm1, %%ymm0") \
	X(v_pbroadcastw, "vpbroadcastw 38(%%rdi), %%ymm0") X(v_pbroadcastd, "vpbroadcastd %%xmm1, %%xmm0") \
	X(v_pbroadcastq, "vpbroadcastq %%xmm1, %%ymm0") X(v_broadcasti128, "vbroadcasti128 32(%%rdi), %%ymm0") \
	X(v_pblendd, "vpblendd $0x6b, %%ymm1, %%ymm2, %%ymm0") X(y_pblendvb, "vpblendvb %%ymm2, %%ymm1, %%ymm0, %%ymm0") \
	X(v_psllvd, "vpsllvd %%ymm1, %%ymm2, %%ymm0") X(v_psllvq, "vpsllvq %%ymm1, %%ymm2, %%ymm0") \
	X(v_psrlvd, "vpsrlvd %%ymm1, %%ymm2, %%ymm0") X(v_psrlvq, "vpsrlvq %%xmm1, %%xmm2, %%xmm0") \
	X(v_psravd, "vpsravd %%ymm1, %%ymm2, %%ymm0") X(v_pmaskmovd, "vpmaskmovd 32(%%rdi), %%ymm2, %%ymm0") \
	X(v_pmaskmovq, "vpmaskmovq 32(%%rdi), %%ymm2, %%ymm0") X(v_pmovmskb, "vpmovmskb %%ymm0, %%eax") \
	X(y_pslldq, "vpslldq $5, %%ymm1, %%ymm0") X(y_psrldq, "vpsrldq $9, %%ymm1, %%ymm0") \
	X(y_psraw_i, "vpsraw $3, %%ymm1, %%ymm0") X(y_psllq_i, "vpsllq $40, %%ymm1, %%ymm0") \
	X(v_gatherdps, GATHER("vgatherdps %%ymm1, (%%rdi,%%ymm2,4), %%ymm0", "vpsrld $29, %%ymm2, %%ymm2")) \
	X(v_gatherqpd, GATHER("vgatherqpd %%ymm1, (%%rdi,%%ymm2,8), %%ymm0", "vpsrlq $62, %%ymm2, %%ymm2")) \
	X(v_pgatherdq, GATHER("vpgatherdq %%ymm1, 1(%%rdi,%%xmm2,2), %%ymm0", "vpsrld $28, %%ymm2, %%ymm2")) \
	X(v_pgatherqd, GATHER("vpgatherqd %%xmm1, (%%rdi,%%ymm2,1), %%xmm0", "vpsrlq $59, %%ymm2, %%ymm2"))
#define GATHER(text, reduce) reduce "\n " text
#define FMA_KINDS(X, t) X(fmadd, t) X(fmsub, t) X(fnmadd, t) X(fnmsub, t)
#define HALF(X) \
	X(x_cvtph2ps, "vcvtph2ps %%xmm1, %%xmm0") X(y_cvtph2ps, "vcvtph2ps %%xmm1, %%ymm0") X(m_cvtph2ps, "vcvtph2ps 32(%%rdi), %%ymm0") \
	X(x_cvtps2ph_0, "vcvtps2ph $0, %%xmm1, %%xmm0") X(y_cvtps2ph_1, "vcvtps2ph $1, %%ymm1, %%xmm0") \
	X(y_cvtps2ph_2, "vcvtps2ph $2, %%ymm1, %%xmm0") X(y_cvtps2ph_3, "vcvtps2ph $3, %%ymm1, %%xmm0") \
	X(y_cvtps2ph_4, "vcvtps2ph $4, %%ymm1, %%xmm0")
/* clang-format on */

SINGLE(XYM)
SINGLE_S(SCALAR)
SINGLE_2(TWO)
SINGLE_I(IMM3)
SINGLE_XI(XIMM3)
SINGLE_I2(IMM2)
DOUBLE(XYM)
DOUBLE_S(SCALAR)
DOUBLE_2(TWO)
DOUBLE_I(IMM3)
DOUBLE_XI(XIMM3)
DOUBLE_I2(IMM2)
CONVERT_2(TWO)
CONVERT_W(WIDEN)
CONVERT_S(SCALAR)
CONVERT_G(AVX)
APPROXIMATE_2(TWO)
APPROXIMATE_S(SCALAR)
INTEGER(XYM)
INTEGER_2(TWO)
INTEGER_W(WIDEN)
INTEGER_I(IMM3)
INTEGER_I2(IMM2)
AVX_ONLY(AVX)
AVX2_ONLY(AVX)
HALF(AVX)
#define SHIFT(n) AVX(y_##n, "v" #n " %%xmm1, %%ymm2, %%ymm0")
#define YROW(n) ROW(y_##n)
#define XROW(n) ROW(x_##n)
#define YMROW(n) ROW(y_##n) ROW(m_##n)
#define XI_ROW(n, i) ROW(x_##n##_##i)
#define YI_ROW(n, i) ROW(y_##n##_##i)
SHIFTS(SHIFT)
#define FMA_PACKED(n, t) \
	AVX(n##132p##t, "v" #n "132p" #t " %%ymm1, %%ymm2, %%ymm0") AVX(n##213p##t, "v" #n "213p" #t " 32(%%rdi), %%ymm2, %%ymm0") \
	AVX(n##231p##t, "v" #n "231p" #t " %%xmm1, %%xmm2, %%xmm0")
#define FMA_SCALAR(n, t) \
	AVX(n##132s##t, "v" #n "132s" #t " %%xmm1, %%xmm2, %%xmm0") AVX(n##213s##t, "v" #n "213s" #t " %%xmm1, %%xmm2, %%xmm0") \
	AVX(n##231s##t, "v" #n "231s" #t " 32(%%rdi), %%xmm2, %%xmm0")
#define FMA_PROW(n, t) ROW(n##132p##t) ROW(n##213p##t) ROW(n##231p##t)
#define FMA_SROW(n, t) ROW(n##132s##t) ROW(n##213s##t) ROW(n##231s##t)
FMA_KINDS(FMA_PACKED, s)
FMA_KINDS(FMA_PACKED, d)
FMA_KINDS(FMA_SCALAR, s)
FMA_KINDS(FMA_SCALAR, d)
FMA_PACKED(fmaddsub, s)
FMA_PACKED(fmaddsub, d)
FMA_PACKED(fmsubadd, s)
FMA_PACKED(fmsubadd, d)

const struct op ops_avx_single[] = {SINGLE(XYM_ROW) SINGLE_S(SCALAR_ROW) SINGLE_2(XYM_ROW) SINGLE_I(IMM3_ROW)
				    SINGLE_XI(XIMM3_ROW) SINGLE_I2(IMM3_ROW) END};
const struct op ops_avx_double[] = {DOUBLE(XYM_ROW) DOUBLE_S(SCALAR_ROW) DOUBLE_2(XYM_ROW) DOUBLE_I(IMM3_ROW)
				    DOUBLE_XI(XIMM3_ROW) DOUBLE_I2(IMM3_ROW) END};
const struct op ops_avx_convert[] = {CONVERT_2(XYM_ROW) CONVERT_W(WIDEN_ROW) CONVERT_S(SCALAR_ROW) CONVERT_G(ROW) END};
const struct op ops_avx_approximate[] = {APPROXIMATE_2(XYM_ROW) APPROXIMATE_S(SCALAR_ROW) END};
const struct op ops_avx_integer[] = {INTEGER(XROW) INTEGER_2(XROW) INTEGER_W(XROW) INTEGER_I(XI_ROW) INTEGER_I2(XI_ROW)
				     AVX_ONLY(ROW) END};
const struct op ops_avx2[] = {INTEGER(YMROW) INTEGER_2(YMROW) INTEGER_W(YROW) INTEGER_I(YI_ROW) INTEGER_I2(YI_ROW)
			      SHIFTS(YROW) AVX2_ONLY(ROW) END};
const struct op ops_fma_single[] = {FMA_KINDS(FMA_PROW, s) FMA_KINDS(FMA_SROW, s) FMA_PROW(fmaddsub, s)
				    FMA_PROW(fmsubadd, s) END};
const struct op ops_fma_double[] = {FMA_KINDS(FMA_PROW, d) FMA_KINDS(FMA_SROW, d) FMA_PROW(fmaddsub, d)
				    FMA_PROW(fmsubadd, d) END};
const struct op ops_half[] = {HALF(ROW) END};
