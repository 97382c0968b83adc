# SPDX-License-Identifier: MIT
# Sourced by the VT-x tests: the host inside Bochs, its kernel, our module, the programs. Needs tests/lib.sh's fail and skip, and BUILD.
# Everything made is kept in $VTX (in the build tree).
vtx=$top/tests/vtx
VTX=${VTX:-$BUILD/vtx}

# The cloud kernel whose headers are installed; its image is downloaded, not installed: HOST_KERNEL, HOST_MODULES.
host_kernel() {
	version=$(basename "$(dirname "$(ls -d /lib/modules/*-cloud-amd64/build 2>/dev/null | sort -V | tail -n 1)")" 2>/dev/null)
	[ -n "$version" ] && [ "$version" != . ] || skip "no linux-headers-cloud-amd64: nothing to build the module with"
	HOST_HEADERS=/lib/modules/$version/build
	image=$VTX/kernel-$version
	if [ ! -e "$image/done" ]; then
		rm -rf "$image"
		mkdir -p "$image"
		download_image "$image" "$version" || { . "$top/tests/setup.sh" && update_lists && download_image "$image" "$version"; } ||
			skip "no package linux-image-$version to be had"
		touch "$image/done"
	fi
	HOST_KERNEL=$image/boot/vmlinuz-$version
	HOST_MODULES=$image/lib/modules/$version/kernel
}
download_image() { # DIR VERSION
	(cd "$1" && apt-get -qq -o APT::Sandbox::User=root download "linux-image-$2") >/dev/null 2>&1 || return 1
	dpkg -x "$1"/linux-image-*.deb "$1" && rm -f "$1"/linux-image-*.deb
	[ -e "$1/boot/vmlinuz-$2" ]
}

# What the bench needs on this machine, or the test is skipped with the reason.
need_bochs() {
	command -v bochs-bin >/dev/null || skip "no bochs"
	for file in /usr/share/bochs/BIOS-bochs-latest /usr/share/bochs/VGABIOS-lgpl-latest /usr/lib/ISOLINUX/isolinux.bin \
		/usr/lib/syslinux/modules/bios/ldlinux.c32 /bin/busybox; do
		[ -e "$file" ] || skip "no $file (packages bochs, bochsbios, vgabios, isolinux, syslinux-common, busybox-static)"
	done
	for tool in xorriso cpio python3 gcc make; do
		command -v $tool >/dev/null || skip "no $tool"
	done
	host_kernel
	mkdir -p "$VTX/bin"
	static_program port-e9 "$vtx/host/port-e9.c"
}

# static_program NAME SOURCE...: $VTX/bin/NAME, compiled anew where a source is newer.
static_program() {
	program=$VTX/bin/$1
	shift
	for source in "$@" "$vtx"/guest/*.h "$top/vmm-core/kmod/abi.h"; do
		if [ ! -e "$program" ] || { [ -e "$source" ] && [ "$source" -nt "$program" ]; }; then
			gcc -std=gnu11 -O2 -g -Wall -Wextra -Wshadow -Werror -static -pthread -I"$top" -o "$program" "$@" || fail "$program"
			return
		fi
	done
}

# The module, built by kbuild on a copy of its sources: $VTX/kmod/chronovisor_vtx.ko.
build_module() {
	mkdir -p "$VTX/kmod"
	cp -u "$top"/vmm-core/kmod/* "$VTX/kmod/"
	make -C "$HOST_HEADERS" M="$VTX/kmod" modules >"$VTX/kmod.log" 2>&1 || {
		tail -n 30 "$VTX/kmod.log" >&2
		fail "the module doesn't build"
	}
	! grep -i 'warning:' "$VTX/kmod.log" | grep -v -e 'compiler differs' -e 'BTF' || fail "the module draws warnings"
}

# in_bochs FOLDER [options of bochs.py]: runs FOLDER/payload.
in_bochs() {
	folder=$1
	shift
	"$vtx/bochs.py" --kernel "$HOST_KERNEL" --port-e9 "$VTX/bin/port-e9" "$@" "$folder"
}
