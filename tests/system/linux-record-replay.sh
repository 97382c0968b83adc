#!/bin/sh
# SPDX-License-Identifier: MIT
# Debian's kernel to a shell and power-off: recorded and replayed, with both clocks, KASLR on, fed with random console input.
. "$(dirname "$0")/../lib.sh"
[ -e "$LINUX/vmlinuz" ] || fail "no Linux guest in $LINUX"
for clock in host virtual; do
	# Typed in pieces at odd moments, as a person would; the last line powers off.
	python3 - $clock >"$WORK/keys.$clock" <<'PY'
import random, sys
rng = random.Random("console " + sys.argv[1])
words = ["echo", "date", "ls /", "cat /proc/uptime", "x=$((RANDOM))", "uname -a", "true && false", "seq 1 20"]
for _ in range(25):
    print(rng.choice(words) + " " + "".join(rng.choice("abcdefghij ") for _ in range(rng.randrange(12))))
print("echo typed-the-end")
print("poweroff -f")
PY
	feed() {
		while IFS= read -r line; do
			sleep 0.1
			printf '%s\n' "$line"
		done <"$WORK/keys.$clock"
		sleep 120 # the guest has powered off long before; keeps standard input open
	}
	mkfifo "$WORK/tty.$clock"
	(sleep 8; feed) >"$WORK/tty.$clock" &
	feeder=$!
	status=0
	"$CV" record -o "$WORK/$clock.cvr" --clock $clock --kernel "$LINUX/vmlinuz" --initrd "$LINUX/initramfs.gz" \
		--append "console=ttyS0 panic=-1" --memory 256M <"$WORK/tty.$clock" >"$WORK/$clock.out" 2>"$WORK/$clock.err" || status=$?
	pkill -P $feeder 2>/dev/null || true
	kill $feeder 2>/dev/null || true
	[ $status -eq 0 ] || { tail -n 20 "$WORK/$clock.out" "$WORK/$clock.err" >&2; fail "recording with the $clock clock ended with $status"; }
	grep -q typed-the-end "$WORK/$clock.out" || { tail -n 20 "$WORK/$clock.out" >&2; fail "the shell did not answer"; }
	grep -q 'power-off' "$WORK/$clock.err" || fail "the guest did not power off"
	status=0
	"$CV" replay "$WORK/$clock.cvr" >"$WORK/$clock.out2" 2>"$WORK/$clock.err2" </dev/null || status=$?
	[ $status -eq 0 ] || { tail -n 20 "$WORK/$clock.err2" >&2; fail "replay with the $clock clock ended with $status"; }
	cmp "$WORK/$clock.out" "$WORK/$clock.out2" || fail "replay printed other bytes"
	grep -q 'as recorded' "$WORK/$clock.err2" || fail "replay did not end as recorded"
	grep -c 'console-in' <<-END >/dev/null || fail "no console input in the log"
		$("$CV" events "$WORK/$clock.cvr" --kind console-in | head -n 3)
	END
done
echo ok
