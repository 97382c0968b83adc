/* SPDX-License-Identifier: MIT */
/*
 * AVX's and AVX2's moves, permutations and packed integers against the host's CPU: every such row of the VEX maps in both
 * lengths, from registers and memory, must leave the same registers, flags, memory and exception behind. Masked moves and
 * gathers run at the edge of a page that isn't there.
 */
#include "fp_compare.h"
#include "fp_fixture.h"
#include "fp_operands.h"
#include "host_vendor.h"

/* --- Every row --- */

static bool is_mine(const struct test *t)
{
	return t->insn.op >= CV_OP_vmovups && t->insn.op <= CV_OP_vpcmpistri;
}
static bool is_gather(const struct test *t)
{
	return t->insn.op >= CV_OP_vpgatherdd && t->insn.op <= CV_OP_vgatherqpd;
}
/* Has a general register as destination or source, which may not be RSP or what the test itself runs on. */
static bool has_gpr(const struct test *t)
{
	switch (t->insn.op) {
	case CV_OP_vmovmskps: case CV_OP_vmovmskpd: case CV_OP_vpmovmskb: case CV_OP_vpextrb: case CV_OP_vpextrw: case CV_OP_vpextrw_st:
	case CV_OP_vpextrd: case CV_OP_vextractps: case CV_OP_vpinsrb: case CV_OP_vpinsrw: case CV_OP_vpinsrd: case CV_OP_vmovd:
	case CV_OP_vmovd_st:
		return true;
	default:
		return false;
	}
}

struct vex {
	unsigned map, pp, opcode, l, w, vvvv, modrm, imm;
	bool r, b; /* registers 8..15 */
};

static unsigned encode(uint8_t code[15], const struct vex *v)
{
	memset(code, 0, 15);
	code[0] = 0xc4;
	code[1] = (uint8_t)((v->r ? 0 : 0x80) | 0x40 | (v->b ? 0 : 0x20) | v->map);
	code[2] = (uint8_t)(v->w << 7 | (~v->vvvv & 15) << 3 | v->l << 2 | v->pp);
	code[3] = (uint8_t)v->opcode;
	code[4] = (uint8_t)v->modrm;
	code[5] = (uint8_t)v->imm;
	return 15;
}

static bool only_decode, seen[CV_OP_COUNT];

static void check_encoding(const struct vex *v)
{
	uint8_t code[15];
	struct test t;

	encode(code, v);
	if (!make_test(&t, code, 15) || !is_mine(&t) || is_gather(&t) || ((v->r || v->b || v->modrm == 0xec) && has_gpr(&t)))
		return;
	seen[t.insn.op] = true;
	if (!only_decode)
		check(code, 15);
}

/* Register forms (2, 1), (1, 1), high ones, (5, 4); memory (2, [rdi]). First source: another, the same, one of the upper, none. */
static void check_row(unsigned map, unsigned pp, unsigned opcode)
{
	static const uint8_t forms[] = {0xd1, 0xc9, 0xec, 0x17};
	static const uint8_t sources[] = {0, 1, 2, 13};

	for (unsigned k = 0; k < 4 * 4 * 4; k++) {
		unsigned w = k >> 1 & 1, form = k >> 2 & 3, source = k >> 4;
		struct vex v = {map, pp, opcode, k & 1, w, sources[source], forms[form], below(256), .r = form == 3 && source == 2,
				.b = form == 1 && source == 3};

		check_encoding(&v);
	}
}

static void check_map(unsigned map)
{
	for (unsigned opcode = 0; opcode < 256; opcode++)
		for (unsigned pp = 0; pp < 4; pp++)
			check_row(map, pp, opcode);
}

static void check_shift_groups(void)
{
	for (unsigned opcode = 0x71; opcode <= 0x73; opcode++) {
		for (unsigned k = 0; k < 8 * 16; k++) {
			struct vex v = {1, 1, opcode, k & 1, 0, below(16), 0xc0 | (k >> 1 & 7) << 3 | below(8), k & 8 ? below(66) : below(256),
					.b = below(2)};

			check_encoding(&v);
		}
	}
}

/* The rows reach each operation that is not tested on its own below. */
START_TEST(avx_rows_reach_every_operation)
{
	only_decode = true;
	for (unsigned map = 1; map <= 3; map++)
		check_map(map);
	check_shift_groups();
	for (unsigned op = CV_OP_vmovups; op <= CV_OP_vpcmpistri; op++)
		ck_assert_msg(seen[op] || op == CV_OP_vstmxcsr || (op >= CV_OP_vpgatherdd && op <= CV_OP_vgatherqpd), "%s", cv_op_name((enum cv_op)op));
}
END_TEST

START_TEST(avx_0f_row_equals_host)
{
	check_map(1);
	ck_assert_uint_gt(tests, 3000);
	ck_assert_uint_eq(failures, 0);
}
END_TEST

START_TEST(avx_0f38_row_equals_host)
{
	check_map(2);
	ck_assert_uint_gt(tests, 2000);
	ck_assert_uint_eq(failures, 0);
}
END_TEST

START_TEST(avx_0f3a_row_equals_host)
{
	for (unsigned k = 0; k < 4; k++)
		check_map(3);
	ck_assert_uint_gt(tests, 1000);
	ck_assert_uint_eq(failures, 0);
}
END_TEST

START_TEST(avx_shift_group_equals_host)
{
	check_shift_groups();
	ck_assert_uint_gt(tests, 100);
	ck_assert_uint_eq(failures, 0);
}
END_TEST

START_TEST(avx_imm_every_value_equals_host)
{
	/* Permutations, shuffles, blends, VPALIGNR, VMPSADBW, string comparisons, VINSERTPS. */
	static const uint8_t rows[][4] = {{3, 1, 0x00, 1}, {3, 1, 0x01, 1}, {3, 1, 0x02, 0}, {3, 1, 0x04, 0}, {3, 1, 0x05, 0},
					  {3, 1, 0x06, 0}, {3, 1, 0x46, 0}, {3, 1, 0x0c, 0}, {3, 1, 0x0d, 0}, {3, 1, 0x0e, 0},
					  {3, 1, 0x0f, 0}, {3, 1, 0x42, 0}, {3, 1, 0x60, 0}, {3, 1, 0x61, 1}, {3, 1, 0x62, 0},
					  {3, 1, 0x63, 0}, {3, 1, 0x21, 0}, {3, 1, 0x4b, 0}, {1, 0, 0xc6, 0}, {1, 1, 0xc6, 0},
					  {1, 1, 0x70, 0}, {1, 2, 0x70, 0}, {1, 3, 0x70, 0}};

	for (unsigned r = 0; r < sizeof(rows) / 4; r++) {
		for (unsigned k = 0; k < 1024; k++) {
			struct vex v = {rows[r][0], rows[r][1], rows[r][2], k & 1, rows[r][3], k & 2 ? 3 : 0, 0xd1, k >> 2, .r = false};

			check_encoding(&v);
		}
	}
	ck_assert_uint_gt(tests, 23 * 256);
	ck_assert_uint_eq(failures, 0);
}
END_TEST

START_TEST(avx_mxcsr_and_zeroing_equal_host)
{
	static const uint8_t code[][15] = {{0xc5, 0xf8, 0xae, 0x17}, {0xc5, 0xf8, 0xae, 0x1f}, {0xc5, 0xf8, 0x77}, {0xc5, 0xfc, 0x77},
					   {0xc5, 0xf9, 0xf7, 0xca}, {0x67, 0xc5, 0xf9, 0xf7, 0xca}};

	for (unsigned k = 0; k < 10 * 6; k++)
		check(code[k % 6], 15);
	ck_assert_uint_eq(tests, 60);
	ck_assert_uint_eq(failures, 0);
}
END_TEST

/* --- At the edge of a page that isn't there --- */

#define PTES (TABLES + 0x8000) /* of the 2 MiB that DATA begins */
#define EDGE (DATA + DATA_SIZE)
enum { ACCESSED = 0x20, DIRTY = 0x40 };

static void make_edge(void)
{
	for (uint64_t k = 0; k < 512; k++)
		put64(PTES + 8 * k, (DATA + (k << 12)) | (k < DATA_SIZE >> 12 ? 3 : 2));
	put64(TABLES + 0x2000 + 8 * (DATA >> 21), PTES | 3);
}

static void make_engine_with_edge(void)
{
	make_avx_engine();
	make_edge();
}

static void fill_memory(uint8_t *data)
{
	for (unsigned k = 0; k < DATA_SIZE; k += 8) {
		uint64_t v = rnd();

		memcpy(data + k, &v, 8);
	}
}

static bool same_everything(const struct image *a, const struct image *b)
{
	/* Where in the page is the processor's choice: Intel's give the last byte of some masked stores. */
	return a->vector == b->vector && a->cr2 >> 12 == b->cr2 >> 12 && !memcmp(a->fx + 160, b->fx + 160, 256) &&
	       !memcmp(a->high, b->high, sizeof(a->high)) && same_integers(a, b, ARITH);
}

/* From the image `in`, on all of the data's memory. */
static bool run_both(const struct test *t, struct image *in, struct image *a)
{
	static uint8_t data[DATA_SIZE], after[DATA_SIZE];
	struct image b = *in;

	*a = *in;
	fill_memory(data);
	set_code(t);
	memcpy((void *)DATA, data, DATA_SIZE);
	run_native(a);
	put(DATA, data, DATA_SIZE);
	run_guest(&b);
	ck_assert_uint_eq(cv_memory_read(&mem, DATA, after, DATA_SIZE), DATA_SIZE);
	/* Which elements a gather did before it faulted is the processor's choice. */
	if (!intel && is_gather(t) && a->vector >= 0)
		return a->vector == b.vector;
	return same_everything(a, &b) && !memcmp((void *)DATA, after, DATA_SIZE);
}

START_TEST(avx_masked_move_at_page_edge_equals_host)
{
	static const struct { uint8_t opcode, w; } rows[] = {{0x2c, 0}, {0x2d, 0}, {0x2e, 0}, {0x2f, 0}, {0x8c, 0}, {0x8c, 1}, {0x8e, 0}, {0x8e, 1}};
	unsigned done = 0, faults = 0;

	for (unsigned k = 0; k < 8 * 2 * 500; k++) {
		struct vex v = {2, 1, rows[k & 7].opcode, k >> 3 & 1, rows[k & 7].w, 3, 0x17, 0, .r = below(2)};
		struct image in, a;
		uint8_t code[15];
		struct test t;

		encode(code, &v);
		ck_assert(make_test(&t, code, 15));
		random_image(&in, AS_INT);
		random_high(&in, AS_INT);
		/* Across the edge, across the page before it, or before the edge. */
		in.rdi = (below(3) ? EDGE : DATA + 0x1000) - below(40);
		ck_assert_msg(run_both(&t, &in, &a), "%s l %u at %llx: vector %d", t.name, v.l, (unsigned long long)in.rdi, (int)a.vector);
		done += a.vector < 0;
		faults += a.vector == EXC_PF;
	}
	ck_assert(done > 500 && faults > 500);
}
END_TEST

/* Indices of which some lead to the missing page, and a few out of the address space. */
static void gather_operands(struct image *in, unsigned index_size, unsigned scale, bool high, unsigned odds)
{
	for (unsigned k = 0; k < 32; k += index_size) {
		uint8_t *p = k < 16 ? in->fx + 160 + 16 * (high ? 9 : 1) + k : in->high[high ? 9 : 1] + k - 16;
		int64_t v = (int64_t)(int)below(0x300) - 0x180;

		v = v * 4 / (1 << scale);
		if (!below(odds))
			v = (int64_t)((EDGE - OPERAND) >> scale) - (int)below(3);
		if (index_size == 8 && !below(60))
			v ^= INT64_MIN >> (scale + 2);
		memcpy(p, &v, index_size);
	}
}

START_TEST(avx_gather_equals_host)
{
	unsigned done = 0, faults = 0;

	for (unsigned k = 0; k < 16 * 4 * 300; k++) {
		unsigned opcode = 0x90 + (k & 3), scale = k >> 5 & 3, w = k >> 3 & 1;
		bool high = below(2), short_address = !below(4);
		unsigned sib = scale << 6 | 1 << 3 | 7, n = 0;
		uint8_t code[15] = {0};
		struct image in, a;
		struct test t;

		if (short_address)
			code[n++] = 0x67;
		code[n++] = 0xc4;
		code[n++] = (uint8_t)(0x80 | (high ? 0 : 0x40) | 0x20 | 2);
		code[n++] = (uint8_t)(w << 7 | (~3u & 15) << 3 | (k >> 4 & 1) << 2 | 1);
		code[n++] = (uint8_t)opcode;
		code[n++] = 0x54; /* xmm2, [rdi + index + disp8] */
		code[n++] = (uint8_t)sib;
		code[n++] = (uint8_t)(4 * below(8));
		ck_assert(make_test(&t, code, 15));
		random_image(&in, AS_INT);
		random_high(&in, AS_INT);
		gather_operands(&in, opcode & 1 ? 8 : 4, scale, high, 8);
		in.rdi = OPERAND - 16;
		if (short_address)
			in.rdi |= rnd() << 32;
		ck_assert_msg(run_both(&t, &in, &a), "%s l %u scale %u: vector %d", t.name, k >> 4 & 1, scale, (int)a.vector);
		done += a.vector < 0;
		faults += a.vector == EXC_PF;
	}
	ck_assert(done > 5000 && faults > 1000);
}
END_TEST

/* --- What only the guest can show --- */

static void put_pages(unsigned bits)
{
	for (uint64_t k = 0; k < DATA_SIZE >> 12; k++)
		put64(PTES + 8 * k, (DATA + (k << 12)) | 3 | bits);
}

static unsigned page_bits(unsigned page)
{
	uint64_t e;

	ck_assert_uint_eq(cv_memory_read(&mem, PTES + 8 * page, &e, 8), 8);
	return (unsigned)e & (ACCESSED | DIRTY);
}

/* VMASKMOVPS ymm2, ymm3, [rdi] and back, across a page edge: a page of which nothing is selected stays as it is. */
START_TEST(avx_masked_move_touches_selected_pages_alone)
{
	static const uint8_t load[] = {0xc4, 0xe2, 0x65, 0x2c, 0x17}, store[] = {0xc4, 0xe2, 0x65, 0x2e, 0x17};

	for (unsigned k = 0; k < 4 * 2; k++) {
		struct test t = {.len = 5};
		bool first = k & 1, second = k & 2, writes = k & 4;
		unsigned touched = ACCESSED | (writes ? DIRTY : 0);
		uint32_t mask[8];
		struct image in;

		memcpy(t.code, writes ? store : load, 5);
		set_code(&t);
		put_pages(0);
		random_image(&in, AS_INT);
		random_high(&in, AS_INT);
		in.rdi = DATA + 0x1000 - 16;
		for (unsigned j = 0; j < 8; j++)
			mask[j] = (j < 4 ? first : second) ? 0x80000000 : 0x7fffffff;
		memcpy(in.fx + 160 + 48, mask, 16);
		memcpy(in.high[3], mask + 4, 16);
		run_guest(&in);
		ck_assert_int_eq(in.vector, -1);
		ck_assert_uint_eq(page_bits(0), first ? touched : 0);
		ck_assert_uint_eq(page_bits(1), second ? touched : 0);
	}
	put_pages(0);
}
END_TEST

static unsigned mmio_reads;
static uint64_t mmio_read(void *dev, uint64_t at, unsigned size)
{
	(void)dev;
	(void)at;
	return size == 4 ? 0x11110000u + mmio_reads++ : 0xbad;
}
static void mmio_write(void *dev, uint64_t at, unsigned size, uint64_t value)
{
	(void)dev;
	(void)at;
	(void)size;
	(void)value;
}

/* VPGATHERDD ymm2, [rdi + 4 * ymm1], ymm3 between two others. */
static void gather_state(struct cv_vcpu_state *s, const uint32_t index[8])
{
	static const uint8_t code[] = {0x90, 0xc4, 0xe2, 0x65, 0x90, 0x14, 0x8f, 0x90};

	put(CODE, code, sizeof(code));
	guest_state(s);
	s->cr4 |= CV_CR4_OSXSAVE;
	s->xcr0 = 7;
	s->gpr[CV_RDI] = DATA;
	memcpy(s->ymm[1], index, 32);
	memset(s->ymm[2], 0xee, 32);
	memset(s->ymm[3], 0xff, 32);
}

/* The three as one block. */
static void gather_in_block(struct cv_vcpu_state *s, const uint32_t index[8])
{
	struct cv_stop stop = {.insns = 3, .stop_at_delivery = true};
	struct cv_exit x;

	gather_state(s, index);
	engine->ops->set_state(engine, s);
	ck_assert_int_eq(engine->ops->run(engine, &stop, &x, NULL), 0);
	engine->ops->get_state(engine, s);
}

START_TEST(avx_gather_reads_each_mmio_element_once)
{
	static const struct cv_io_ops ops = {.read = mmio_read, .write = mmio_write};
	const uint32_t ram = 0x12345678, some[8] = {0, 0x400, 0, 0x401, 0, 0, 0x402, 0}, fault[8] = {0, 0x400, 0, 0x401, 0x800, 0, 0x402, 0};
	struct cv_vcpu_state s;
	uint32_t v[8], m[8];

	cv_bus_add_mmio(&bus, RAM, 0x1000, &ops, NULL);
	put(DATA, &ram, 4);
	put64(PTES + 8, RAM | 3);
	mmio_reads = 0;
	gather_in_block(&s, some);
	memcpy(v, s.ymm[2], 32);
	ck_assert_uint_eq(mmio_reads, 3);
	ck_assert_uint_eq(s.rip, CODE + 8);
	for (unsigned k = 0; k < 8; k++)
		ck_assert_uint_eq(v[k], k == 1 ? 0x11110000 : k == 3 ? 0x11110001 : k == 6 ? 0x11110002 : ram);

	/* A fault behind two of them: those before it are done and not read again. */
	mmio_reads = 0;
	gather_in_block(&s, fault);
	memcpy(v, s.ymm[2], 32);
	memcpy(m, s.ymm[3], 32);
	ck_assert_uint_eq(mmio_reads, 2);
	ck_assert_uint_eq(s.rip, HANDLERS + 16 * EXC_PF);
	ck_assert_uint_eq(s.cr2, EDGE);
	for (unsigned k = 0; k < 8; k++) {
		ck_assert_uint_eq(v[k], k == 1 ? 0x11110000 : k == 3 ? 0x11110001 : k < 4 ? ram : 0xeeeeeeee);
		ck_assert_uint_eq(m[k], k < 4 ? 0 : UINT32_MAX);
	}
	put_pages(0);
}
END_TEST

static const uint32_t faults_at_5[8] = {0, 3, 0, 1, 0, 0x800, 0, 0};

static void expect_progress(const struct cv_vcpu_state *s, unsigned done)
{
	uint32_t m[8];

	memcpy(m, s->ymm[3], 32);
	for (unsigned k = 0; k < 8; k++)
		ck_assert_uint_eq(m[k], k < done ? 0 : UINT32_MAX);
}

/* A data breakpoint's trap comes before the fault of a later element, at the same instruction and with RF; then the fault. */
START_TEST(avx_gather_trap_comes_in_lieu_of_fault)
{
	struct cv_stop stop = {.insns = 3, .stop_at_delivery = true};
	struct cv_vcpu_state s;
	uint64_t frame[3];
	struct cv_exit x;

	gather_state(&s, faults_at_5);
	s.dr[0] = DATA + 4;
	s.dr[7] = 0xf0402; /* G0, 4 bytes, reads and writes */
	engine->ops->set_state(engine, &s);
	ck_assert_int_eq(engine->ops->run(engine, &stop, &x, NULL), 0);
	engine->ops->get_state(engine, &s);
	ck_assert_uint_eq(s.rip, HANDLERS + 16 * EXC_DB);
	ck_assert_uint_eq(s.dr[6] & 15, 1);
	expect_progress(&s, 5);
	ck_assert_uint_eq(cv_memory_read(&mem, s.gpr[CV_RSP], frame, 24), 24);
	ck_assert_uint_eq(frame[0], CODE + 1);
	ck_assert_uint_ne(frame[2] & CV_FLAG_RF, 0);

	/* The handler returns. */
	s.rip = CODE + 1;
	s.rflags = frame[2];
	s.gpr[CV_RSP] = 0x1030000;
	engine->ops->set_state(engine, &s);
	ck_assert_int_eq(engine->ops->run(engine, &stop, &x, NULL), 0);
	engine->ops->get_state(engine, &s);
	ck_assert_uint_eq(s.rip, HANDLERS + 16 * EXC_PF);
	expect_progress(&s, 5);
}
END_TEST

/* The debugger's watchpoint likewise; and the position that it was reported at is found again without it. */
START_TEST(avx_gather_watch_is_reported_before_fault)
{
	const struct cv_watch watch = {.addr = DATA + 4, .len = 4, .type = CV_WATCH_READ};
	struct cv_stop stop = {.insns = 3, .stop_at_delivery = true};
	struct cv_vcpu_state s, again;
	struct cv_exit x;

	gather_state(&s, faults_at_5);
	engine->ops->set_state(engine, &s);
	again = s;
	ck_assert_int_eq(engine->ops->set_points(engine, NULL, 0, &watch, 1, NULL), 0);
	ck_assert_int_eq(engine->ops->run(engine, &stop, &x, NULL), 0);
	ck_assert_int_eq(x.kind, CV_EXIT_WATCH);
	ck_assert_uint_eq(x.addr, DATA + 4);
	engine->ops->get_state(engine, &s);
	ck_assert_uint_eq(s.rip, CODE + 1);
	expect_progress(&s, 5);
	ck_assert_int_eq(engine->ops->run(engine, &stop, &x, NULL), 0);
	ck_assert_int_eq(x.kind, CV_EXIT_POSITION);

	ck_assert_int_eq(engine->ops->set_points(engine, NULL, 0, NULL, 0, NULL), 0);
	engine->ops->set_state(engine, &again);
	stop = (struct cv_stop){.insns = s.pos.insns, .in_rep = s.pos.in_rep, .rcx = s.pos.rcx};
	ck_assert_int_eq(engine->ops->run(engine, &stop, &x, NULL), 0);
	ck_assert_int_eq(x.kind, CV_EXIT_POSITION);
	engine->ops->get_state(engine, &again);
	ck_assert_int_eq(cv_pos_cmp(&again.pos, &s.pos), 0);
	ck_assert_uint_eq(again.rip, CODE + 1);
	expect_progress(&again, 5);
}
END_TEST

static int vector_under(const uint8_t *code, uint64_t cr0, uint64_t cr4, uint64_t xcr0)
{
	struct cv_stop stop = {.insns = UINT64_MAX, .step = true, .stop_at_delivery = true};
	struct cv_vcpu_state s;
	struct cv_exit x;

	put(CODE, code, 15);
	guest_state(&s);
	s.cr0 |= cr0;
	s.cr4 |= cr4;
	s.xcr0 = xcr0;
	s.gpr[CV_RDI] = OPERAND;
	engine->ops->set_state(engine, &s);
	ck_assert_int_eq(engine->ops->run(engine, &stop, &x, NULL), 0);
	engine->ops->get_state(engine, &s);
	return s.rip >= HANDLERS && s.rip < HANDLERS + 32 * 16 ? (int)((s.rip - HANDLERS) / 16) : -1;
}

START_TEST(avx_control_bits_decide_ud_and_nm)
{
	static const uint8_t code[][15] = {{0xc5, 0xe1, 0xfc, 0xd1}, {0xc5, 0xe5, 0xfc, 0x17}, {0xc5, 0xf8, 0x77}, {0xc5, 0xfc, 0x77},
					   {0xc4, 0xe2, 0x65, 0x90, 0x14, 0x8f}, {0xc4, 0xe2, 0x65, 0x2c, 0x17}, {0xc5, 0xf8, 0xae, 0x1f},
					   {0xc4, 0xe3, 0x79, 0x63, 0xd1, 0}, {0xc5, 0xf9, 0x6e, 0xd1}};

	for (unsigned k = 0; k < sizeof(code) / 15; k++) {
		ck_assert_int_eq(vector_under(code[k], 0, CV_CR4_OSXSAVE, 7), -1);
		ck_assert_int_eq(vector_under(code[k], CV_CR0_EM, CV_CR4_OSXSAVE, 7), -1);
		ck_assert_int_eq(vector_under(code[k], CV_CR0_TS, CV_CR4_OSXSAVE, 7), EXC_NM);
		ck_assert_int_eq(vector_under(code[k], 0, 0, 7), EXC_UD);
		ck_assert_int_eq(vector_under(code[k], CV_CR0_TS, 0, 7), EXC_UD);
		ck_assert_int_eq(vector_under(code[k], 0, CV_CR4_OSXSAVE, 3), EXC_UD);
	}
}
END_TEST

/* Outside 64-bit mode there are eight registers: VZEROUPPER and VZEROALL leave the others. */
START_TEST(avx_zeroing_in_32_bit_mode_leaves_high_registers)
{
	static const uint8_t upper[] = {0xc5, 0xf8, 0x77}, all[] = {0xc5, 0xfc, 0x77};

	for (unsigned k = 0; k < 2; k++) {
		struct cv_stop stop = {.insns = UINT64_MAX, .step = true};
		struct cv_vcpu_state s;
		struct cv_exit x;

		put(CODE, k ? all : upper, 3);
		guest_state(&s);
		s.seg[CV_CS].ar = (s.seg[CV_CS].ar & ~(uint32_t)CV_AR_L) | CV_AR_DB;
		s.cr4 |= CV_CR4_OSXSAVE;
		s.xcr0 = 7;
		memset(s.ymm, 0x5a, sizeof(s.ymm));
		engine->ops->set_state(engine, &s);
		ck_assert_int_eq(engine->ops->run(engine, &stop, &x, NULL), 0);
		engine->ops->get_state(engine, &s);
		ck_assert_uint_eq(s.rip, CODE + 3);
		for (unsigned r = 0; r < 16; r++) {
			ck_assert_uint_eq(s.ymm[r][1], k && r < 8 ? 0 : 0x5a5a5a5a5a5a5a5a);
			ck_assert_uint_eq(s.ymm[r][3], r < 8 ? 0 : 0x5a5a5a5a5a5a5a5a);
		}
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("avx_int");
	TCase *t = tcase_create("host");
	SRunner *r;
	int failed;

	tcase_add_unchecked_fixture(t, make_engine_with_edge, NULL);
	tcase_add_checked_fixture(t, reset_counts, NULL);
	tcase_set_timeout(t, 300);
	if (__builtin_cpu_supports("avx2")) {
		tcase_add_test(t, avx_0f_row_equals_host);
		tcase_add_test(t, avx_0f38_row_equals_host);
		tcase_add_test(t, avx_0f3a_row_equals_host);
		tcase_add_test(t, avx_shift_group_equals_host);
		tcase_add_test(t, avx_imm_every_value_equals_host);
		tcase_add_test(t, avx_mxcsr_and_zeroing_equal_host);
		tcase_add_test(t, avx_masked_move_at_page_edge_equals_host);
		tcase_add_test(t, avx_gather_equals_host);
	}
	tcase_add_test(t, avx_rows_reach_every_operation);
	tcase_add_test(t, avx_masked_move_touches_selected_pages_alone);
	tcase_add_test(t, avx_gather_reads_each_mmio_element_once);
	tcase_add_test(t, avx_gather_trap_comes_in_lieu_of_fault);
	tcase_add_test(t, avx_gather_watch_is_reported_before_fault);
	tcase_add_test(t, avx_control_bits_decide_ud_and_nm);
	tcase_add_test(t, avx_zeroing_in_32_bit_mode_leaves_high_registers);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
