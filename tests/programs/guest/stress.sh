# SPDX-License-Identifier: MIT
# stress.sh OPTIONS...: stress-ng with --verify and a number of operations; what it prints, without its numbers of processes,
# times and rates. Each failed check is a line of its own. "stress.sh vm" runs each of its memory methods by itself.
bad=0
stress() {
	status=0
	echo "stress-ng $*"
	stress-ng --verify --no-rand-seed --temp-path /tmp/work --oomable --timeout 0 "$@" >output 2>&1 || status=$?
	sed -e 's/^\(stress-ng: [a-z]*\): *\[[0-9]*\] */\1: /' -e 's/^stress-ng: //' -e 's/ completed in .*/ completed/' output |
		grep -v -e 'setting to a' -e 'dispatching hogs'
	[ $status -eq 0 ] || {
		echo "exit status $status"
		bad=1
	}
}
if [ "$*" != vm ]; then
	stress "$@"
else
	for m in $(stress-ng --vm-method which 2>&1 | sed -e "s/.*of: all//" -e "s/prime-incdec//"); do # that one does not end
		stress --vm 1 --vm-bytes 16K --vm-method "$m" --vm-ops 8
	done
fi
exit $bad
