#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""feed.py SEED PROMPT LINES COMMAND...: runs a command and types at it, as a person would.

When the prompt has appeared, the next line of the file LINES is typed, in pieces of random length with random pauses
between them. Standard output gets what the command printed. The exit status is the command's.
"""
import os
import random
import select
import subprocess
import sys
import time

LIMIT = 400  # seconds without any output: something is stuck


def type_line(rng, pipe, line):
    at = 0
    while at < len(line):
        n = rng.choice((1, 1, 2, 3, 5, 16))
        pipe.write(line[at:at + n])
        pipe.flush()
        at += n
        time.sleep(rng.choice((0, 0, 0.001, 0.004, 0.02)))


def main():
    seed, prompt, lines = sys.argv[1:4]
    rng = random.Random("typed " + seed)
    todo = [line.encode() for line in open(lines)]
    p = subprocess.Popen(sys.argv[4:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    since = b""
    while True:
        if not select.select([p.stdout], [], [], LIMIT)[0]:
            p.kill()
            sys.exit("nothing happened in %d s" % LIMIT)
        piece = os.read(p.stdout.fileno(), 65536)
        if not piece:
            break
        sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        since += piece
        if todo and prompt.encode() in since:
            since = b""
            try:
                type_line(rng, p.stdin, todo.pop(0))
            except BrokenPipeError:
                pass  # it has ended
    sys.exit(p.wait())


main()
