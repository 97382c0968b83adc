#!/bin/sh
# SPDX-License-Identifier: MIT
# build.sh OUTDIR: builds OUTDIR/loop.elf on the examples' common code.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
exec "$here/../../../examples/common/build.sh" loop "${1:?usage: build.sh OUTDIR}" "$here/main.c"
