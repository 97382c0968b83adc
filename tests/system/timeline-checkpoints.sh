#!/bin/sh
# SPDX-License-Identifier: MIT
# A recording with checkpoints: replayed from every one of them it ends the same, and a seek starts at the nearest.
. "$(dirname "$0")/../lib.sh"
[ -e "$LINUX/vmlinuz" ] || fail "no Linux guest in $LINUX"
expect_status 0 "$CV" record -o "$WORK/run.cvr" --checkpoints 64M --kernel "$LINUX/vmlinuz" --initrd "$LINUX/initramfs.gz" \
	--append "console=ttyS0 panic=-1" --memory 128M --until insns=450000000
end=450000000
near=400000000

# cpu_of COMMAND...: its processor seconds, in hundredths
cpu_of() {
	python3 -c '
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(int((used.ru_utime + used.ru_stime) * 100))' "$@"
}

expect_status 0 "$CV" replay "$WORK/run.cvr" --until insns=$near
there=$(digest_of "$WORK/err")
expect_status 0 "$CV" replay "$WORK/run.cvr"
final=$(digest_of "$WORK/err")
[ -n "$there" ] && [ -n "$final" ] || fail "replay printed no digest"

# From each one, with every check on the way.
places=0
at=67108864
while [ $at -lt $end ]; do
	expect_status 0 "$CV" replay "$WORK/run.cvr" --from insns=$at
	[ "$(digest_of "$WORK/err")" = "$final" ] || fail "replay from $at ends in another state"
	grep -q 'as recorded' "$WORK/err" || fail "replay from $at did not end as recorded"
	places=$((places + 1))
	at=$((at + 67108864))
done
[ $places -ge 6 ] || fail "only $places places"
expect_status 0 "$CV" replay "$WORK/run.cvr" --from insns=$near --until insns=$near
[ "$(digest_of "$WORK/err")" = "$there" ] || fail "another state at $near from the checkpoint before it"

slow=$(cpu_of "$CV" replay "$WORK/run.cvr" --until insns=$near)
quick=$(cpu_of "$CV" replay "$WORK/run.cvr" --from insns=$near --until insns=$near)
[ $((quick * 2)) -lt "$slow" ] || fail "from the checkpoint $quick, from the beginning $slow (1/100 s)"

# The timeline: GDB goes there, back, and sees the registers that it sees when it came all the way.
cat >"$WORK/there.gdb" <<END
set pagination off
set confirm off
monitor seek $near
maintenance flush register-cache
monitor when
info registers
stepi
reverse-stepi
monitor when
info registers
kill
END
expect_status 0 "$CV" debug "$WORK/run.cvr" -- -batch -x "$WORK/there.gdb"
grep -q "insns $near" "$WORK/err" || { cat "$WORK/out" "$WORK/err" >&2; fail "GDB is not at $near"; }
grep '^r\(ip\|sp\|ax\|cx\)' "$WORK/out" >"$WORK/seek.regs"
cat >"$WORK/slow.gdb" <<END
set pagination off
set confirm off
monitor seek 30000000
monitor seek 60000000
$(i=90000000; while [ $i -lt $near ]; do echo "monitor seek $i"; i=$((i + 30000000)); done)
monitor seek $near
maintenance flush register-cache
info registers
info registers
kill
END
expect_status 0 "$CV" debug "$WORK/run.cvr" -- -batch -x "$WORK/slow.gdb"
grep '^r\(ip\|sp\|ax\|cx\)' "$WORK/out" >"$WORK/slow.regs"
[ -s "$WORK/seek.regs" ] && cmp "$WORK/seek.regs" "$WORK/slow.regs" || fail "other registers at $near"
seek=$(cpu_of "$CV" debug "$WORK/run.cvr" -- -batch -x "$WORK/there.gdb")
echo "ok: $places places; to $near from the beginning $slow, from a checkpoint $quick, with GDB $seek (1/100 s)"
