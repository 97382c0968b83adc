#!/bin/sh
# SPDX-License-Identifier: MIT
# build.sh OUTDIR: builds OUTDIR/console-echo.elf.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
exec "$here/../common/build.sh" console-echo "${1:?usage: build.sh OUTDIR}" "$here/main.c"
