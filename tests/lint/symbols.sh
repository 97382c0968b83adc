#!/bin/sh
# SPDX-License-Identifier: MIT
# What the compiled guest machine (vmm-core, devices) asks of its surroundings: memory, strings, and arithmetic whose
# results are the same on every host. Anything else fails here, whichever way it was called: clocks, random numbers, I/O,
# threads, the C library's floating-point functions. And no library has a mutable global.
# Runs in the build tree.
set -u
for f in libvmmcore.a libdevices.a liblogdb.a libreplay.a libgdbstub.a; do
	[ -e $f ] || { echo "no $f here"; exit 77; }
done
nm -u libvmmcore.a | grep -q '__asan\|__ubsan' && exit 77
bad=0
memory='aligned_alloc|calloc|realloc|malloc|free|mmap|munmap|madvise|mremap|memfd_create|ftruncate|fallocate|close'
strings='mem(chr|cmp|cpy|move|set)|str(chr|rchr|cmp|ncmp|len|nlen|str|error)|v?snprintf|qsort'
checked='__(snprintf|vsnprintf|memcpy|memmove|memset)_chk|__stack_chk_fail|__assert_fail|__errno_location|_GLOBAL_OFFSET_TABLE_'
numbers='__(u?div|u?mod|u?divmod|popcount|mul)[a-z]i[0-9]?|__gmp[nz]_[a-z_0-9]+|mpfr_[a-z_0-9]+|XXH[0-9A-Za-z_]+'
# Which of two ways to one result is the quicker on this host: FMA by its own instruction or on integers (check_fma).
quicker='__cpu_model'
# The VT-x engine speaks with its kernel module in one file alone.
device=$(nm -uA libvmmcore.a | grep -E ' (open|ioctl)$' | grep -v ':libvmmcore_a-device\.o:')
[ -z "$device" ] || { echo "$device"; echo "open and ioctl belong in vmm-core/vtx/device.c"; bad=1; }
defined=$(nm libvmmcore.a libdevices.a | awk 'NF == 3 { print $3 }' | sort -u)
asked=$(nm -u libvmmcore.a libdevices.a | awk 'NF == 2 { print $2 }' | sort -u)
foreign=$(printf '%s\n' "$asked" | grep -vxF "$defined" | grep -vxE "$memory|$strings|$checked|$numbers|$quicker|open|ioctl")
if [ -n "$foreign" ]; then
	echo "vmm-core or devices call" $foreign
	echo "a host value must enter through struct cv_env"
	bad=1
fi
# iasl writes the DSDT's bytes as a variable.
mutable=$(objdump -t libvmmcore.a libdevices.a liblogdb.a libreplay.a libgdbstub.a |
	awk 'NF > 3 && ($(NF-2) == ".data" || $(NF-2) == ".bss" || $(NF-2) == "*COM*" || $(NF-2) ~ /^\.t(data|bss)/) &&
		$(NF-1) !~ /^0+$/ && $NF != "dsdt_aml_code" { print $NF }')
if [ -n "$mutable" ]; then
	echo "mutable globals:" $mutable
	bad=1
fi
exit $bad
