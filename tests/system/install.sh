#!/bin/sh
# SPDX-License-Identifier: MIT
# The build as a user meets it: `make distcheck` (a tarball that builds out of tree from read-only sources, installs,
# uninstalls and cleans up completely), an installed program with its manual page and an extension that plain sqlite3
# loads, and a configure that names what is missing and the package that has it.
. "$(dirname "$0")/../lib.sh"
guest=$GUESTS/console-echo/console-echo.elf
[ -e "$BUILD/Makefile" ] || fail "no build tree at $BUILD"

# Here distcheck builds without optimizing and runs a few tests; all of them run in the ordinary build.
make -C "$BUILD" distcheck distdir="$(basename "$WORK")-dist" check_PROGRAMS=tests/unit/check_buf CFLAGS=-O0 \
	TESTS='tests/unit/check_buf tests/lint/layers.sh tests/lint/determinism.sh' >"$WORK/log" 2>&1 ||
	{ tail -n 30 "$WORK/log" >&2; fail "make distcheck"; }
rm -f "$BUILD/$(basename "$WORK")-dist.tar.gz"

make -C "$BUILD" install DESTDIR="$WORK/root" >"$WORK/log" 2>&1 || { tail -n 30 "$WORK/log" >&2; fail "make install"; }
bin=$(find "$WORK/root" -type f -name chronovisor)
man=$(find "$WORK/root" -name chronovisor.1)
so=$(find "$WORK/root" -name chronovisor_events.so)
[ -x "$bin" ] || fail "no program was installed"
[ -s "$man" ] || fail "no manual page was installed"
[ -s "$so" ] || fail "no extension was installed"
[ "$("$bin" --version)" = "chronovisor $(sed -n 's/^PACKAGE_VERSION = //p' "$BUILD/Makefile")" ] || fail "another version"
if command -v man >/dev/null; then
	MANWIDTH=100 man --warnings -l "$man" >"$WORK/page" 2>"$WORK/err" || fail "man"
	[ ! -s "$WORK/err" ] || { cat "$WORK/err" >&2; fail "the manual page has faults"; }
fi
# Every command and option that the help names is in the manual page.
for c in record run replay debug info events verify; do
	"$bin" $c --help >"$WORK/help" || fail "$c --help"
	grep -q "$c" "$man" || fail "the manual page lacks $c"
	for option in $(sed -n 's/^  \(-o, \)\{0,1\}\(--[a-z-]*\).*/\2/p' "$WORK/help"); do
		sed 's/\\-/-/g' "$man" | grep -q -- "$option" || fail "the manual page lacks $option ($c)"
	done
done

# The installed program records and replays; sqlite3 counts the same events.
mkdir "$WORK/elsewhere"
cd "$WORK/elsewhere"
printf 'hello\rpoweroff\r' | "$bin" record -o run.cvr --kernel "$guest" --memory 16M >out 2>err || fail "recording"
"$bin" replay run.cvr >out2 2>err || fail "replaying"
cmp out out2 || fail "other console bytes"
if command -v sqlite3 >/dev/null; then
	n=$(sqlite3 run.cvr ".load ${so%.so}" 'select count(*) from events') || fail "sqlite3 doesn't load the extension"
	[ "$n" -eq "$("$bin" events run.cvr | wc -l)" ] || fail "sqlite3 counts $n events"
fi

# A missing library
mkdir "$WORK/c" "$WORK/pc"
cd "$WORK/c"
! PKG_CONFIG_LIBDIR=/nonexistent "$top/configure" >log 2>&1 || fail "configure without libraries"
grep -q 'SQLite was not found: install libsqlite3-dev' log || { tail -n 5 log >&2; fail "the library isn't named"; }
for dir in $(pkg-config --variable pc_path pkg-config | tr : ' '); do
	for f in "$dir"/*.pc; do
		[ ! -e "$f" ] || ln -sf "$f" "$WORK/pc/"
	done
done
rm -f "$WORK/pc/capstone.pc"
! PKG_CONFIG_PATH='' PKG_CONFIG_LIBDIR="$WORK/pc" "$top/configure" >log 2>&1 || fail "configure without Capstone"
grep -q 'Capstone was not found: install libcapstone-dev' log || { tail -n 5 log >&2; fail "the library isn't named"; }
echo ok
