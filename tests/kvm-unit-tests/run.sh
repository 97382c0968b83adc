#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs kvm-unit-tests, as built for x86 without EFI, and judges each by what it writes to the debug-exit port:
# 0 passed, 38 had nothing to test on this CPU, all else failed. The file `list` beside this one says how each is run.
. "$(dirname "$0")/../lib.sh"

usage() {
	cat <<-END
	Usage: run.sh [-b 64|32] [-l LIST] [-o FILE] [-q] [-r] [-t NAME] DIR
	Runs the kvm-unit-tests in DIR (*.flat, else *.elf): one line a test, and a Markdown table at the end.
	  -b 64|32   of which build DIR is (default: as DIR/*.elf or DIR/taskswitch.flat say, else 64)
	  -l LIST    which tests, and how (default: the list beside this script)
	  -o FILE    the table goes there instead of to standard output
	  -q         run the same under QEMU (TCG), too: its verdict stands beside ours
	  -r         record each test and replay it; a replay that isn't the same run is a failure
	  -t NAME    only the test of that name in the list
	Environment: CV is the chronovisor to run, QEMU the qemu-system-x86_64.
	Exit status: 0 all as listed, 1 not so, 2 bad input.
	END
}
refuse() {
	echo "run.sh: $*" >&2
	exit 2
}

bits= list=$here/list table= qemu= record= only=
while getopts b:hl:o:qrt: option; do
	case $option in
	b) bits=$OPTARG ;;
	h) usage; exit 0 ;;
	l) list=$OPTARG ;;
	o) table=$OPTARG ;;
	q) qemu=${QEMU:-qemu-system-x86_64} ;;
	r) record=yes ;;
	t) only=$OPTARG ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))
[ $# -eq 1 ] || refuse "give one directory of built tests (see run.sh -h)"
dir=$1
[ -d "$dir" ] || refuse "$dir: no such directory"
[ -r "$list" ] || refuse "$list: can't be read"
[ -z "$qemu" ] || command -v "$qemu" >/dev/null || refuse "$qemu: not found"
[ -x "$CV" ] || command -v "$CV" >/dev/null || refuse "$CV: no chronovisor there: set CV"
suffix=flat
ls "$dir"/*.flat >/dev/null 2>&1 || suffix=elf
ls "$dir"/*.$suffix >/dev/null 2>&1 || refuse "$dir: holds no .flat and no .elf file"
if [ -z "$bits" ]; then # the class of an ELF file is its fifth byte; only the i386 build has a taskswitch
	bits=64
	[ ! -e "$dir/taskswitch.$suffix" ] || bits=32
	for elf in "$dir"/*.elf; do
		[ ! -r "$elf" ] || [ "$(od -An -tu1 -j4 -N1 "$elf" | tr -d ' ')" != 1 ] || bits=32
		break
	done
fi
case $bits in
64 | 32) ;;
*) refuse "-b $bits: give 64 or 32" ;;
esac
[ -z "$table" ] || : >"$table" || refuse "$table: can't be written"

# --- Reading the list ---

# A row is NAME|FILE|CPU|MEMORY|LIMIT|APPEND|VERDICT|REASON.
awk -v bits=$bits '
	/^#/ || NF == 0 { next }
	NF < 8 || $3 !~ /^(64|32|any)$/ || $5 !~ /^[0-9]+$/ || $6 !~ /^[0-9]+$/ || $8 !~ /^(pass|fail|skip)$/ ||
	($8 != "pass" && NF < 9) || seen[$1]++ {
		print NR > "/dev/stderr"
		exit 2
	}
	$3 == "any" || $3 == bits {
		reason = $0
		for (k = 0; k < 8; k++)
			sub(/^[ \t]*[^ \t]+[ \t]*/, "", reason)
		append = $7 == "-" ? "" : $7
		gsub(/,/, " ", append)
		printf "%s|%s|%s|%s|%s|%s|%s|%s\n", $1, $2, $4, $5, $6, append, $8, reason
	}' "$list" >"$WORK/rows" 2>"$WORK/err" || refuse "$list: line $(cat "$WORK/err") is not NAME FILE BITS CPU MEMORY LIMIT APPEND VERDICT"
for path in "$dir"/*.$suffix; do
	file=$(basename "$path" .$suffix)
	cut -d'|' -f2 "$WORK/rows" | grep -qxF -- "$file" || echo "$file|$file|v3|256|60||pass|" >>"$WORK/rows"
done
[ -z "$only" ] || { awk -F'|' -v name="$only" '$1 == name' "$WORK/rows" >"$WORK/one" && mv "$WORK/one" "$WORK/rows"; }
[ -s "$WORK/rows" ] || refuse "$only: no such test"

# --- Running ---

# What the tests would ask QEMU's fw_cfg, and that they are on no hypervisor that they know.
environment() { # MEMORY
	printf 'NR_CPUS=1\nMEMSIZE=%s\nMEMLIMIT=0\nTEST_DEVICE=0\n' "$1" >"$WORK/environment"
}
# code_of_ours: what the run in $WORK/err ended with: a number, or words
code_of_ours() { # STATUS
	code=$(sed -n 's/.*GUEST CRASH: the guest wrote a failure to the debug-exit port (\([0-9]*\)).*/\1/p' "$WORK/err")
	[ -z "$code" ] || { echo "$code"; return; }
	case $1 in
	124) echo "time limit" ;;
	*) sed -n 's/.*ended: debug exit after.*/0/p; t; s/.*GUEST CRASH: \(.*\) ===/\1/p; t; s/.*ended: \(.*\) after [0-9]* instructions.*/\1/p;
		s/^chronovisor: [a-z]*: //p' "$WORK/err" | head -n 1 ;;
	esac
}
code_of_qemu() { # STATUS: (code << 1) | 1
	case $1 in
	124 | 137) echo "time limit" ;;
	0) echo "reset or halt" ;;
	*) echo $(($1 >> 1)) ;;
	esac
}
verdict_of() { # CODE
	case $1 in
	0) echo PASS ;;
	38) echo SKIP ;;
	*) echo FAIL ;;
	esac
}
subtests() { # of the console output in $WORK/out: "12 ok, 3 FAIL"
	awk '/^PASS/ { ok++ } /^FAIL/ { bad++ } END { printf "%d ok", ok; if (bad) printf ", %d FAIL", bad }' "$WORK/out"
}
said() { # WORD: the first line that begins so, in $WORK/out, or the last one at all
	line=$(tr -d '\r' <"$WORK/out" | grep -m 1 "^$1") || line=$(tr -d '\r' <"$WORK/out" | grep -v '^SUMMARY' | tail -n 1)
	printf '%s' "${line#"$1": }"
}
why_failed() { # in the words of the test or the run
	case $code in
	1) said FAIL ;;
	63) said Unhandled ;; # abort()
	*) printf '%s' "${code:-status $status}" ;;
	esac
}
run_ours() { # PATH CPU MEMORY LIMIT APPEND
	status=0 command=run
	[ -z "$record" ] || command="record -o $WORK/run.cvr --force"
	# shellcheck disable=SC2086
	timeout "$4" "$CV" $command --kernel "$1" --initrd "$WORK/environment" --cpu "$2" --memory "$3M" --append "$5" --test-device \
		</dev/null >"$WORK/out" 2>"$WORK/err" || status=$?
	code=$(code_of_ours $status)
	[ -z "$record" ] || replay_ours "$4"
}
# The replay prints the same bytes and ends with the same status.
replay_ours() { # LIMIT
	again=0
	timeout "$(($1 * 2))" "$CV" replay "$WORK/run.cvr" </dev/null >"$WORK/out2" 2>"$WORK/err2" || again=$?
	if [ $again -ne $status ] && [ $status -ne 124 ]; then
		code="replay ended with $again"
	elif ! cmp -s "$WORK/out" "$WORK/out2"; then
		code="replay printed other bytes"
	elif ! grep -q 'as recorded' "$WORK/err2"; then
		code="replay did not end as recorded"
	fi
}
run_qemu() { # PATH MEMORY LIMIT APPEND
	status=0
	timeout -k 5 "$3" "$qemu" -accel tcg -cpu max -m "$2" -no-reboot -nodefaults -display none -serial stdio \
		-device pc-testdev -device isa-debug-exit,iobase=0xf4,iosize=0x4 -kernel "$1" -initrd "$WORK/environment" \
		-append "$4" </dev/null >"$WORK/out" 2>"$WORK/err" || status=$?
	code=$(code_of_qemu $status)
}
row() { # a line of the table
	printf '|' >>"$WORK/table"
	for cell; do printf ' %s |' "$cell" >>"$WORK/table"; done
	echo >>"$WORK/table"
}

surprises=0 passed=0 skipped=0 failed=0
if [ -n "$qemu" ]; then
	row test cpu chronovisor subtests "QEMU TCG" subtests remarks
	echo '|---|---|---|---|---|---|---|' >>"$WORK/table"
else
	row test cpu chronovisor subtests remarks
	echo '|---|---|---|---|---|' >>"$WORK/table"
fi
while IFS='|' read -r name file cpu memory limit append expected reason; do
	path=$dir/$file.$suffix remark=$reason their= theirs=
	[ -r "$path" ] || continue
	if [ "$expected" = skip ]; then
		verdict=SKIP ours=
	else
		environment "$memory"
		run_ours "$path" "$cpu" "$memory" "$limit" "$append"
		verdict=$(verdict_of "$code") ours=$(subtests)
		case $verdict in
		FAIL) remark="$(why_failed)${reason:+: $reason}" ;;
		SKIP) remark="not for this CPU, it says: $(said SKIP)" ;;
		esac
		if [ "$verdict" = FAIL ] && [ "$expected" != fail ]; then
			surprises=$((surprises + 1))
			grep '^FAIL' "$WORK/out" | head -n 5 || true
		elif [ "$verdict" = PASS ] && [ "$expected" = fail ]; then
			surprises=$((surprises + 1)) remark="passes, though the list says that it fails"
		fi
		if [ -n "$qemu" ]; then
			once=$WORK/qemu.$(echo "$file.$memory.$append" | tr " /" "__") # rows that differ in our CPU model alone are one test there
			[ -e "$once" ] || {
				run_qemu "$path" "$memory" "$limit" "$append"
				their=$(verdict_of "$code")
				[ "$their" != FAIL ] || their="FAIL ($code)"
				echo "$their|$(subtests)" >"$once"
			}
			their=$(cut -d'|' -f1 "$once") theirs=$(cut -d'|' -f2 "$once")
		fi
	fi
	case $verdict in
	PASS) passed=$((passed + 1)) ;;
	SKIP) skipped=$((skipped + 1)) ;;
	*) failed=$((failed + 1)) ;;
	esac
	if [ -n "$qemu" ]; then
		row "$name" "$cpu" "$verdict" "$ours" "$their" "$theirs" "$remark"
	else
		row "$name" "$cpu" "$verdict" "$ours" "$remark"
	fi
	echo "$verdict $name${ours:+: $ours}${their:+ (QEMU $their: $theirs)}${remark:+ - $remark}"
done <"$WORK/rows"

echo "$passed passed, $skipped skipped, $failed failed; $surprises not as listed"
if [ -n "$table" ]; then
	cat "$WORK/table" >"$table"
else
	echo && cat "$WORK/table"
fi
[ $surprises -eq 0 ]
