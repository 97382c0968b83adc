/* SPDX-License-Identifier: MIT */
/*
 * The bytecodes (GDB manual F.2 "Bytecode Descriptions"; numbers from gdbsupport/ax.def). Operands in the code are big-
 * endian, memory is the target's: little-endian. Floating point, tracing and trace state variables are not for
 * breakpoint conditions and count as unknown.
 */
#include "gdbstub/agent.h"

#define STACK 100
#define STEPS 10000

enum op {
	OP_ADD = 0x02, OP_SUB = 0x03, OP_MUL = 0x04, OP_DIV_SIGNED = 0x05, OP_DIV_UNSIGNED = 0x06,
	OP_REM_SIGNED = 0x07, OP_REM_UNSIGNED = 0x08, OP_LSH = 0x09, OP_RSH_SIGNED = 0x0a, OP_RSH_UNSIGNED = 0x0b,
	OP_LOG_NOT = 0x0e, OP_BIT_AND = 0x0f, OP_BIT_OR = 0x10, OP_BIT_XOR = 0x11, OP_BIT_NOT = 0x12,
	OP_EQUAL = 0x13, OP_LESS_SIGNED = 0x14, OP_LESS_UNSIGNED = 0x15, OP_EXT = 0x16, OP_REF8 = 0x17,
	OP_REF16 = 0x18, OP_REF32 = 0x19, OP_REF64 = 0x1a, OP_IF_GOTO = 0x20, OP_GOTO = 0x21, OP_CONST8 = 0x22,
	OP_CONST16 = 0x23, OP_CONST32 = 0x24, OP_CONST64 = 0x25, OP_REG = 0x26, OP_END = 0x27, OP_DUP = 0x28,
	OP_POP = 0x29, OP_ZERO_EXT = 0x2a, OP_SWAP = 0x2b, OP_PICK = 0x32, OP_ROT = 0x33,
};

struct vm {
	const uint8_t *code;
	size_t n, pc;
	const struct cv_agent_env *env;
	uint64_t stack[STACK];
	unsigned depth;
};

/* What an opcode takes from the code and does to the stack; `known` is false for all others. */
struct shape {
	uint8_t known, operand, pops, pushes;
};

static const struct shape shapes[256] = {
	[OP_ADD] = { 1, 0, 2, 1 }, [OP_SUB] = { 1, 0, 2, 1 }, [OP_MUL] = { 1, 0, 2, 1 },
	[OP_DIV_SIGNED] = { 1, 0, 2, 1 }, [OP_DIV_UNSIGNED] = { 1, 0, 2, 1 }, [OP_REM_SIGNED] = { 1, 0, 2, 1 },
	[OP_REM_UNSIGNED] = { 1, 0, 2, 1 }, [OP_LSH] = { 1, 0, 2, 1 }, [OP_RSH_SIGNED] = { 1, 0, 2, 1 },
	[OP_RSH_UNSIGNED] = { 1, 0, 2, 1 }, [OP_LOG_NOT] = { 1, 0, 1, 1 }, [OP_BIT_AND] = { 1, 0, 2, 1 },
	[OP_BIT_OR] = { 1, 0, 2, 1 }, [OP_BIT_XOR] = { 1, 0, 2, 1 }, [OP_BIT_NOT] = { 1, 0, 1, 1 },
	[OP_EQUAL] = { 1, 0, 2, 1 }, [OP_LESS_SIGNED] = { 1, 0, 2, 1 }, [OP_LESS_UNSIGNED] = { 1, 0, 2, 1 },
	[OP_EXT] = { 1, 1, 1, 1 }, [OP_REF8] = { 1, 0, 1, 1 }, [OP_REF16] = { 1, 0, 1, 1 },
	[OP_REF32] = { 1, 0, 1, 1 }, [OP_REF64] = { 1, 0, 1, 1 }, [OP_IF_GOTO] = { 1, 2, 1, 0 },
	[OP_GOTO] = { 1, 2, 0, 0 }, [OP_CONST8] = { 1, 1, 0, 1 }, [OP_CONST16] = { 1, 2, 0, 1 },
	[OP_CONST32] = { 1, 4, 0, 1 }, [OP_CONST64] = { 1, 8, 0, 1 }, [OP_REG] = { 1, 2, 0, 1 },
	[OP_END] = { 1, 0, 0, 0 }, [OP_DUP] = { 1, 0, 1, 2 }, [OP_POP] = { 1, 0, 1, 0 },
	[OP_ZERO_EXT] = { 1, 1, 1, 1 }, [OP_SWAP] = { 1, 0, 2, 2 }, [OP_PICK] = { 1, 1, 0, 1 },
	[OP_ROT] = { 1, 0, 3, 3 },
};

static uint64_t sign_extend(uint64_t v, uint64_t bits)
{
	if (!bits || bits >= 64)
		return v;
	v &= (1ull << bits) - 1;
	return (v ^ 1ull << (bits - 1)) - (1ull << (bits - 1));
}

static uint64_t shift_right_signed(uint64_t a, uint64_t n)
{
	uint64_t sign = a >> 63 ? ~0ull : 0;

	if (n > 63)
		return sign;
	return n ? a >> n | sign << (64 - n) : a;
}

/* a is the lower of the two on the stack. INT64_MIN / -1 wraps, as two's complement does. */
static enum cv_agent_result divide(uint8_t op, uint64_t a, uint64_t b, uint64_t *r)
{
	if (!b)
		return CV_AGENT_DIVIDE;
	if (op == OP_DIV_UNSIGNED)
		*r = a / b;
	else if (op == OP_REM_UNSIGNED)
		*r = a % b;
	else if (b == ~0ull)
		*r = op == OP_DIV_SIGNED ? 0 - a : 0;
	else
		*r = op == OP_DIV_SIGNED ? (uint64_t)((int64_t)a / (int64_t)b) : (uint64_t)((int64_t)a % (int64_t)b);
	return CV_AGENT_OK;
}

static enum cv_agent_result binary(uint8_t op, uint64_t a, uint64_t b, uint64_t *r)
{
	switch (op) {
	case OP_ADD:
		*r = a + b;
		return CV_AGENT_OK;
	case OP_SUB:
		*r = a - b;
		return CV_AGENT_OK;
	case OP_MUL:
		*r = a * b;
		return CV_AGENT_OK;
	case OP_LSH:
		*r = b > 63 ? 0 : a << b;
		return CV_AGENT_OK;
	case OP_RSH_SIGNED:
		*r = shift_right_signed(a, b);
		return CV_AGENT_OK;
	case OP_RSH_UNSIGNED:
		*r = b > 63 ? 0 : a >> b;
		return CV_AGENT_OK;
	case OP_BIT_AND:
		*r = a & b;
		return CV_AGENT_OK;
	case OP_BIT_OR:
		*r = a | b;
		return CV_AGENT_OK;
	case OP_BIT_XOR:
		*r = a ^ b;
		return CV_AGENT_OK;
	case OP_EQUAL:
		*r = a == b;
		return CV_AGENT_OK;
	case OP_LESS_SIGNED:
		*r = (int64_t)a < (int64_t)b;
		return CV_AGENT_OK;
	case OP_LESS_UNSIGNED:
		*r = a < b;
		return CV_AGENT_OK;
	default:
		return divide(op, a, b, r);
	}
}

static enum cv_agent_result fetch_memory(struct vm *vm, size_t size, uint64_t *top)
{
	uint8_t b[8];

	if (!vm->env->mem(vm->env->ctx, *top, b, size))
		return CV_AGENT_FAULT;
	*top = 0;
	for (size_t i = 0; i < size; i++)
		*top |= (uint64_t)b[i] << 8 * i;
	return CV_AGENT_OK;
}

static enum cv_agent_result jump(struct vm *vm, uint64_t target)
{
	if (target >= vm->n)
		return CV_AGENT_BYTECODE;
	vm->pc = (size_t)target;
	return CV_AGENT_OK;
}

static enum cv_agent_result unary(struct vm *vm, uint8_t op, uint64_t operand, uint64_t *top)
{
	switch (op) {
	case OP_LOG_NOT:
		*top = !*top;
		return CV_AGENT_OK;
	case OP_BIT_NOT:
		*top = ~*top;
		return CV_AGENT_OK;
	case OP_EXT:
		*top = sign_extend(*top, operand);
		return CV_AGENT_OK;
	case OP_ZERO_EXT:
		if (operand < 64)
			*top &= (1ull << operand) - 1;
		return CV_AGENT_OK;
	default:
		return fetch_memory(vm, (size_t)1 << (op - OP_REF8), top);
	}
}

/* The stack has room and depth for what `shapes` says. s: one past the top. */
static enum cv_agent_result execute(struct vm *vm, uint8_t op, uint64_t operand)
{
	uint64_t *s = vm->stack + vm->depth, v;

	switch (op) {
	case OP_CONST8:
	case OP_CONST16:
	case OP_CONST32:
	case OP_CONST64:
		*s = operand;
		break;
	case OP_REG:
		if (!vm->env->reg(vm->env->ctx, (unsigned)operand, s))
			return CV_AGENT_FAULT;
		break;
	case OP_DUP:
		*s = s[-1];
		break;
	case OP_PICK:
		if (operand >= vm->depth)
			return CV_AGENT_STACK;
		*s = s[-1 - (int)operand];
		break;
	case OP_POP:
		break;
	case OP_SWAP:
		v = s[-1];
		s[-1] = s[-2];
		s[-2] = v;
		break;
	case OP_ROT: /* a b c => c a b */
		v = s[-1];
		s[-1] = s[-2];
		s[-2] = s[-3];
		s[-3] = v;
		break;
	case OP_GOTO:
		return jump(vm, operand);
	case OP_IF_GOTO:
		return s[-1] ? jump(vm, operand) : CV_AGENT_OK;
	case OP_LOG_NOT:
	case OP_BIT_NOT:
	case OP_EXT:
	case OP_ZERO_EXT:
	case OP_REF8:
	case OP_REF16:
	case OP_REF32:
	case OP_REF64:
		return unary(vm, op, operand, s - 1);
	default:
		return binary(op, s[-2], s[-1], s - 2);
	}
	return CV_AGENT_OK;
}

static enum cv_agent_result step(struct vm *vm, uint8_t op)
{
	const struct shape *sh = &shapes[op];
	enum cv_agent_result r;
	uint64_t operand = 0;

	if (!sh->known || sh->operand > vm->n - vm->pc)
		return CV_AGENT_BYTECODE;
	for (unsigned i = 0; i < sh->operand; i++)
		operand = operand << 8 | vm->code[vm->pc++];
	if (vm->depth < sh->pops || vm->depth - sh->pops + sh->pushes > STACK)
		return CV_AGENT_STACK;
	r = execute(vm, op, operand);
	vm->depth = vm->depth - sh->pops + sh->pushes;
	return r;
}

enum cv_agent_result cv_agent_eval(const uint8_t *code, size_t n, const struct cv_agent_env *env, uint64_t *value)
{
	struct vm vm = { .code = code, .n = n, .env = env };

	for (unsigned steps = 0; steps < STEPS; steps++) {
		enum cv_agent_result r;
		uint8_t op;

		if (vm.pc >= n)
			return CV_AGENT_BYTECODE;
		op = code[vm.pc++];
		if (op == OP_END) {
			if (!vm.depth)
				return CV_AGENT_STACK;
			*value = vm.stack[vm.depth - 1];
			return CV_AGENT_OK;
		}
		r = step(&vm, op);
		if (r != CV_AGENT_OK)
			return r;
	}
	return CV_AGENT_ENDLESS;
}
