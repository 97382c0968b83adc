#!/bin/sh
# SPDX-License-Identifier: MIT
# Real programs in a Debian guest print what they print on this machine: Python and parts of its test suite, openssl, gcc and
# what it compiles; on both CPU models; recorded, too, and the replay is the same. PROGRAMS=full runs everything of
# docs/programs.md (the better part of an hour); PROGRAMS=no nothing.
. "$(dirname "$0")/../lib.sh"
[ "${PROGRAMS:-quick}" != no ] || skip "PROGRAMS=no"
[ -e "$LINUX/vmlinuz" ] || skip "no Linux guest in $LINUX"
[ "$(uname -m)" = x86_64 ] || skip "no x86-64 to compare with"
[ "$(id -u)" -eq 0 ] || skip "debootstrap and chroot need root"

dir=${PROGRAMS_DIR:-$GUESTS/programs}
start=$(date +%s)
level=quick
[ "${PROGRAMS:-quick}" != full ] || level=
# shellcheck disable=SC2086
"$top/tests/programs/mkguest.sh" "$dir" $level || skip "no Debian tree (is there a network?)"
echo "Debian tree: $(($(date +%s) - start)) s"

export CV
run() {
	status=0
	"$top/tests/programs/run.sh" "$dir" "$@" || status=$?
	case $status in
	0) ;;
	77) skip "run.sh $*" ;;
	*) fail "run.sh $*" ;;
	esac
}
if [ -n "$level" ]; then
	run --quick --cpu v2 --record python/test_struct
	cp "$dir/run-v2/console" "$WORK/console"
	run --quick --cpu v3
else
	run --cpu v2
	run --cpu v3
	run --quick --cpu v3 --record
	run --quick --cpu v2 python/test_struct
	cp "$dir/run-v2/console" "$WORK/console"
fi

# One test that ends otherwise in the guest is seen.
sed 's/test_calcsize: ok/test_calcsize: FAILED/' "$WORK/console" >"$WORK/other"
cmp -s "$WORK/console" "$WORK/other" && fail "no test_calcsize in the transcript"
printf '#!/bin/sh\ncat "%s"\n' "$WORK/other" >"$WORK/cv"
chmod +x "$WORK/cv"
status=0
CV=$WORK/cv "$top/tests/programs/run.sh" "$dir" --quick --cpu v2 python/test_struct >"$WORK/out" 2>&1 || status=$?
[ $status -eq 1 ] && grep -q '^+.*test_calcsize: FAILED' "$WORK/out" || fail "a difference was not reported ($status)"
