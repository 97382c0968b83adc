#!/bin/sh
# SPDX-License-Identifier: MIT
# A build with AddressSanitizer and UndefinedBehaviorSanitizer records and replays without a finding. It replays what the
# ordinary build recorded, and the other way round, to the same bytes and the same digest; so does a build by another
# compiler at another level, where there is one: no result hangs on undefined behaviour.
. "$(dirname "$0")/../lib.sh"
[ -e "$LINUX/vmlinuz" ] || fail "no Linux guest in $LINUX"
build_sanitizers chronovisor
others=$BUILD/sanitizers/chronovisor
if command -v clang >/dev/null; then
	build_variant clang chronovisor CC=clang CFLAGS=-O1
	others="$others $BUILD/clang/chronovisor"
fi

# same STATUS PROGRAM: that program's replay of $WORK/run.cvr ends with that status and shows what the recording did
same() {
	expect_status "$1" "$2" replay "$WORK/run.cvr"
	! grep -qE 'Sanitizer|runtime error' "$WORK/err" || { cat "$WORK/err" >&2; fail "a finding in $2"; }
	cmp "$WORK/out" "$WORK/console" || fail "$2 replays other console bytes"
	got=$(digest_of "$WORK/err")
	[ -n "$got" ] || fail "$2 has no digest"
	[ "${digest:=$got}" = "$got" ] || fail "$2 replays to another digest: $got instead of $digest"
}
# all STATUS PROGRAM ARGUMENTS...: recorded by PROGRAM, keys from $WORK/keys, replayed by every build
all() {
	want=$1 program=$2 digest=
	shift 2
	rm -f "$WORK/run.cvr"
	status=0
	"$program" record -o "$WORK/run.cvr" "$@" >"$WORK/console" 2>"$WORK/err" <"$WORK/keys" || status=$?
	[ $status -eq "$want" ] || { tail -n 20 "$WORK/err" >&2; fail "recording by $program: status $status"; }
	! grep -qE 'Sanitizer|runtime error' "$WORK/err" || { cat "$WORK/err" >&2; fail "a finding in $program"; }
	for p in "$CV" $others; do
		same "$want" "$p"
	done
	echo "$(basename "$2") by $(basename "$(dirname "$program")"): $digest"
}
printf 'hello\rsum 1 2 39\rpoweroff\r' >"$WORK/keys"
for program in "$CV" $others; do
	all 0 "$program" --kernel "$GUESTS/console-echo/console-echo.elf" --memory 16M --checkpoints 1000
	all 3 "$program" --kernel "$GUESTS/stack-overflow/stack-overflow.elf" --memory 16M
	all 0 "$program" --kernel "$GUESTS/racing-list/racing-list.elf" --memory 16M --until insns=5000000
done
append="console=ttyS0 earlyprintk=ttyS0"
all 0 "$CV" --kernel "$LINUX/vmlinuz" --initrd "$LINUX/initramfs.gz" --memory 128M --append "$append" --until insns=800000000
all 0 "$BUILD/sanitizers/chronovisor" --kernel "$LINUX/vmlinuz" --initrd "$LINUX/initramfs.gz" --memory 128M \
	--append "$append" --until insns=300000000 --clock virtual
echo ok
