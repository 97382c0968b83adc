/* SPDX-License-Identifier: MIT */
/* SSE to SSE4.2 and MMX: what x86-64-v2 has of vectors. Lists are X(name, text); r and m: register and memory source. */
#include "digest.h"

#define R(n) SSE(n##_r, #n " %%xmm1, %%xmm0")
#define M(n) SSE(n##_m, #n " 32(%%rdi), %%xmm0")
#define RM(n) R(n) M(n)
#define RM_ROW(n) ROW(n##_r) ROW(n##_m)
#define I(n, i) SSE(n##_##i, #n " $" #i ", %%xmm1, %%xmm0")
#define I_ROW(n, i) ROW(n##_##i)

/* clang-format off */
#define SINGLE(X) \
	X(addps) X(subps) X(mulps) X(divps) X(minps) X(maxps) X(sqrtps) X(addss) X(subss) X(mulss) X(divss) X(minss) X(maxss) \
	X(sqrtss) X(haddps) X(hsubps) X(addsubps) X(andps) X(andnps) X(orps) X(xorps) X(unpcklps) X(unpckhps) X(comiss) \
	X(ucomiss) X(cmpeqps) X(cmpltps) X(cmpleps) X(cmpunordps) X(cmpneqps) X(cmpnltps) X(cmpnleps) X(cmpordps) X(cmpltss) \
	X(cmpunordss) X(movshdup) X(movsldup)
#define SINGLE_I(X) \
	X(shufps, 0x1b) X(shufps, 0xe4) X(roundps, 0) X(roundps, 1) X(roundps, 2) X(roundps, 3) X(roundps, 4) X(roundps, 8) \
	X(roundps, 12) X(roundss, 0) X(roundss, 9) X(roundss, 4) X(dpps, 0xff) X(dpps, 0x71) X(dpps, 0x3e) X(blendps, 5) \
	X(insertps, 0x4d) X(insertps, 0x9a)
#define DOUBLE(X) \
	X(addpd) X(subpd) X(mulpd) X(divpd) X(minpd) X(maxpd) X(sqrtpd) X(addsd) X(subsd) X(mulsd) X(divsd) X(minsd) X(maxsd) \
	X(sqrtsd) X(haddpd) X(hsubpd) X(addsubpd) X(andpd) X(andnpd) X(orpd) X(xorpd) X(unpcklpd) X(unpckhpd) X(comisd) \
	X(ucomisd) X(cmpeqpd) X(cmpltpd) X(cmplepd) X(cmpunordpd) X(cmpneqpd) X(cmpnltpd) X(cmpnlepd) X(cmpordpd) X(cmplesd) \
	X(cmpneqsd) X(movddup)
#define DOUBLE_I(X) \
	X(shufpd, 1) X(shufpd, 2) X(roundpd, 0) X(roundpd, 1) X(roundpd, 2) X(roundpd, 3) X(roundpd, 4) X(roundpd, 8) \
	X(roundpd, 12) X(roundsd, 0) X(roundsd, 10) X(roundsd, 4) X(dppd, 0xff) X(dppd, 0x31) X(dppd, 0x12) X(blendpd, 2)
#define CONVERT(X) \
	X(cvtps2pd) X(cvtpd2ps) X(cvtss2sd) X(cvtsd2ss) X(cvtdq2ps) X(cvtps2dq) X(cvttps2dq) X(cvtdq2pd) X(cvtpd2dq) \
	X(cvttpd2dq)
#define CONVERT_G(X) \
	X(cvtss2si_d, "cvtss2si %%xmm0, %%eax") X(cvtss2si_q, "cvtss2si %%xmm0, %%rax") X(cvttss2si_d, "cvttss2si %%xmm0, %%eax") \
	X(cvttss2si_q, "cvttss2si (%%rdi), %%rax") X(cvtsd2si_d, "cvtsd2si %%xmm0, %%eax") \
	X(cvtsd2si_q, "cvtsd2si (%%rdi), %%rax") X(cvttsd2si_d, "cvttsd2si (%%rdi), %%eax") \
	X(cvttsd2si_q, "cvttsd2si %%xmm0, %%rax") X(cvtsi2ss_d, "cvtsi2ssl %%edx, %%xmm0") \
	X(cvtsi2ss_q, "cvtsi2ssq %%rdx, %%xmm0") X(cvtsi2sd_d, "cvtsi2sdl %%edx, %%xmm0") \
	X(cvtsi2sd_q, "cvtsi2sdq 32(%%rdi), %%xmm0") X(movmskps, "movmskps %%xmm0, %%eax") X(movmskpd, "movmskpd %%xmm0, %%eax")
#define APPROXIMATE(X) X(rcpps) X(rcpss) X(rsqrtps) X(rsqrtss)
#define INTEGER(X) \
	X(paddb) X(paddw) X(paddd) X(paddq) X(paddsb) X(paddsw) X(paddusb) X(paddusw) X(psubb) X(psubw) X(psubd) X(psubq) \
	X(psubsb) X(psubsw) X(psubusb) X(psubusw) X(pmullw) X(pmulhw) X(pmulhuw) X(pmuludq) X(pmuldq) X(pmulld) X(pmaddwd) \
	X(pmaddubsw) X(pmulhrsw) X(psadbw) X(pavgb) X(pavgw) X(pminub) X(pminsw) X(pmaxub) X(pmaxsw) X(pminsb) X(pminuw) \
	X(pminud) X(pminsd) X(pmaxsb) X(pmaxuw) X(pmaxud) X(pmaxsd) X(pcmpeqb) X(pcmpeqw) X(pcmpeqd) X(pcmpeqq) X(pcmpgtb) \
	X(pcmpgtw) X(pcmpgtd) X(pcmpgtq) X(packsswb) X(packssdw) X(packuswb) X(packusdw) X(punpcklbw) X(punpcklwd) \
	X(punpckldq) X(punpcklqdq) X(punpckhbw) X(punpckhwd) X(punpckhdq) X(punpckhqdq) X(psllw) X(pslld) X(psllq) X(psrlw) \
	X(psrld) X(psrlq) X(psraw) X(psrad) X(pand) X(pandn) X(por) X(pxor) X(pshufb) X(phaddw) X(phaddd) X(phaddsw) X(phsubw) \
	X(phsubd) X(phsubsw) X(psignb) X(psignw) X(psignd) X(pabsb) X(pabsw) X(pabsd) X(phminposuw) X(pmovsxbw) X(pmovsxbd) \
	X(pmovsxbq) X(pmovsxwd) X(pmovsxwq) X(pmovsxdq) X(pmovzxbw) X(pmovzxbd) X(pmovzxbq) X(pmovzxwd) X(pmovzxwq) \
	X(pmovzxdq) X(ptest)
#define INTEGER_I(X) \
	X(pshufd, 0x1b) X(pshufd, 0xc9) X(pshufhw, 0x93) X(pshuflw, 0x72) X(palignr, 5) X(palignr, 19) X(palignr, 40) \
	X(pblendw, 0xa5) X(mpsadbw, 0) X(mpsadbw, 5) X(mpsadbw, 7) X(pcmpistri, 0) X(pcmpistri, 0x4d) X(pcmpistri, 0x1a) \
	X(pcmpistri, 0x77) X(pcmpistrm, 0x40) X(pcmpistrm, 0x28) X(pcmpestri, 0x0c) X(pcmpestri, 0x45) X(pcmpestri, 0x6b) \
	X(pcmpestrm, 0x60) X(pcmpestrm, 0x13)
#define INTEGER_G(X) \
	X(pblendvb, "pblendvb %%xmm0, %%xmm2, %%xmm1") X(blendvps, "blendvps %%xmm0, %%xmm2, %%xmm1") \
	X(blendvpd, "blendvpd %%xmm0, 64(%%rdi), %%xmm1") X(pmovmskb, "pmovmskb %%xmm0, %%eax") \
	X(pextrb, "pextrb $9, %%xmm0, %%eax") X(pextrw, "pextrw $6, %%xmm0, %%eax") X(pextrd, "pextrd $3, %%xmm0, %%eax") \
	X(pextrq, "pextrq $1, %%xmm0, %%rax") X(extractps, "extractps $2, %%xmm0, %%eax") \
	X(pinsrb, "pinsrb $11, %%edx, %%xmm0") X(pinsrw, "pinsrw $5, %%edx, %%xmm0") X(pinsrd, "pinsrd $2, 32(%%rdi), %%xmm0") \
	X(pinsrq, "pinsrq $1, %%rdx, %%xmm0") X(psllw_i, "psllw $3, %%xmm0") X(pslld_i, "pslld $31, %%xmm0") \
	X(psllq_i, "psllq $64, %%xmm0") X(psrlw_i, "psrlw $15, %%xmm0") X(psrld_i, "psrld $7, %%xmm0") \
	X(psrlq_i, "psrlq $33, %%xmm0") X(psraw_i, "psraw $200, %%xmm0") X(psrad_i, "psrad $5, %%xmm0") \
	X(pslldq, "pslldq $7, %%xmm0") X(psrldq, "psrldq $11, %%xmm0") X(movq_x, "movq %%xmm1, %%xmm0") \
	X(movd_x, "movd %%edx, %%xmm0") X(movss_x, "movss %%xmm1, %%xmm0") X(movsd_x, "movsd %%xmm1, %%xmm0") \
	X(movhlps, "movhlps %%xmm1, %%xmm0") X(movlhps, "movlhps %%xmm1, %%xmm0") X(movhpd, "movhpd 32(%%rdi), %%xmm0") \
	X(movlpd, "movlpd 40(%%rdi), %%xmm0") X(lddqu, "lddqu 37(%%rdi), %%xmm0") X(movntdqa, "movntdqa 32(%%rdi), %%xmm0")
#define MMX_LIST(X) \
	X(paddb) X(paddw) X(paddd) X(paddq) X(paddsb) X(paddsw) X(paddusb) X(paddusw) X(psubb) X(psubw) X(psubd) X(psubq) \
	X(psubsb) X(psubsw) X(psubusb) X(psubusw) X(pmullw) X(pmulhw) X(pmulhuw) X(pmuludq) X(pmaddwd) X(pmaddubsw) X(pmulhrsw) \
	X(psadbw) X(pavgb) X(pavgw) X(pminub) X(pminsw) X(pmaxub) X(pmaxsw) X(pcmpeqb) X(pcmpeqw) X(pcmpeqd) X(pcmpgtb) X(pcmpgtw) \
	X(pcmpgtd) X(packsswb) X(packssdw) X(packuswb) X(punpcklbw) X(punpcklwd) X(punpckldq) X(punpckhbw) X(punpckhwd) \
	X(punpckhdq) X(psllw) X(pslld) X(psllq) X(psrlw) X(psrld) X(psrlq) X(psraw) X(psrad) X(pand) X(pandn) X(por) X(pxor) \
	X(pshufb) X(phaddw) X(phaddd) X(phaddsw) X(phsubw) X(phsubd) X(phsubsw) X(psignb) X(psignw) X(psignd) X(pabsb) X(pabsw) \
	X(pabsd)
/* clang-format on */

SINGLE(RM)
SINGLE_I(I)
DOUBLE(RM)
DOUBLE_I(I)
CONVERT(RM)
CONVERT_G(SSE)
APPROXIMATE(RM)
INTEGER(RM)
INTEGER_I(I)
INTEGER_G(SSE)
#define MMX_OP(n) MMX(mmx_##n, #n " %%mm1, %%mm0")
#define MMX_ROW(n) ROW(mmx_##n)
MMX_LIST(MMX_OP)
MMX(mmx_pshufw, "pshufw $0x39, %%mm1, %%mm0")
MMX(mmx_palignr, "palignr $3, %%mm1, %%mm0")
MMX(mmx_pmovmskb, "pmovmskb %%mm0, %%eax")

const struct op ops_single[] = {SINGLE(RM_ROW) SINGLE_I(I_ROW) END};
const struct op ops_double[] = {DOUBLE(RM_ROW) DOUBLE_I(I_ROW) END};
const struct op ops_convert[] = {CONVERT(RM_ROW) CONVERT_G(ROW) END};
const struct op ops_approximate[] = {APPROXIMATE(RM_ROW) END};
const struct op ops_integer[] = {INTEGER(RM_ROW) INTEGER_I(I_ROW) INTEGER_G(ROW) END};
const struct op ops_mmx[] = {MMX_LIST(MMX_ROW) ROW(mmx_pshufw) ROW(mmx_palignr) ROW(mmx_pmovmskb) END};
