#!/bin/sh
# SPDX-License-Identifier: MIT
# What the examples' READMEs tell is what happens: their commands are run, in a real GDB, and the output compared. Among
# them: the racing guest recorded until it crashes, and the watchpoint that names the culprit line, going backwards.
. "$(dirname "$0")/../lib.sh"
for example in racing-list stack-overflow console-echo; do
	mkdir "$WORK/$example"
	python3 "$top/tests/gdb/session.py" "$top/examples/$example/README.md" "$CV" "$WORK/$example" \
		>"$WORK/said" 2>&1 || { cat "$WORK/said" >&2; fail "the session of $example is not as its README says"; }
	tail -n 1 "$WORK/said"
done
