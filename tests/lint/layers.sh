#!/bin/sh
# SPDX-License-Identifier: MIT
# No folder includes one that lies above it. Lowest first; vmm-core is the lowest.
set -u
top=${srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
cd "$top" || exit 99
order="vmm-core devices logdb replay gdbstub cli"
bad=0
above=$order
for folder in $order; do
	above=${above#"$folder"}
	above=${above# }
	for upper in $above; do
		if grep -rn --include='*.[ch]' "^#include \"$upper/" "$folder"; then
			echo "$folder must not include $upper"
			bad=1
		fi
	done
done
# logdb knows positions, events, errors and bytes, not machines or devices.
if grep -rnE --include='*.[ch]' '^#include "(devices/|vmm-core/(machine|engine|bus|memory|clock|env|state)\.h|vmm-core/(soft|x86|boot)/)' logdb; then
	echo "logdb must not know machines"
	bad=1
fi
exit $bad
