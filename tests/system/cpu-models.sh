#!/bin/sh
# SPDX-License-Identifier: MIT
# --cpu: what is listed can be asked for, what can't is refused in one line, and a recording holds the model: under one name,
# for every replay, refused where it isn't known.
. "$(dirname "$0")/../lib.sh"
guest=$GUESTS/console-echo/console-echo.elf
printf 'hello\rsum 1 2 39\r' >"$WORK/keys"

run() { # MODEL STATUS: a short run
	got=0
	"$CV" run --cpu "$1" --kernel "$guest" --memory 16M --until insns=20000 <"$WORK/keys" >"$WORK/out" 2>"$WORK/err" || got=$?
	[ $got -eq "$2" ] || { cat "$WORK/err" >&2; fail "--cpu $1: status $got instead of $2"; }
}
refused() { # MODEL WORDS: status 2 and one line with these words
	run "$1" 2
	[ "$(wc -l <"$WORK/err")" -eq 1 ] || fail "--cpu $1: $(wc -l <"$WORK/err") lines instead of one"
	grep -q -F -e "$2" "$WORK/err" || { cat "$WORK/err" >&2; fail "--cpu $1: nothing about '$2'"; }
}

"$CV" cpus >"$WORK/list" || fail "cpus: status $?"
count=0
while read -r name rest; do
	needs=$(echo "$rest" | sed -n 's/.*, needs //p')
	run "v2${needs:+,+$needs},+$name" 0
	run "v2,-$name" 0
	if [ -n "$needs" ]; then
		refused "v3,-$needs" " $needs: add ,+$needs or ,-"
		refused "v2,+$name" "feature $name needs $needs: add ,+$needs or ,-$name"
	fi
	count=$((count + 1))
done <<END
$(sed '1,/^features/d' "$WORK/list")
END
[ $count -ge 29 ] || fail "only $count features in the list"
for model in $(sed -n '/^models/,/^features/s/^  \([^ ]*\) .*/\1/p' "$WORK/list"); do
	run "$model" 0
	run "chronovisor-$model" 0
done
refused v4 "unknown CPU model 'v4': there are v2, v3"
refused v3,+amx "unknown CPU feature 'amx': there are pclmulqdq"
refused v3,avx "write +NAME"
refused '' "unknown CPU model"
refused v3,-avx ",+avx or ,-fma,-f16c,-avx2"
echo "$count features, each asked for and taken away; what is wrong is refused in a line"

expect_status 0 "$CV" record -o "$WORK/run.cvr" --cpu v3,+la57,-avx2,-aes,+aes --kernel "$guest" --memory 16M --until insns=20000
"$CV" info "$WORK/run.cvr" | grep -q '^cpu  *chronovisor-v3,-avx2,+la57$' || fail "info doesn't show the model's canonical name"
expect_status 0 "$CV" replay "$WORK/run.cvr"
grep -q 'as recorded' "$WORK/err" || fail "the replay did not end as recorded"

alter=$BUILD/tests/tools/cvr_alter
make -s -C "$BUILD" tests/tools/cvr_alter >"$WORK/make" 2>&1 || { cat "$WORK/make" >&2; fail "no cvr_alter"; }
"$alter" "$WORK/run.cvr" "$WORK/x.cvr" cpu 0 chronovisor-v3,+tomorrow || fail "cannot alter the model"
expect_status 2 "$CV" replay "$WORK/x.cvr"
grep -q "doesn't have: unknown CPU feature 'tomorrow'" "$WORK/err" || { cat "$WORK/err" >&2; fail "an unknown feature is not named"; }
expect_status 0 "$CV" info "$WORK/x.cvr"
grep -q 'chronovisor-v3,+tomorrow' "$WORK/out" || fail "info hides the model that isn't known"

# On another CPU the run is another one, and the replay says so.
"$top/tests/guests/digest/build.sh" "$WORK" || fail "the guest doesn't build"
expect_status 0 "$CV" record -o "$WORK/other.cvr" --cpu v2,+movbe --clock virtual --kernel "$WORK/digest.elf" --memory 32M
grep -q '^movbe ' "$WORK/out" || fail "the guest doesn't see the feature that was added"
"$alter" "$WORK/other.cvr" "$WORK/x.cvr" cpu 0 chronovisor-v2 || fail "cannot alter the model"
expect_status 4 "$CV" replay "$WORK/x.cvr"
echo "a recording holds its model; another one is refused or diverges"
