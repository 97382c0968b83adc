#!/bin/sh
# SPDX-License-Identifier: MIT
# linux.sh: a Linux guest on the VT-x engine inside Bochs, booted to a line from its shell, recorded and replayed there; the recording is
# replayed here on the software engine, too. Takes longer than the other tests (about four minutes of an idle CPU for the boot alone), so it isn't run with them.
. "$(dirname "$0")/../lib.sh"
. "$top/tests/vtx/lib.sh"
need_bochs
build_module
[ -e "$LINUX/vmlinuz" ] || "$top/examples/linux/mkguest.sh" "$LINUX" >/dev/null || skip "no Linux guest"
folder=$WORK/linux
mkdir -p "$folder/bin"
strip -o "$folder/bin/chronovisor" "$CV"
cp "$VTX/kmod/chronovisor_vtx.ko" "$LINUX/vmlinuz" "$LINUX/initramfs.gz" "$folder/"
cat >"$folder/payload" <<'END'
now() { cut -d' ' -f1 /proc/uptime; }
insmod /chronovisor_vtx.ko || exit 1
cd /tmp
: >console
echo "recording from $(now)"
timeout -s INT 900 chronovisor record --engine vtx -o linux.cvr --kernel /vmlinuz --initrd /initramfs.gz --memory 96M \
	--append 'console=ttyS0 panic=-1 ipv6.disable=1 cryptomgr.notests initcall_blacklist=load_system_certificate_list,trace_eval_init,init_kprobe_trace,tracer_init_tracefs cv.run="uname -a; cat /proc/interrupts"' </dev/null 2>err >console &
recorder=$!
tail -f console &
shown=$!
wait $recorder
status=$?
kill $shown
echo "recorded until $(now): status $status"
tail -n 3 err
[ $status -eq 0 ] && grep -q '^Linux ' console || exit 1
cp linux.cvr /out/
timeout -s INT 900 chronovisor replay --engine vtx --quiet linux.cvr >again 2>err
echo "replayed until $(now): status $?"
tail -n 2 err
cmp console again
END
status=0
in_bochs "$folder" --memory 1024 --timeout "${LIMIT:-1500}" --out "$WORK/handed-out" || status=$?
[ $status -eq 0 ] || fail "status $status in Bochs"
expect_status 0 "$CV" replay --engine soft "$WORK/handed-out/linux.cvr"
grep -q 'as recorded' "$WORK/err" || fail "it doesn't replay on the software engine"
echo "recorded on vtx in Bochs, replayed there and here: $(tail -n 1 "$WORK/err")"
