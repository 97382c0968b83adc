#!/bin/sh
# SPDX-License-Identifier: MIT
# SIGKILL at 20 random moments of a recording: every file opens and replays to its last commit. Killed before its first
# commit, a recording says so in one line; killed before it had a name, it isn't there.
. "$(dirname "$0")/../lib.sh"
[ -e "$LINUX/vmlinuz" ] || fail "no Linux guest in $LINUX"
python3 - "$CV" "$WORK" "$LINUX" <<'PY'
import os, random, re, signal, subprocess, sys, time
cv, work, linux = sys.argv[1:]
rng = random.Random(7)
replayed = early = 0
furthest = 0
for i in range(20):
    path = "%s/k%d.cvr" % (work, i)
    out = open(work + "/out", "wb")
    p = subprocess.Popen([cv, "record", "-o", path, "--kernel", linux + "/vmlinuz", "--initrd", linux + "/initramfs.gz",
                          "--append", "console=ttyS0 earlyprintk=ttyS0", "--memory", "128M"], stdin=subprocess.PIPE,
                         stdout=out, stderr=subprocess.DEVNULL)
    # Five at the very beginning, where the file is being made; the others anywhere in the first seconds.
    time.sleep(rng.uniform(0.0, 0.4) if i < 5 else rng.uniform(0.2, 2.5))
    p.send_signal(signal.SIGKILL)
    p.wait()
    out.close()
    printed = open(work + "/out", "rb").read()
    if not os.path.exists(path):
        early += 1
        continue
    r = subprocess.run([cv, "replay", path], stdin=subprocess.DEVNULL, capture_output=True, timeout=120)
    text = r.stderr.decode()
    if r.returncode == 2 and "was never begun" in text and text.count("\n") == 1 and not printed:
        early += 1
        continue
    if r.returncode != 0 or "to the last commit" not in text:
        sys.exit("kill %d: replay status %d: %s" % (i, r.returncode, text[-400:]))
    # The console has seen at most a commit interval more than the recording knows, and a buffer less.
    both = min(len(printed), len(r.stdout))
    if printed[:both] != r.stdout[:both]:
        sys.exit("kill %d: replay printed other bytes" % i)
    furthest = max(furthest, int(re.search(r"insns (\d+)", text).group(1)))
    if subprocess.run([cv, "verify", path], capture_output=True).returncode:
        sys.exit("kill %d: verify failed" % i)
    replayed += 1
    os.unlink(path)
print("%d replayed to their last commit, %d had none yet; the longest had %d instructions" % (replayed, early, furthest))
if replayed < 12 or furthest < 20000000:
    sys.exit("too few recordings got far enough to show anything")
PY
echo ok
