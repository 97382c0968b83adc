/* SPDX-License-Identifier: MIT */
/*
 * Which function runs for each operation of ops_sys.def.
 */
#include "vmm-core/soft/sys.h"

static cv_handler *const handlers[CV_OP_COUNT] = {
#define X(name) [CV_OP_##name] = sys_op_##name,
#include "vmm-core/x86/ops_sys.def"
#undef X
};

cv_handler *soft_handler_sys(const struct cv_insn *i)
{
	return i->op < CV_OP_COUNT ? handlers[i->op] : NULL;
}
