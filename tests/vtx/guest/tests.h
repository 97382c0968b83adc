/* SPDX-License-Identifier: MIT */
/* The module's tests, a table a file. */
#ifndef CV_VTX_TESTS_H
#define CV_VTX_TESTS_H

#include "vm.h"

extern const struct test refusal_tests[], exit_tests[], count_tests[], event_tests[], memory_tests[];
extern const size_t nrefusal_tests, nexit_tests, ncount_tests, nevent_tests, nmemory_tests;

#endif
