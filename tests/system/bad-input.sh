#!/bin/sh
# SPDX-License-Identifier: MIT
# Bad input gets one line that says what and where, the documented status, and nothing is lost.
. "$(dirname "$0")/../lib.sh"
guest=$GUESTS/stack-overflow/stack-overflow.elf
[ -e "$guest" ] || fail "no guest at $guest"

# refused STATUS PATTERN COMMAND...: that status, exactly one line on standard error, and it matches
refused() {
	status=$1 pattern=$2
	shift 2
	expect_status "$status" "$@"
	[ "$(wc -l <"$WORK/err")" -eq 1 ] || { cat "$WORK/err" >&2; fail "not one line: $*"; }
	grep -q -- "$pattern" "$WORK/err" || { cat "$WORK/err" >&2; fail "the line does not say '$pattern': $*"; }
}
: >"$WORK/empty"
head -c 4096 /dev/urandom >"$WORK/noise"
printf 'hello\n' >"$WORK/text"
mkdir "$WORK/dir"

# Options
refused 2 'unknown command' "$CV" frobnicate
refused 2 'unknown option' "$CV" run --kernel "$guest" --frobnicate
refused 2 'needs an argument' "$CV" run --kernel
refused 2 'no kernel' "$CV" run
refused 2 'no output' "$CV" record --kernel "$guest"
refused 2 'no recording' "$CV" replay
refused 2 'too many' "$CV" replay "$WORK/a.cvr" b.cvr
refused 2 '16M to 16G' "$CV" run --kernel "$guest" --memory 64G
refused 2 '16M to 16G' "$CV" run --kernel "$guest" --memory 1M
refused 2 'not a number' "$CV" run --kernel "$guest" --memory lots
refused 2 'host or virtual' "$CV" run --kernel "$guest" --clock sundial
refused 2 'insns=N' "$CV" run --kernel "$guest" --until never
refused 2 'not a number' "$CV" run --kernel "$guest" --until insns=many
refused 2 'console=' "$CV" run --kernel "$guest" --until 'console=('
refused 2 'cpu' "$CV" run --kernel "$guest" --cpu z80
refused 2 'unknown option' "$CV" replay "$WORK/a.cvr" --kernel "$guest"
refused 2 'unknown option' "$CV" run -x
refused 2 'too many' "$CV" run --kernel "$guest" more
refused 2 'not a number' "$CV" run --kernel "$guest" --memory -1
refused 2 'not a number' "$CV" run --kernel "$guest" --memory 99999999999999999999
refused 2 '16M to 16G' "$CV" run --kernel "$guest" --memory 16385M
refused 2 'loop' "$CV" record -o "$WORK/x.cvr" --kernel "$guest" --until crash --loop 0
refused 2 'gdb' "$CV" run --kernel "$guest" --gdb-wait
refused 2 'until crash' "$CV" record -o "$WORK/x.cvr" --kernel "$guest" --loop 3

# Images
refused 2 'nosuch' "$CV" run --kernel "$WORK/nosuch"
refused 2 'empty' "$CV" run --kernel "$WORK/empty"
refused 2 'text' "$CV" run --kernel "$WORK/text"
refused 2 'noise' "$CV" run --kernel "$WORK/noise"
refused 2 'regular file' "$CV" run --kernel "$WORK/dir"
mkfifo "$WORK/fifo"
refused 2 'regular file' timeout 10 "$CV" run --kernel "$WORK/fifo"
refused 2 'regular file' timeout 10 "$CV" replay "$WORK/fifo"
gzip -c "$guest" >"$WORK/packed.gz"
refused 2 'packed.gz' "$CV" run --kernel "$WORK/packed.gz"
for n in 1 16 64 512 4096; do
	head -c $n "$guest" >"$WORK/cut.elf"
	refused 2 'cut.elf' "$CV" run --kernel "$WORK/cut.elf"
	[ ! -e "$LINUX/vmlinuz" ] || {
		head -c $n "$LINUX/vmlinuz" >"$WORK/cut.bz"
		refused 2 'cut.bz' "$CV" run --kernel "$WORK/cut.bz"
	}
done
if [ -e "$LINUX/vmlinuz" ]; then
	head -c 9000000 "$LINUX/vmlinuz" >"$WORK/cut.bz"
	refused 2 'cut.bz' "$CV" run --kernel "$WORK/cut.bz"
	refused 2 'memory' "$CV" run --kernel "$LINUX/vmlinuz" --memory 16M
fi
head -c 600 "$guest" >"$WORK/cut.elf"
refused 2 'cut.elf' "$CV" run --kernel "$WORK/cut.elf"
refused 2 'nosuch' "$CV" run --kernel "$guest" --initrd "$WORK/nosuch"
refused 2 'empty' "$CV" run --kernel "$guest" --initrd "$WORK/empty"
refused 2 'nosuch' "$CV" run --kernel "$guest" --module "$WORK/nosuch args"
head -c 40000000 /dev/zero >"$WORK/large"
refused 2 'large' "$CV" run --kernel "$guest" --module "$WORK/large" --memory 32M

# Recordings
refused 2 'nosuch' "$CV" replay "$WORK/nosuch.cvr"
refused 2 'empty' "$CV" replay "$WORK/empty"
refused 2 'noise' "$CV" replay "$WORK/noise"
refused 2 'text' "$CV" info "$WORK/text"
refused 2 'dir' "$CV" events "$WORK/dir"
refused 2 'kind' "$CV" events "$WORK/text" --kind sandwich
refused 2 'text or json' "$CV" events "$WORK/text" --format xml
sqlite3 "$WORK/other.db" 'create table t(a); insert into t values (1);'
refused 2 'other.db' "$CV" replay "$WORK/other.db"

# Output
expect_status 3 "$CV" record -o "$WORK/run.cvr" --kernel "$guest"
before=$(sha256sum <"$WORK/run.cvr")
refused 2 'force' "$CV" record -o "$WORK/run.cvr" --kernel "$guest"
[ "$before" = "$(sha256sum <"$WORK/run.cvr")" ] || fail "an existing recording was changed"
refused 1 'nodir' "$CV" record -o "$WORK/nodir/run.cvr" --kernel "$guest"
refused 1 "text" "$CV" record -o "$WORK/text/run.cvr" --kernel "$guest"
refused 2 'dir' "$CV" record -o "$WORK/dir" --force --kernel "$guest"
if [ "$(id -u)" -ne 0 ]; then
	mkdir "$WORK/closed"
	chmod a-w "$WORK/closed"
	refused 1 'closed' "$CV" record -o "$WORK/closed/run.cvr" --kernel "$guest"
fi
# Whatever is wrong with the guest or the question is told before a recording is made or replaced.
for force in '' --force; do
	for out in run new; do
		for args in "--kernel $WORK/noise" "--kernel $guest --module $WORK/large --memory 32M" \
			"--kernel $guest --initrd $WORK/nosuch" "--kernel $guest --until console=(" \
			"--kernel $guest --symbols $WORK/nosuch" "--kernel $guest --symbols $WORK/noise"; do
			# shellcheck disable=SC2086
			refused 2 'record' "$CV" record -o "$WORK/$out.cvr" $force $args
		done
		refused 2 'gdb\|address' "$CV" record -o "$WORK/$out.cvr" $force --kernel "$guest" --gdb nowhere
	done
done
[ "$before" = "$(sha256sum <"$WORK/run.cvr")" ] || fail "an existing recording was changed"
[ -z "$(ls "$WORK" | grep '^new')" ] || fail "a guest that never ran left a file"
expect_status 3 "$CV" record -o "$WORK/run.cvr" --force --kernel "$guest"
expect_status 3 "$CV" replay "$WORK/run.cvr"

# Standard descriptors that are closed, full, or that nobody reads
echo_elf=$GUESTS/console-echo/console-echo.elf
printf 'hello\rpoweroff\r' >"$WORK/keys"
status=0
"$CV" record -o "$WORK/closed.cvr" --kernel "$echo_elf" --memory 16M <"$WORK/keys" >&- 2>&- || status=$?
[ $status -eq 0 ] || fail "closed descriptors: status $status"
expect_status 0 "$CV" replay "$WORK/closed.cvr"
grep -q hello "$WORK/out" || fail "closed descriptors: another run"
"$CV" replay "$WORK/closed.cvr" <&- >&- 2>&- || fail "closed descriptors: replay"
status=0
"$CV" record -o "$WORK/full.cvr" --kernel "$echo_elf" --memory 16M <"$WORK/keys" >/dev/full 2>"$WORK/err" || status=$?
[ $status -eq 0 ] || { cat "$WORK/err" >&2; fail "full standard output: status $status"; }
expect_status 0 "$CV" replay "$WORK/full.cvr"
for c in replay info events verify; do
	status=0
	"$CV" $c "$WORK/full.cvr" >/dev/full 2>"$WORK/err" || status=$?
	[ $status -eq 1 ] || fail "$c with a full standard output: status $status"
	grep -q 'standard output' "$WORK/err" || { cat "$WORK/err" >&2; fail "$c: full standard output isn't told"; }
done
"$CV" events "$WORK/full.cvr" 2>"$WORK/err" | head -n 1 >"$WORK/out"
[ ! -s "$WORK/err" ] || { cat "$WORK/err" >&2; fail "events complains about a reader that has enough"; }

# More memory than the host gives; a recording that another recorder is writing
refused 1 '16384 MiB of guest RAM' sh -c 'ulimit -v 4000000; exec "$@"' sh "$CV" run --kernel "$guest" --memory 16G
mkfifo "$WORK/typed"
"$CV" record -o "$WORK/busy.cvr" --kernel "$echo_elf" --memory 16M <"$WORK/typed" >"$WORK/console" 2>"$WORK/err2" &
recorder=$!
exec 3>"$WORK/typed"
for _ in 1 2 3 4 5 6 7 8 9 10; do [ -s "$WORK/console" ] || sleep 0.3; done
refused 2 'busy.cvr' "$CV" record -o "$WORK/busy.cvr" --force --kernel "$guest"
printf 'hello\rpoweroff\r' >&3
exec 3>&-
wait $recorder || fail "the other recorder was disturbed"
expect_status 0 "$CV" replay "$WORK/busy.cvr"
cmp "$WORK/out" "$WORK/console" || fail "the other recording was disturbed"

# A newer version
cp "$WORK/run.cvr" "$WORK/newer.cvr"
sqlite3 "$WORK/newer.cvr" 'pragma user_version = 99;'
refused 2 'newer' "$CV" replay "$WORK/newer.cvr"

# A busy port and a malformed address
python3 - "$WORK/port" <<'PY' &
import socket, sys, time
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(1)
open(sys.argv[1], "w").write(str(s.getsockname()[1])); time.sleep(20)
PY
holder=$!
for _ in 1 2 3 4 5 6 7 8 9 10; do [ -s "$WORK/port" ] || sleep 0.3; done
refused 1 'in use' "$CV" replay "$WORK/run.cvr" --gdb "127.0.0.1:$(cat "$WORK/port")"
kill $holder
refused 2 'gdb\|address\|port' "$CV" replay "$WORK/run.cvr" --gdb "not-an-address"
echo ok
