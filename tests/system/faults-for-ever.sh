#!/bin/sh
# SPDX-License-Identifier: MIT
# A guest that faults for ever without retiring an instruction: it can be stopped, and replayed, and looked at.
. "$(dirname "$0")/../lib.sh"
"$top/tests/guests/stuck/build.sh" "$WORK/guests"
guest=$WORK/guests/stuck.elf
for clock in host virtual; do
	"$CV" record -o "$WORK/$clock.cvr" --clock $clock --kernel "$guest" --memory 16M </dev/null >"$WORK/out" 2>"$WORK/err" &
	recorder=$!
	tries=0
	until grep -q stuck "$WORK/out" 2>/dev/null; do
		tries=$((tries + 1))
		[ $tries -lt 300 ] || { kill -9 $recorder; fail "no sign of the guest ($clock)"; }
		sleep 0.1
	done
	sleep 0.3
	kill -TERM $recorder
	tries=0
	while kill -0 $recorder 2>/dev/null; do
		tries=$((tries + 1))
		[ $tries -lt 100 ] || { kill -9 $recorder; fail "it can't be stopped ($clock)"; }
		sleep 0.1
	done
	wait $recorder || { cat "$WORK/err" >&2; fail "the recording ended badly ($clock)"; }
	"$CV" events "$WORK/$clock.cvr" --kind command >"$WORK/commands"
	[ -s "$WORK/commands" ] || fail "no command in the log ($clock)"
	expect_status 0 timeout 60 "$CV" replay "$WORK/$clock.cvr"
	grep -q 'as recorded' "$WORK/err" || fail "it does not replay ($clock)"
	cat >"$WORK/stuck.gdb" <<-END
		set pagination off
		set confirm off
		monitor seek end
		reverse-stepi
		reverse-stepi
		stepi
		monitor when
		reverse-continue
		continue
		kill
	END
	expect_status 0 timeout 120 "$CV" debug "$WORK/$clock.cvr" -- -batch -x "$WORK/stuck.gdb"
	grep -q '^insns' "$WORK/err" || { cat "$WORK/out" "$WORK/err" >&2; fail "GDB saw nothing ($clock)"; }
done
echo ok
