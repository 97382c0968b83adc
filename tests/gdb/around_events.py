#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""around_events.py CHRONOVISOR RECORDING PLACES SEED

Where inputs and interrupts come in is where going backwards can go wrong. At so many random events of each kind: steps
over the event, noting every state, steps back, comparing each, and lands on each by a seek as well.
"""
import random
import re
import subprocess
import sys

import driver

BEFORE, STEPS = 5, 14


def state(g):
    when = g.run("monitor when").split("\n")[0]
    return when, g.run("info all-registers") + g.run("x/4gx $rsp")


def around(g, insns, what):
    g.run("monitor seek %d" % max(insns - BEFORE, 0))
    seen = [state(g)]
    for _ in range(STEPS):
        g.run("stepi")
        seen.append(state(g))
    positions = [w for w, _ in seen]
    g.check("%s at %d: every step moves: %s" % (what, insns, positions), len(set(positions)) == len(positions))
    for want in reversed(seen[:-1]):
        g.run("reverse-stepi")
        now = state(g)
        g.check("%s at %d, backwards:\n%s\n%s\n---\n%s\n%s" % (what, insns, *want, *now), now == want)
    for want in seen:
        if "deliveries" in want[0] or "in a REP" in want[0]:
            continue  # a seek goes to where nothing is delivered yet
        g.run("monitor seek " + re.search(r"insns (\d+)", want[0]).group(1))
        now = state(g)
        g.check("%s at %d, by a seek:\n%s\n%s\n---\n%s\n%s" % (what, insns, *want, *now), now == want)


def test(cv, recording, places, seed):
    rng = random.Random(seed)
    g = driver.Gdb([cv, "debug", recording])
    for kind in ("interrupt", "time", "tsc", "clock", "entropy", "console-in"):
        out = subprocess.run([cv, "events", recording, "--kind", kind], stdout=subprocess.PIPE, check=True).stdout.decode()
        found = [int(x) for x in re.findall(r"insns (\d+)", out)]
        for insns in sorted(rng.sample(found, min(int(places), len(found)))):
            around(g, insns, kind)
    g.quit()
    return g.checks


driver.main(test, "around events", *sys.argv[1:])
