#!/bin/sh
# SPDX-License-Identifier: MIT
# Debugger's clients at a guest that is being recorded: garbage, half packets, one that vanishes while it holds the guest,
# and a real GDB that attaches, goes back, comes back and detaches. The recording ends well and replays exactly.
. "$(dirname "$0")/../lib.sh"
command -v socat >/dev/null || skip "no socat"
elf=$GUESTS/console-echo/console-echo.elf
sock=$WORK/gdb.sock

# The guest lives until it reads "poweroff", so that nothing here depends on time.
mkfifo "$WORK/keys"
"$CV" record -o "$WORK/run.cvr" --kernel "$elf" --memory 32M --gdb "unix:$sock" >"$WORK/console" 2>"$WORK/err" <"$WORK/keys" &
recorder=$!
exec 3>"$WORK/keys"
printf 'hello\r' >&3
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	[ -S "$sock" ] && break
	sleep 0.05
done
[ -S "$sock" ] || { cat "$WORK/err" >&2; fail "no socket"; }

# Garbage, Ctrl-C and half a packet: nothing of it counts.
head -c 5000 /dev/urandom | tr -d '$' | socat -u - "UNIX-CONNECT:$sock" || fail "connecting"
printf '\003\003$m1000,4' | socat -u - "UNIX-CONNECT:$sock" || fail "connecting"
printf '$qC#00$zzz#zz' | socat -u - "UNIX-CONNECT:$sock" || fail "connecting"
# A client that stops the guest and vanishes.
printf '+$?#3f' | socat -t 0.2 - "UNIX-CONNECT:$sock" >"$WORK/reply" || fail "connecting"
grep -q 'T05thread:1;' "$WORK/reply" || fail "no stop reply: $(cat "$WORK/reply")"

cat >"$WORK/cmd" <<END
set confirm off
set pagination off
file $elf
target remote $sock
monitor when
stepi 20
monitor when
reverse-stepi 5
monitor when
stepi 5
monitor when
reverse-continue
monitor when
monitor seek end
detach
END
timeout 60 gdb -nx -q -batch -x "$WORK/cmd" >"$WORK/gdb" 2>&1 </dev/null || { cat "$WORK/gdb" >&2; fail "gdb"; }
[ "$(grep -c 'insns .*, live$' "$WORK/gdb")" -ge 2 ] || { cat "$WORK/gdb" >&2; fail "never at the living end"; }
[ "$(grep -c 'insns .*, replay$' "$WORK/gdb")" -ge 2 ] || { cat "$WORK/gdb" >&2; fail "never in the past"; }
grep -q 'insns 0 .*, replay$' "$WORK/gdb" || { cat "$WORK/gdb" >&2; fail "the beginning was not reached"; }

printf 'sum 1 2 39\rpoweroff\r' >&3
exec 3>&-
status=0
wait $recorder || status=$?
[ $status -eq 0 ] || { cat "$WORK/err" >&2; fail "recording ended with $status"; }
expect_status 0 "$CV" replay "$WORK/run.cvr"
grep -q '^42' "$WORK/console" || { cat "$WORK/console" >&2; fail "the guest did not go on"; }
cmp -s "$WORK/out" "$WORK/console" || fail "the replay prints something else"
[ -n "$(digest_of "$WORK/err")" ] || fail "no digest"
[ ! -e "$sock" ] || fail "the socket was left behind"
echo ok
