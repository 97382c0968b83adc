#!/bin/sh
# SPDX-License-Identifier: MIT
# run.sh DIR [--cpu v2|v3] [--quick] [--record] [NAME...]: runs real programs in the Debian guest that mkguest.sh made in
# DIR, and natively in a chroot of the same tree, and compares what they print. NAME: entries of the file "list" beside this
# script (python/test_int, or python for all of them); all that the tree has, if none is given. --record records the guest's
# run, replays it and compares that, too. Needs root. Exit status 0: the same; 1: not; 77: this machine can't tell.
# CV: the chronovisor to run. Transcripts stay in DIR/run-MODEL: host, guest, and times of the guest's programs.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
CV=${CV:-$top/build/chronovisor}
usage() {
	echo "usage: $0 DIR [--cpu v2|v3] [--quick] [--record] [NAME...]" >&2
	exit 2
}
skip() {
	echo "SKIPPED: $*"
	exit 77
}
fail() {
	echo "FAILED: $*" >&2
	exit 1
}

[ $# -ge 1 ] || usage
cd "$1"
dir=$PWD
shift
model=v2 level=f record= names=
while [ $# -gt 0 ]; do
	case $1 in
	--cpu) [ $# -ge 2 ] || usage; model=$2; shift ;;
	--quick) level=Q ;;
	--record) record=yes ;;
	-*) usage ;;
	*) names="$names $1" ;;
	esac
	shift
done
case $model in
v2) ;;
v3)
	for flag in avx2 fma bmi2 movbe f16c abm; do
		grep -qw "$flag" /proc/cpuinfo || skip "this machine has no $flag to compare with"
	done
	;;
*) usage ;;
esac
[ "$(id -u)" -eq 0 ] || skip "chroot needs root"
work=$dir/run-$model
rm -rf "$work"
mkdir -p "$work/extra/t"
[ -e more.cpio ] && [ -d root/opt/gmp ] || level=Q

# The list, the scripts and the programs' sources: a third part of the initramfs, and /t of the chroot.
t=$work/extra/t
awk -v level=$level -v names="$names" '
	BEGIN { n = split(names, wanted, " ") }
	/^#/ || NF < 3 || ($1 != "q" && $1 != level) { next }
	{
		chosen = n == 0
		for (k = 1; k <= n; k++)
			if ($2 == wanted[k] || index($2, wanted[k] "/") == 1)
				chosen = 1
		if (chosen) {
			sub(/^[^ \t]+[ \t]+/, "")
			print
		}
	}' "$here/list" >"$t/list"
[ -s "$t/list" ] || fail "nothing to run"
for f in "$here"/guest/*; do [ "${f##*/}" = init ] || cp "$f" "$t/"; done
cp "$top/tests/guests/modes/user/calc.c" "$t/"
echo "export MODEL=$model" >"$t/environment"
install -m 755 "$here/guest/init" "$work/extra/init"
find "$work/extra" -exec touch -h -d @0 {} +
(cd "$work/extra" && find . | LC_ALL=C sort | cpio -o -H newc --quiet --reproducible -R 0:0) | gzip -9n >"$work/extra.gz"
parts=base.cpio
[ $level = Q ] || parts="base.cpio more.cpio"
# shellcheck disable=SC2086
cat $parts "$work/extra.gz" >"$work/initramfs"

# On the host: the C library must choose the functions for the guest's model, not for the host's CPU.
[ $model = v3 ] || echo 'export GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX,-AVX2,-FMA,-FMA4,-BMI1,-BMI2,-LZCNT,-MOVBE,-AVX512F,-AVX512VL,-AVX512BW,-ERMS,-RTM' \
	>>"$t/environment"
rm -rf root/t
cp -r "$t" root/t
mkdir -p root/tmp root/proc root/dev root/sys
start=$(date +%s)
unshare --mount --pid --fork --uts --ipc --net sh -c '
	mount --make-rprivate / && cd root && mount -t proc proc proc && mount -t sysfs -o ro sys sys &&
	mount -t tmpfs tmp tmp && chmod 1777 tmp &&
	mount -t tmpfs dev dev && mkdir dev/shm && chmod 1777 dev/shm && ln -s /proc/self/fd dev/fd || exit 77
	for d in null zero full random urandom tty; do
		touch dev/$d && mount --bind /dev/$d dev/$d || exit 77
	done
	exec chroot . sh /t/all' </dev/null >"$work/host.out" 2>&1 || {
	status=$?
	tail -n 3 "$work/host.out"
	[ $status -ne 77 ] || skip "no mounts in a namespace of one's own here"
	fail "the chroot ended with $status"
}
echo "host: $(wc -l <"$t/list") programs in $(($(date +%s) - start)) s"

# In the guest. Where each program starts goes to "times".
command=run output= cr=$(printf '\r')
[ -z "$record" ] || command=record output="-o $work/run.cvr"
start=$(date +%s)
# shellcheck disable=SC2086
{
	status=0
	timeout -k 10 "${PROGRAMS_TIMEOUT:-7200}" "$CV" $command $output --cpu $model --clock virtual --memory 1G \
		--kernel linux/vmlinuz --initrd "$work/initramfs" --append 'console=ttyS0 quiet panic=-1' </dev/null 2>"$work/err" ||
		status=$?
	echo $status >"$work/status"
} | tee "$work/console" | while IFS= read -r line; do
	case ${line%"$cr"} in
	'=== '*|'END OF TRANSCRIPT') echo "$(($(date +%s) - start)) ${line#=== }" | tr -d "$cr" >>"$work/times" ;;
	esac
done
echo "guest: $(($(date +%s) - start)) s on $model; $(tail -n 1 "$work/err")"
[ "$(cat "$work/status")" -eq 0 ] || {
	tail -n 20 "$work/console" "$work/err" >&2
	fail "the guest ended with $(cat "$work/status")"
}

transcript() { tr -d '\r' <"$1" | sed -n '/^TRANSCRIPT$/,/^END OF TRANSCRIPT$/p'; }
transcript "$work/host.out" >"$work/host"
transcript "$work/console" >"$work/guest"
grep -qx 'END OF TRANSCRIPT' "$work/host" || fail "the host's transcript has no end"
diff -u "$work/host" "$work/guest" >&2 || fail "the guest's programs (+) print something else than this machine's (-)"
! grep '^--- .*: exit status' "$work/host" | grep -v 'exit status 0$' >&2 || fail "the same, but a program fails on both"

if [ -n "$record" ]; then
	timeout -k 10 "${PROGRAMS_TIMEOUT:-7200}" "$CV" replay "$work/run.cvr" </dev/null >"$work/console2" 2>"$work/err2" ||
		fail "replay ended with $?: $(tail -n 1 "$work/err2")"
	cmp "$work/console" "$work/console2" || fail "replay printed other bytes"
	grep -q 'as recorded' "$work/err2" || fail "replay did not end as recorded"
	echo "replay: $(tail -n 1 "$work/err2")"
	rm -f "$work/run.cvr"
fi
rm -f "$work/initramfs"
echo "$(grep -c '^=== ' "$work/guest") programs, $(wc -l <"$work/guest") lines, the same on both"
