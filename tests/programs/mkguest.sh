#!/bin/sh
# SPDX-License-Identifier: MIT
# mkguest.sh DIR [quick]: makes a Debian guest with real programs, and the tree that they are in:
#	DIR/root		Debian bookworm (debootstrap, minbase) with Python and its test suite, OpenSSL and gcc;
#				unless quick: stress-ng, and the test programs of GMP and of OpenSSL, built from Debian's sources
#	DIR/base.cpio	the tree without the last three, an initramfs
#	DIR/more.cpio	the last three, to be appended to it (not with quick)
#	DIR/linux/vmlinuz	Debian's cloud kernel
# What is there is not made again: remove DIR/root or DIR/more* for a new one. Needs root and the network; installs debootstrap.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
case $#:${2:-} in
1:|2:quick) ;;
*)
	echo "usage: $0 DIR [quick]" >&2
	exit 2
	;;
esac
level=${2:-full}
if [ "$(id -u)" -ne 0 ]; then
	echo "$0: needs root (debootstrap, chroot)" >&2
	exit 1
fi
PROGRAMS="python3 libpython3.11-testsuite openssl gcc libc6-dev"
MODULES="test_int test_long test_float test_decimal test_struct test_zlib test_hashlib test_math test_cmath
	test_complex test_random test_fractions test_statistics"
mkdir -p "$1/cache/debs"
cd "$1"
dir=$PWD

# quietly LOG COMMAND...: in a subshell that ends at its first error (in the background: `set -e` means nothing in a
# condition); the end of the log is shown then.
quietly() {
	log=$dir/cache/$1.log
	shift
	(set -e; "$@") >"$log" 2>&1 </dev/null &
	wait $! || {
		tail -n 15 "$log" >&2
		echo "failed: $*" >&2
		exit 1
	}
}

# Debian's mirror as this machine has it, in either format of apt's sources.
mirror() {
	apt-get indextargets --format '$(SITE) $(RELEASE)' 'Identifier: Packages' 2>/dev/null |
		awk '$2 == "bookworm" { print $1; exit }' | grep . || echo http://deb.debian.org/debian
}

# Everything that no program here reads. Compiled Python is made again for the modules that are used: without times in
# it, so that it stays valid in the archive.
prune() {
	cd "$1"
	rm -rf usr/share/doc usr/share/man usr/share/info usr/share/locale usr/share/zoneinfo usr/share/bash-completion \
		usr/share/lintian usr/share/common-licenses usr/share/X11 var/cache/* var/lib/apt var/lib/dpkg var/log/* \
		usr/lib/python3.11/idlelib usr/lib/python3.11/pydoc_data usr/lib/python3.11/lib2to3 \
		usr/lib/python3.11/turtle* usr/lib/x86_64-linux-gnu/perl-base usr/bin/perl* usr/lib/gcc/*/*/lto1 \
		usr/lib/gcc/*/*/lib*san*.a usr/lib/x86_64-linux-gnu/lib*san.so.* usr/lib/x86_64-linux-gnu/gconv \
		usr/lib/x86_64-linux-gnu/libgprofng* usr/lib/x86_64-linux-gnu/libapt-p* usr/bin/*gprofng* usr/bin/*-lto-dump* \
		usr/lib/apt usr/lib/systemd usr/lib/udev
	find usr/lib/x86_64-linux-gnu -name 'lib*.a' ! -name 'libc_nonshared.a' ! -name 'libm.a' ! -name 'libmvec.a' -delete
	find usr/lib -name __pycache__ -prune -exec rm -rf {} +
	(
		cd usr/lib/python3.11/test
		keep=" __init__.py __main__.py mathdata decimaltestdata support libregrtest cmath_testcases.txt
			math_testcases.txt ieee754.txt floating_points.txt formatfloat_testcases.txt randv2_32.pck randv2_64.pck randv3.pck
			list_tests.py seq_tests.py mapping_tests.py string_tests.py test_grammar.py pickletester.py
			ann_module.py ann_module2.py ann_module3.py "
		keep=" $(echo $keep) "
		for m in $MODULES; do keep="$keep$m.py "; done
		for f in * .[a-z]*; do
			case $keep in
			*" $f "*) ;;
			*) rm -rf "$f" ;;
			esac
		done
	)
	chroot . python3 -m compileall -q --invalidation-mode unchecked-hash /usr/lib/python3.11
}

# Not compressed: the kernel's unpacking would be a third of the shorter runs.
archive() { # FILE TREE: the tree as an initramfs
	(cd "$2" && find . ! -path './dev/*' ! -path './proc/*' ! -path './t/*' ! -path './tmp/*' | LC_ALL=C sort |
		cpio -o -H newc --quiet --reproducible -R 0:0) >"$1.new"
	mv "$1.new" "$1"
}

make_base() {
	command -v debootstrap >/dev/null || quietly install apt-get install -y -q --no-install-recommends debootstrap
	command -v cpio >/dev/null || quietly install apt-get install -y -q --no-install-recommends cpio
	rm -rf root base.new base.cpio
	quietly debootstrap debootstrap --variant=minbase --cache-dir="$dir/cache/debs" \
		--include="$(echo $PROGRAMS | tr ' ' ,)" bookworm "$dir/base.new" "$(mirror)"
	quietly prune prune "$dir/base.new"
	mkdir -p base.new/t
	archive base.cpio base.new
	mv base.new root
}

# Debian's sources, with a configuration of apt's that is ours alone.
fetch_sources() {
	mkdir -p cache/apt/lists/partial cache/apt/cache/archives/partial cache/src
	echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(mirror) bookworm main" >cache/apt/sources
	: >cache/apt/status
	set -- -o Dir::Etc::sourcelist="$dir/cache/apt/sources" -o Dir::Etc::sourceparts=- \
		-o Dir::State::lists="$dir/cache/apt/lists" -o Dir::State::status="$dir/cache/apt/status" -o Dir::Cache="$dir/cache/apt/cache" \
		-o APT::Sandbox::User=root
	quietly lists apt-get "$@" update
	cd cache/src
	quietly source apt-get "$@" source --download-only gmp openssl
	rm -rf gmp openssl
	quietly unpack-gmp dpkg-source -x --no-check gmp_*.dsc gmp
	quietly unpack-openssl dpkg-source -x --no-check openssl_*.dsc openssl
	cd "$dir"
}

# GMP with all its code paths for this architecture (CPUID chooses at run time) and the programs of its `make check`.
build_gmp() {
	mkdir -p cache/src/gmp/doc
	echo 'all check:' >cache/src/gmp/doc/Makefile.in	# Debian's source comes without the manual
	rm -rf cache/gmp
	mkdir cache/gmp
	cd cache/gmp
	../src/gmp/configure --enable-fat --enable-shared --disable-static CFLAGS=-O2
	make
	for d in . mpn mpz mpq mpf rand misc; do make -C tests/$d check TESTS=; done
	mkdir -p "$dir/more/opt/gmp"
	cp .libs/libgmp.so.10 "$dir/more/opt/gmp/"
	for d in . mpn mpz mpq mpf rand misc; do
		mkdir -p "$dir/more/opt/gmp/$d"
		for f in tests/$d/*; do
			case ${f##*/} in
			*.*|Makefile) ;;
			*) [ -d "$f" ] || cp "$f" "$dir/more/opt/gmp/$d/" ;;
			esac
		done
	done
	cp ../src/gmp/mini-gmp/mini-gmp.[ch] "$dir/more/opt/gmp/"
	find "$dir/more/opt/gmp" -type f ! -name '*.[ch]' -exec strip {} +
}

OPENSSL_TESTS="evp_test bntest ectest exptest ecdsatest sha_test aesgcmtest rsa_test hmactest destest bftest casttest rc2test
	rc4test ideatest mdc2test dhtest dsatest modes_internal_test poly1305_internal_test chacha_internal_test
	siphash_internal_test sm3_internal_test sm4_internal_test curve448_internal_test rsa_mp_test rsa_sp800_56b_test
	cmactest bio_enc_test"
build_openssl() {
	rm -rf cache/openssl
	mkdir cache/openssl
	cd cache/openssl
	../src/openssl/Configure linux-x86_64 shared no-engine --libdir=lib
	make build_generated
	make libcrypto.so libcrypto.a providers/legacy.so $(for t in $OPENSSL_TESTS; do echo test/$t; done)
	mkdir -p "$dir/more/opt/openssl/data"
	cp libcrypto.so.3 providers/legacy.so "$dir/more/opt/openssl/"
	for t in $OPENSSL_TESTS; do cp test/$t "$dir/more/opt/openssl/"; done
	cp ../src/openssl/test/recipes/30-test_evp_data/*.txt "$dir/more/opt/openssl/data/"
	mkdir "$dir/more/opt/openssl/bn"
	cp ../src/openssl/test/recipes/10-test_bn_data/*.txt "$dir/more/opt/openssl/bn/"
	cp ../src/openssl/test/default-and-legacy.cnf ../src/openssl/test/default.cnf "$dir/more/opt/openssl/"
	strip "$dir"/more/opt/openssl/*test "$dir"/more/opt/openssl/*.so*
}

# stress-ng, and of the many libraries that it is linked with those alone.
add_stress() {
	rm -rf cache/stress
	mkdir -p cache/stress
	debootstrap --variant=minbase --cache-dir="$dir/cache/debs" --include=stress-ng bookworm "$dir/cache/stress/tree" "$(mirror)"
	cd cache/stress
	mkdir -p "$dir/more/usr/bin"
	cp tree/usr/bin/stress-ng "$dir/more/usr/bin/"
	chroot tree ldd /usr/bin/stress-ng | awk '$2 == "=>" { print $3 }' | while read -r lib; do
		[ ! -e "$dir/root$lib" ] || continue
		mkdir -p "$dir/more/usr${lib%/*}"
		cp -L "tree$lib" "$dir/more/usr$lib"
	done
	cd "$dir"
	rm -rf cache/stress
}

make_more() {
	rm -rf more
	mkdir more
	fetch_sources
	quietly gmp build_gmp
	quietly openssl build_openssl
	quietly stress add_stress
	archive more.cpio more
}

"$top/examples/linux/mkguest.sh" "$dir/linux" >"$dir/cache/linux.log" 2>&1 || {
	cat "$dir/cache/linux.log" >&2
	exit 1
}
[ -d root ] && [ -e base.cpio ] || make_base
if [ "$level" = full ]; then
	[ -e more.cpio ] || make_more
	[ -d root/opt/gmp ] || cp -a more/. root/
fi
ls -l ./*.cpio
