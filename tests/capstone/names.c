/* SPDX-License-Identifier: MIT */
/*
 * Our operations have one name where Capstone has one for each size or type: MOVSB and MOVSD, MOVUPS and MOVUPD.
 */
#include <stdio.h>
#include <string.h>

#include "tests/capstone/compare.h"

static const struct {
	const char *ours, *cs;
} alias[] = {
	{"imul2", "imul"}, {"jmp_ind", "jmp"}, {"call_ind", "call"}, {"jmp_far", "ljmp"}, {"jmp_far_ind", "ljmp"}, {"jmp_far_ind", "jmp"},
	{"call_far", "lcall"}, {"call_far_ind", "lcall"}, {"call_far_ind", "call"}, {"ret_far", "retf"}, {"ret_far", "retfq"},
	{"mov_from_sreg", "mov"}, {"mov_to_sreg", "mov"}, {"push_sreg", "push"}, {"pop_sreg", "pop"}, {"mov_from_cr", "mov"},
	{"mov_to_cr", "mov"}, {"mov_from_dr", "mov"}, {"mov_to_dr", "mov"}, {"cbw", "cwde"}, {"cbw", "cdqe"}, {"cwd", "cdq"},
	{"cwd", "cqo"}, {"pusha", "pushaw"}, {"pusha", "pushal"}, {"popa", "popaw"}, {"popa", "popal"}, {"mov", "movabs"},
	{"mov", "movnti"}, {"jcxz", "jecxz"}, {"jcxz", "jrcxz"}, {"iret", "iretd"}, {"iret", "iretq"}, {"xlat", "xlatb"}, {"ud", "ud2"},
	{"ud", "ud0"}, {"ud", "ud1"}, {"ud", "ud2b"}, {"pushf", "pushfq"}, {"pushf", "pushfd"}, {"popf", "popfq"}, {"popf", "popfd"},
	{"sysret", "sysretq"}, {"sysexit", "sysexitq"}, {"shl", "sal"}, {"nop", "xchg"}, {"xchg", "nop"}, {"pause", "nop"},
	{"nop", "pause"}, {"pause", "xchg"}, {"nop", "endbr32"}, {"nop", "endbr64"}, {"fxsave", "fxsave64"}, {"fxrstor", "fxrstor64"}, {"xsave", "xsave64"}, {"xrstor", "xrstor64"},
	{"xsaveopt", "xsaveopt64"}, {"xsavec", "xsavec64"}, {"fence", "lfence"}, {"fence", "mfence"}, {"fence", "sfence"},
	{"clflush", "clflushopt"}, {"clflush", "clwb"}, {"prefetch", "prefetchnta"}, {"prefetch", "prefetcht0"},
	{"prefetch", "prefetcht1"}, {"prefetch", "prefetcht2"}, {"prefetch", "prefetchw"}, {"prefetch", "prefetchwt1"},
	{"fwait", "wait"}, {"crc32_b", "crc32"}, {"pinsrd", "pinsrq"}, {"pextrd", "pextrq"}, {"vpinsrd", "vpinsrq"},
	{"vpextrd", "vpextrq"}, {"movd", "movq"}, {"vmovd", "vmovq"}, {"fld_m80", "fld"}, {"fstp_m80", "fstp"}, {"fnop_ctl", "feni8087_nop"},
	{"fnop_ctl", "fsetpm"}, {"fnop_ctl", "fnop"}, {"fucomip", "fucompi"}, {"fcomip", "fcompi"}, {"fstp", "fstpnce"},
	{"faddp", "fadd"}, {"fmulp", "fmul"}, {"int1", "int1"}, {"maskmovdqu", "maskmovq"}, {"fnop_ctl", "fdisi8087_nop"}, {"vcvtpd2dq", "vcvtpd2dqx"}, {"vcvttpd2dq", "vcvttpd2dqx"},
	{"vcvtpd2ps", "vcvtpd2psx"}, {"movaps", "movapd"}, {"fcmovnb", "fcmovnb"}, {"pblendvb", "pblendvb"},
};

static bool ends_with_type(const char *s)
{
	size_t n = strlen(s);

	return n > 2 && (s[n - 2] == 'p' || s[n - 2] == 's') && (s[n - 1] == 's' || s[n - 1] == 'd');
}

/* cmpps with a predicate in its name; so do the others of its kind. */
static bool is_compare(const char *ours, const char *cs)
{
	size_t n = strlen(ours), m = strlen(cs);
	bool v = *ours == 'v';

	return !strncmp(ours + v, "cmp", 3) && ends_with_type(ours) && !strncmp(cs, v ? "vcmp" : "cmp", 3u + v) && m > n &&
	       !strcmp(ours + n - 2, cs + m - 2);
}

/* One operation for PS and PD where the type doesn't matter. */
static bool is_typeless(const char *ours, const char *cs)
{
	static const char *const both[] = {"movups", "movaps", "movlps", "movhps", "movntps", "andps", "andnps", "orps", "xorps"};
	size_t n = strlen(ours);
	const char *plain = ours + (*ours == 'v');

	if (strlen(cs) != n || memcmp(ours, cs, n - 1) || cs[n - 1] != 'd')
		return false;
	for (unsigned k = 0; k < sizeof(both) / sizeof(both[0]); k++)
		if (!strcmp(plain, both[k]))
			return true;
	return false;
}

/* What follows an underscore tells operations of one mnemonic apart. */
static void plain_name(enum cv_op op, char out[32])
{
	static const char *const tails[] = {"_st", "_i", "_mm_st", "_mm"};
	size_t n;

	snprintf(out, 32, "%s", cv_op_name(op));
	n = strlen(out);
	for (unsigned k = 0; k < sizeof(tails) / sizeof(tails[0]); k++) {
		size_t t = strlen(tails[k]);

		if (n > t && !strcmp(out + n - t, tails[k])) {
			out[n - t] = 0;
			n -= t;
			k = 0;
		}
	}
}

bool name_matches(const struct cv_insn *i, const char *cs)
{
	static const char *const cc[16] = {"o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g"};
	char ours[32], buf[32];

	if (i->op == CV_OP_jcc || i->op == CV_OP_cmovcc || i->op == CV_OP_setcc) {
		snprintf(buf, sizeof(buf), "%s%s", i->op == CV_OP_jcc ? "j" : i->op == CV_OP_cmovcc ? "cmov" : "set",
			 cc[i->opcode & 15]);
		return !strcmp(buf, cs);
	}
	for (unsigned k = 0; k < sizeof(alias) / sizeof(alias[0]); k++)
		if (!strcmp(cv_op_name(i->op), alias[k].ours) && !strcmp(cs, alias[k].cs))
			return true;
	plain_name(i->op, ours);
	for (unsigned k = 0; k < sizeof(alias) / sizeof(alias[0]); k++)
		if (!strcmp(ours, alias[k].ours) && !strcmp(cs, alias[k].cs))
			return true;
	if (!strcmp(ours, cs) || is_compare(ours, cs) || is_typeless(ours, cs))
		return true;
	/* String operations carry their size: movsb, stosd; so do INS and OUTS. */
	return !strncmp(ours, cs, strlen(ours)) && strlen(cs) == strlen(ours) + 1 && strchr("bwdqeln", cs[strlen(ours)]) != NULL;
}
