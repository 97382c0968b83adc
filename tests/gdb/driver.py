# SPDX-License-Identifier: MIT
"""A real GDB at the other end of two pipes: a command goes in, all that GDB says until it is done comes out."""
import os
import re
import select
import signal
import subprocess
import sys
import time


started = []  # every process of a test, so that none is left behind by one that fails


def start(argv, **how):
    started.append(subprocess.Popen(argv, **how))
    return started[-1]


class Failure(Exception):
    pass


class Gdb:
    def __init__(self, argv):
        self.p = start(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0,
                                  start_new_session=True)
        self.said = b""
        self.count = 0
        self.checks = 0
        for setting in ("pagination off", "confirm off", "width 0", "height 0"):
            self.run("set " + setting)

    def send(self, command):
        """Starts a command without waiting for its end."""
        self.count += 1
        self.p.stdin.write(("%s\necho @@%d@@\\n\n" % (command, self.count)).encode())

    def wait(self, timeout=120):
        """What was said until the command that was sent last was done."""
        mark = b"@@%d@@\n" % self.count
        end = time.monotonic() + timeout
        while mark not in self.said:
            left = end - time.monotonic()
            ready = select.select([self.p.stdout], [], [], max(left, 0))[0]
            piece = os.read(self.p.stdout.fileno(), 65536) if ready else b""
            if not piece:
                raise Failure("GDB %s after:\n%s" % ("is silent" if left <= 0 else "is gone", self.said.decode("utf-8", "replace")))
            self.said += piece
        text, self.said = self.said.split(mark, 1)
        return re.sub(r"\(gdb\) ", "", text.decode("utf-8", "replace"))

    def run(self, command, timeout=120):
        self.send(command)
        return self.wait(timeout)

    def interrupt(self):
        """Ctrl-C."""
        for pid in self.children():
            os.kill(pid, signal.SIGINT)

    def children(self):
        """GDB itself: our child, or the child of our child `chronovisor debug`."""
        if "gdb" in os.path.basename(os.readlink("/proc/%d/exe" % self.p.pid)):
            return [self.p.pid]
        return [int(x) for x in open("/proc/%d/task/%d/children" % (self.p.pid, self.p.pid)).read().split()]

    def expect(self, command, *patterns):
        """Runs a command; each pattern must be found in what it says."""
        said = self.run(command)
        for p in patterns:
            if not re.search(p, said):
                raise Failure("%s: no '%s' in:\n%s" % (command, p, said))
        self.checks += 1
        return said

    def check(self, name, ok):
        if not ok:
            raise Failure("not so: " + name)
        self.checks += 1

    def value(self, expression):
        said = self.run('printf "%%ld\\n", (long)(%s)' % expression)
        found = re.search(r"^(-?\d+)$", said, re.M)
        if not found:
            raise Failure("%s: %s" % (expression, said))
        return int(found.group(1))

    def when(self):
        return int(re.search(r"insns (\d+)", self.run("monitor when")).group(1))

    def packets(self, command):
        """Runs a command; -> what it says, and what went over the line meanwhile."""
        self.run("set debug remote 1")
        said = self.run(command)
        self.run("set debug remote 0")
        sent = re.findall(r" *\[remote\] [^\n]*\n", said)
        return re.sub(r" *\[remote\] [^\n]*\n", "", said), "".join(sent)

    def quit(self):
        if self.p.poll() is None:
            self.p.stdin.write(b"quit\n")
            self.p.stdin.close()
            self.p.wait(30)


def main(test, name, *args):
    try:
        checks = test(*args)
    except Failure as e:
        sys.exit("%s: FAILED: %s" % (name, e))
    finally:
        for p in started:
            if p.poll() is None:
                p.kill()
    print("%s: %d checks hold" % (name, checks))
