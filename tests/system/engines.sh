#!/bin/sh
# SPDX-License-Identifier: MIT
# Which engines there are, and why not; what is refused, in one line with status 2; and recordings whose positions count steps: they
# replay with equal digests, also from checkpoints, and GDB goes through their REPs in both directions.
. "$(dirname "$0")/../lib.sh"
"$top/tests/guests/repeats/build.sh" "$WORK/guests"
"$top/tests/guests/stuck/build.sh" "$WORK/guests"
guest=$WORK/guests/repeats.elf
alter=$BUILD/tests/tools/cvr_alter
make -s -C "$BUILD" tests/tools/cvr_alter >"$WORK/make" 2>&1 || { cat "$WORK/make" >&2; fail "no cvr_alter"; }

refused() { # WORDS COMMAND...: status 2 and one line with these words
	words=$1
	shift
	expect_status 2 "$@"
	[ "$(wc -l <"$WORK/err")" -eq 1 ] || { cat "$WORK/err" >&2; fail "more than one line: $*"; }
	grep -q -F -e "$words" "$WORK/err" || { cat "$WORK/err" >&2; fail "nothing about '$words': $*"; }
}
meta() { # RECORDING KEY
	sqlite3 "$1" "select value from meta where key = '$2'"
}
recorded() { # NAME OPTIONS...: records the guest into $WORK/NAME.cvr, replays it, compares digests
	name=$1
	shift
	expect_status 0 "$CV" record -o "$WORK/$name.cvr" "$@"
	cp "$WORK/out" "$WORK/$name.out"
	expect_status 0 "$CV" replay "$WORK/$name.cvr"
	cmp "$WORK/out" "$WORK/$name.out" || fail "$name: the replay printed other bytes"
	[ "$(digest_of "$WORK/err")" = "$(meta "$WORK/$name.cvr" final_digest)" ] || fail "$name: another digest"
}
position_of() { # RECORDING: where its run ended
	"$CV" replay "$1" 2>&1 >/dev/null </dev/null | sed -n 's/.*: insns \([0-9]*\), branches.*/\1/p'
}

# --- Engines ---
expect_status 0 "$CV" engines
grep -q '^soft  usable' "$WORK/out" || fail "no software engine"
if grep -q '^vtx   not usable: .' "$WORK/out"; then
	grep -q '^auto  takes soft$' "$WORK/out" || fail "auto takes what can't be used"
	why=$(sed -n 's/^vtx   not usable: //p' "$WORK/out")
	refused "run: --engine vtx: $why" "$CV" run --engine vtx --kernel "$guest"
	refused "record: --engine vtx: $why" "$CV" record --engine vtx -o "$WORK/no.cvr" --kernel "$guest"
	[ ! -e "$WORK/no.cvr" ] || fail "a refused recording left a file"
	expect_status 0 "$CV" run --engine auto --kernel "$guest" --memory 16M
	grep -q -F "engine soft, positions count insns: $why" "$WORK/err" || { cat "$WORK/err" >&2; fail "auto doesn't say why"; }
	expect_status 0 "$CV" run --kernel "$guest" --memory 16M
	if grep -q engine "$WORK/err"; then fail "unasked words about engines"; fi
	recorded plain --kernel "$guest" --memory 16M
	refused "replay: --engine vtx: $why" "$CV" replay --engine vtx "$WORK/plain.cvr"
	refused "debug: --engine vtx: $why" "$CV" debug --engine vtx "$WORK/plain.cvr"
else
	echo "VT-x can be used here: its refusals are left out"
fi
refused "--engine kvm: give auto, soft or vtx" "$CV" run --engine kvm --kernel "$guest"
refused "--count blocks: give insns or steps" "$CV" run --count blocks --kernel "$guest"
refused "--vtx-skid: 'many' is not a number" "$CV" run --vtx-skid many --kernel "$guest"

# --- Units ---
for clock in host virtual; do
	for unit in insns steps; do
		recorded $unit-$clock --engine soft --count $unit --clock $clock --checkpoints 1M --kernel "$guest" --memory 16M
		[ "$(meta "$WORK/$unit-$clock.cvr" count)" = $unit ] || fail "the recording doesn't say that it counts $unit"
		"$CV" info "$WORK/$unit-$clock.cvr" | grep -q "^counts *$unit$" || fail "info doesn't tell $unit"
	done
	steps=$(position_of "$WORK/steps-$clock.cvr")
	insns=$(position_of "$WORK/insns-$clock.cvr")
	[ "$steps" -gt $((100 * insns)) ] || fail "$steps steps and $insns instructions"
	cmp "$WORK/steps-$clock.out" "$WORK/insns-$clock.out" || fail "the unit shows in what the guest computes"
	expect_status 0 "$CV" replay --from insns=$((steps / 2)) "$WORK/steps-$clock.cvr"
	[ "$(digest_of "$WORK/err")" = "$(meta "$WORK/steps-$clock.cvr" final_digest)" ] || fail "another digest from a checkpoint"
done
# Most interrupts come in the middle of a REP.
"$CV" events "$WORK/steps-host.cvr" --kind interrupt >"$WORK/events"
[ "$(wc -l <"$WORK/events")" -gt 100 ] || fail "too few interrupts: $(wc -l <"$WORK/events")"
movs=$(nm "$guest" | sed -n 's/^0*\([0-9a-f]*\) T the_movs/\1/p')
[ "$(grep -c "rip 0x$movs " "$WORK/events")" -gt 5 ] || fail "no interrupts in the middle of a REP"
# A recording from before there were units counts instructions; one in an unknown unit is refused; in the wrong one it diverges.
"$alter" "$WORK/insns-host.cvr" "$WORK/old.cvr" count 0 none
[ -z "$(meta "$WORK/old.cvr" count)" ] || fail "the old recording has a unit"
expect_status 0 "$CV" replay "$WORK/old.cvr"
[ "$(digest_of "$WORK/err")" = "$(meta "$WORK/insns-host.cvr" final_digest)" ] || fail "another digest without a unit"
"$alter" "$WORK/insns-host.cvr" "$WORK/new.cvr" count 0 cycles
refused "the recording's positions count 'cycles'" "$CV" replay "$WORK/new.cvr"
"$alter" "$WORK/steps-host.cvr" "$WORK/wrong.cvr" count 0 insns
expect_status 4 "$CV" replay "$WORK/wrong.cvr"

# --- GDB ---
"$CV" debug "$WORK/steps-host.cvr" -- -batch -x "$top/tests/gdb/repeats.py" >"$WORK/gdb" 2>&1 </dev/null || true
grep -q 'repeats: all as it should be' "$WORK/gdb" || { tail -n 30 "$WORK/gdb" >&2; fail "GDB in a recording in steps"; }
"$CV" debug "$WORK/steps-host.cvr" -- -batch -x "$top/tests/gdb/random_steps.py" >"$WORK/gdb" 2>&1 </dev/null ||
	{ tail -n 30 "$WORK/gdb" >&2; fail "random steps"; }
grep -q 'states: equal' "$WORK/gdb" || { tail -n 30 "$WORK/gdb" >&2; fail "random steps"; }
python3 "$top/tests/gdb/around_events.py" "$CV" "$WORK/steps-host.cvr" 6 1 || fail "around events"

# --- A guest that only faults ---
"$CV" record -o "$WORK/stuck.cvr" --count steps --until insns=5000000 --kernel "$WORK/guests/stuck.elf" --memory 16M >"$WORK/out" \
	2>"$WORK/err" </dev/null || fail "a guest that only faults: status $?"
[ "$(position_of "$WORK/stuck.cvr")" -eq 5000000 ] || fail "a guest that only faults stopped elsewhere"

# --- Linux ---
if [ -e "$LINUX/vmlinuz" ]; then
	recorded linux --count steps --kernel "$LINUX/vmlinuz" --initrd "$LINUX/initramfs.gz" --append "console=ttyS0" \
		--until insns=900000000
	SEED=3 PLACES="5% 60% 95%" "$CV" debug "$WORK/linux.cvr" -- -batch -x "$top/tests/gdb/random_steps.py" >"$WORK/gdb" 2>&1 \
		</dev/null || { tail -n 30 "$WORK/gdb" >&2; fail "random steps in Linux"; }
	grep -q 'states: equal' "$WORK/gdb" || { tail -n 30 "$WORK/gdb" >&2; fail "random steps in Linux"; }
	python3 "$top/tests/gdb/around_events.py" "$CV" "$WORK/linux.cvr" 3 2 || fail "around events of Linux"
fi
echo ok
