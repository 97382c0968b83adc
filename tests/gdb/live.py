#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""live.py CHRONOVISOR WORK console-echo GUEST
   live.py CHRONOVISOR WORK busy VISITS STATUSES OPTIONS...

GDB attached to a guest while it is being recorded: it breaks, goes back into the recording so far, comes forward to the
living guest again, changes nothing, and leaves. The guest goes on, and the recording replays to the same digest.
"""
import os
import random
import re
import select
import subprocess
import sys
import time

import driver


class Guest:
    """A running guest, with its console on pipes."""

    def __init__(self, argv, errors):
        self.errors = errors
        self.p = driver.start(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=open(errors, "wb"), bufsize=0)
        self.out = b""

    def address(self):
        """Where it waits for GDB."""
        for _ in range(300):
            found = re.search(r"target remote (\S+)", open(self.errors).read())
            if found:
                return found.group(1)
            time.sleep(0.05)
        raise driver.Failure("it doesn't wait for GDB: " + open(self.errors).read())

    def type(self, text):
        """Nobody may be there any more to read it."""
        try:
            self.p.stdin.write(text.encode())
        except BrokenPipeError:
            pass

    def ended(self, seconds):
        """Has it ended, or will it soon?"""
        try:
            self.p.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def until(self, text, seen, seconds=60):
        """Reads output until text comes behind what was there before; -> where it ends."""
        end = time.monotonic() + seconds
        while text.encode() not in self.out[seen:]:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.p.stdout], [], [], left)[0]:
                raise driver.Failure("the guest doesn't say '%s': %r" % (text, self.out[-300:]))
            piece = os.read(self.p.stdout.fileno(), 65536)
            if not piece:
                raise driver.Failure("the guest ended: %r %s" % (self.out[-300:], open(self.errors).read()))
            self.out += piece
        return self.out.index(text.encode(), seen) + len(text)

    def end(self):
        while True:
            piece = self.p.stdout.read(65536)
            if not piece:
                return self.p.wait(60)
            self.out += piece


def attach(guest, symbols):
    g = driver.Gdb(["gdb", "-q", "-nx", "-iex", "set auto-load off"])
    g.run("set tcp connect-timeout 10")
    if symbols:
        g.expect("file " + symbols, "Reading symbols")
    g.expect("target remote " + guest.address(), "Remote debugging using")
    return g


def replays_the_same(cv, recording, guest, status=0):
    """-> how many checks: the same bytes, the recorded end and digest."""
    p = subprocess.run([cv, "replay", recording], stdin=subprocess.DEVNULL, capture_output=True, timeout=300)
    said = p.stderr.decode()
    if p.returncode != status or "ended as recorded" not in said:
        raise driver.Failure("replay ended with %d: %s" % (p.returncode, said))
    if p.stdout != guest.out:
        raise driver.Failure("replay printed other bytes: %r ... %r" % (guest.out[-200:], p.stdout[-200:]))
    return 3


def same_later(cv, recording, symbols, seen):
    """What was seen of the living guest and of its past is what a replay shows afterwards."""
    g = driver.Gdb([cv, "debug", recording] + (["--symbols", symbols] if symbols else []))
    for when, registers in seen:
        g.run("monitor seek %d" % when)
        now = re.sub(" *<.*>", "", g.run("info registers"))
        registers = re.sub(" *<.*>", "", registers)
        g.check("position %d looks as it did live:\n%s\n%s" % (when, registers, now), now == registers)
    g.quit()
    return g.checks


def commands(cv, symbols, work, address):
    """console-echo, recorded."""
    recording = work + "/live.cvr"
    guest = Guest([cv, "record", "-o", recording, "--force", "--kernel", symbols, "--memory", "16M", "--gdb", address],
                  work + "/live.err")
    at = guest.until("> ", 0)
    guest.type("hello\r")
    at = guest.until("Good day, stranger.", at)
    at = guest.until("> ", at)

    g = attach(guest, symbols)
    seen = []

    def note():
        seen.append((g.when(), g.run("info registers")))

    g.expect("monitor when", ", live")
    g.expect("break run_name", "Breakpoint 1")
    g.send("continue")
    guest.type("name Bob\r")
    said = g.wait()
    g.check("the living guest stops at a breakpoint: " + said, "Breakpoint 1, " in said and "run_name" in said)
    g.expect("monitor when", ", live")
    live = g.when()
    note()
    g.expect("backtrace", "run_name", "execute", "kmain")
    # Into the past.
    g.expect("reverse-stepi 3", "")
    g.expect("monitor when", "insns %d .*, replay" % (live - 3))
    note()
    g.expect("tbreak run_hello", "Temporary breakpoint 2")
    g.expect("reverse-continue", "run_hello")
    g.check("that was before", g.when() < live - 3)
    note()
    # A change in the past is a diversion: the living guest knows nothing of it.
    there = g.when()
    g.expect("print session.commands = 55", "= 55")
    g.expect("monitor when", "diverted from the recording")
    g.expect("stepi 10", "")
    g.expect("print session.commands", "= 55")
    g.expect("monitor end-diversion", "insns %d .*replay" % there)
    g.expect("maintenance flush register-cache", "")
    g.expect("print session.commands", "= 1$")
    g.expect("watch session.commands", "Hardware watchpoint")
    g.expect("reverse-continue", "Old value = 1", "New value = 0")
    note()
    g.run("delete")
    g.expect("reverse-continue", "No more reverse-execution history")
    g.check("the beginning", g.when() == 0)
    # Forward to the living guest: the breakpoint where it stands.
    g.expect("break run_name", "Breakpoint")
    g.expect("continue", "run_name")
    g.check("back where it was", g.when() == live)
    g.run("delete")
    g.expect("next", "")
    g.expect("monitor when", ", live")
    note()
    # The living guest runs on, Ctrl-C stops it.
    g.send("continue")
    at = guest.until("I shall remember that.", at)
    at = guest.until("> ", at)
    time.sleep(0.3)
    g.interrupt()
    g.check("Ctrl-C", "SIGINT" in g.wait())
    g.expect("monitor when", ", live")
    note()
    g.expect("x/s session.name", '"Bob"')
    g.expect("reverse-stepi", "")
    g.expect("stepi", "")
    # The living guest itself can't be changed: that would not be in the recording.
    g.run("print session.commands = 99")
    g.run("print $rax = 99")
    g.run("maintenance flush register-cache")
    g.check("no change to the living guest", g.value("session.commands") == 2)
    g.expect("monitor when", ", live")
    g.expect("detach", "detached")
    # Nobody holds it any more.
    guest.type("hello\r")
    at = guest.until("Good day, Bob.", at)
    # A second client, which vanishes without a word in the past.
    again = attach(guest, symbols)
    again.expect("monitor when", ", live")
    again.expect("reverse-stepi 100", "")
    again.p.kill()
    again.p.wait()
    guest.type("sum 1 2 39\r")
    at = guest.until("42", at)
    guest.type("poweroff\r")
    status = guest.end()
    g.check("the guest ends by itself, with status 0: %d" % status, status == 0)
    g.checks += again.checks + replays_the_same(cv, recording, guest) + same_later(cv, recording, symbols, seen)
    g.quit()
    return g.checks


def without_log(cv, symbols, work):
    """`run --gdb`: the same but for the past."""
    guest = Guest([cv, "run", "--kernel", symbols, "--memory", "16M", "--gdb", ":0"], work + "/run.err")
    at = guest.until("> ", 0)
    g = attach(guest, symbols)
    g.expect("monitor when", ", live")
    g.expect("break run_sum", "Breakpoint")
    g.send("continue")
    guest.type("sum 4 5\r")
    g.check("a breakpoint", "run_sum" in g.wait())
    said = g.run("reverse-stepi") + g.run("monitor when")
    g.check("no way back without a recording: " + said, ", live" in said)
    g.run("delete")
    g.expect("detach", "detached")
    guest.until("9\r\n", at)
    g.quit()
    g = attach(guest, symbols)
    g.run("kill")
    status = guest.end()
    g.check("kill ends the run: %d" % status, status == 0)
    g.quit()
    return g.checks


def killed(cv, symbols, work):
    """kill ends the living guest; what was recorded until then is whole."""
    recording = work + "/killed.cvr"
    guest = Guest([cv, "record", "-o", recording, "--kernel", symbols, "--memory", "16M", "--gdb", ":0"], work + "/killed.err")
    at = guest.until("> ", 0)
    guest.type("hello\r")
    guest.until("Good day, stranger.", at)
    g = attach(guest, symbols)
    g.expect("reverse-stepi 10", "")
    g.run("kill")
    status = guest.end()
    g.check("kill ends the recording: %d" % status, status == 0)
    g.quit()
    return g.checks + replays_the_same(cv, recording, guest)


def busy(cv, machine, work, visits, status):
    """A guest that never rests, visited again and again: steps, a way back, a way forward, and off."""
    recording = work + "/busy.cvr"
    rng = random.Random(3)
    guest = Guest([cv, "record", "-o", recording, "--force", "--gdb", "unix:%s/busy" % work] + machine, work + "/busy.err")
    checks, seen = 0, []
    visit = 0
    while visit < visits:
        time.sleep(rng.uniform(0.02, 0.1))
        try:
            g = attach(guest, None)
        except driver.Failure:
            if not guest.ended(10):
                raise
            break  # its run was over before this visit
        live = g.when()
        g.expect("monitor when", ", live")
        said = g.run("stepi %d" % rng.randrange(1, 60))
        if "No more" in said or "crashed" in said:
            visits = visit
        delivered = "deliveries" in g.run("monitor when")  # a step may end at a handler's entry: nothing has retired yet
        if not delivered:  # a seek goes to where nothing is delivered yet
            seen.append((g.when(), g.run("info registers")))
        g.check("steps go forward: " + said, g.when() > live or (delivered and g.when() == live) or visits == visit)
        g.run("reverse-stepi %d" % rng.randrange(1, 60))
        g.expect("monitor when", ", replay")
        g.run("monitor seek %d" % rng.randrange(live // 2, live))
        g.run("maintenance flush register-cache")
        seen.append((g.when(), g.run("info registers")))
        if visit % 3 == 0:
            g.expect("monitor seek end", "insns")
        g.expect("detach", "detached")
        g.quit()
        checks += g.checks
        visit += 1
    if visit < 2:
        raise driver.Failure("the guest was too quick: %d visits" % visit)
    guest.type("q")
    got = guest.end()
    if got not in status:
        raise driver.Failure("the guest ended with %d: %s" % (got, open(guest.errors).read()))
    checks += replays_the_same(cv, recording, guest, got)
    return checks + same_later(cv, recording, None, seen)


def test(cv, work, which, *args):
    if which == "busy":
        return busy(cv, list(args[2:]), work, int(args[0]), [int(x) for x in args[1].split(",")])
    return (commands(cv, args[0], work, "unix:%s/socket" % work) + commands(cv, args[0], work, "127.0.0.1:0") +
            without_log(cv, args[0], work) + killed(cv, args[0], work))


if __name__ == "__main__":
    driver.main(test, "living guests", *sys.argv[1:])
