#!/bin/sh
# SPDX-License-Identifier: MIT
# Debian's kernel to a shell and power-off: recorded and replayed, with both clocks, KASLR on, fed with random console input.
. "$(dirname "$0")/../lib.sh"
load=
# shellcheck disable=SC2086
trap 'kill $load 2>/dev/null; rm -rf "$WORK"' EXIT
[ -e "$LINUX/vmlinuz" ] || fail "no Linux guest in $LINUX"
bases=
for clock in host virtual; do
	python3 - $clock >"$WORK/keys.$clock" <<'PY'
import random, sys
rng = random.Random("console " + sys.argv[1])
words = ["echo", "date #", "ls / #", "cat /proc/uptime #", "x=", "uname -a #", "true && false", "seq 1 20 #", "sleep 0.05 #",
         "head -c 20 /dev/urandom | md5sum #"]
for _ in range(20):
    print(rng.choice(words) + " " + "".join(rng.choice("abcdefghij ") for _ in range(rng.randrange(12))))
print("echo typed-$((6*7))-the-end; grep ' startup_64$' /proc/kallsyms")
print("poweroff -f")
PY
	status=0
	python3 "$top/tests/gdb/feed.py" $clock '# ' "$WORK/keys.$clock" \
		"$CV" record -o "$WORK/$clock.cvr" --clock $clock --kernel "$LINUX/vmlinuz" --initrd "$LINUX/initramfs.gz" \
		--append "console=ttyS0 panic=-1" --memory 256M >"$WORK/$clock.out" 2>"$WORK/$clock.err" || status=$?
	[ $status -eq 0 ] || { tail -n 20 "$WORK/$clock.out" "$WORK/$clock.err" >&2; fail "recording with the $clock clock ended with $status"; }
	grep -q typed-42-the-end "$WORK/$clock.out" || { tail -n 20 "$WORK/$clock.out" >&2; fail "the shell did not answer"; }
	grep -q 'power-off' "$WORK/$clock.err" || fail "the guest did not power off"
	[ "$("$CV" events "$WORK/$clock.cvr" --kind console-in | wc -l)" -ge 20 ] || fail "too little console input in the log"
	base=$(sed -n 's/.*\(ffffffff[0-9a-f]\{8\}\) T startup_64.*/\1/p' "$WORK/$clock.out" | head -n 1)
	[ -n "$base" ] || { tail -n 30 "$WORK/$clock.out" >&2; fail "the guest does not say where its kernel is"; }
	bases="$bases $base"
	status=0
	"$CV" replay "$WORK/$clock.cvr" >"$WORK/$clock.out2" 2>"$WORK/$clock.err2" </dev/null || status=$?
	[ $status -eq 0 ] || { tail -n 20 "$WORK/$clock.err2" >&2; fail "replay with the $clock clock ended with $status"; }
	cmp "$WORK/$clock.out" "$WORK/$clock.out2" || fail "replay printed other bytes"
	grep -q 'as recorded' "$WORK/$clock.err2" || fail "replay did not end as recorded"
	digest=$(digest_of "$WORK/$clock.err2")
	[ "$digest" = "$(sqlite3 "$WORK/$clock.cvr" "select value from meta where key like '%digest%'")" ] ||
		fail "the digest is not the recorded one"
	echo "$clock clock: $(tail -n 1 "$WORK/$clock.err2")"
done
echo "kernels at$bases"
[ "$bases" != ' ffffffff81000000 ffffffff81000000' ] || fail "the kernel was not moved: is KASLR on?"
# Twice more, and with the machine loaded: the same digest.
for _ in 1 2 3; do sh -c 'while :; do :; done' & load="$load $!"; done
expect_status 0 "$CV" replay "$WORK/host.cvr"
[ "$(digest_of "$WORK/err")" = "$(digest_of "$WORK/host.err2")" ] || fail "another digest under load"
cmp "$WORK/host.out" "$WORK/out" || fail "other bytes under load"
echo ok
