# SPDX-License-Identifier: MIT
# Runs inside Bochs: the VT-x engine. Bare-metal guests are recorded and replayed on it, with the counter late by up to --vtx-skid
# units, and recordings go from engine to engine. ROUNDS: how often. Recordings and digests for the other side are left in /out.
digest() { sed -n 's/.*digest \([0-9a-f]\{32\}\).*/\1/p' "$1" | tail -n 1; }

# record NAME KERNEL OPTIONS: on vtx, input from /tmp/input; the digest at the end comes from the first replay.
record() {
	name=$1 kernel=$2
	shift 2
	chronovisor record --engine vtx --force -o "/tmp/$name.cvr" --kernel "/guests/$kernel.elf" --memory 16M "$@" \
		</tmp/input >/tmp/console 2>/tmp/err || [ $? -eq 3 ]
}
# replay FILE OPTIONS: the digest into $got
replay() {
	chronovisor replay "$@" >/tmp/console.again 2>/tmp/err || [ $? -eq 3 ] || return 1
	grep -q 'as recorded' /tmp/err || return 1
	got=$(digest /tmp/err)
	[ -n "$got" ]
}
rounds() { # NAME KERNEL OPTIONS: recorded and replayed ROUNDS times
	i=0
	while [ $i -lt "$ROUNDS" ]; do
		record "$@" && replay "/tmp/$1.cvr" --engine vtx && first=$got || return 1
		cmp /tmp/console /tmp/console.again || return 1
		replay "/tmp/$1.cvr" --engine vtx --vtx-skid $((i * 5)) || return 1
		[ "$got" = "$first" ] || { echo "  round $i: digest $got after $first"; return 1; }
		i=$((i + 1))
	done
	replay "/tmp/$1.cvr" --engine soft || return 1
	[ "$got" = "$first" ] || { echo "  soft: digest $got instead of $first"; return 1; }
	cp "/tmp/$1.cvr" /out/ && echo "$1 $first" >>/out/digests
}
skids() { # NAME: the recording replayed with each skid
	for skid in 0 7 100; do
		replay "/tmp/$1.cvr" --engine vtx --vtx-skid $skid || return 1
		[ "$got" = "$first" ] || { echo "  skid $skid: digest $got instead of $first"; return 1; }
	done
}
interrupts_are_exact() {
	for skid in 0 7 100; do
		record loop loop --vtx-skid $skid --until insns=3000000 && replay /tmp/loop.cvr --engine soft && first=$got || return 1
		[ "$(chronovisor events /tmp/loop.cvr --kind interrupt | wc -l)" -ge 20 ] || { echo "  too few interrupts"; return 1; }
		skids loop || return 1
	done
	cp /tmp/loop.cvr /out/ && echo "loop $first" >>/out/digests
}
from_outside() { # a recording made on the software engine
	for file in /recordings/*.cvr; do
		name=$(basename "$file" .cvr)
		first=$(sed -n "s/^$name //p" /recordings/digests)
		cp "$file" /tmp/foreign.cvr
		skids foreign || { echo "  $name"; return 1; }
	done
}
visit() { # ENGINE: the GDB stub's answers into /tmp/steps.ENGINE
	chronovisor replay --engine "$1" --gdb "unix:/tmp/gdb.$1" /tmp/loop.cvr </dev/null >/dev/null 2>/tmp/err &
	server=$!
	rsp "/tmp/gdb.$1" 50% 40 >"/tmp/steps.$1" 2>/tmp/rsp.err
	status=$?
	kill $server 2>/dev/null
	wait $server
	[ $status -eq 0 ] || { cat /tmp/rsp.err; return 1; }
}
reverse_steps() {
	visit vtx && visit soft || return 1
	[ "$(wc -l </tmp/steps.vtx)" -eq 41 ] && cmp /tmp/steps.vtx /tmp/steps.soft
}

insmod /chronovisor_vtx.ko || exit 1
chronovisor engines >/tmp/engines
sed 's/^/  /' /tmp/engines
check engine_is_usable grep -q '^vtx *usable' /tmp/engines
check auto_takes_vtx grep -q '^auto.*vtx' /tmp/engines
: >/tmp/input
check stack_overflow_replays rounds stack-overflow stack-overflow
check racing_list_replays rounds racing-list racing-list --until insns=1000000
printf 'help\rsum 1 2 3\rpoweroff\r' >/tmp/input
check console_echo_replays rounds console-echo console-echo
: >/tmp/input
check interrupts_come_at_the_recorded_instruction interrupts_are_exact
check recordings_of_the_software_engine_replay from_outside
check reverse_steps_are_the_software_engines reverse_steps
exit $((failures != 0))
