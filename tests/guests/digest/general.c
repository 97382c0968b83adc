/* SPDX-License-Identifier: MIT */
/* General registers: arithmetic with all flags, also those that the SDM leaves undefined (but DIV's, where Intel's
 * own cores differ); bit and carry-chain extensions. */
#include "digest.h"

/* clang-format off */
#define LIST(X) \
	X(add, "addq %%rdx, %%rax") X(adc, "stc\n adcl %%edx, %%eax") X(sub, "subw %%dx, %%ax") X(sbb, "stc\n sbbb %%dl, %%al") \
	X(cmp, "cmpq %%rdx, %%rax") X(neg, "negl %%eax") X(inc, "incq %%rax") X(dec, "stc\n decb %%al") X(and, "andl %%edx, %%eax") \
	X(or, "orq %%rdx, %%rax") X(xor, "xorw %%dx, %%ax") X(test, "testb %%dl, %%al") X(mul_b, "mulb %%dl") X(mul_w, "mulw %%dx") \
	X(mul_d, "mull %%edx") X(mul_q, "mulq %%rdx") X(imul_b, "imulb %%dl") X(imul_q, "imulq %%rdx") \
	X(imul_r, "imull %%edx, %%eax") X(imul_rq, "imulq %%rdx, %%rax") X(imul_i, "imulw $-77, %%dx, %%ax") \
	X(shl_1, "shlq %%rax") X(shl_c, "shll %%cl, %%eax") X(shl_cb, "shlb %%cl, %%al") X(shr_1, "shrw %%ax") \
	X(shr_c, "shrq %%cl, %%rax") X(shr_cw, "shrw %%cl, %%ax") X(sar_1, "sarb %%al") X(sar_c, "sarl %%cl, %%eax") \
	X(rol_1, "roll %%eax") X(rol_c, "rolw %%cl, %%ax") X(ror_c, "rorq %%cl, %%rax") X(rcl_c, "stc\n rclb %%cl, %%al") \
	X(rcr_c, "stc\n rcrl %%cl, %%eax") X(shld, "shldq %%cl, %%rdx, %%rax") X(shld_w, "andb $15, %%cl\n shldw %%cl, %%dx, %%ax") \
	X(shrd, "shrdl %%cl, %%edx, %%eax") X(bt, "btq %%rdx, %%rax") X(bts, "btsl %%edx, %%eax") X(btr, "btrw %%dx, %%ax") \
	X(btc, "btcq $37, %%rax") X(bsf, "orl $0x100, %%edx\n bsfl %%edx, %%eax") X(bsr, "orq $2, %%rdx\n bsrq %%rdx, %%rax") \
	X(popcnt_w, "popcntw %%dx, %%ax") X(popcnt, "popcntq %%rdx, %%rax") X(crc32_b, "crc32b %%dl, %%eax") \
	X(crc32_w, "crc32w %%dx, %%eax") X(crc32_d, "crc32l %%edx, %%eax") X(crc32_q, "crc32q %%rdx, %%rax") \
	X(bswap, "bswapq %%rax") X(bswap_d, "bswapl %%edx") X(xadd, "xaddl %%edx, %%eax") X(cmpxchg, "cmpxchgq %%rdx, %%rcx") \
	X(div, "movl %%edx, %%ecx\n orl $1, %%ecx\n xorl %%edx, %%edx\n divl %%ecx\n cmpl %%edi, %%edi") \
	X(idiv, "orq $3, %%rcx\n sarq $1, %%rax\n cqto\n idivq %%rcx\n cmpl %%edi, %%edi") X(div_b, "orb $0x80, %%dl\n movzbl %%al, %%eax\n divb %%dl\n cmpl %%edi, %%edi") \
	X(lahf, "cmpq %%rdx, %%rax\n lahf") X(sahf, "sahf") X(movsx, "movsbq %%dl, %%rax") X(cwd, "cwtd")
#define BMI1(X) \
	X(andn, "andn %%rdx, %%rax, %%rax") X(andn_d, "andnl %%edx, %%eax, %%eax") X(bextr, "bextr %%rcx, %%rdx, %%rax") \
	X(bextr_d, "bextrl %%ecx, %%edx, %%eax") X(blsi, "blsi %%rdx, %%rax") X(blsmsk, "blsmsk %%edx, %%eax") \
	X(blsr, "blsr %%rdx, %%rax") X(tzcnt, "tzcntq %%rdx, %%rax") X(tzcnt_w, "tzcntw %%dx, %%ax")
#define BMI2(X) \
	X(bzhi, "bzhi %%rcx, %%rdx, %%rax") X(bzhi_d, "bzhi %%ecx, %%edx, %%eax") X(mulx, "mulx %%rcx, %%rax, %%rcx") \
	X(mulx_d, "mulx %%ecx, %%eax, %%ecx") X(pdep, "pdep %%rdx, %%rcx, %%rax") X(pdep_d, "pdep %%edx, %%ecx, %%eax") \
	X(pext, "pext %%rdx, %%rcx, %%rax") X(pext_d, "pext %%edx, %%ecx, %%eax") X(rorx, "rorx $13, %%rdx, %%rax") \
	X(rorx_d, "rorx $29, %%edx, %%eax") X(sarx, "sarx %%rcx, %%rdx, %%rax") X(shlx, "shlx %%ecx, %%edx, %%eax") \
	X(shrx, "shrx %%rcx, %%rdx, %%rax")
#define ADX(X) \
	X(adcx, "stc\n adcx %%rdx, %%rax") X(adox, "adox %%rdx, %%rax") X(adcx_d, "adcx %%edx, %%eax") \
	X(adox_o, "movl $0x7fffffff, %%r8d\n incl %%r8d\n adox %%edx, %%eax")
#define MOVBE(X) \
	X(movbe, "movbe 32(%%rdi), %%rax") X(movbe_d, "movbe 32(%%rdi), %%eax") X(movbe_w, "movbe 34(%%rdi), %%ax") \
	X(movbe_s, "movbe %%rdx, 96(%%rdi)")
/* clang-format on */

LIST(GENERAL)
BMI1(GENERAL)
GENERAL(lzcnt, "lzcntq %%rdx, %%rax")
GENERAL(lzcnt_w, "lzcntw %%dx, %%ax")
BMI2(GENERAL)
ADX(GENERAL)
MOVBE(GENERAL)

const struct op ops_general[] = {LIST(ROW) END};
const struct op ops_bmi1[] = {BMI1(ROW) ROW(lzcnt) ROW(lzcnt_w) END};
const struct op ops_bmi2[] = {BMI2(ROW) END};
const struct op ops_adx[] = {ADX(ROW) END};
const struct op ops_movbe[] = {MOVBE(ROW) END};
