#!/bin/sh
# SPDX-License-Identifier: MIT
# build.sh OUTDIR: builds OUTDIR/racing-list.elf.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
exec "$here/../common/build.sh" racing-list "${1:?usage: build.sh OUTDIR}" "$here/main.c"
