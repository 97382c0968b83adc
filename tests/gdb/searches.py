#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Searches backwards over a whole run: searches.py CHRONOVISOR RUN.cvr

Ctrl-C in the midst of one: how long did the server take, and does it stand where it stood? BOUND (seconds, from the
environment) is for the slowest answer. Then searches for writes: with nothing but such watchpoints set the server may
leave out what it knows to hold no such write; with a breakpoint besides, which nothing ever meets, it may not. Both must
come to the same place, and where there is nothing to find, the first must be quicker."""
import os
import re
import socket
import subprocess
import sys
import tempfile
import time


NOWHERE = "0,666,1"  # a breakpoint that nothing meets


class Remote:
    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        for _ in range(600):
            try:
                self.sock.connect(path)
                break
            except OSError:
                time.sleep(0.05)
        self.buf = b""
        self.send("qSupported:swbreak+;hwbreak+;vContSupported+;xmlRegisters=i386")
        self.packet()
        self.sock.sendall(b"+")
        self.send("QStartNoAckMode")
        self.packet()
        self.sock.sendall(b"+")

    def send(self, text):
        data = text.encode()
        self.sock.sendall(b"$" + data + b"#%02x" % (sum(data) & 255))

    def packet(self):
        """The next packet that is not output."""
        while True:
            start = self.buf.find(b"$")
            end = self.buf.find(b"#", start + 1) if start >= 0 else -1
            if end < 0 or len(self.buf) < end + 3:
                more = self.sock.recv(65536)
                if not more:
                    raise SystemExit("the server went away")
                self.buf += more
                continue
            body = re.sub(r"(.)\*(.)", lambda m: m[1] * (ord(m[2]) - 28), self.buf[start + 1:end].decode())
            self.buf = self.buf[end + 3:]
            if not body.startswith("O") or body == "OK":
                return body

    def ask(self, text):
        self.send(text)
        return self.packet()


def registers(r):
    return r.ask("g")


def interrupted(r, delay):
    before = registers(r)
    r.send("bc")
    time.sleep(delay)
    r.sock.setblocking(False)
    try:
        early = r.sock.recv(65536)
    except BlockingIOError:
        early = b""
    r.sock.setblocking(True)
    if early:
        raise SystemExit("the search was over after %.1f s: %r" % (delay, early))
    start = time.monotonic()
    r.sock.sendall(b"\x03")
    reply = r.packet()
    took = time.monotonic() - start
    if not reply.startswith("T02"):
        raise SystemExit("no SIGINT: " + reply)
    if registers(r) != before:
        raise SystemExit("not where it was before the search")
    return took


def search(r, *points):
    """Backwards from the end: where to, and how long it took."""
    r.ask("qRcmd," + b"seek end".hex())
    for point in points:
        if r.ask("Z" + point) != "OK":
            raise SystemExit("no point")
    start = time.monotonic()
    reply = r.ask("bc")
    took = time.monotonic() - start
    for point in points:
        r.ask("z" + point)
    return re.sub(r"thread:[^;]*;", "", reply), registers(r), took


def writes(r, sp):
    found = quick = full = 0
    for address in [sp - 8, sp + 16, (sp & ~0xfff) + 0x18, sp - 0x5000, sp + 0x2000, 0xffffffff80000000]:
        point = "2,%x,8" % (address & (1 << 64) - 1)
        one, other = search(r, point), search(r, point, NOWHERE)
        if one[:2] != other[:2]:
            raise SystemExit("watching %#x ends in two places:\n%s\n%s" % (address, one, other))
        if "replaylog" in one[0]:
            quick, full = quick + one[2], full + other[2]
        else:
            found += 1
    print("searches for writes: %d found; without any, %.2f s instead of %.2f s" % (found, quick, full))
    if not found or not full:
        raise SystemExit("of both kinds there should be some")
    if quick * 2 > full:
        raise SystemExit("too slow")


def main():
    cv, recording = sys.argv[1:3]
    with tempfile.TemporaryDirectory() as tmp:
        path = os.path.join(tmp, "gdb")
        proc = subprocess.Popen([cv, "replay", recording, "--gdb", "unix:" + path],
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            r = Remote(path)
            r.ask("qRcmd," + b"seek end".hex())
            sp = int.from_bytes(bytes.fromhex(registers(r)[7 * 16:8 * 16]), "little")
            took = []
            # A breakpoint nowhere; a watchpoint on a page in use, where each access is looked at.
            for point in ("Z" + NOWHERE, "Z3,%x,1" % ((sp & ~0xfff) + 1)):
                if r.ask(point) != "OK":
                    raise SystemExit("no point")
                took += [interrupted(r, delay) for delay in (0.02, 0.1, 0.25, 0.4)]
                r.ask("z" + point[1:])
            writes(r, sp)
        finally:
            proc.kill()
            proc.wait()
    print("interrupted %d times; answers after %.3f s (median) to %.3f s" %
          (len(took), sorted(took)[len(took) // 2], max(took)))
    if max(took) > float(os.environ.get("BOUND", "1")):
        raise SystemExit("too slow")


main()
