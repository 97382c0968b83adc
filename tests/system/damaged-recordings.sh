#!/bin/sh
# SPDX-License-Identifier: MIT
# A flipped byte anywhere and a file cut anywhere: found, or harmless; never a crash, a hang, or another run.
. "$(dirname "$0")/../lib.sh"
guest=$GUESTS/stack-overflow/stack-overflow.elf
expect_status 3 "$CV" record -o "$WORK/good.cvr" --kernel "$guest" --memory 16M
expect_status 3 "$CV" replay "$WORK/good.cvr"
want=$(digest_of "$WORK/err")
[ -n "$want" ] || fail "no digest"
python3 - "$CV" "$WORK" "$want" <<'PY'
import random, re, subprocess, sys
cv, work, want = sys.argv[1:]
good = open(work + "/good.cvr", "rb").read()
rng = random.Random(20240229)
found = harmless = 0
for i in range(120):
    data = bytearray(good)
    if i % 3 == 2:
        data = data[:rng.randrange(len(data))]
        what = "cut at %d" % len(data)
    else:
        at = rng.randrange(len(data))
        data[at] ^= 1 << rng.randrange(8)
        what = "bit flipped in byte %d" % at
    path = work + "/bad.cvr"
    open(path, "wb").write(data)
    p = subprocess.run([cv, "replay", path], stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    text = p.stderr.decode("utf-8", "replace")
    digest = re.findall(r"digest ([0-9a-f]{32})", text)
    if p.returncode in (3, 0) and digest == [want]:
        harmless += 1
    elif p.returncode in (2, 4):
        found += 1
    else:
        sys.exit("%s: status %d, %s" % (what, p.returncode, text[-400:]))
    if p.returncode == 2 and text.count("\n") != 1:
        sys.exit("%s: not one line: %s" % (what, text[-400:]))
    if i % 4 == 0:
        for command in ("info", "events", "verify"):
            p = subprocess.run([cv, command, path], stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
            if p.returncode not in (0, 2):
                sys.exit("%s: %s: status %d, %s" % (what, command, p.returncode, p.stderr[-400:]))
print("%d found, %d harmless" % (found, harmless))
if not found:
    sys.exit("not one was found")
PY
# A flipped byte in a stored chunk or image is always found.
for table in chunks images; do
	cp "$WORK/good.cvr" "$WORK/bad.cvr"
	python3 - "$WORK/bad.cvr" $table <<'PY'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
table = sys.argv[2]
column = [r[1] for r in db.execute("pragma table_info(%s)" % table) if r[1] in ("data", "bytes", "body", "blob")][0]
rowid, blob = db.execute("select rowid, %s from %s limit 1" % (column, table)).fetchone()
blob = bytearray(blob)
blob[len(blob) // 2] ^= 4
db.execute("update %s set %s = ? where rowid = ?" % (table, column), (bytes(blob), rowid))
db.commit()
PY
	expect_status 2 "$CV" verify "$WORK/bad.cvr"
	expect_status 2 "$CV" replay "$WORK/bad.cvr"
done
# The same beside a recorder that was killed: what follows a damaged byte of the -wal may be lost, but nothing is another.
echo_elf=$GUESTS/console-echo/console-echo.elf
python3 - "$CV" "$WORK" "$echo_elf" <<'PY'
import os, random, shutil, subprocess, sys, time
cv, work, elf = sys.argv[1:]
path, bad = work + "/killed.cvr", work + "/bad.cvr"
p = subprocess.Popen([cv, "record", "-o", path, "--kernel", elf, "--memory", "16M"], stdin=subprocess.PIPE,
                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
for i in range(6):
    p.stdin.write(b"sum %d 2 3\r" % i)
    p.stdin.flush()
    time.sleep(0.25)
p.kill()
p.wait()
rng = random.Random(20240301)

def replay():
    r = subprocess.run([cv, "replay", bad], stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    return r.returncode, r.stdout, r.stderr.decode("utf-8", "replace")

shutil.copy(path, bad)
shutil.copy(path + "-wal", bad + "-wal")
status, whole, text = replay()
if status or "to the last commit" not in text or b"sum 1 2 3" not in whole:
    sys.exit("undamaged: status %d: %s" % (status, text))
wal = open(path + "-wal", "rb").read()
found = shorter = same = 0
for i in range(60):
    data = bytearray(wal)
    if i % 3 == 2:
        data = data[:rng.randrange(len(data))]
    else:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    for f in (bad + "-shm", bad + "-wal"):
        if os.path.exists(f):
            os.unlink(f)
    shutil.copy(path, bad)
    open(bad + "-wal", "wb").write(data)
    status, out, text = replay()
    if status == 2 and text.count("\n") == 1:
        found += 1
    elif status == 0 and "to the last commit" in text and whole.startswith(out):
        same += out == whole
        shorter += out != whole
    else:
        sys.exit("-wal, case %d: status %d: %s" % (i, status, text[-400:]))
print("-wal: %d found, %d shorter, %d whole" % (found, shorter, same))
if not shorter + found:
    sys.exit("no damage of the -wal did anything")
PY
echo ok
