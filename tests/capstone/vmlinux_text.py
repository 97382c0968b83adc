#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""vmlinux_text.py BZIMAGE OUT: the .text of the kernel inside a bzImage (xz, gzip, zstd or lz4), as a raw image."""
import lzma
import struct
import subprocess
import sys
import zlib


def payload(image):
    setup = image[0x1F1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (setup + 1) * 512 + offset
    return image[start:start + length]


def unpack(data):
    if data[:6] == b"\xfd7zXZ\0":
        return lzma.LZMADecompressor().decompress(data)
    if data[:2] == b"\x1f\x8b":
        return zlib.decompressobj(31).decompress(data)
    tool = {b"\x28\xb5\x2f\xfd": ["zstd", "-dc"], b"\x02\x21\x4c\x18": ["lz4", "-dc"]}.get(data[:4])
    if not tool:
        sys.exit("vmlinux_text.py: the kernel is packed in a way that is not known here")
    return subprocess.run(tool, input=data[:-4], stdout=subprocess.PIPE, check=False).stdout


def text_section(elf):
    shoff, = struct.unpack_from("<Q", elf, 0x28)
    size, count, names = struct.unpack_from("<HHH", elf, 0x3A)
    headers = [struct.unpack_from("<IIQQQQ", elf, shoff + k * size) for k in range(count)]
    strings = headers[names][4]
    for name, _, _, _, offset, length in headers:
        if elf[strings + name:].split(b"\0", 1)[0] == b".text":
            return elf[offset:offset + length]
    sys.exit("vmlinux_text.py: the kernel has no .text")


if len(sys.argv) != 3:
    sys.exit(__doc__)
with open(sys.argv[1], "rb") as f:
    kernel = unpack(payload(f.read()))
with open(sys.argv[2], "wb") as f:
    f.write(text_section(kernel))
