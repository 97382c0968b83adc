# SPDX-License-Identifier: MIT
# Runs inside Bochs with two CPUs: the module's tests, a machine whose thread moves between the CPUs, CPUs that come and go, fuzzing.
online=/sys/devices/system/cpu/cpu1/online
cpu_stays() { ! echo 0 2>/dev/null >$online && [ "$(cat $online)" = 1 ]; }
cpu_goes_and_comes() { echo 0 >$online && spin cycles 3 && echo 1 >$online && spin cycles 3; }
spin_is_alive() { kill -0 $spinner && [ "$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' /proc/$spinner/status)" = R ]; }
moves() {
	for i in 1 2 3 4 5 6 7 8 9 10; do
		taskset -p 1 $spinner >/dev/null && sleep 0.03 && taskset -p 2 $spinner >/dev/null && sleep 0.03 || return 1
	done
	spin_is_alive
}
check two_cpus [ "$(grep -c ^processor /proc/cpuinfo)" -eq 2 ]
check module_loads insmod /chronovisor_vtx.ko
abi || failures=$((failures + 1))
check cpu_goes_and_comes_without_machines cpu_goes_and_comes
spin >/tmp/spin &
spinner=$!
sleep 0.5
check machine_keeps_its_cpus cpu_stays
check machine_moves_between_cpus moves
kill -9 $spinner
wait $spinner
check fuzzed_host_survives fuzz 5 7
check module_unloads rmmod chronovisor_vtx
exit $((failures != 0))
