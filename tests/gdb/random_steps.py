# SPDX-License-Identifier: MIT
# Runs inside GDB, connected to a replay: steps forward noting every state, then 100 random reverse and forward steps,
# each state compared with the one seen going forward. Positions come from `monitor when`.
import os
import random
import re

rng = random.Random(int(os.environ.get("SEED", "1")))


def run(text):
    return gdb.execute(text, to_string=True)


def position():
    return int(re.search(r"insns (\d+)", run("monitor when")).group(1))


def state():
    # eflags, segments, control registers: all that the target description has; and a piece of the stack.
    text = run("info all-registers")
    try:
        text += run("x/8gx $rsp")
    except gdb.error:
        text += "no stack"
    return text


def main():
    gdb.execute("set pagination off")
    gdb.execute("set confirm off")
    places = [p for p in os.environ.get("PLACES", "10% 50% 90%").split()]
    compared = 0
    for place in places:
        run("monitor seek " + place)
        gdb.execute("maintenance flush register-cache")
        seen = [(position(), state())]
        for _ in range(60):
            run("stepi")
            seen.append((position(), state()))
        at = len(seen) - 1
        for _ in range(40):
            n = rng.randrange(1, 8)
            if at - n >= 0 and (rng.random() < 0.7 or at + n >= len(seen)):
                run("reverse-stepi %d" % n)
                at -= n
            elif at + n < len(seen):
                run("stepi %d" % n)
                at += n
            else:
                continue
            now = (position(), state())
            if now != seen[at]:
                raise gdb.GdbError("at %s: position %d, expected %d\n%s\n---\n%s" %
                                   (place, now[0], seen[at][0], now[1], seen[at][1]))
            compared += 1
    print("compared %d states: equal" % compared)
    if compared < 100:
        raise gdb.GdbError("too few comparisons: %d" % compared)


try:
    main()
    gdb.execute("kill")
    gdb.execute("quit 0")
except gdb.error as e:
    print("FAILED: %s" % e)
    gdb.execute("quit 1")
