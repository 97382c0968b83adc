#!/bin/sh
# SPDX-License-Identifier: MIT
# Debian's kernel as shipped, without a file of symbols: the crash report names the functions of the panic as the kernel's
# own call trace does, and GDB breaks on them. KASLR is on.
. "$(dirname "$0")/../lib.sh"
[ -e "$LINUX/vmlinuz" ] || fail "no Linux guest in $LINUX"
expect_status 3 "$CV" record -o "$WORK/run.cvr" --clock virtual --kernel "$LINUX/vmlinuz" --initrd "$LINUX/initramfs.gz" \
	--append "console=ttyS0 cv.panic" --memory 128M

# The kernel's call trace below panic(), without what it marks as unsure; and the report's backtrace.
tr -d '\r' <"$WORK/out" |
	sed -n '/Call Trace:/,/RIP: /s/^\[[ 0-9.]*\]  \([a-zA-Z_0-9.]*+0x[0-9a-f]*\)\/0x[0-9a-f]*$/\1/p' |
	sed '1,/^panic+/d' >"$WORK/trace"
sed -n "s/^  #[0-9]* *[0-9a-f]\{16\} <\(.*\)>  (kernel's ORC table)$/\1/p" "$WORK/err" >"$WORK/frames"
sed '1,/^panic+/d' "$WORK/frames" >"$WORK/below"
[ "$(wc -l <"$WORK/trace")" -ge 6 ] || { cat "$WORK/out" >&2; fail "the kernel's own call trace is too short"; }
cmp "$WORK/trace" "$WORK/below" || { diff "$WORK/trace" "$WORK/below" >&2; fail "another chain of calls than the kernel's"; }
for name in panic sysrq_handle_crash; do
	grep -q "^$name+0x" "$WORK/frames" || { cat "$WORK/err" >&2; fail "no $name in the backtrace"; }
done
grep -q "(kernel's ORC table: user code)" "$WORK/err" || fail "the backtrace does not reach user code"
grep -q '^  rip [0-9a-f]\{16\} <[a-z_0-9]*+0x' "$WORK/err" || fail "RIP has no name"
grep -q '^  => .* <[a-z_0-9]*+0x' "$WORK/err" || fail "the code has no name"
echo "as in the kernel's call trace: $(tr '\n' ' ' <"$WORK/below")"

# In GDB: names after linux-symbols; back to where panic() began; an interrupt; none before the kernel has started.
cat >"$WORK/commands" <<'EOF'
continue
linux-symbols
break panic
reverse-continue
printf "panic at %#lx: %s", $pc, (char *)$rdi
monitor bt
bt
monitor disas sysrq_handle_crash 2
delete
break irq_enter_rcu
reverse-continue
echo --- interrupt ---\n
monitor bt
bt
seek begin
monitor symbols
EOF
"$CV" debug "$WORK/run.cvr" -- -batch -x "$WORK/commands" >"$WORK/gdb" 2>&1 </dev/null ||
	{ cat "$WORK/gdb" >&2; fail "GDB ended with $?"; }
said() {
	grep -q -- "$1" "$WORK/gdb" || { cat "$WORK/gdb" >&2; fail "GDB does not say '$1'"; }
}
said '^[0-9]* symbols of the guest.s own'
said 'Breakpoint 1, .* in panic ()'
said '^panic at 0xffffffff[0-9a-f]*: sysrq triggered crash'
said '^#0 *ffffffff[0-9a-f]* <panic+0>$'
said "^#1 *ffffffff[0-9a-f]* <sysrq_handle_crash+0x[0-9a-f]*>  (kernel's ORC table)"
said '^   ffffffff.* <sysrq_handle_crash>$'
said 'Breakpoint 2, .* in irq_enter_rcu ()'
said "(kernel's ORC table: interrupted here)"
# GDB's own backtraces, by unwind information made of the ORC table: the same functions, up to user code.
grep -q '^#[0-9]* *<signal handler called>' "$WORK/gdb" || fail "GDB does not see the exception"
sed -n "/^#0 .* in panic ()/,/signal handler/s/^#[1-9][0-9]* .* in \([a-zA-Z_0-9]*\).*/\1/p" "$WORK/gdb" | sort -u >"$WORK/own"
for name in $(sed 's/[.+].*//' "$WORK/below" | grep -v entry_SYSCALL); do
	grep -qx "$name" "$WORK/own" || { cat "$WORK/gdb" >&2; fail "GDB's backtrace lacks $name"; }
done
sed '1,/--- interrupt ---/d' "$WORK/gdb" >"$WORK/interrupt"
grep -q '^#[0-9]* .* in do_syscall_64 ()' "$WORK/interrupt" || { cat "$WORK/gdb" >&2; fail "GDB does not see through the interrupt"; }
said 'no Linux kernel with symbols runs here'

# Page table isolation: asked for in user code, whose page tables lack the kernel.
expect_status 3 "$CV" record -o "$WORK/pti.cvr" --clock virtual --kernel "$LINUX/vmlinuz" --initrd "$LINUX/initramfs.gz" \
	--append "console=ttyS0 pti=on cv.panic" --memory 128M
grep -q 'page tables isolation: enabled' "$WORK/out" || fail "the guest does not isolate its page tables"
"$CV" debug "$WORK/pti.cvr" -- -batch -ex continue -ex linux-symbols -ex 'break entry_SYSCALL_64' -ex reverse-continue \
	-ex reverse-stepi -ex when >"$WORK/gdb" 2>&1 </dev/null || { cat "$WORK/gdb" >&2; fail "GDB ended with $?"; }
said 'Breakpoint 1, .* in entry_SYSCALL_64 ()'
there=$(sed -n 's/^insns \([0-9]*\) .*/\1/p' "$WORK/gdb" | tail -n 1)
"$CV" debug "$WORK/pti.cvr" -- -batch -ex "seek $there" -ex 'monitor symbols' -ex 'printf "CPL %d\n", $cs & 3' \
	>"$WORK/gdb" 2>&1 </dev/null || { cat "$WORK/gdb" >&2; fail "GDB ended with $?"; }
said '^CPL 3'
said '^[0-9]* symbols of the guest.s own'
echo ok
