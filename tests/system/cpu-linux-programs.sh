#!/bin/sh
# SPDX-License-Identifier: MIT
# The same static programs on this machine's Linux and on the guest's: arithmetic, strings, signals, tracing, mappings,
# threads, changing code, 32-bit code, and busybox applets over their output. Their output must be the same.
. "$(dirname "$0")/../lib.sh"
[ -e "$LINUX/vmlinuz" ] || fail "no Linux guest in $LINUX"
[ "$(uname -m)" = x86_64 ] || skip "no x86-64 to compare with"

src=$top/tests/guests/modes/user
root=$WORK/root/t
mkdir -p "$root"
CC=${CC:-gcc}
$CC -O2 -static -ffp-contract=off -o "$root/calc" "$src/calc.c" -lm
$CC -O1 -static -o "$root/system" "$src/system.c" -lpthread
$CC -m32 -O1 -ffreestanding -fno-stack-protector -fno-pic -no-pie -static -nostdlib -o "$root/compat" "$src/compat.c"
cat >"$root/all" <<'END'
./calc >calc.out; ./system >system.out 2>&1; ./compat >compat.out
cat calc.out system.out compat.out
$B seq 1 5000 >numbers
for f in md5sum sha1sum sha256sum sha512sum cksum; do $B $f <numbers; done
$B gzip -9 <numbers | $B md5sum
$B gzip <numbers | $B zcat | $B cmp - numbers && echo same
$B sort -r numbers | $B uniq | $B tail -n 3
$B awk '{ s += sqrt($1) * sin($1) } END { printf "%.12f\n", s }' numbers
$B sed 's/1\(.\)/\1x/g' numbers | $B sha1sum
echo '2^200 % 12345; scale=30; s(1)' | $B bc -l
END
(cd "$WORK/root" && find t | cpio -o -H newc --quiet -R 0:0 | gzip -1) >"$WORK/extra.gz"
cat "$LINUX/initramfs.gz" "$WORK/extra.gz" >"$WORK/initramfs.gz"

status=0
timeout 120 "$CV" record -o "$WORK/run.cvr" --clock virtual --memory 256M --kernel "$LINUX/vmlinuz" --initrd "$WORK/initramfs.gz" \
	--append 'console=ttyS0 quiet panic=-1 cv.run="cd /t; echo BEGIN; B=busybox sh ./all; echo END"' \
	</dev/null >"$WORK/out" 2>"$WORK/err" || status=$?
[ $status -eq 0 ] || { tail -n 20 "$WORK/out" "$WORK/err" >&2; fail "the guest ended with $status"; }
tr -d '\r' <"$WORK/out" | sed -n '/^BEGIN$/,/^END$/p' | sed '1d;$d' >"$WORK/guest"

busybox=$LINUX/deb/busybox
[ -x "$busybox" ] || busybox=$(command -v busybox) || skip "no busybox to compare with"
(cd "$root" && B=$busybox sh ./all) >"$WORK/host" 2>&1
diff -u "$WORK/host" "$WORK/guest" >&2 || fail "the guest's programs (+) print something else than this machine's (-)"
[ "$(wc -l <"$WORK/guest")" -ge 40 ] || fail "only $(wc -l <"$WORK/guest") lines"
timeout 120 "$CV" replay "$WORK/run.cvr" </dev/null >"$WORK/out2" 2>"$WORK/err2" || fail "replay ended with $?"
cmp "$WORK/out" "$WORK/out2" || fail "replay printed other bytes"
grep -q 'as recorded' "$WORK/err2" || fail "replay did not end as recorded"
echo "$(wc -l <"$WORK/guest") lines of output, the same on both"
