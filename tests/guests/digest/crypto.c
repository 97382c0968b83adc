/* SPDX-License-Identifier: MIT */
/* AES, SHA, carry-less multiplication. */
#include "digest.h"

#define AES(X) \
	X(aesenc, "aesenc %%xmm1, %%xmm0") X(aesenclast, "aesenclast 32(%%rdi), %%xmm0") X(aesdec, "aesdec %%xmm1, %%xmm0") \
	X(aesdeclast, "aesdeclast %%xmm1, %%xmm0") X(aesimc, "aesimc %%xmm1, %%xmm0") \
	X(aeskey_0, "aeskeygenassist $0, %%xmm1, %%xmm0") X(aeskey_36, "aeskeygenassist $0x36, 32(%%rdi), %%xmm0")
#define SHA(X) \
	X(sha1msg1, "sha1msg1 %%xmm1, %%xmm0") X(sha1msg2, "sha1msg2 %%xmm1, %%xmm0") X(sha1nexte, "sha1nexte %%xmm1, %%xmm0") \
	X(sha1rnds4_0, "sha1rnds4 $0, %%xmm1, %%xmm0") X(sha1rnds4_1, "sha1rnds4 $1, %%xmm1, %%xmm0") \
	X(sha1rnds4_2, "sha1rnds4 $2, %%xmm1, %%xmm0") X(sha1rnds4_3, "sha1rnds4 $3, 32(%%rdi), %%xmm0") \
	X(sha256msg1, "sha256msg1 %%xmm1, %%xmm0") X(sha256msg2, "sha256msg2 32(%%rdi), %%xmm0") \
	X(sha256rnds2, "sha256rnds2 %%xmm0, %%xmm2, %%xmm1")
#define CLMUL(X) \
	X(clmul_00, "pclmulqdq $0, %%xmm1, %%xmm0") X(clmul_01, "pclmulqdq $1, %%xmm1, %%xmm0") \
	X(clmul_10, "pclmulqdq $0x10, %%xmm1, %%xmm0") X(clmul_11, "pclmulqdq $0x11, 32(%%rdi), %%xmm0")

AES(SSE)
SHA(SSE)
CLMUL(SSE)

const struct op ops_aes[] = {AES(ROW) END};
const struct op ops_sha[] = {SHA(ROW) END};
const struct op ops_clmul[] = {CLMUL(ROW) END};
