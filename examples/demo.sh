#!/bin/sh
# SPDX-License-Identifier: MIT
# The main job, narrated: record a kernel that crashes once in a while, replay it, step GDB backwards from the crash to the
# culprit; then the same with Debian's kernel and a panic. Does all its set-up; about three minutes on a fresh machine.
#   examples/demo.sh [DIR]     DIR: where recordings are left (default: build/demo)
set -eu
cd "$(dirname "$0")/.."
top=$PWD
build=${BUILD:-$top/build}
out=${1:-$build/demo}
cv=$build/chronovisor
WITH_TESTS=
. "$top/tests/setup.sh"

say() { printf '\n\033[1m# %s\033[0m\n' "$*"; }
run() { # prints a command, runs it
	printf '\n$ %s\n' "$*"
	"$@"
}
crashes() { # runs a command that must end with status 3: the guest crashed
	status=0
	run "$@" </dev/null || status=$?
	[ "$status" -eq 3 ] || { echo "demo: expected a crash (status 3), got status $status" >&2; exit 1; }
}
debug() { # RECORDING SCRIPT EXPECTED: GDB in batch mode; its output must contain EXPECTED
	printf '\n$ chronovisor debug %s, with these commands:\n' "$1"
	sed 's/^/    (gdb) /' "$2"
	echo
	"$cv" debug "$1" -- -batch -x "$top/examples/demo.gdbinit" -x "$2" </dev/null >"$out/gdb.txt" 2>&1 || true
	cat "$out/gdb.txt"
	grep -q -- "$3" "$out/gdb.txt" || { echo "demo: GDB did not arrive at '$3'" >&2; exit 1; }
}

say "Set-up: packages, build, guests"
install_packages
build_tree "$build"
make_guests "$build" all
mkdir -p "$out"
rm -f "$out"/*.cvr "$out"/*.cvr-*

say "1. A kernel whose timer interrupt races with its main loop. Most runs end well. Record until one crashes."
crashes "$cv" record -o "$out/race.cvr" --kernel "$build/guests/racing-list/racing-list.elf" --memory 16M \
	--loop 200 --until crash

say "That run is now a file. It crashes again at the same instruction, each time."
crashes "$cv" replay "$out/race.cvr" --quiet

say "The list's head holds garbage. Who wrote it? Watch it, and run backwards."
cat >"$out/race.gdb" <<'GDB'
break panic
continue
backtrace 5
print free_list
watch free_list.head
reverse-continue
GDB
debug "$out/race.cvr" "$out/race.gdb" 'take_spare'
say "take_spare() is the culprit line's function: it stored b->next as the new head. But why was b->next garbage?"
cat >"$out/race2.gdb" <<'GDB'
break panic
continue
watch free_list.head
reverse-continue
delete
watch -l b->next
reverse-continue
backtrace 5
monitor when
GDB
debug "$out/race.cvr" "$out/race2.gdb" 'timer_interrupt'
say "Caught: the timer interrupt took the same buffer between take_spare's read of the head and its write."

say "2. Debian's kernel, as shipped, until it panics (echo c > /proc/sysrq-trigger)."
crashes "$cv" record -o "$out/linux.cvr" --kernel "$build/guests/linux/vmlinuz" \
	--initrd "$build/guests/linux/initramfs.gz" --append "console=ttyS0 cv.panic" --memory 256M

say "Replay it: the same console, every event and digest checked."
crashes "$cv" replay "$out/linux.cvr" --quiet

say "And step back from the panic."
cat >"$out/linux.gdb" <<'GDB'
continue
monitor when
linux-symbols
monitor bt
reverse-stepi
break sysrq_handle_crash
reverse-continue
monitor bt
monitor when
GDB
debug "$out/linux.cvr" "$out/linux.gdb" 'Breakpoint 1, .*sysrq_handle_crash'
say "No vmlinux was needed: names and unwind tables were read out of the guest's own memory."

say "What a recording is made of."
run "$cv" info "$out/linux.cvr"
say "Done. The recordings are in $out: try  $cv debug $out/race.cvr"
