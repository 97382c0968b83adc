# SPDX-License-Identifier: MIT
# Runs inside GDB, connected to a replay of tests/guests/repeats whose positions count steps: each iteration of a REP is a place of
# its own, forwards, backwards and by a seek; breakpoints and watchpoints agree in both directions.
import re

COUNT = 1500


def run(text):
    return gdb.execute(text, to_string=True)


def position():
    when = run("monitor when")
    if "in a REP" in when or "branches 0," not in when:
        raise gdb.GdbError("not a position in steps: " + when)
    return int(re.search(r"insns (\d+)", when).group(1))


def reg(name):
    return int(gdb.parse_and_eval("(unsigned long)$" + name)) & 0xFFFFFFFF


def here():
    return position(), reg("eip"), reg("ecx"), reg("esi"), reg("edi")


def check(what, got, want):
    if got != want:
        raise gdb.GdbError("%s: %s, expected %s" % (what, got, want))
    print("ok: " + what)


def iterations(movs):
    """All of one round's MOVS, without an interrupt in it."""
    first = here()
    seen = [first]
    for k in range(1, 12):
        run("stepi")
        seen.append(here())
    check("forwards, one iteration a step", seen, [(first[0] + k, movs, COUNT - k, first[3] + 4 * k, first[4] + 4 * k) for k in range(12)])
    back = [seen[-1]]
    for _ in range(11):
        run("reverse-stepi")
        back.append(here())
    check("backwards, the same", back, seen[::-1])
    for k in (700, 1499, 3):
        run("monitor seek %d" % (first[0] + k))
        run("maintenance flush register-cache")
        check("a seek into the REP", here(), (first[0] + k, movs, COUNT - k, first[3] + 4 * k, first[4] + 4 * k))
    run("monitor seek %d" % (first[0] + COUNT))
    run("maintenance flush register-cache")
    check("the end of the REP", reg("ecx"), 0)
    run("reverse-stepi")
    check("back into the REP", here(), (first[0] + COUNT - 1, movs, 1, first[3] + 4 * (COUNT - 1), first[4] + 4 * (COUNT - 1)))
    return first


def points(first):
    run("monitor seek %d" % first[0])
    run("maintenance flush register-cache")
    run("awatch *(int *)%d" % (first[4] + 4 * 100))
    run("continue")
    check("a watchpoint stops after its iteration", position(), first[0] + 101)
    run("continue")
    after = position()
    run("reverse-continue")
    check("and backwards before it", position() < after, True)
    run("monitor seek %d" % (first[0] + 400))
    run("maintenance flush register-cache")
    run("reverse-continue")
    check("from within the REP, before its iteration", position(), first[0] + 100)
    run("delete")


def main():
    gdb.execute("set pagination off")
    gdb.execute("set confirm off")
    movs = int(gdb.parse_and_eval("(unsigned long)&the_movs"))
    run("break *%d" % movs)
    run("continue")
    run("continue 1")
    check("a breakpoint on a REP stops before each iteration", reg("ecx"), COUNT - 1)
    run("reverse-continue")
    check("also going back", reg("ecx"), COUNT)
    run("delete")
    points(iterations(movs))
    print("repeats: all as it should be")


try:
    main()
except gdb.error as e:
    raise gdb.GdbError(str(e))
