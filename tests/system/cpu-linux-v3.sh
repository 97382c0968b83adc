#!/bin/sh
# SPDX-License-Identifier: MIT
# Debian's kernel on chronovisor-v3: it takes all features and needs no mitigation; two programs that fill the YMM registers at the same
# time compute what they compute alone, so the kernel's XSAVE and XRSTOR lose nothing; with 5-level paging, too. Recorded, replayed.
. "$(dirname "$0")/../lib.sh"
[ -e "$LINUX/vmlinuz" ] || fail "no Linux guest in $LINUX"
"$top/tests/guests/digest/build.sh" "$WORK" || fail "the program doesn't build"
mkdir -p "$WORK/root/t"
cp "$WORK/digest-host" "$WORK/root/t/digest"
cat >"$WORK/root/t/all" <<'END'
grep '^flags' /proc/cpuinfo
grep . /sys/devices/system/cpu/vulnerabilities/*
./digest >one & ./digest >two & ./digest >three
wait
cmp one two && cmp one three && cat one
END
(cd "$WORK/root" && find t | cpio -o -H newc --quiet -R 0:0 | gzip -1) >"$WORK/extra.gz"
cat "$LINUX/initramfs.gz" "$WORK/extra.gz" >"$WORK/initramfs.gz"

linux() { # MODEL: records a run; what it printed between the marks is in $WORK/said
	status=0
	timeout 300 "$CV" record --force -o "$WORK/run.cvr" --cpu "$1" --clock virtual --memory 256M --kernel "$LINUX/vmlinuz" \
		--initrd "$WORK/initramfs.gz" --append 'console=ttyS0 quiet panic=-1 cv.run="cd /t; echo BEGIN; sh ./all; echo END"' \
		</dev/null >"$WORK/out" 2>"$WORK/err" || status=$?
	[ $status -eq 0 ] || { tail -n 20 "$WORK/out" "$WORK/err" >&2; fail "--cpu $1: the guest ended with $status"; }
	tr -d '\r' <"$WORK/out" | sed -n '/^BEGIN$/,/^END$/p' | sed '1d;$d' >"$WORK/said"
}
says_digests() { # MODEL: those that cpu-digest.sh knows
	sed -n '/^general /,$p' "$WORK/said" >"$WORK/digests"
	[ "$(wc -l <"$WORK/digests")" -eq 25 ] || { cat "$WORK/said" >&2; fail "--cpu $1: not 25 digests"; }
	while read -r group value; do
		grep -q "^$group $value\$" "$here/cpu-digest.sh" || fail "--cpu $1: $group is $value"
	done <"$WORK/digests"
}
has_flags() { # FLAG...: in /proc/cpuinfo
	for flag in "$@"; do
		grep -q "^flags.*: .* $flag\( \|\$\)" "$WORK/said" || { grep '^flags' "$WORK/said" >&2; fail "Linux has no $flag"; }
	done
}

linux v3
has_flags avx avx2 fma f16c bmi1 bmi2 movbe abm aes pclmulqdq sha_ni adx rdrand rdseed pcid invpcid fsgsbase smep smap umip \
	xsaveopt xsavec xgetbv1 clflushopt clwb rdpid erms fsrm
! grep '^/sys/.*/vulnerabilities/' "$WORK/said" | grep -v -E ':(Not affected)$' >&2 || fail "the vulnerabilities above"
[ "$(grep -c ':Not affected$' "$WORK/said")" -ge 8 ] || fail "too few vulnerabilities are known"
says_digests v3
expect_status 0 timeout 300 "$CV" replay "$WORK/run.cvr"
grep -q 'as recorded' "$WORK/err" || fail "the replay did not end as recorded"
echo "v3: all features, no mitigation, digests of three programs at once"

linux v3,+la57
has_flags la57
says_digests v3,+la57
echo "v3,+la57: the same with 5-level paging"
