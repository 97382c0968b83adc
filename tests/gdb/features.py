#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""features.py CHRONOVISOR RECORDING SYMBOLS WORK

A real GDB on a replay of console-echo that ends in the panic of its README: all that GDB can ask of the stub, forwards and
backwards, each with its answer.
"""
import re
import sys

import driver


def ends_of_the_run(g):
    g.expect("monitor when", r"insns 0 .*rip 0x100000, replay")
    g.expect("reverse-stepi", "No more reverse-execution history")
    g.expect("reverse-continue", "No more reverse-execution history")
    g.check("still at the beginning", g.when() == 0)
    g.expect("continue", "The guest crashed here: kernel panic on the console")
    crash = g.when()
    g.expect("monitor when", "the guest crashes at %d: kernel panic" % crash)
    g.expect("continue", "No more reverse-execution history", "run ended here: panic device")
    end = g.when()
    g.check("the end lies behind the crash", end > crash)
    g.expect("continue", "No more reverse-execution history")
    g.expect("stepi", "No more reverse-execution history")
    g.expect("reverse-continue", "No more reverse-execution history")
    g.check("back at the beginning", g.when() == 0)
    return crash, end


def source_steps(g):
    g.expect("break run_name", "Breakpoint")
    g.expect("continue", "Breakpoint .*run_name")
    g.run("delete")
    name_at = g.when()
    g.expect("frame", r"main.c:124")
    g.expect("next", r"125\t")
    call_at = g.when()
    g.expect("next", r"126\t")
    g.expect("reverse-next", r"125\t")
    g.check("reverse-next came back to where the line begins", g.when() == call_at > name_at)
    g.expect("step", "copy_string")
    inside = g.when()
    g.expect("backtrace", r"#0 .*copy_string", r"#1 .*run_name", r"#2 .*execute", r"#3 .*kmain")
    g.expect("info frame", "called by frame")
    g.expect("finish", r"run_name")
    g.check("finish moves on", g.when() > inside)
    g.expect("reverse-step", r"copy_string")
    g.check("reverse-step went into the callee's end", inside < g.when())
    g.expect("reverse-finish", r"run_name")
    g.check("reverse-finish stands before the call", name_at <= g.when() < inside)
    g.expect("stepi 100", "")
    g.expect("reverse-stepi 100", "")
    g.check("a hundred forward, a hundred back", name_at <= g.when() < inside)
    g.run("set exec-direction reverse")
    here = g.when()
    g.run("stepi")
    g.run("set exec-direction forward")
    g.check("exec-direction reverse", g.when() == here - 1)
    g.expect("advance execute", "execute")
    g.check("advance goes on", g.when() > here)
    g.run("monitor seek begin")


def breakpoints(g, crash):
    g.run("set breakpoint condition-evaluation target")
    g.expect("break execute if s->commands == 2", "Breakpoint")
    _, sent = g.packets("continue")
    g.check("the condition went to the server", re.search(r"Z0,[0-9a-f]+,1;X", sent))
    g.check("stopped where the condition holds", g.value("s->commands") == 2)
    g.check("one stop only", len(re.findall(r"vCont;c", sent)) == 1)
    g.expect("info breakpoints", r"stop only if s->commands == 2 \(target evals\)", "already hit 1 time")
    third = g.when()
    g.run("delete")
    g.run("monitor seek %d" % crash)
    g.expect("break execute if s->commands == 1", "Breakpoint")
    _, sent = g.packets("reverse-continue")
    g.check("backwards too, in one go", g.value("s->commands") == 1 and len(re.findall(r"\$bc#", sent)) == 1)
    g.check("before the other one", g.when() < third)
    g.run("delete")
    g.run("set breakpoint condition-evaluation auto")
    g.expect("hbreak copy_string", "Hardware assisted breakpoint")
    _, sent = g.packets("continue")
    g.check("a hardware breakpoint is asked for", "Z1," in sent)
    g.check("and reported as one", "hwbreak:" in sent)
    g.expect("frame", "copy_string")
    first = g.when()
    g.expect("continue", "crashed here")
    _, sent = g.packets("reverse-continue")
    g.check("the same from the other side", g.when() == first and "hwbreak:" in sent)
    g.run("delete")
    g.expect("tbreak run_sum", "Temporary breakpoint")
    g.expect("continue", "run_sum")
    g.run("delete")
    g.run("monitor seek begin")


def watchpoints(g, crash):
    g.run("monitor seek begin")
    address = "%x" % g.value("(long)&session.commands")
    g.expect("watch session.commands", "Hardware watchpoint")
    changes = []
    for i in range(4):
        said, sent = g.packets("continue")
        g.check("watch %d: values" % i, re.search(r"Old value = %d\s+New value = %d\s" % (i, i + 1), said))
        g.check("watch %d: address" % i, "watch:%s;" % address in sent)
        changes.append(g.when())
    g.check("in order", changes == sorted(changes))
    g.expect("continue", "crashed here")
    for i in (3, 2, 1, 0):
        said, sent = g.packets("reverse-continue")
        g.check("watch back %d: values" % i, re.search(r"Old value = %d\s+New value = %d\s" % (i + 1, i), said))
        g.check("watch back %d: address" % i, "watch:%s;" % address in sent)
        g.check("watch back %d: just before the write" % i, g.when() == changes[i] - 1)
    g.expect("reverse-continue", "No more reverse-execution history")
    g.run("delete")

    # Reads: `hello` reads the function pointer.
    address = "%x" % g.value("(long)&session.greet")
    g.expect("rwatch session.greet", "Hardware read watchpoint")
    said, sent = g.packets("continue")
    g.check("rwatch: value", re.search(r"Value = .*greet_politely", said))
    g.check("rwatch: address", "rwatch:%s;" % address in sent)
    g.expect("backtrace", "run_hello")
    read_at = g.when()
    said, sent = g.packets("continue")
    g.check("rwatch: the second hello reads rubbish", "0x737365746e75" in said)
    said, sent = g.packets("reverse-continue")
    g.check("rwatch back: address", "rwatch:%s;" % address in sent)
    said, sent = g.packets("reverse-continue")
    g.check("rwatch back: the first hello", re.search(r"Value = .*greet_politely", said) and g.when() in (read_at, read_at - 1))
    g.run("delete")

    # Both: `name` writes there, byte by byte; `hello` reads.
    g.run("monitor seek begin")
    g.expect("awatch session.greet", r"Hardware access \(read/write\) watchpoint")
    said, sent = g.packets("continue")
    g.check("awatch: a read", "Value = " in said and "awatch:%s;" % address in sent)
    said, sent = g.packets("continue")
    g.check("awatch: a write", re.search(r"Old value = .*greet_politely.*\s+New value = ", said))
    g.check("awatch: address of the byte or the word", re.search(r"awatch:%s[0-9a-f];" % address[:-1], sent))
    g.run("monitor seek %d" % crash)
    said, sent = g.packets("reverse-continue")
    g.check("awatch back: last is a read", "0x737365746e75" in said and "awatch:" in sent)
    g.run("delete")
    # A condition on a watchpoint, backwards.
    g.expect("watch session.commands if session.commands == 1", "Hardware watchpoint")
    g.run("monitor seek %d" % crash)
    g.run("reverse-continue")
    g.check("a watchpoint with a condition", g.value("session.commands") == 1)
    g.run("delete")


def registers(g):
    g.run("monitor seek begin")
    g.expect("info registers", r"rax ", r"r15 ", r"rip ", r"eflags ", r"cs ", r"ss ", r"fs_base ", r"gs_base ", r"k_gs_base ",
           r"cr0 ", r"cr2 ", r"cr3 ", r"cr4 ", r"cr8 ", r"efer ")
    g.expect("info registers cr0", r"cr0 +0x[0-9a-f]+ +\[.*PE")
    g.run("break run_hello")
    g.run("continue")
    g.run("delete")
    said = g.run("monitor regs")
    for name in ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r15", "rip", "cr0", "cr2", "cr3", "cr4",
                 "cr8"):
        shown = int(re.search(r"\b%s +([0-9a-f]{16})" % name, said).group(1), 16)
        g.check("%s is what monitor regs says" % name, g.value("(unsigned long)$" + name) & (2**64 - 1) == shown)
    g.check("efer has LMA and LME", g.value("(long)$efer") & 0x500 == 0x500)
    g.expect("info registers xmm0", "v4_float", "uint128")
    g.expect("info registers xmm15", "v16_int8")
    g.expect("info registers mxcsr", r"0x1f80")
    g.expect("info float", "R7", "Control Word: +0x0[0-9a-f]+")
    g.expect("info registers st0", "st0")
    g.expect("print $fctrl", r"= 0x?[0-9a-f]+|= \d+")
    g.expect("info all-registers", "st7", "xmm15", "mxcsr")
    g.check("RIP in code", g.value("(long)$pc") == g.value("(long)$rip"))


def memory(g, work):
    g.expect("x/5i $pc", r"=> 0x[0-9a-f]+ <run_hello", r"\n +0x")
    g.expect("x/s session.name", "stranger")
    said, sent = g.packets("find /b &session, +64, 's', 't', 'r', 'a'")
    g.check("find: where", "<session>" in said and "1 pattern found" in said)
    g.check("find: the server searched", "qSearch:memory:" in sent)
    g.expect("find /b &session, +16, 0x7f, 0x45, 0x4c, 0x46, 0x99", "Pattern not found")
    g.expect("x/x 0x7fff00000000", "Cannot access memory")
    g.expect("monitor phys %d 16" % g.value("(long)&session"), r"73 74 72 61 6e 67 65 72", r"\|stranger")
    g.expect("monitor phys on", "physical")
    g.expect("x/s %d" % g.value("(long)&session"), "stranger")
    g.expect("monitor phys off", "virtual")
    g.run("dump binary memory %s/a.bin 0x100000 0x101000" % work)
    g.run("dump binary memory %s/b.bin 0x100000 0x101000" % work)
    g.check("a dump is a dump", open(work + "/a.bin", "rb").read() == open(work + "/b.bin", "rb").read() != b"")


def diversion(g):
    here = g.when()
    before = g.run("print session")
    g.run("set var session.commands = 77")
    g.expect("monitor when", "diverted from the recording")
    g.expect("print session.commands", "= 77")
    g.run("set $rbx = 0x1234")
    g.check("a register is set", g.value("$rbx") == 0x1234)
    g.run("stepi 5")
    g.expect("monitor when", "diverted")
    g.expect("monitor end-diversion", "replay")
    g.check("where it was", g.when() == here)
    g.check("what it was", g.run("print session").split("= ", 1)[1] == before.split("= ", 1)[1])
    g.run("set var session.commands = 78")
    g.run("reverse-stepi")
    g.expect("monitor when", "replay")
    g.check("going back forgets the change", g.value("session.commands") != 78)


def monitor(g, crash, end):
    g.expect("monitor help", *["monitor " + c for c in
                             ("when", "seek", "events", "console", "screen", "bt", "regs", "disas", "phys", "end-diversion",
                              "symbols", "help")])
    for text, at in (("seek begin", 0), ("seek 1000", 1000), ("seek insns=2000", 2000), ("seek +5", 2005), ("seek -5", 2000),
                     ("seek 50%", end // 2), ("seek crash", crash), ("seek end", end)):
        g.expect("monitor " + text, r"insns %d\b" % at)
        g.check("monitor when after " + text, g.when() == at)
    g.expect("monitor events 6", r"event +position", r"=> +%d  the present position" % end, r"end +\d")
    first = int(re.search(r"\n +(\d+) +(\d+) ", g.run("monitor events 6")).group(2))
    number = int(re.search(r"\n +(\d+) +(\d+) ", g.run("monitor events 6")).group(1))
    g.expect("monitor seek event %d" % number, r"insns %d\b" % first)
    g.run("monitor seek crash")
    g.expect("monitor console", r"> name Ada Lovelace, Countess", r"I shall remember that", r"> hello")
    g.expect("monitor console 2", r"hello")
    g.check("console N", len([x for x in g.run("monitor console 2").split("\n") if re.match(r" *\d+  ", x)]) == 2)
    g.expect("monitor bt", r"#0 ", r"panic", r"trap", r"kmain")
    g.expect("monitor disas", r"=> [0-9a-f]{16} .*<")
    g.expect("monitor disas copy_string 3", r"copy_string")
    g.check("disas N", len(re.findall(r"[0-9a-f]{16} ", g.run("monitor disas copy_string 3"))) == 3)
    g.expect("monitor screen", "")
    g.expect("monitor symbols", "this session was given symbols")
    g.expect("monitor frobnicate", "unknown monitor command")
    g.expect("monitor seek nowhere", "usage: seek")
    g.expect("monitor seek event 99999999", "there is no event|has .* events")
    g.expect("monitor phys 0x7fffffff0000", "no RAM")
    g.expect("info threads", r"\* 1 ")
    g.run("monitor seek begin")


def test(cv, recording, symbols, work):
    g = driver.Gdb([cv, "debug", recording, "--symbols", symbols])
    crash, end = ends_of_the_run(g)
    source_steps(g)
    breakpoints(g, crash)
    watchpoints(g, crash)
    registers(g)
    memory(g, work)
    diversion(g)
    monitor(g, crash, end)
    g.quit()
    return g.checks


driver.main(test, "gdb features", *sys.argv[1:])
