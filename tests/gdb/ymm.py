#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""ymm.py CHRONOVISOR RECORDING SYMBOLS

A real GDB on a replay of the digest guest on a CPU with AVX: YMM registers shown, written, and put back by going backwards.
"""
import sys

import driver


def ymm(g, n):
    return [g.value("$ymm%d.v4_int64[%d]" % (n, k)) for k in range(4)]


def operand(g, name):
    return [g.value("((struct io *)$rdi)->%s[%d]" % (name, k)) for k in range(4)]


def step_to(g, mnemonic):
    for _ in range(40):
        if mnemonic in g.run("x/i $pc").split(":", 1)[1]:
            return
        g.run("stepi")
    raise driver.Failure("no %s in reach" % mnemonic)


def test(cv, recording, symbols):
    g = driver.Gdb([cv, "debug", recording, "--symbols", symbols])
    g.expect("info registers ymm15", r"ymm15 .*v4_int64")
    g.expect("break op_y_paddq", "Breakpoint")
    g.expect("continue", "Breakpoint 1, op_y_paddq|op_y_paddq")
    step_to(g, "vpaddq")
    here = g.when()
    a, b, c = operand(g, "a"), operand(g, "b"), operand(g, "c")
    g.check("the operands are in the registers", (ymm(g, 0), ymm(g, 1), ymm(g, 2)) == (a, b, c))
    g.check("the operands have upper halves", any(a[2:]) and any(b[2:]) and any(c[2:]))
    g.run("stepi")
    total = [(x + y) & (1 << 64) - 1 for x, y in zip(b, c)]
    g.check("ymm0 is the sum", [v & (1 << 64) - 1 for v in ymm(g, 0)] == total)
    g.check("the others are as they were", (ymm(g, 1), ymm(g, 2)) == (b, c))
    g.run("reverse-stepi")
    g.check("backwards: ymm0 is the first operand again", ymm(g, 0) == a and g.when() == here)

    # Another second operand, in a continuation that is thrown away.
    for k in range(4):
        g.run("set var $ymm1.v4_int64[%d] = %d" % (k, k + 1))
    g.check("written is read back", ymm(g, 1) == [1, 2, 3, 4])
    g.check("xmm1 is its lower half", [g.value("$xmm1.v2_int64[%d]" % k) for k in range(2)] == [1, 2])
    g.run("set var $xmm1.v2_int64[0] = 9")
    g.check("writing xmm1 leaves the upper half", ymm(g, 1) == [9, 2, 3, 4])
    g.run("stepi")
    total = [(x + y) & (1 << 64) - 1 for x, y in zip([9, 2, 3, 4], c)]
    g.check("the diversion computes with it", [v & (1 << 64) - 1 for v in ymm(g, 0)] == total)
    g.run("monitor end-diversion")
    g.check("the recorded run has its own", ymm(g, 1) == b)

    # Far forwards, and back here over checkpoints.
    g.run("delete")
    g.run("monitor seek +20000000")
    g.check("went on", g.when() > here)
    g.run("monitor seek %d" % here)
    g.check("a checkpoint holds the upper halves", (ymm(g, 0), ymm(g, 1), ymm(g, 2)) == (a, b, c))
    g.quit()
    return g.checks


driver.main(test, "ymm", *sys.argv[1:])
