#!/bin/sh
# SPDX-License-Identifier: MIT
# Everything: installs what is needed, builds, runs every test. The last line is "N passed, N failed, N skipped".
#   tests/run.sh [quick]     quick: without the Linux guests and the long tests
set -u
cd "$(dirname "$0")/.." || exit 1
top=$PWD
build=${BUILD:-$top/build}
mode=${1:-all}
jobs=$(nproc)

. "$top/tests/setup.sh"
install_packages || exit 1
build_tree "$build" || exit 1

passed=0 failed=0 skipped=0 names=
say() { printf '%-7s %s%s\n' "$1" "$2" "${3:+  ($3)}"; }
count() { # name status [seconds]
	case $2 in
	0) passed=$((passed + 1)); say pass "$1" "${3:-}" ;;
	77) skipped=$((skipped + 1)); say skip "$1" "${3:-}" ;;
	*) failed=$((failed + 1)); names="$names $1"; say FAIL "$1" "${3:-}" ;;
	esac
}

echo "== make check"
make -C "$build" -j"$jobs" check >"$build/check.log" 2>&1 || tail -n 60 "$build/check.log"
for trs in $(cd "$build" && find tests -name '*.trs' | sort); do
	result=$(sed -n 's/^:test-result: *//p' "$build/$trs")
	case $result in
	PASS) count "${trs%.trs}" 0 ;;
	SKIP) count "${trs%.trs}" 77 ;;
	*) count "${trs%.trs}" 1; tail -n 25 "$build/${trs%.trs}.log" ;;
	esac
done
[ -n "$(cd "$build" && find tests -name '*.trs')" ] || count "make-check" 1

echo "== system tests"
export BUILD=$build
make_guests "$build" "$mode" || count "guests" 1
for script in "$top"/tests/system/*.sh; do
	name=$(basename "$script" .sh)
	case $mode:$name in
	quick:linux*|quick:long*) count "system/$name" 77 "quick"; continue ;;
	esac
	start=$(date +%s)
	status=0
	timeout -k 10 "${TEST_TIMEOUT:-900}" "$script" >"$build/system-$name.log" 2>&1 </dev/null || status=$?
	count "system/$name" $status "$(($(date +%s) - start)) s"
	[ $status -eq 0 ] || tail -n 30 "$build/system-$name.log"
done

[ -z "$names" ] || echo "failed:$names"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
