# SPDX-License-Identifier: MIT
# Runs inside Bochs with two processors and maxcpus=1: what happens to machines when processors come and go, and the module's tests on two.
insmod /chronovisor_vtx.ko || exit 1
hotplug || exit 1
for test in second_thread many_machines endless_loop exit drop memory_is injected; do
	abi $test || exit 1
done
rmmod chronovisor_vtx
