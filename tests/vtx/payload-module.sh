# SPDX-License-Identifier: MIT
# Runs inside Bochs: the module's tests. A line "pass" or "FAIL" and a name each. MODULE_FUZZ: seconds of fuzzing; MODULE_ALL: everything,
# not only what may differ between CPU models.
module=/chronovisor_vtx.ko
vmstat_of() { sed -n "s/^$1 //p" /proc/vmstat; }
pins() { echo $(($(vmstat_of nr_foll_pin_acquired) - $(vmstat_of nr_foll_pin_released))); }
free_kib() { sync; echo 3 >/proc/sys/vm/drop_caches; sleep 0.3; sed -n 's/^MemFree: *\([0-9]*\) kB/\1/p' /proc/meminfo; }
wait_for() { # FILE WORD
	for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		grep -q "$2" "$1" && return 0
		sleep 0.1
	done
	return 1
}

load_and_unload() {
	i=0
	while [ $i -lt 50 ]; do
		insmod $module && spin cycles 1 && rmmod chronovisor_vtx || return 1
		i=$((i + 1))
	done
	[ ! -e /dev/chronovisor-vtx ]
}

kill_in_guest() {
	before=$(pins)
	for signal in KILL TERM HUP KILL; do
		spin >/tmp/spin &
		pid=$!
		wait_for /tmp/spin spinning || return 1
		sleep 0.05
		kill -$signal $pid
		i=0
		while [ -d /proc/$pid ] && ! grep -qs "^State:.Z" /proc/$pid/status; do
			i=$((i + 1))
			[ $i -lt 20 ] || { echo "  still there after SIG$signal"; return 1; }
			sleep 0.05
		done
		wait $pid
	done
	sleep 0.2
	[ "$(pins)" -eq "$before" ] || { echo "  pins: $before before, $(pins) now"; return 1; }
}

leaves_nothing() {
	spin cycles 100 || return 1
	before=$(free_kib)
	pinned=$(pins)
	spin cycles 100 || return 1
	after=$(free_kib)
	echo "  free: $before KiB before 100 machines, $after KiB after; pinned pages: $pinned and $(pins)"
	[ "$(pins)" -eq "$pinned" ] && [ $((before - after)) -lt 300 ]
}

stays_while_in_use() {
	spin hold >/tmp/hold &
	pid=$!
	wait_for /tmp/hold holding || return 1
	rmmod chronovisor_vtx 2>/dev/null && return 1
	kill $pid
	wait $pid
	rmmod chronovisor_vtx && insmod $module
}

# Neither takes VMX from the other.
kvm_in_use_refuses_us() {
	kvm hold >/tmp/kvm &
	pid=$!
	wait_for /tmp/kvm holding || return 1
	spin hold >/dev/null 2>/tmp/refused
	status=$?
	kill $pid
	wait $pid
	echo "  $(cat /tmp/refused)"
	[ $status -ne 0 ] || return 1
	sleep 0.3
	spin cycles 1
}
we_refuse_kvm() {
	spin hold >/tmp/hold &
	pid=$!
	wait_for /tmp/hold holding || return 1
	timeout 3 kvm hold >/dev/null 2>/tmp/refused
	status=$?
	kill $pid
	wait $pid
	echo "  status $status $(cat /tmp/refused)"
	[ $status -eq 16 ] || [ $status -eq 1 ] || return 1
	sleep 0.3
	spin cycles 1 && kvm cost 10 >/dev/null
}
costs() {
	theirs=$(kvm cost 2000) && ours=$(cost out 2000) && stamp=$(cost tsc 3000) && cpuid=$(cost cpuid 2000) || return 1
	echo "  instructions of the host: OUT to the process and back $ours (KVM: $theirs), CPUID $cpuid, RDTSC noted in the ring $stamp"
	[ $((ours * 10)) -le $((theirs * 7)) ] && [ "$stamp" -le 600 ]
}

check module_loads insmod $module
abi || failures=$((failures + 1))
check process_killed_in_the_guest_goes_at_once kill_in_guest
check machines_leave_nothing_behind leaves_nothing
if [ -n "$MODULE_ALL" ]; then
	check module_in_use_stays stays_while_in_use
	insmod /irqbypass.ko 2>/dev/null
	insmod /kvm.ko && insmod /kvm-intel.ko
	check kvm_in_use_refuses_us kvm_in_use_refuses_us
	check we_in_use_refuse_kvm we_refuse_kvm
	check round_trips_cost_little costs
	rmmod kvm_intel
fi
check fuzzed_host_survives fuzz "${MODULE_FUZZ:-5}" "${MODULE_SEED:-1}"
check module_works_after_fuzzing abi injected
check module_unloads rmmod chronovisor_vtx
[ -z "$MODULE_ALL" ] || check module_loads_50_times load_and_unload
exit $((failures != 0))
