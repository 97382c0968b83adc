#!/bin/sh
# SPDX-License-Identifier: MIT
# Devices and engines call no clock, random, read, poll or thread function: a host value enters through struct cv_env.
# memory.c maps RAM and may use memfd_create, mmap and their like; vtx/device.c may open the VT-x module's device, whose answers it lets
# the engine see are the guest's own.
set -u
top=${srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
cd "$top" || exit 99
words='clock_gettime|gettimeofday|time|clock|getrandom|random|rand|rand_r|srand|drand48|arc4random|read|pread|recv|recvfrom|select|poll|ppoll|epoll_wait|pthread_[a-z_]+|nanosleep|usleep|sleep|getenv|fopen|open|_rdtsc|__rdtsc|__builtin_ia32_rdtsc|_rdrand(16|32|64)_step'
# A call: the bare name before a parenthesis, not a member, not part of a longer name.
found=$(grep -rnE --include='*.[ch]' "(^|[^A-Za-z0-9_.>*])($words) *\(" vmm-core devices | grep -vE '^[^:]*:[0-9]+:[[:space:]]*(\*|/\*|//)' |
	grep -vE '\(\*(clock|read|poll)\)' | grep -vE '^vmm-core/vtx/device\.c:[0-9]+:.*[^A-Za-z0-9_.>*]open\(CVVTX_DEVICE,')
if [ -n "$found" ]; then
	echo "$found"
	echo "a host value must enter through struct cv_env"
	exit 1
fi
exit 0
