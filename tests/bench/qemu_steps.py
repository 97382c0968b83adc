#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Times QEMU's own reverse-stepi at 90 % of its recording of the same guest: qemu_steps.py GUESTDIR WORKDIR

Records with a snapshot at the start (QEMU needs one to go back), replays to 90 % by `replay_seek`, then one `bs` packet.
QEMU may hang here on a loaded machine: after LIMIT seconds without an answer that is what is printed."""
import os
import re
import socket
import subprocess
import sys
import time

LIMIT = 240
BASE = ["qemu-system-x86_64", "-accel", "tcg,thread=single", "-m", "256M", "-smp", "1", "-nic", "none", "-display", "none",
        "-no-reboot", "-append", "console=ttyS0 nokaslr panic=-1"]


def connect(path):
    for _ in range(200):
        try:
            s = socket.socket(socket.AF_UNIX)
            s.connect(path)
            s.settimeout(LIMIT)
            return s
        except OSError:
            time.sleep(0.05)
    raise SystemExit("QEMU did not come up")


class Monitor:
    def __init__(self, path):
        self.sock = connect(path)
        self.read()

    def read(self):
        text = b""
        while not text.rstrip().endswith(b"(qemu)"):
            more = self.sock.recv(4096)
            if not more:
                raise OSError("the monitor went away")
            text += more
        return text.decode("utf-8", "replace")

    def ask(self, command):
        self.sock.sendall(command.encode() + b"\n")
        return self.read()


def packet(sock, body):
    data = body.encode()
    sock.sendall(b"$" + data + b"#%02x" % (sum(data) & 255))
    buf = b""
    while not re.search(rb"\$[^#]*#..", buf):
        more = sock.recv(4096)
        if not more:
            raise OSError("the stub went away")
        buf += more
    sock.sendall(b"+")


def main():
    guest, work = sys.argv[1:]
    disk, log = os.path.join(work, "rr.qcow2"), os.path.join(work, "rr.bin")
    base = BASE + ["-kernel", os.path.join(guest, "vmlinuz"), "-initrd", os.path.join(guest, "initramfs.gz"),
                   "-drive", "file=%s,if=none,id=rr" % disk]
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", disk, "1G"], check=True)
    rr = "shift=auto,rr=%s,rrfile=" + log + ",rrsnapshot=init"
    start = time.monotonic()
    subprocess.run(base + ["-icount", rr % "record", "-monitor", "none", "-serial", "null"], stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=LIMIT)
    print("| QEMU rr=record with a snapshot at the start, wall s | %.1f |" % (time.monotonic() - start))
    mon, gdb = os.path.join(work, "mon"), os.path.join(work, "gdb")
    proc = subprocess.Popen(base + ["-icount", rr % "replay", "-S", "-serial", "null",
                                    "-monitor", "unix:%s,server=on,wait=off" % mon,
                                    "-chardev", "socket,path=%s,server=on,wait=off,id=gdb" % gdb, "-gdb", "chardev:gdb"],
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        m = Monitor(mon)
        g = connect(gdb)
        packet(g, "qSupported:swbreak+;hwbreak+")
        packet(g, "?")
        total = int(os.environ.get("QEMU_INSNS", "12200000000"))
        goal = total * 9 // 10
        start = time.monotonic()
        m.ask("replay_break %d" % goal)
        packet(g, "c")
        print("| QEMU: to 90 %% in replay, s | %.1f |" % (time.monotonic() - start))
        start = time.monotonic()
        packet(g, "bs")
        print("| QEMU reverse-stepi there, s | %.1f |" % (time.monotonic() - start))
    except (OSError, socket.timeout) as e:
        print("| QEMU reverse-stepi at 90 %% | no answer within %d s (%s) |" % (LIMIT, e))
    finally:
        proc.kill()
        proc.wait()


main()
