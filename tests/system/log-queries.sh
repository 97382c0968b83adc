#!/bin/sh
# SPDX-License-Identifier: MIT
# The log as people and programs read it: info, events as text and JSON, and `events` in plain sqlite3.
. "$(dirname "$0")/../lib.sh"
guest=$GUESTS/console-echo/console-echo.elf
printf 'hello\rsum 1 2\rpoweroff\r' | "$CV" record -o "$WORK/run.cvr" --kernel "$guest" --memory 16M >"$WORK/out" 2>&1
expect_status 0 "$CV" info "$WORK/run.cvr"
total=$(sed -n 's/^events *\([0-9]*\) in .*/\1/p' "$WORK/out")
[ -n "$total" ] && [ "$total" -gt 3 ] || { cat "$WORK/out" >&2; fail "info does not count the events"; }
grep -q '^clock  *host' "$WORK/out" && grep -q 'console-in  *[1-9]' "$WORK/out" || fail "info"
expect_status 0 "$CV" events "$WORK/run.cvr"
[ "$(wc -l <"$WORK/out")" -eq "$total" ] || fail "events lists $(wc -l <"$WORK/out") of $total"
expect_status 0 "$CV" events "$WORK/run.cvr" --format json
cp "$WORK/out" "$WORK/json"
while IFS= read -r line; do printf '%s\n' "$line" | python3 -m json.tool >/dev/null || fail "no JSON: $line"; done <"$WORK/json"
extension=$BUILD/.libs/chronovisor_events
[ -e "$extension.so" ] || fail "no extension at $extension.so"
sqlite3 "$WORK/run.cvr" ".load $extension" "select kind, count(*) from events group by kind order by kind" >"$WORK/kinds"
python3 - "$WORK" "$total" <<'PY'
import json, subprocess, sys
work, total = sys.argv[1], int(sys.argv[2])
rows = [json.loads(line) for line in open(work + "/json")]
assert len(rows) == total, (len(rows), total)
assert all(set(("kind", "insns", "branches", "rip")) <= set(r) for r in rows), rows[0]
assert [r["insns"] for r in rows] == sorted(r["insns"] for r in rows)
assert rows[-1]["kind"] == "end"
typed = b"".join(bytes.fromhex(r["data"]) for r in rows if r["kind"] == "console-in")
assert typed == b"hello\rsum 1 2\rpoweroff\r", typed
kinds = {}
for r in rows:
    kinds[r["kind"]] = kinds.get(r["kind"], 0) + 1
said = dict(line.split("|") for line in open(work + "/kinds").read().split())
assert {k: int(v) for k, v in said.items()} == kinds, (said, kinds)
print("%d events: %s" % (total, kinds))
PY
# A kind, and a part of the run.
expect_status 0 "$CV" events "$WORK/run.cvr" --kind interrupt
! grep -v interrupt "$WORK/out" >&2 || fail "other kinds than asked for"
at=$(sed -n '2p' "$WORK/out" | awk '{ print $4 }')
expect_status 0 "$CV" events "$WORK/run.cvr" --from "$at" --to "$at"
[ -s "$WORK/out" ] && ! awk -v at="$at" '$4 != at' "$WORK/out" | grep . >&2 || fail "events outside of --from and --to"
# The sums that sqlite3 gives are those of the command line.
[ "$(sqlite3 "$WORK/run.cvr" ".load $extension" "select count(*) from events where insns >= $at")" = \
	"$("$CV" events "$WORK/run.cvr" --from "$at" | wc -l)" ] || fail "sqlite3 counts otherwise"
sqlite3 "$WORK/run.cvr" "select text from lines" | grep -q 'Good day, stranger.' || fail "no console lines in the file"
expect_status 0 "$CV" verify "$WORK/run.cvr"
echo ok
