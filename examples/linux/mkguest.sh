#!/bin/sh
# SPDX-License-Identifier: MIT
# mkguest.sh DIR: makes DIR/vmlinuz and DIR/initramfs.gz, a Linux guest from Debian's packages: the cloud kernel as
# shipped, and an initramfs of one program, busybox, with the init beside this script. Downloads are kept in DIR/deb and
# used again. Needs apt-get (with package lists), dpkg and cpio, and no root.
set -eu

if [ $# -ne 1 ]; then
	echo "usage: $0 DIR" >&2
	exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
for tool in apt-get apt-cache dpkg cpio gzip; do
	if ! command -v $tool >/dev/null; then
		echo "$0: $tool is missing" >&2
		exit 1
	fi
done
mkdir -p "$1/deb"
cd "$1"

fetch() { # fetch PACKAGE: downloads it into deb/ unless it is there, prints its file
	if ! ls deb/"$1"_*.deb >/dev/null 2>&1; then
		if ! (cd deb && apt-get -qq download "$1" >&2); then
			echo "$0: cannot download $1; have you run apt-get update?" >&2
			exit 1
		fi
	fi
	ls deb/"$1"_*.deb | tail -n 1
}

if [ ! -e vmlinuz ]; then
	image=$(cat deb/kernel-package 2>/dev/null || apt-cache depends linux-image-cloud-amd64 |
		awk '/Depends: linux-image/ { print $2; exit }')
	if [ -z "$image" ]; then
		echo "$0: no package linux-image-cloud-amd64; have you run apt-get update?" >&2
		exit 1
	fi
	echo "$image" > deb/kernel-package
	file=$(fetch "$image")
	rm -rf deb/kernel
	dpkg -x "$file" deb/kernel
	cp deb/kernel/boot/vmlinuz-* vmlinuz.new
	chmod 644 vmlinuz.new
	mv vmlinuz.new vmlinuz
	rm -rf deb/kernel
fi

if [ ! -e deb/busybox ]; then
	file=$(fetch busybox-static)
	rm -rf deb/tree
	dpkg -x "$file" deb/tree
	cp deb/tree/bin/busybox deb/busybox.new
	mv deb/busybox.new deb/busybox
	rm -rf deb/tree
fi

# The same bytes each time: fixed owner, times and order.
rm -rf root
mkdir -p root/bin root/dev root/etc root/proc root/sys root/tmp
install -m 755 deb/busybox root/bin/busybox
ln -s busybox root/bin/sh
install -m 755 "${INIT:-$here/init}" root/init
find root -exec touch -h -d @0 {} +
(cd root && find . | LC_ALL=C sort | cpio -o -H newc --quiet --reproducible -R 0:0) | gzip -9n > initramfs.new
mv initramfs.new initramfs.gz
rm -rf root
ls -l vmlinuz initramfs.gz
