#!/bin/sh
# SPDX-License-Identifier: MIT
# A panic of Debian's kernel: recorded, reported, replayed, and gone back from in a real GDB. KASLR is on.
. "$(dirname "$0")/../lib.sh"
[ -e "$LINUX/vmlinuz" ] || fail "no Linux guest in $LINUX"
record() { # record NAME APPEND
	expect_status 3 "$CV" record -o "$WORK/$1.cvr" --kernel "$LINUX/vmlinuz" --initrd "$LINUX/initramfs.gz" \
		--append "console=ttyS0 $2" --memory 128M
}
says() {
	grep -q -- "$1" "$WORK/err" || { cat "$WORK/err" >&2; fail "the report does not say '$1'"; }
}
record panic cv.panic
cp "$WORK/out" "$WORK/first"
report() {
	says '=== GUEST CRASH: the kernel printed a panic line on the console ==='
	says '^Position: insns [0-9]*, branches [0-9]*, rip 0xffffffff'
	says '^  rax [0-9a-f]\{16\}  rbx '
	says '^  cr0 [0-9a-f]\{16\} '
	says '^  => ffffffff[0-9a-f]\{8\} '
	says '^  #0  ffffffff'
	says '^  #3  ffffffff'
	says '^  .*Kernel panic - not syncing: sysrq triggered crash'
	says 'chronovisor debug .*panic.cvr'
}
report
grep '=== GUEST\|^Pos' "$WORK/err"
expect_status 3 "$CV" replay "$WORK/panic.cvr"
cmp "$WORK/first" "$WORK/out" || fail "replay printed other bytes"
report
says 'as recorded (kernel panic on the console)'

# The same accident, by a guest that says where its functions are.
record where "cv.run=\"grep -e ' panic\$' -e ' sysrq_handle_crash\$' -e ' write_sysrq_trigger\$' /proc/kallsyms; echo c > /proc/sysrq-trigger\""
address() {
	sed -n "s/^\([0-9a-f]\{16\}\) [tT] $1.*/\1/p" "$WORK/out" | head -n 1
}
[ -n "$(address panic)" ] || { cat "$WORK/out" >&2; fail "the guest does not say where panic() is"; }
python3 "$top/tests/gdb/linux_panic.py" "$CV" "$WORK/where.cvr" "$(address panic)" "$(address sysrq_handle_crash)" \
	"$(address write_sysrq_trigger)" || fail "GDB"
