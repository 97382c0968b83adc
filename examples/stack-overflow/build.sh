#!/bin/sh
# SPDX-License-Identifier: MIT
# build.sh OUTDIR: builds OUTDIR/stack-overflow.elf.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
exec "$here/../common/build.sh" stack-overflow "${1:?usage: build.sh OUTDIR}" "$here/main.c"
