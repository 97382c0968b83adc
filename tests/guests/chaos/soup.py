#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""soup.py IN.elf OUT.elf SEED: fills the soup of a chaos kernel with bytes, and sets its seed.

Half of the pages hold plain random bytes, the others what looks like instructions: prefixes, escapes, VEX, system opcodes.
"""
import random
import struct
import sys

SOUP = 65536
SYSTEM = [b"\x0f\x22", b"\x0f\x20", b"\x0f\x23", b"\x0f\x30", b"\x0f\x32", b"\x0f\x01", b"\x0f\x00", b"\x0f\xae", b"\x0f\xc7",
          b"\x8e", b"\xcf", b"\xcb", b"\xff", b"\xcd", b"\xf4", b"\xee", b"\xec", b"\x9d", b"\xfb", b"\x0f\x05", b"\x0f\x07",
          b"\x0f\x34", b"\x0f\x35", b"\x0f\x01\xd0", b"\x0f\x01\xd1", b"\x0f\x01\xf8", b"\xf3\x0f\xae", b"\xf1", b"\xcc", b"\xea",
          b"\x9a", b"\x0f\x09", b"\x0f\x06", b"\x6c", b"\x6e", b"\xf3\xa4", b"\xf3\xab", b"\xf2\xae", b"\xf3\xa6", b"\xc8"]
PREFIX = b"\x66\x67\xf2\xf3\x2e\x36\x64\x65\xf0\x48\x41\x4f"


def instruction(r):
    out = bytes(r.choice(PREFIX) for _ in range(r.choice((0, 0, 0, 1, 1, 2))))
    how = r.randrange(8)
    if how == 0:
        out += r.choice(SYSTEM)
    elif how == 1:
        out += b"\x0f" + r.choice((b"\x38", b"\x3a"))
    elif how == 2:
        out += b"\x0f"
    elif how == 3:
        out += bytes((0xC5, r.randrange(256)))
    elif how == 4:
        out += bytes((0xC4, r.randrange(256) & 0xE0 | r.randrange(1, 4), r.randrange(256)))
    return out + r.randbytes(r.choice((1, 2, 2, 3, 4, 6)))


def soup(seed):
    r = random.Random(seed)
    out = b""
    while len(out) < SOUP:
        if r.random() < 0.5:
            out += r.randbytes(4096)
        else:
            page = b""
            while len(page) < 4096:
                page += instruction(r)
            out += page[:4096]
    return out[:SOUP]


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    with open(sys.argv[1], "rb") as f:
        image = bytearray(f.read())
    at = image.find(b"\xcc" * SOUP)
    mark = image.find(struct.pack("<I", 0x12345678))
    if at < 0 or mark < 0:
        sys.exit("soup.py: %s is no chaos kernel" % sys.argv[1])
    image[at:at + SOUP] = soup(int(sys.argv[3], 0))
    image[mark:mark + 4] = struct.pack("<I", int(sys.argv[3], 0) * 2654435761 % 2**32 | 1)
    with open(sys.argv[2], "wb") as f:
        f.write(image)


main()
