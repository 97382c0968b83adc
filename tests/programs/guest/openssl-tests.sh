# SPDX-License-Identifier: MIT
# openssl-tests.sh PROGRAM [ARGUMENTS...]: one of OpenSSL's own test programs; a digest of what it prints, and all of it if it
# fails. "data" runs evp_test over each file of vectors, "bn" bntest over each of its files, "rest" all other programs.
export LD_LIBRARY_PATH=/opt/openssl OPENSSL_MODULES=/opt/openssl OPENSSL_CONF=/opt/openssl/default-and-legacy.cnf
bad=0
test_program() {
	status=0
	name=$1
	shift
	"/opt/openssl/$name" "$@" >output 2>&1 || status=$?
	echo "$name ${1+${1##*/}}: $status, $(grep -c '^ *ok ' output) ok, $(grep -c '^ *not ok ' output) not ok"
	[ $status -eq 0 ] || {
		tail -n 40 output
		bad=1
	}
}
case $1 in
data)
	for f in /opt/openssl/data/*.txt; do
		case $f in
		*/evpciph_rc5.txt|*/evprand.txt) continue ;; # not in Debian's build; the generator's vectors are slow
		esac
		test_program evp_test "$f"
	done
	;;
bn) for f in /opt/openssl/bn/*.txt; do test_program bntest "$f"; done ;;
rest)
	for f in /opt/openssl/*test; do
		case $f in
		*/evp_test|*/bntest) ;;
		*) test_program "${f##*/}" ;;
		esac
	done
	;;
*) test_program "$@" ;;
esac
exit $bad
