#!/bin/sh
# SPDX-License-Identifier: MIT
# A debugger comes to a Linux guest that has run for a while, and goes back: the recording has checkpoints to start from.
. "$(dirname "$0")/../lib.sh"
[ -e "$LINUX/vmlinuz" ] || fail "no Linux guest in $LINUX"
"$CV" record -o "$WORK/run.cvr" --gdb "unix:$WORK/gdb" --kernel "$LINUX/vmlinuz" --initrd "$LINUX/initramfs.gz" \
	--append "console=ttyS0 panic=-1" --memory 128M </dev/null >"$WORK/run.out" 2>"$WORK/run.err" &
recorder=$!
trap 'kill $recorder 2>/dev/null || true; rm -rf "$WORK"' EXIT
# Until the kernel says that it frees its own beginnings: some hundred million instructions.
tries=0
until grep -q 'Freeing unused kernel' "$WORK/run.out" 2>/dev/null; do
	tries=$((tries + 1))
	[ $tries -lt 1200 ] || fail "the guest did not boot"
	sleep 0.1
done
cat >"$WORK/back.gdb" <<END
set pagination off
set confirm off
target remote $WORK/gdb
monitor when
info registers rip rsp rax eflags
reverse-stepi
stepi
info registers rip rsp rax eflags
monitor when
reverse-stepi 3
monitor seek 300000000
monitor seek end
monitor when
kill
END
timeout 300 gdb -q -batch -x "$WORK/back.gdb" >"$WORK/out" 2>&1 || { cat "$WORK/out" >&2; fail "GDB failed"; }
wait $recorder || { cat "$WORK/run.err" >&2; fail "the recording ended badly"; }
[ "$(grep -c '^insns .* live$' "$WORK/out")" -eq 4 ] || { cat "$WORK/out" >&2; fail "not back at the living guest"; }
[ "$(grep '^insns .* live$' "$WORK/out" | sort -u | wc -l)" -eq 1 ] || { cat "$WORK/out" >&2; fail "the living guest moved"; }
[ "$(grep '^r\(ip\|sp\|ax\) ' "$WORK/out" | sort -u | wc -l)" -eq 3 ] || { cat "$WORK/out" >&2; fail "other registers"; }
expect_status 0 "$CV" info "$WORK/run.cvr"
grep '^checkpoints' "$WORK/out" | grep -q 'with [1-9][0-9]* pages' || fail "the recording has no checkpoint to start from"
expect_status 0 "$CV" replay "$WORK/run.cvr"
grep -q 'as recorded' "$WORK/err" || fail "it does not replay"
echo ok
