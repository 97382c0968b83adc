# SPDX-License-Identifier: MIT
# Goes before the payloads that print a line "pass" or "FAIL" a check: a name and the command. What the command left in /tmp/err is shown.
failures=0
check() { # NAME COMMAND...
	check_name=$1
	shift
	if "$@"; then
		echo "pass $check_name"
	else
		echo "FAIL $check_name"
		[ ! -s /tmp/err ] || tail -n 5 /tmp/err
		failures=$((failures + 1))
	fi
}
