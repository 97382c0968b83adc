#!/bin/sh
# SPDX-License-Identifier: MIT
# The same bits on every host. A guest digests what over a thousand forms of instructions compute from fixed operands: results,
# flags, exceptions, in all rounding modes. Its digests are the constants below, whoever made the host's CPU. Where that is
# an Intel, the same operations run on it and must agree, but for the x87's functions, whose definition is our own.
. "$(dirname "$0")/../lib.sh"
"$top/tests/guests/digest/build.sh" "$WORK" || fail "the guest doesn't build"

cat >"$WORK/v2" <<'END'
general 5a9b8891d114c128
sse-single ae51f366ff6aab59
sse-double acb7059c6892d2b4
sse-convert 16b58487aa99fdf4
sse-approximate ac3a80ba741ead7b
sse-integer 94d9c2e2de3ab0da
mmx 9b55e822f299ccdc
x87 695e93a09f7f6157
x87-functions 8cdbe22781597510
END
cat "$WORK/v2" - >"$WORK/v3" <<'END'
avx-single 69acf523af32e65b
avx-double 920cb008a58b7b63
avx-convert 1a486003ebd5c8b3
avx-approximate c527ec7369392d7e
avx-integer 221d9da719720ff1
avx2 640d7e2c07fa0f29
fma-single 346759f4a5b450a0
fma-double 972b8902489f755e
f16c eb04d5ec01a20a49
aes e6caaddcc6732ee8
sha 51a13452c30d9897
pclmulqdq 1501759248f091f8
bmi1-lzcnt d1132f0d1f4832b5
bmi2 0437db359efe92af
adx fbfdcd5c57a8ee5f
movbe 32604d755e5ae196
END

digest() { # MODEL FILE OPTIONS...: its digests are those in FILE
	model=$1 file=$2
	shift 2
	timeout 120 "$CV" run --cpu "$model" --clock virtual --memory 32M --kernel "$WORK/digest.elf" "$@" </dev/null \
		>"$WORK/out" 2>"$WORK/err" || { cat "$WORK/out" "$WORK/err" >&2; fail "--cpu $model: the guest ended with $?"; }
	sed '$d' "$WORK/out" | diff "$file" - >&2 || fail "--cpu $model: digests (>) that are not the known ones (<)"
	[ "$(tail -n 1 "$WORK/out")" = done ] || fail "--cpu $model: no end"
	echo "$model: $(wc -l <"$file") groups of instructions, all digests are the known ones"
}

digest v2 "$WORK/v2"
digest v3 "$WORK/v3"
grep -v -E '^(avx2|fma-)' "$WORK/v3" >"$WORK/some"
digest v3,-avx2,-fma "$WORK/some"

# Recorded and replayed, from the beginning and from a checkpoint amid YMM registers full of values.
expect_status 0 timeout 120 "$CV" record -o "$WORK/run.cvr" --cpu v3 --clock virtual --memory 32M --checkpoints 50M \
	--kernel "$WORK/digest.elf"
mv "$WORK/out" "$WORK/recorded"
[ "$(grep -c . "$WORK/recorded")" -gt "$(wc -l <"$WORK/v3")" ] || fail "the recorded run printed too little"
expect_status 0 "$CV" replay "$WORK/run.cvr"
cmp "$WORK/recorded" "$WORK/out" || fail "replay printed other bytes"
grep -q 'as recorded' "$WORK/err" || fail "replay did not end as recorded"
whole=$(digest_of "$WORK/err")
expect_status 0 "$CV" replay --from insns=400000000 "$WORK/run.cvr"
grep -q 'as recorded' "$WORK/err" || fail "replay from a checkpoint did not end as recorded"
[ "$(digest_of "$WORK/err")" = "$whole" ] || fail "replay from a checkpoint ended with another digest"
echo "v3: recorded, replayed from the beginning and from a checkpoint"

if grep -q '^vendor_id.*GenuineIntel' /proc/cpuinfo; then
	"$WORK/digest-host" | grep -v '^x87-functions ' >"$WORK/host"
	while read -r group value; do
		grep -q "^$group $value\$" "$WORK/v3" || fail "$group: this CPU gives $value, not what is known"
	done <"$WORK/host"
	[ "$(wc -l <"$WORK/host")" -ge 8 ] || fail "the program for the host's CPU printed too little"
	echo "host's CPU: the same digests in $(wc -l <"$WORK/host") groups"
else
	echo "SKIPPED: comparison with the host's CPU, which isn't Intel's"
fi
