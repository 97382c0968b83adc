# SPDX-License-Identifier: MIT
# stress.sh OPTIONS...: stress-ng with --verify and a number of operations; what it prints without its numbers of processes,
# times and rates. Each failed check is a line of its own.
status=0
stress-ng --verify --seed 1 --no-rand-seed --temp-path /tmp/work --oomable "$@" >output 2>&1 || status=$?
sed -n -e 's/^stress-ng: \([a-z]*\): *\[[0-9]*\] */\1: /' -e '/^info: *\(dispatching\|passed\|failed\|skipped\|metrics\)/p' \
	-e '/^fail:/p' -e '/^error:/p' -e '/verif/p' output
exit $status
