#!/bin/sh
# SPDX-License-Identifier: MIT
# Real programs in a Debian guest print what they print on this machine: Python and parts of its test suite, openssl, gcc and
# what it compiles; on both CPU models; recorded, too, and the replay is the same. PROGRAMS=full runs everything of
# docs/programs.md (an hour); PROGRAMS=no nothing.
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
	run --quick --cpu v2 --record python/test_struct gcc openssl
	run --quick --cpu v3
else
	run --cpu v2
	run --cpu v3
fi
