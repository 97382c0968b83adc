# SPDX-License-Identifier: MIT
# gmp.sh FOLDER: the programs of GMP's `make check` in that folder. Each checks itself against slow and plain arithmetic, with
# operands that are the same each time; with a third of the usual repetitions.
export LD_LIBRARY_PATH=/opt/gmp GMP_CHECK_REPFACTOR=0.3
bad=0
for program in "/opt/gmp/$1"/*; do
	[ -f "$program" ] || continue
	case $program in
	*.so*|*.[ch]) continue ;;
	esac
	status=0
	"$program" >output 2>&1 || status=$?
	echo "${program#/opt/gmp/}: $status"
	[ $status -eq 0 ] || [ $status -eq 77 ] || {
		tail -n 10 output
		bad=1
	}
done
exit $bad
