#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Times single steps over the remote protocol: steps.py CHRONOVISOR RUN.cvr INSNS

Goes to 90 % of the run, then: the first reverse-stepi, the next twenty, and 1,000 stepi, each as packets on a Unix socket."""
import os
import socket
import subprocess
import sys
import tempfile
import time


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
        self.ack = True
        self.ask("qSupported:swbreak+;hwbreak+;vContSupported+")
        self.ask("QStartNoAckMode")
        self.sock.sendall(b"+")
        self.ack = False
        self.ask("?")

    def ask(self, text):
        data = text.encode()
        self.sock.sendall(b"$" + data + b"#%02x" % (sum(data) & 255))
        while True:
            reply = self.packet()
            if reply[:1] != b"O" or reply == b"OK":
                return reply

    def packet(self):
        while True:
            start = self.buf.find(b"$")
            end = self.buf.find(b"#", start + 1) if start >= 0 else -1
            if end >= 0 and len(self.buf) >= end + 3:
                body = self.buf[start + 1:end]
                self.buf = self.buf[end + 3:]
                if self.ack:
                    self.sock.sendall(b"+")
                return body
            more = self.sock.recv(65536)
            if not more:
                raise SystemExit("the server went away")
            self.buf += more

    def monitor(self, text):
        return self.ask("qRcmd," + text.encode().hex())


def timed(fn):
    start = time.monotonic()
    fn()
    return time.monotonic() - start


def main():
    cv, recording, insns = sys.argv[1], sys.argv[2], int(sys.argv[3])
    with tempfile.TemporaryDirectory() as tmp:
        path = os.path.join(tmp, "gdb")
        proc = subprocess.Popen([cv, "replay", recording, "--gdb", "unix:" + path],
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            r = Remote(path)
            seek = timed(lambda: r.monitor("seek %d" % (insns * 9 // 10)))
            first = timed(lambda: r.ask("bs"))
            rest = [timed(lambda: r.ask("bs")) for _ in range(20)]
            steps = timed(lambda: [r.ask("s") for _ in range(1000)])
            rss = [line for line in open("/proc/%d/status" % proc.pid) if line.startswith("VmHWM")][0].split()[1]
        finally:
            proc.kill()
            proc.wait()
    print("| seek to 90 %% from the start, s | %.2f |" % seek)
    print("| first reverse-stepi at 90 %% (bound: 3 s) | %.3f |" % first)
    print("| next reverse-stepi, median and worst of 20 (bound: 0.050 s) | %.4f, %.4f |" % (sorted(rest)[10], max(rest)))
    print("| 1,000 stepi over the socket (bound: 1 s) | %.3f |" % steps)
    print("| debugging, peak resident KiB | %s |" % rss)


main()
