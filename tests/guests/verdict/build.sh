#!/bin/sh
# SPDX-License-Identifier: MIT
# build.sh OUTDIR: guests that end like kvm-unit-tests do: pass.flat, fail.flat, skip.flat, hang.flat, device.flat
set -eu
out=${1:?usage: build.sh OUTDIR}
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$out"
build() { # build NAME WHAT-IT-SAYS CODE OPTIONS...
	name=$1 text=$2 code=$3
	shift 3
	${CC:-gcc} -m32 -fno-pic -no-pie -nostdlib -static -Wl,--build-id=none -Wl,--no-warn-rwx-segments -Wl,-z,noexecstack \
		-Wl,-T,"$here/../boot/multiboot.ld" -DTEXT="\"$text\"" -DCODE="$code" "$@" -o "$out/$name.flat" "$here/verdict.S"
}
build pass 'PASS: one\r\nPASS: two\r\nSUMMARY: 2 tests\r\n' 0
build fail 'PASS: one\r\nFAIL: two is three\r\nSUMMARY: 2 tests, 1 unexpected failures\r\n' 1
build skip 'SKIP: no such thing here\r\nSUMMARY: 1 tests, 1 skipped\r\n' 38
build hang 'PASS: one\r\n' 0 -DHANG
build device 'PASS: test device\r\nSUMMARY: 1 tests\r\n' 0 -DDEVICE
