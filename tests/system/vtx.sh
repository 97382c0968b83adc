#!/bin/sh
# SPDX-License-Identifier: MIT
# The VT-x module and engine, in Bochs. Skipped where Bochs or a package for it is missing.
exec "$(dirname "$0")/../vtx/run.sh"
