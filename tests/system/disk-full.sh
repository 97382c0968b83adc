#!/bin/sh
# SPDX-License-Identifier: MIT
# A recording that finds no more room: one line that says so, status 1, and what was committed replays.
. "$(dirname "$0")/../lib.sh"
guest=$GUESTS/console-echo/console-echo.elf
[ -e "$guest" ] || fail "no guest at $guest"
[ -e "$LINUX/vmlinuz" ] || skip "no Linux guest in $LINUX"

# too_full WHAT STATUS: how the recording ended, from $WORK/err
too_full() {
	[ "$2" -eq 1 ] || { cat "$WORK/err" >&2; fail "$1: status $2 instead of 1"; }
	[ "$(wc -l <"$WORK/err")" -eq 1 ] || { cat "$WORK/err" >&2; fail "$1: not one line"; }
	grep -q 'run.cvr' "$WORK/err" || { cat "$WORK/err" >&2; fail "$1: the line doesn't name the file"; }
	echo "$1: $(cat "$WORK/err")"
}
# replays WHAT FILE: as far as its last commit, which was not the first
replays() {
	expect_status 0 "$CV" replay "$2"
	grep -q 'to the last commit' "$WORK/err" || { cat "$WORK/err" >&2; fail "$1: no last commit"; }
	[ "$(sed -n 's/.*insns \([0-9]*\),.*/\1/p' "$WORK/err")" -gt 1000000 ] || { cat "$WORK/err" >&2; fail "$1: too short"; }
	[ -s "$WORK/out" ] || fail "$1: the replay printed nothing"
}

# A limit on the size of files that is reached in mid-run.
status=0
python3 - "$CV" "$WORK/run.cvr" "$LINUX/vmlinuz" 2>"$WORK/err" <<'PY' || status=$?
import os, resource, subprocess, sys, time
cv, path, kernel = sys.argv[1:]
p = subprocess.Popen([cv, "record", "-o", path, "--kernel", kernel, "--memory", "96M", "--checkpoints", "10M",
                      "--append", "console=ttyS0 earlyprintk=ttyS0", "--until", "insns=3000000000"],
                     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
wal = path + "-wal"
while not os.path.exists(wal) or os.stat(wal).st_size < 1 << 20:
    if p.poll() is not None:
        sys.exit(p.returncode)
    time.sleep(0.01)
time.sleep(0.8)
size = max(os.stat(wal).st_size, os.stat(path).st_size) + 100000
resource.prlimit(p.pid, resource.RLIMIT_FSIZE, (size, size))
sys.exit(p.wait(60))
PY
too_full "file size limit" $status
replays "file size limit" "$WORK/run.cvr"

# Full disks: one that has no room for the machine's images, one that is full in mid-run.
mkdir "$WORK/disk"
mount -t tmpfs -o size=64k tmpfs "$WORK/disk" 2>/dev/null ||
	{ echo "ok (without the full disk: mounting isn't allowed)"; exit 0; }
trap 'umount "$WORK/disk"; rm -rf "$WORK"' EXIT
status=0
"$CV" record -o "$WORK/disk/run.cvr" --kernel "$guest" >"$WORK/out" 2>"$WORK/err" </dev/null || status=$?
too_full "small disk" $status
[ -z "$(ls "$WORK/disk")" ] || { ls -l "$WORK/disk"; fail "a recording that holds nothing was left behind"; }

mount -o remount,size=96M "$WORK/disk"
status=0
"$CV" record -o "$WORK/disk/run.cvr" --kernel "$LINUX/vmlinuz" --memory 96M --checkpoints 10M \
	--append "console=ttyS0 earlyprintk=ttyS0" --until insns=3000000000 >"$WORK/out" 2>"$WORK/err" </dev/null || status=$?
too_full "full disk" $status
cp "$WORK"/disk/run.cvr* "$WORK/"
replays "full disk" "$WORK/disk/run.cvr"
replays "full disk, copied from it" "$WORK/run.cvr"
echo ok
