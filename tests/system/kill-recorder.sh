#!/bin/sh
# SPDX-License-Identifier: MIT
# SIGKILL at 20 random moments of a recording: every file opens and replays to its last commit.
. "$(dirname "$0")/../lib.sh"
[ -e "$LINUX/vmlinuz" ] || fail "no Linux guest in $LINUX"
python3 - "$CV" "$WORK" "$LINUX" <<'PY'
import os, random, signal, subprocess, sys, time
cv, work, linux = sys.argv[1:]
rng = random.Random(7)
replayed = 0
for i in range(20):
    path = "%s/k%d.cvr" % (work, i)
    p = subprocess.Popen([cv, "record", "-o", path, "--kernel", linux + "/vmlinuz", "--initrd", linux + "/initramfs.gz",
                          "--append", "console=ttyS0", "--memory", "128M"], stdin=subprocess.PIPE,
                         stdout=open(work + "/out", "wb"), stderr=subprocess.DEVNULL)
    while not os.path.exists(path):
        time.sleep(0.01)
    time.sleep(rng.uniform(0.0, 4.0))
    p.send_signal(signal.SIGKILL)
    p.wait()
    r = subprocess.run([cv, "replay", path], stdin=subprocess.DEVNULL, capture_output=True, timeout=120)
    text = r.stderr.decode()
    if r.returncode == 2 and i < 20 and "unfinished before it began" in text:
        continue  # killed before the first commit held the machine: said in so many words
    if r.returncode != 0 or "to the last commit" not in text:
        sys.exit("kill %d: replay status %d: %s" % (i, r.returncode, text[-400:]))
    if not open(work + "/out", "rb").read().startswith(r.stdout):
        sys.exit("kill %d: replay printed other bytes" % i)
    replayed += 1
    os.unlink(path)
print("%d of 20 replayed to their last commit" % replayed)
if replayed < 15:
    sys.exit("too few recordings got as far as their first commit")
PY
echo ok
