#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""linux_panic.py CHRONOVISOR RECORDING PANIC SYSRQ WRITE

A real GDB on a recording of a kernel that panicked, without symbols: from the panic line back to who wrote to
/proc/sysrq-trigger. PANIC, SYSRQ, WRITE: where this kernel has panic(), sysrq_handle_crash(), write_sysrq_trigger().
"""
import re
import sys

import driver


def test(cv, recording, panic, sysrq, write):
    panic, sysrq, write = (int(x, 16) for x in (panic, sysrq, write))
    mask = 2**64 - 1
    g = driver.Gdb([cv, "debug", recording])

    def pc():
        return g.value("$pc") & mask

    g.expect("continue", "The guest crashed here: kernel panic on the console", "SIGABRT")
    crash = g.when()
    g.expect("monitor console 5", "sysrq: Trigger a crash|Kernel panic - not syncing")
    states = []
    for _ in range(20):
        states.append((g.when(), g.run("info registers")))
        g.run("reverse-stepi")
    g.check("20 steps back are 20 instructions", g.when() == crash - 20)
    for when, registers in reversed(states):
        g.run("stepi")
        g.check("the same registers at %d" % when, (g.when(), g.run("info registers")) == (when, registers))

    g.expect("hbreak *%#x" % panic, "Hardware assisted breakpoint 1")
    g.expect("reverse-continue", "Breakpoint 1, ")
    g.check("in panic()", pc() == panic)
    panic_at = g.when()
    g.check("before the crash", panic_at < crash)
    g.expect("x/s $rdi", "sysrq triggered crash")
    g.expect("monitor bt", "#0  %x" % panic, "#1  ")
    slot = g.value("$rsp") & mask
    back = g.value("*(unsigned long *)$rsp") & mask
    g.check("called from sysrq_handle_crash()", sysrq < back < sysrq + 64)

    # Who wrote the return address: the call.
    g.expect("watch *(unsigned long *)%#x" % slot, "Hardware watchpoint 2")
    said, packets = g.packets("reverse-continue")
    g.check("the watchpoint, with its address", "watch:%x;" % slot in packets and "Hardware watchpoint 2" in said)
    g.check("the instruction before", g.when() == panic_at - 1 and sysrq <= pc() < back)
    g.expect("x/i $pc", r"call +%#x" % panic)
    g.run("delete 2")

    # What was written to /proc/sysrq-trigger, in the user's memory.
    g.expect("hbreak *%#x" % write, "Hardware assisted breakpoint 3")
    g.expect("reverse-continue", "Breakpoint 3, ")
    g.check("in write_sysrq_trigger()", pc() == write and g.when() < panic_at)
    g.expect("x/s $rsi", r'"c\\n')
    g.check("from user space", g.value("$rsi") > 0)
    g.expect("info registers cr3", "cr3 +0x")

    # And forward again, to the same places.
    g.expect("continue", "Breakpoint 1, ")
    g.check("panic() again, where it was", g.when() == panic_at)
    g.run("delete")
    g.expect("continue", "The guest crashed here")
    g.check("the crash again, where it was", g.when() == crash)
    g.expect("continue", "No more reverse-execution history")
    g.quit()
    return g.checks


driver.main(test, "linux panic", *sys.argv[1:])
