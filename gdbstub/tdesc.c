/* SPDX-License-Identifier: MIT */
/*
 * The target description (GDB manual, appendix G; G.5.9 "i386 Features").
 *
 * GDB wants its registers within features of fixed names; the numbers are ours, given by regnum, so that the order of
 * the `g` packet is the order of the table in regs.c whatever feature a register stands in.
 */
#include "gdbstub/tdesc.h"

#include "gdbstub/packet.h"
#include "gdbstub/regs.h"

struct flag {
	const char *name; /* NULL ends a list */
	unsigned bit, last;
};

static const struct flag eflags[] = {
	{ "CF", 0, 0 },	  { "", 1, 1 },	    { "PF", 2, 2 },   { "AF", 4, 4 },	{ "ZF", 6, 6 },	  { "SF", 7, 7 },
	{ "TF", 8, 8 },	  { "IF", 9, 9 },   { "DF", 10, 10 }, { "OF", 11, 11 }, { "IOPL", 12, 13 }, { "NT", 14, 14 },
	{ "RF", 16, 16 }, { "VM", 17, 17 }, { "AC", 18, 18 }, { "VIF", 19, 19 }, { "VIP", 20, 20 }, { "ID", 21, 21 },
	{ NULL, 0, 0 },
};

static const struct flag mxcsr[] = {
	{ "IE", 0, 0 },	{ "DE", 1, 1 },	{ "ZE", 2, 2 },	  { "OE", 3, 3 },   { "UE", 4, 4 },   { "PE", 5, 5 },
	{ "DAZ", 6, 6 }, { "IM", 7, 7 },	{ "DM", 8, 8 },	  { "ZM", 9, 9 },   { "OM", 10, 10 }, { "UM", 11, 11 },
	{ "PM", 12, 12 }, { "RC", 13, 14 }, { "FZ", 15, 15 }, { NULL, 0, 0 },
};

static const struct flag cr0[] = {
	{ "PE", 0, 0 },	  { "MP", 1, 1 },   { "EM", 2, 2 },   { "TS", 3, 3 },	{ "ET", 4, 4 },	  { "NE", 5, 5 },
	{ "WP", 16, 16 }, { "AM", 18, 18 }, { "NW", 29, 29 }, { "CD", 30, 30 }, { "PG", 31, 31 }, { NULL, 0, 0 },
};

static const struct flag cr4[] = {
	{ "VME", 0, 0 },	      { "PVI", 1, 1 },	     { "TSD", 2, 2 },	 { "DE", 3, 3 },
	{ "PSE", 4, 4 },	      { "PAE", 5, 5 },	     { "MCE", 6, 6 },	 { "PGE", 7, 7 },
	{ "PCE", 8, 8 },	      { "OSFXSR", 9, 9 },    { "OSXMMEXCPT", 10, 10 }, { "UMIP", 11, 11 },
	{ "LA57", 12, 12 },	      { "FSGSBASE", 16, 16 }, { "PCIDE", 17, 17 }, { "OSXSAVE", 18, 18 },
	{ "SMEP", 20, 20 },	      { "SMAP", 21, 21 },     { NULL, 0, 0 },
};

static const struct flag efer[] = {
	{ "SCE", 0, 0 }, { "LME", 8, 8 }, { "LMA", 10, 10 }, { "NXE", 11, 11 }, { NULL, 0, 0 },
};

static void write_flags(struct cv_wbuf *out, const char *id, unsigned size, const struct flag *f)
{
	cv_put_text(out, "<flags id=\"%s\" size=\"%u\">\n", id, size);
	for (; f->name; f++)
		cv_put_text(out, "<field name=\"%s\" start=\"%u\" end=\"%u\"/>\n", f->name, f->bit, f->last);
	cv_put_text(out, "</flags>\n");
}

static void write_types(struct cv_wbuf *out, enum cv_gdb_arch arch, enum cv_reg_feature feature)
{
	unsigned word = arch == CV_GDB_I386 ? 4 : 8;

	switch (feature) {
	case CV_FEATURE_CORE:
		write_flags(out, "i386_eflags", 4, eflags);
		break;
	case CV_FEATURE_SSE:
		cv_put_text(out, "<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>\n"
				 "<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>\n"
				 "<vector id=\"v16i8\" type=\"int8\" count=\"16\"/>\n"
				 "<vector id=\"v8i16\" type=\"int16\" count=\"8\"/>\n"
				 "<vector id=\"v4i32\" type=\"int32\" count=\"4\"/>\n"
				 "<vector id=\"v2i64\" type=\"int64\" count=\"2\"/>\n"
				 "<union id=\"vec128\">\n<field name=\"v4_float\" type=\"v4f\"/>\n"
				 "<field name=\"v2_double\" type=\"v2d\"/>\n<field name=\"v16_int8\" type=\"v16i8\"/>\n"
				 "<field name=\"v8_int16\" type=\"v8i16\"/>\n<field name=\"v4_int32\" type=\"v4i32\"/>\n"
				 "<field name=\"v2_int64\" type=\"v2i64\"/>\n"
				 "<field name=\"uint128\" type=\"uint128\"/>\n</union>\n");
		write_flags(out, "i386_mxcsr", 4, mxcsr);
		break;
	case CV_FEATURE_SYSTEM:
		write_flags(out, "x86_cr0", word, cr0);
		write_flags(out, "x86_cr4", word, cr4);
		write_flags(out, "x86_efer", word, efer);
		break;
	default:
		break;
	}
}

void cv_tdesc_write(enum cv_gdb_arch arch, bool avx, struct cv_wbuf *out)
{
	static const char *const names[CV_FEATURES] = {
		[CV_FEATURE_CORE] = "org.gnu.gdb.i386.core",
		[CV_FEATURE_SSE] = "org.gnu.gdb.i386.sse",
		[CV_FEATURE_SEGMENTS] = "org.gnu.gdb.i386.segments",
		[CV_FEATURE_SYSTEM] = "org.chronovisor.i386.system",
		[CV_FEATURE_AVX] = "org.gnu.gdb.i386.avx", /* GDB makes ymm0 of xmm0 and ymm0h */
	};
	size_t n;
	const struct cv_reg *r = cv_regs(arch, avx, &n);

	cv_put_text(out,
		    "<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n<target version=\"1.0\">\n"
		    "<architecture>%s</architecture>\n",
		    arch == CV_GDB_I386 ? "i386" : "i386:x86-64");
	for (unsigned f = 0; f < CV_FEATURES; f++) {
		if ((arch == CV_GDB_I386 && f == CV_FEATURE_SEGMENTS) || (!avx && f == CV_FEATURE_AVX))
			continue;
		cv_put_text(out, "<feature name=\"%s\">\n", names[f]);
		write_types(out, arch, (enum cv_reg_feature)f);
		for (size_t i = 0; i < n; i++)
			if (r[i].feature == f)
				cv_put_text(out, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\" regnum=\"%zu\"/>\n",
					    r[i].name, r[i].bits, r[i].type, i);
		cv_put_text(out, "</feature>\n");
	}
	cv_put_text(out, "</target>\n");
}
