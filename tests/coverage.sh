#!/bin/sh
# SPDX-License-Identifier: MIT
# Which lines of the decoder and the software engine do the tests execute?
#   tests/coverage.sh [BUILD]     (or: make coverage)
# A build with gcov's counters, in BUILD/coverage, runs the unit tests of the CPU, the host oracle, the bare-metal guests and
# kernels of random bytes. What ran is told by file; what didn't is listed in BUILD/coverage: uncovered.txt has the lines, uncalled.txt the
# functions (a handler that a macro made is no line of its own). Status 1 where less than $COVERAGE_BOUND (95) per cent of the
# lines of vmm-core/x86 and vmm-core/soft were executed. docs/coverage.md says what is left out and why.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
build=$(mkdir -p "${1:-$top/build}" && cd "${1:-$top/build}" && pwd)
dir=$build/coverage
bound=${COVERAGE_BOUND:-95}

command -v gcovr >/dev/null || {
	echo "coverage.sh: gcovr was not found: apt-get install gcovr" >&2
	exit 2
}
mkdir -p "$dir"
cd "$dir"
[ -e Makefile ] || "$top/configure" CFLAGS='-O1 -g --coverage' LDFLAGS='--coverage' >configure.log
rm -f ./*conftest.gcno
echo "== building in $dir"
make -j"$(nproc)" all >build.log 2>&1 || { tail -n 20 build.log >&2; exit 1; }
find . -name '*.gcda' -delete

failed=
try() { # NAME COMMAND...
	name=$1
	shift
	if "$@" >"$name.log" 2>&1 </dev/null; then
		echo "ran $name"
	elif [ $? -eq 77 ]; then
		echo "skipped $name"
	else
		echo "FAILED $name"
		failed="$failed $name"
	fi
}
units=tests/fault/check_engine_faults
for test in "$top"/tests/unit/check_*.c; do
	name=$(basename "$test" .c)
	case $name in
	check_soft_* | check_sse | check_x87 | check_fp* | check_avx* | check_fma | check_f16c | check_rcp | check_bmi | check_crypto | check_align | \
		check_interrupt | check_walk | check_cpu* | check_decode | check_decimal | check_undefined)
		units="$units tests/unit/$name" ;;
	esac
done
# shellcheck disable=SC2086
make -j"$(nproc)" $units tests/native/native tests/capstone/compare >>build.log 2>&1 || { tail -n 20 build.log >&2; exit 1; }
for unit in $units; do
	try "$(basename "$unit")" "$unit"
done
for mode in 64 32; do
	try "native-$mode" tests/native/native --mode $mode --cases "${COVERAGE_CASES:-1000000}"
done
try capstone tests/capstone/compare --random 200000
export BUILD="$dir" CV="$dir/chronovisor"
for script in cpu-guests cpu-system-guests cpu-digest machine-guests faults-for-ever boot-protocols; do
	[ ! -e "$top/tests/system/$script.sh" ] || try "$script" "$top/tests/system/$script.sh"
done
try images env KEEP="$dir/images-failed" "$top/tests/fuzz/images.sh" 20

gcovr --root "$top" --filter "$top/vmm-core/(x86|soft)/" --gcov-ignore-parse-errors --json coverage.json --txt coverage.txt . >gcovr.log 2>&1 ||
	{ tail -n 5 gcovr.log >&2; exit 1; }
cat coverage.txt
python3 - "$top" <<'PY' >uncovered.txt
import json, os, sys
top = sys.argv[1]
for f in sorted(json.load(open("coverage.json"))["files"], key=lambda f: f["file"]):
    source = open(os.path.join(top, f["file"])).read().split("\n")
    for line in f["lines"]:
        if line["count"] == 0 and not line.get("gcovr/noncode"):
            print("%s:%d: %s" % (f["file"], line["line_number"], source[line["line_number"] - 1].strip()))
PY
python3 - "$top" <<'PY' >uncalled.txt
import glob, json, os, subprocess, sys
calls, where = {}, {}
for notes in glob.glob("vmm-core/soft/*.gcno") + glob.glob("vmm-core/x86/*.gcno"):
    said = subprocess.run(["gcov", "--json-format", "--stdout", notes], capture_output=True, check=True).stdout
    for document in filter(bytes.strip, said.splitlines()):
        for f in json.loads(document)["files"]:
            name = os.path.relpath(os.path.join(os.getcwd(), f["file"]), sys.argv[1])
            for function in f["functions"] if name.startswith(("vmm-core/soft/", "vmm-core/x86/")) else []:
                key = (name, function["name"])
                calls[key] = calls.get(key, 0) + function["execution_count"]
                where[key] = function["start_line"]
for key in sorted(calls):
    if not calls[key]:
        print("%s:%d: %s" % (key[0], where[key], key[1]))
print("%d functions" % len(calls), file=sys.stderr)
PY
percent=$(sed -n 's/^TOTAL.* \([0-9]*\)%.*/\1/p' coverage.txt)
echo "$percent % of the lines; the $(wc -l <uncovered.txt) others: $dir/uncovered.txt; $(wc -l <uncalled.txt) functions: $dir/uncalled.txt"
[ -z "$failed" ] || { echo "failed:$failed" >&2; exit 1; }
[ "${percent:-0}" -ge "$bound" ] || { echo "coverage.sh: less than $bound %" >&2; exit 1; }
