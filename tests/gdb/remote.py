#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""remote.py CHRONOVISOR RECORDING SYMBOLS WORK

`replay --gdb`: a server that clients come to and leave. Ctrl-C in both directions, detach and reconnect, run, kill, over
TCP and a Unix socket.
"""
import re
import subprocess
import sys
import time

import driver


def serve(cv, recording, address, errors):
    p = driver.start([cv, "replay", recording, "--gdb", address], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                         stderr=open(errors, "wb"))
    for _ in range(200):
        found = re.search(r"target remote (\S+)", open(errors).read())
        if found:
            return p, found.group(1)
        time.sleep(0.05)
    raise driver.Failure("no server: " + open(errors).read())


def gdb(symbols):
    g = driver.Gdb(["gdb", "-q", "-nx", "-iex", "set auto-load off"])
    g.expect("file " + symbols, "Reading symbols")
    return g


def interrupts(g):
    """A condition that GDB evaluates and that never holds keeps it busy: Ctrl-C stops it, in both directions."""
    g.run("monitor seek 50%")
    g.run("maintenance flush register-cache")
    start = g.when()
    g.run("set breakpoint condition-evaluation host")
    g.expect("break think if seed == 1", "Breakpoint")
    for command, later in (("continue", True), ("reverse-continue", False)):
        g.run("monitor seek %d" % start)
        g.run("maintenance flush register-cache")
        g.send(command)
        time.sleep(0.4)
        g.interrupt()
        said = g.wait()
        g.check(command + " and Ctrl-C: " + said, "SIGINT" in said or "Quit" in said)
        g.check(command + " moved", (g.when() > start) if later else (g.when() < start))
    g.run("delete")
    # A move that the server makes alone: a watchpoint on what is never written.
    g.expect("watch *(long *)&_start", "atchpoint")
    g.run("monitor seek end")
    g.run("maintenance flush register-cache")
    g.send("reverse-continue")
    time.sleep(0.05)
    g.interrupt()
    said = g.wait()
    g.check("Ctrl-C in the server's own move: " + said, "SIGINT" in said or "No more reverse-execution" in said)
    g.run("delete")


def test(cv, recording, symbols, work):
    checks = 0
    for address in ("unix:%s/socket" % work, "127.0.0.1:0", ":0"):
        server, where = serve(cv, recording, address, work + "/err")
        g = gdb(symbols)
        g.expect("target remote " + where, "Remote debugging using")
        g.expect("monitor when", "insns 0 ")
        g.expect("break drain_ring", "Breakpoint")
        g.expect("continue", "drain_ring")
        first = g.when()
        g.run("delete")
        interrupts(g)
        g.run("monitor seek 5000000")
        # The server keeps its place when a client leaves, and forgets its points.
        g.expect("detach", "detached")
        g.expect("target remote " + where, "Remote debugging using")
        g.expect("monitor when", "insns 5000000 ")
        # A second client is turned away while the first one holds.
        other = gdb(symbols)
        other.run("set remotetimeout 2")
        said = other.run("target remote " + where)
        g.check("a second client waits or is turned away: " + said, "insns" not in said)
        g.expect("monitor when", "insns 5000000 ")
        other.quit()
        # A client that vanishes.
        g.p.kill()
        g.p.wait()
        checks += g.checks
        g = gdb(symbols)
        g.expect("target extended-remote " + where, "Remote debugging using")
        g.expect("monitor when", "insns 5000000 ")
        # run: back to the start.
        g.expect("break drain_ring", "Breakpoint")
        g.run("set remote exec-file guest")
        g.expect("run", "Breakpoint 1, drain_ring")
        g.check("run goes to the start, and from there to the breakpoint", g.when() == first)
        g.expect("starti", "Program stopped|_start")
        g.check("starti stays there", g.when() == 0)
        g.run("delete")
        g.expect("kill", "killed")
        g.check("a replay survives a kill", server.poll() is None)
        g.quit()
        checks += g.checks
        server.terminate()
        server.wait(20)
    return checks


driver.main(test, "gdb remote", *sys.argv[1:])
