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
echo ok
