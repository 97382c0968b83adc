#!/bin/sh
# SPDX-License-Identifier: MIT
# A hundred ill-behaved debugger's clients at a Linux that is being recorded: noise, half packets, floods that read no
# answer, wrong checksums, packets that are too long, many at once, and clients that vanish while they hold the guest. The
# recording goes on and replays exactly.
. "$(dirname "$0")/../lib.sh"
[ -e "$LINUX/vmlinuz" ] || fail "no Linux guest in $LINUX"
sock=$WORK/gdb.sock
"$CV" record -o "$WORK/run.cvr" --kernel "$LINUX/vmlinuz" --memory 128M --append "console=ttyS0 earlyprintk=ttyS0" \
	--until insns=600000000 --gdb "unix:$sock" >"$WORK/console" 2>"$WORK/err" </dev/null &
recorder=$!
timeout 80 python3 - "$sock" $recorder <<'PY' || { cat "$WORK/err" >&2; kill -9 $recorder; fail "clients"; }
import os, random, socket, sys, time
path, recorder = sys.argv[1], int(sys.argv[2])
rng = random.Random(20240301)
while not os.path.exists(path):
    time.sleep(0.01)

def packet(body):
    return b"$" + body + b"#%02x" % (sum(body) & 255)

bodies = [b"?", b"g", b"s", b"c", b"vCont;s:1", b"vCont;c", b"m100000,1000", b"qSupported", b"Hg0", b"qXfer:features:read:target.xml:0,fff",
          b"bs", b"Z0,ffffffff81000000,1", b"Z2,0,8", b"qRcmd,7768656e", b"qRcmd,zz", b"m,", b"M0,1:", b"Z9,0,0", b"vCont;", b"G00", b"P0=",
          b"qSearch:memory:0;1000;\x7f", b"X0,5:abc", b"vRun;", b"QStartNoAckMode", b"zz", b"", b"T1", b"p", b"vMustReplyEmpty"]

def noise(n):
    return bytes(rng.randrange(256) for _ in range(n))

def client(kind):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(1)
    try:
        s.connect(path)
        if kind == 0:
            s.send(noise(3000))
        elif kind == 1:  # half a packet, then gone
            p = packet(rng.choice(bodies) or b"g")
            s.send(b"+" + p[:rng.randrange(1, len(p))])
        elif kind == 2:  # a flood whose answers nobody reads
            s.send(b"+" + b"".join(packet(rng.choice(bodies)) for _ in range(300)))
        elif kind == 3:
            s.send(b"+$" + b"a" * 100000 + b"#00" + packet(b"?"))
        elif kind == 4:
            s.send(b"$g#00$?#ff\x03\x03--++" * 50)
        elif kind == 5:  # holds the guest, runs it, vanishes
            s.send(b"+" + packet(b"?"))
            s.recv(4096)
            s.send(b"+" + packet(b"vCont;c"))
            time.sleep(0.02)
        elif kind == 6:  # many at once
            others = []
            for _ in range(8):
                o = socket.socket(socket.AF_UNIX)
                o.setblocking(False)
                o.connect(path)
                others.append(o)
                o.send(noise(50))
            s.send(b"+" + packet(b"qSupported") + packet(b"s"))
            time.sleep(0.02)
            for o in others:
                o.close()
        elif kind == 7:  # goes back and vanishes there
            s.send(b"+" + packet(b"?"))
            s.recv(4096)
            s.send(b"+" + packet(b"bs"))
            time.sleep(0.05)
    except (BrokenPipeError, ConnectionResetError, BlockingIOError, socket.timeout, ConnectionRefusedError, FileNotFoundError):
        pass
    s.close()

for i in range(96):
    if os.path.exists("/proc/%d/stat" % recorder) and open("/proc/%d/stat" % recorder).read().split()[2] == "Z":
        break
    client(i % 8)
print(i + 1, "clients")
if i < 48:
    sys.exit("the run ended too soon for the test")
PY
status=0
wait $recorder || status=$?
[ $status -eq 0 ] || { cat "$WORK/err" >&2; fail "recording ended with $status"; }
expect_status 0 "$CV" replay "$WORK/run.cvr"
cmp "$WORK/out" "$WORK/console" || fail "the replay prints something else"
grep -q 'ended as recorded (stopped): insns 600000000,' "$WORK/err" || { cat "$WORK/err" >&2; fail "another end"; }
echo ok
