#!/bin/sh
# SPDX-License-Identifier: MIT
# One recording replayed 20 times, half of them with the machine loaded: the same digest, the same console bytes.
. "$(dirname "$0")/../lib.sh"
load=
# shellcheck disable=SC2086
trap 'kill $load 2>/dev/null; rm -rf "$WORK"' EXIT
guest=$GUESTS/racing-list/racing-list.elf
status=0
"$CV" record -o "$WORK/run.cvr" --kernel "$guest" --memory 32M \
	--until insns=200000000 >"$WORK/first" 2>"$WORK/err" </dev/null || status=$?
[ $status -eq 0 ] || [ $status -eq 3 ] || fail "recording ended with $status"
digest=
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	if [ "$i" -eq 11 ]; then
		for _ in 1 2 3 4; do sh -c 'while :; do :; done' & load="$load $!"; done
	fi
	expect_status $status "$CV" replay "$WORK/run.cvr"
	now=$(digest_of "$WORK/err")
	[ -n "$now" ] || fail "no digest"
	[ -z "$digest" ] || [ "$now" = "$digest" ] || fail "digest $now instead of $digest in replay $i"
	cmp "$WORK/first" "$WORK/out" || fail "replay $i printed other bytes"
	digest=$now
done
echo ok
