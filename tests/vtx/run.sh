#!/bin/sh
# SPDX-License-Identifier: MIT
# run.sh [module|engine|skylake|hotplug|smp]...: the VT-x module and engine in Bochs, with Debian's cloud kernel as host; without arguments all
# but smp, which really takes a CPU offline: Bochs hangs at that now and then, with or without the module.
# A line a check; status 0, 1, or 77 where Bochs or a package is missing.
. "$(dirname "$0")/../lib.sh"
. "$top/tests/vtx/lib.sh"
need_bochs
build_module
parts=${*:-module skylake hotplug engine}
failures=

guest=$vtx/guest
for_module() { # FOLDER: the programs of the module's tests
	static_program abi "$guest"/abi.c "$guest"/vm.c "$guest"/refusals.c "$guest"/exits.c "$guest"/count.c "$guest"/events.c \
		"$guest"/memory.c
	for name in fuzz spin cost; do
		static_program $name "$guest/$name.c" "$guest/vm.c"
	done
	static_program kvm "$guest/kvm.c"
	mkdir -p "$1/bin"
	for name in abi fuzz spin cost kvm; do
		cp "$VTX/bin/$name" "$1/bin/"
	done
	cp "$VTX/kmod/chronovisor_vtx.ko" "$1/"
	cp "$HOST_MODULES"/arch/x86/kvm/kvm.ko "$HOST_MODULES"/arch/x86/kvm/kvm-intel.ko "$1/"
	cp "$HOST_MODULES"/virt/lib/irqbypass.ko "$1/" 2>/dev/null || true
}
# part NAME OPTIONS: runs $WORK/NAME in Bochs
part() {
	name=$1
	shift
	echo "== $name"
	start=$(date +%s)
	status=0
	in_bochs "$WORK/$name" "$@" || status=$?
	echo "== $name: status $status, $(($(date +%s) - start)) s"
	[ $status -eq 0 ] || failures="$failures $name"
}
module() {
	for_module "$WORK/module"
	{ echo "MODULE_ALL=1 MODULE_FUZZ=20 MODULE_SEED=${SEED:-1}"; cat "$vtx/payload-check.sh" "$vtx/payload-module.sh"; } >"$WORK/module/payload"
	part module --timeout 400
}
# The other model: page-modification logging, XSAVES, TSC scaling.
skylake() {
	for_module "$WORK/skylake"
	{ echo "MODULE_ALL= MODULE_FUZZ=5 MODULE_SEED=${SEED:-2}"; cat "$vtx/payload-check.sh" "$vtx/payload-module.sh"; } >"$WORK/skylake/payload"
	# Its CPUID leaf 0Dh has a compacted form that Linux finds wrong, and switches XSAVE off, unless AVX-512 is hidden.
	part skylake --cpu corei7_skylake_x --append clearcpuid=304 --timeout 300
}

# Two processors, of which one comes later.
hotplug() {
	for_module "$WORK/hotplug"
	static_program hotplug "$guest/hotplug.c" "$guest/vm.c"
	cp "$VTX/bin/hotplug" "$WORK/hotplug/bin/"
	cp "$vtx/payload-hotplug.sh" "$WORK/hotplug/payload"
	part hotplug --cpus 2 --append maxcpus=1 --timeout 200
}

# Two CPUs: a machine moves between them, neither can be switched off under it.
smp() {
	for_module "$WORK/smp"
	cat "$vtx/payload-check.sh" "$vtx/payload-smp.sh" >"$WORK/smp/payload"
	part smp --cpus 2 --timeout 300
}

# A recording on the software engine whose positions count steps, and its digest.
record_outside() { # NAME OPTIONS
	name=$1
	shift
	"$CV" record --engine soft --count steps --force -o "$folder/recordings/$name.cvr" --kernel "$folder/guests/$name.elf" --memory 16M "$@" \
		</dev/null >"$WORK/out" 2>"$WORK/err" || [ $? -eq 3 ] || fail "recording $name"
	replay_outside "$folder/recordings/$name.cvr"
	echo "$name $got" >>"$folder/recordings/digests"
}
replay_outside() { # FILE: $got
	"$CV" replay --engine soft "$1" >"$WORK/out" 2>"$WORK/err" </dev/null || [ $? -eq 3 ] || return 1
	grep -q 'as recorded' "$WORK/err" || return 1
	got=$(digest_of "$WORK/err")
	[ -n "$got" ]
}
engine() {
	folder=$WORK/engine
	mkdir -p "$folder/bin" "$folder/guests" "$folder/recordings"
	static_program rsp "$guest/rsp.c"
	cp "$VTX/bin/rsp" "$folder/bin/"
	strip -o "$folder/bin/chronovisor" "$CV"
	cp "$VTX/kmod/chronovisor_vtx.ko" "$folder/"
	for name in racing-list stack-overflow console-echo; do
		"$top/examples/$name/build.sh" "$folder/guests"
	done
	"$vtx/loop/build.sh" "$folder/guests"
	record_outside stack-overflow
	record_outside loop --until insns=3000000
	{ echo "ROUNDS=${ROUNDS:-20}"; cat "$vtx/payload-check.sh" "$vtx/payload-engine.sh"; } >"$folder/payload"
	part engine --timeout 450 --out "$WORK/handed-out"
	# What was recorded on VT-x replays here.
	for name in stack-overflow racing-list console-echo loop; do
		want=$(sed -n "s/^$name //p" "$WORK/handed-out/digests" 2>/dev/null)
		if [ -n "$want" ] && replay_outside "$WORK/handed-out/$name.cvr" && [ "$got" = "$want" ]; then
			echo "pass ${name}_recorded_on_vtx_replays_on_soft"
		else
			echo "FAIL ${name}_recorded_on_vtx_replays_on_soft"
			failures="$failures $name"
		fi
	done
}

for which in $parts; do
	$which
done
[ -z "$failures" ] || fail "$failures"
echo "all passed:" $parts
