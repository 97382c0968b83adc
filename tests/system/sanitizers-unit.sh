#!/bin/sh
# SPDX-License-Identifier: MIT
# Every test of `make check` passes with AddressSanitizer and UndefinedBehaviorSanitizer.
. "$(dirname "$0")/../lib.sh"
build_sanitizers 'all check'
sed -n 's/^# \(TOTAL\|PASS\|SKIP\): *\([0-9]*\)$/\1 \2/p' "$BUILD/sanitizers/build.log"
