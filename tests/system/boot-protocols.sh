#!/bin/sh
# SPDX-License-Identifier: MIT
# Guests that say what they were handed, one for each boot protocol: command line, modules, memory, processor state.
. "$(dirname "$0")/../lib.sh"

"$top/tests/guests/boot/build.sh" "$WORK/guests"
printf 'abc' >"$WORK/first" # sum 126
head -c 5000 /dev/zero | tr '\0' '\001' >"$WORK/second" # sum 1388

boot() { # boot KERNEL: runs it with two modules, its console output without CRs is $WORK/console
	expect_status 0 "$CV" run --memory 32M --kernel "$WORK/guests/$1" --append "a=1 b c" \
		--module "$WORK/first x y" --module "$WORK/second"
	tr -d '\r' <"$WORK/out" >"$WORK/console"
}
says() {
	grep -qxF -e "$1" "$WORK/console" || {
		cat "$WORK/console" >&2
		fail "$kernel does not say: $1"
	}
}

for kernel in multiboot32.elf multiboot64.elf multiboot.flat; do
	boot $kernel
	says "protected no-paging no-interrupts"
	says "magic 2badb002 bss clean"
	says "command line $kernel a=1 b c"
	says "loader chronovisor"
	says "usable MiB 1f lower 27f upper plausible"
	says "module first x y aligned size 3 sum 126"
	says "module second aligned size 1388 sum 1388"
done

kernel=elf64.elf
boot $kernel
says "protected paging no-interrupts"
says "magic 336ec578 version 1 stack aligned"
says "command line a=1 b c"
says "usable MiB 1f"
says "rsdp found"
says "module x y size 3 sum 126"
says "module - size 1388 sum 1388"
echo "4 boot protocols hand over what they promise"
