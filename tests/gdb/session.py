#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the session that an example's README tells, and compares what comes with what the README says.

	session.py README CHRONOVISOR WORK

In the README's indented blocks, a line is
	./build.sh ... or chronovisor ...	a command, run in the README's folder, /tmp being WORK (a trailing \\ goes on)
	> TEXT					typed to the guest of the command before, when the guest shows its prompt
	(gdb) COMMAND				a command for the GDB that `chronovisor debug` before it has started
	anything else				output of the line before, in this order; "..." stands for anything
A recording may end in a crash (status 3) and must then replay to the same.
"""
import os
import re
import subprocess
import sys
import threading

PROMPT = b"> "


def blocks(path):
    """The indented lines, without the indent, continuation lines joined."""
    text = open(path).read().replace("\\\n", " ")
    return [line[4:].rstrip() for line in text.split("\n") if line.startswith("    ") and line.strip()]


def is_command(line):
    return line.startswith("./") or line.startswith("chronovisor ")


def parse(lines):
    """-> [(shell command, [(input line, [expected output])])]"""
    commands = []
    for line in lines:
        if is_command(line):
            commands.append((line, [], []))
        elif line.startswith("(gdb) ") or line.startswith("> "):
            commands[-1][1].append((line, []))
        elif commands[-1][1]:
            commands[-1][1][-1][1].append(line)
        else:
            commands[-1][2].append(line)
    return commands


def pattern(line):
    parts = [re.escape(" ".join(p.split())) for p in line.split("...")]
    return re.compile(".*".join(parts).replace("\\ .*", ".*").replace(".*\\ ", ".*"))


def check(said, expected, what):
    """Each expected line must match one of the lines said, in order."""
    lines = [" ".join(s.split()) for s in said.split("\n")]
    at = 0
    for want in expected:
        if not want.strip("."):
            continue
        p = pattern(want)
        while at < len(lines) and not p.search(lines[at]):
            at += 1
        if at == len(lines):
            sys.exit("%s: no line like\n  %s\nin\n%s" % (what, want, said))
        at += 1
    return len(expected)


def run(argv, cwd, typed):
    """Runs it; each typed line goes in when the prompt has come once more. -> status, output, error output"""
    p = subprocess.Popen(argv, shell=True, cwd=cwd, stdin=subprocess.PIPE if typed else subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    watchdog = threading.Timer(300, p.kill)
    watchdog.start()
    err = []
    reader = threading.Thread(target=lambda: err.append(p.stderr.read()))
    reader.start()
    out = b""
    todo = list(typed)
    while True:
        piece = os.read(p.stdout.fileno(), 4096)
        if not piece:
            break
        out += piece
        if todo and out.endswith(PROMPT):
            p.stdin.write(todo.pop(0).encode() + b"\r")
            p.stdin.flush()
    p.wait()
    watchdog.cancel()
    reader.join()
    return p.returncode, out.decode("utf-8", "replace").replace("\r", ""), err[0].decode("utf-8", "replace")


def gdb_outputs(command, inputs, cwd, work):
    """Runs the session; -> the output after each command."""
    script = os.path.join(work, "session.gdb")
    with open(script, "w") as f:
        f.write("set width 0\nset height 0\nset confirm off\n")
        for i, (line, _) in enumerate(inputs):
            f.write("echo @@%d\\n\n%s\n" % (i, line[6:]))
        f.write("echo @@%d\\n\n" % len(inputs))
    p = subprocess.run("%s -- -batch -x %s" % (command, script), shell=True, cwd=cwd, stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
    text = p.stdout.decode("utf-8", "replace")
    print(text)
    pieces = re.split(r"@@(\d+)\n", text)
    found = {int(pieces[i]): pieces[i + 1] for i in range(1, len(pieces) - 1, 2)}
    if len(inputs) not in found:
        sys.exit("GDB stopped in the middle of the session")
    return [found[i] for i in range(len(inputs))]


def main():
    readme, cv, work = sys.argv[1:]
    cwd = os.path.dirname(os.path.abspath(readme))
    checked = sessions = 0
    for line, inputs, plain in parse(blocks(readme)):
        command = line.replace("/tmp/", work + "/")
        command = re.sub(r"^chronovisor ", cv + " ", command)
        print("$ " + command)
        if line.startswith("chronovisor debug"):
            for (text, want), said in zip(inputs, gdb_outputs(command, inputs, cwd, work)):
                checked += check(said, want, text)
            sessions += 1
            continue
        status, out, err = run(command, cwd, [text[2:] for text, _ in inputs])
        print(out)
        if status not in ((0, 3) if line.startswith("chronovisor") else (0,)):
            sys.exit("status %d: %s\n%s" % (status, command, err))
        want = [w for text, more in inputs for w in [text] + more]
        checked += check(out + "\n" + err, want + plain, line)
    print("%s: %d lines are true" % (os.path.relpath(readme), checked))
    if not sessions or checked < 5:
        sys.exit("no session in %s" % readme)


main()
