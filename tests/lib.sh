# SPDX-License-Identifier: MIT
# Sourced by the system tests: where things are, and what went wrong. Needs: BUILD (build tree), WORK (a scratch folder).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
BUILD=${BUILD:-$top/build}
CV=${CV:-$BUILD/chronovisor}
GUESTS=${GUESTS:-$BUILD/guests}
LINUX=${LINUX:-$GUESTS/linux}
WORK=$(mktemp -d "${TMPDIR:-/tmp}/cv-test-XXXXXX")
trap 'rm -rf "$WORK"' EXIT

fail() {
	echo "FAILED: $*" >&2
	exit 1
}
skip() {
	echo "SKIPPED: $*"
	exit 77
}
# expect_status N COMMAND...: the command must end with that status; output goes to $WORK/out and $WORK/err.
expect_status() {
	want=$1
	shift
	got=0
	"$@" >"$WORK/out" 2>"$WORK/err" </dev/null || got=$?
	[ "$got" -eq "$want" ] || {
		tail -n 15 "$WORK/err" >&2
		fail "status $got instead of $want: $*"
	}
}
digest_of() { # the digest that a replay printed into a file
	sed -n 's/.*digest \([0-9a-f]\{32\}\).*/\1/p' "$1" | tail -n 1
}
# build_variant NAME TARGETS CONFIGURE-ARGUMENTS...: another build of the tree, in $BUILD/NAME, kept for the next test
build_variant() {
	dir=$BUILD/$1 targets=$2
	shift 2
	mkdir -p "$dir"
	(
		cd "$dir"
		[ -e Makefile ] || "$top/configure" "$@"
		for target in $targets; do
			make -j"$(nproc)" "$target"
		done
	) >"$dir/build.log" 2>&1 || {
		grep -A 30 -m 1 -E '^(FAIL|ERROR)|rror:' "$dir/build.log" >&2
		tail -n 20 "$dir/build.log" >&2
		fail "$targets in $dir"
	}
}
# The build with AddressSanitizer and UndefinedBehaviorSanitizer.
build_sanitizers() { # TARGETS
	export ASAN_OPTIONS=detect_leaks=1:exitcode=99 UBSAN_OPTIONS=print_stacktrace=1:exitcode=99
	build_variant sanitizers "$1" --enable-sanitizers CFLAGS='-O1 -g1'
}
