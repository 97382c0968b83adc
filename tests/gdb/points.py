# SPDX-License-Identifier: MIT
# Runs inside GDB, connected to a replay of examples/racing-list: watchpoints and breakpoints give the same places in both
# directions, conditions hold, `monitor bt` agrees with GDB's backtrace, and the ends of the recording are told.
import re


def run(text):
    return gdb.execute(text, to_string=True)


def position():
    return int(re.search(r"insns (\d+)", run("monitor when")).group(1))


def check(what, got, want):
    if got != want:
        raise gdb.GdbError("%s: %s, expected %s" % (what, got, want))
    print("ok: " + what)


def watchpoints():
    run("monitor seek 50%")
    run("watch free_list.head")
    back, forth = [], []
    for _ in range(8):
        run("reverse-continue")
        back.append(position())
    check("watchpoint goes back", back, sorted(set(back), reverse=True))
    for _ in range(8):
        run("continue")
        forth.append(position())
    # Backwards it stops just before the write, forwards just after it.
    check("watchpoint, both ways", forth, [p + 1 for p in reversed(back)])
    run("delete")


def breakpoints():
    run("break list_pop")
    forth = []
    for _ in range(6):
        run("continue")
        check("at list_pop", gdb.selected_frame().name(), "list_pop")
        forth.append(position())
    back = []
    for _ in range(5):
        run("reverse-continue")
        back.append(position())
    check("breakpoint, both ways", back, list(reversed(forth[:-1])))
    run("delete")


def conditions():
    run("monitor seek begin")
    run("hbreak list_pop if samples == 40")
    run("continue")
    check("condition, forwards", int(gdb.parse_and_eval("samples")), 40)
    first = position()
    run("monitor seek 90%")
    before = int(gdb.parse_and_eval("samples"))
    if before <= 40:
        raise gdb.GdbError("the run is too short: %d samples" % before)
    run("reverse-continue")
    check("condition, backwards", int(gdb.parse_and_eval("samples")), 40)
    if position() < first:
        raise gdb.GdbError("a hit before the first: %d, %d" % (position(), first))
    run("delete")


def backtraces():
    run("monitor seek 30%")
    run("break list_pop")
    deep = 0
    for _ in range(12):
        run("continue")
        run("stepi 3")
        ours = [int(a, 16) for a in re.findall(r"^#\d+ +([0-9a-f]{16})", run("monitor bt"), re.M)]
        theirs, frame = [], gdb.newest_frame()
        while frame:
            theirs.append(frame.pc())
            frame = frame.older()
        if ours != theirs:
            raise gdb.GdbError("monitor bt: %s\nGDB: %s" % ([hex(a) for a in ours], [hex(a) for a in theirs]))
        deep += any("trap" in (gdb.block_for_pc(a).function.name if gdb.block_for_pc(a) and
                               gdb.block_for_pc(a).function else "") for a in theirs)
    check("backtraces through an interrupt were among them", deep > 0, True)
    run("delete")


def finish():
    run("monitor seek 20%")
    run("tbreak list_pop")
    run("continue")
    caller = gdb.selected_frame().older().name()
    run("stepi 2")
    run("reverse-finish")
    check("reverse-finish is in the caller", gdb.selected_frame().name(), caller)


def ends():
    run("continue")
    if "reverse-execution history" not in run("continue"):
        run("continue")
    last = position()
    run("stepi")
    check("nothing is behind the end", position(), last)
    run("reverse-continue")
    check("the beginning", position(), 0)


try:
    gdb.execute("set pagination off")
    gdb.execute("set confirm off")
    watchpoints()
    breakpoints()
    conditions()
    backtraces()
    finish()
    ends()
    print("points: all well")
    gdb.execute("kill")
    gdb.execute("quit 0")
except gdb.error as e:
    print("FAILED: %s" % e)
    gdb.execute("quit 1")
