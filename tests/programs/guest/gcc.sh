# SPDX-License-Identifier: MIT
# gcc.sh MODEL FILE OPTIONS...: compiles a program, prints a digest of the object code, links and runs it. MODEL is v2 or v3:
# with v3 the object code is made and compared for x86-64-v3, too, and run.
model=$1 file=$2
shift 2
one() {
	gcc "$@" -c -o program.o "$file" || exit 1
	echo "$* $(sha256sum <program.o | cut -c 1-32)"
	gcc -o program program.o -lm || exit 1
	./program || echo "exit status $?"
}
one "$@"
[ "$model" = v2 ] || one "$@" -march=x86-64-v3
