# SPDX-License-Identifier: MIT
# Sourced by tests/run.sh and examples/demo.sh: packages, build, guests. $top is the source tree.

PACKAGES="gcc make autoconf automake libtool pkg-config libsqlite3-dev libzstd-dev libxxhash-dev libcapstone-dev
	libunwind-dev libelf-dev check libmpfr-dev libgmp-dev acpica-tools gdb sqlite3 cpio gzip"
TEST_PACKAGES="python3 expect procps"
# For the VT-x engine's tests (tests/vtx), which are skipped where these can't be had.
VTX_PACKAGES="bochs bochs-term bochsbios vgabios isolinux syslinux-common xorriso busybox-static linux-headers-cloud-amd64 libc6-dev"

install_packages() {
	# shellcheck disable=SC2086
	install_missing $PACKAGES ${WITH_TESTS-$TEST_PACKAGES} || return 1
	# shellcheck disable=SC2086
	[ -n "${WITH_TESTS-yes}" ] && ! install_missing $VTX_PACKAGES && echo "the tests of the VT-x engine will be skipped"
	return 0
}

install_missing() { # PACKAGE...: those which aren't there
	missing=
	for p in "$@"; do
		dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
	done
	[ -n "$missing" ] || return 0
	echo "== installing:$missing"
	sudo=
	[ "$(id -u)" -eq 0 ] || sudo=sudo
	log=$(mktemp)
	$sudo apt-get update -q >"$log" 2>&1 &&
		# shellcheck disable=SC2086
		DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -q --no-install-recommends $missing >>"$log" 2>&1 || {
		tail -n 20 "$log" >&2
		echo "could not install:$missing" >&2
		return 1
	}
	rm -f "$log"
}

# build_tree DIR: configures (once) and builds out of tree.
build_tree() {
	echo "== building in $1"
	mkdir -p "$1"
	log=$1/build.log
	{
		[ -x "$top/configure" ] && [ "$top/configure" -nt "$top/configure.ac" ] || (cd "$top" && autoreconf -fi)
	} >"$log" 2>&1 &&
		{ [ -e "$1/Makefile" ] || (cd "$1" && "$top/configure" ${CONFIGURE_ARGS---enable-werror}); } >>"$log" 2>&1 &&
		make -C "$1" -j"$(nproc)" >>"$log" 2>&1 || {
		tail -n 40 "$log" >&2
		return 1
	}
}

# make_guests BUILD MODE: the bare-metal examples and, unless quick, the Linux guest from Debian packages.
make_guests() {
	mkdir -p "$1/guests"
	for dir in "$top"/examples/*/build.sh; do
		name=$(basename "$(dirname "$dir")")
		[ "$name" = common ] || "$dir" "$1/guests/$name" >"$1/guests/$name.log" 2>&1 || {
			cat "$1/guests/$name.log"
			return 1
		}
	done
	[ "$2" = quick ] && return 0
	linux_guest "$1" || { update_lists && linux_guest "$1"; } || {
		cat "$1/guests/linux.log"
		return 1
	}
}

linux_guest() { "$top/examples/linux/mkguest.sh" "$1/guests/linux" >"$1/guests/linux.log" 2>&1; }

# The lists of packages may be missing, or older than what the archive still has.
update_lists() {
	if [ "$(id -u)" -eq 0 ]; then apt-get update -q; else sudo apt-get update -q; fi >/dev/null 2>&1
}
