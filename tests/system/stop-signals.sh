#!/bin/sh
# SPDX-License-Identifier: MIT
# SIGINT, SIGTERM and SIGHUP end a recording in order: nothing is lost, status 0, and the replay is whole; in mid-boot, in
# the first moments, in a guest that idles, and in one that a debugger holds.
. "$(dirname "$0")/../lib.sh"
[ -e "$LINUX/vmlinuz" ] || fail "no Linux guest in $LINUX"
python3 - "$CV" "$WORK" "$LINUX" "$GUESTS/console-echo/console-echo.elf" <<'PY'
import os, random, signal, socket, subprocess, sys, time
cv, work, linux, echo = sys.argv[1:]
rng = random.Random(11)
boot = ["--kernel", linux + "/vmlinuz", "--initrd", linux + "/initramfs.gz", "--append",
        "console=ttyS0 earlyprintk=ttyS0", "--memory", "128M"]
idle = ["--kernel", echo, "--memory", "16M"]

def wait_for(what, seconds=20):
    end = time.time() + seconds
    while not what():
        if time.time() > end:
            sys.exit("it never came")
        time.sleep(0.01)

def ends_well(name, p, path):
    try:
        p.wait(20)
    except subprocess.TimeoutExpired:
        p.kill()
        sys.exit(name + ": the signal was not heard")
    err = open(work + "/err").read()
    if p.returncode != 0 or "stopped" not in err:
        sys.exit("%s: status %d: %s" % (name, p.returncode, err))
    if [f for f in os.listdir(work) if f.startswith(os.path.basename(path)) and f != os.path.basename(path)]:
        sys.exit(name + ": files were left beside the recording")
    r = subprocess.run([cv, "replay", path], stdin=subprocess.DEVNULL, capture_output=True, timeout=120)
    text = r.stderr.decode()
    if r.returncode != 0 or "ended as recorded (stopped)" not in text:
        sys.exit("%s: replay status %d: %s" % (name, r.returncode, text[-400:]))
    if r.stdout != open(work + "/out", "rb").read():
        sys.exit(name + ": console bytes were lost")
    os.unlink(path)

def record(path, guest, *more):
    return subprocess.Popen([cv, "record", "-o", path] + guest + list(more), stdin=subprocess.PIPE,
                            stdout=open(work + "/out", "wb"), stderr=open(work + "/err", "wb"))

for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    for guest, delay in ((boot, rng.uniform(0.3, 1.5)), (boot, 0.0), (idle, 0.3)):
        path = work + "/s.cvr"
        p = record(path, guest)
        wait_for(lambda: os.path.exists(path))
        time.sleep(delay)
        p.send_signal(sig)
        ends_well("%s after %.2f s" % (sig.name, delay), p, path)

def ask(s, body):
    s.send(b"+$%s#%02x" % (body, sum(body) & 255))
    reply = b""
    while b"#" not in reply:
        reply += s.recv(4096)
    if b"$T05" not in reply:
        sys.exit("no stop reply: %r" % reply)

# A client holds the guest: it has asked for the stop reason and for steps. Then a signal, or its own "kill".
for steps in (0, 1, 2):
    for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)[steps], None:
        p = record(path, idle, "--gdb", "unix:" + work + "/gdb")
        wait_for(lambda: os.path.exists(work + "/gdb"))
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(10)
        s.connect(work + "/gdb")
        time.sleep(0.2)
        ask(s, b"?")
        for _ in range(steps):
            ask(s, b"s")
        if sig:
            p.send_signal(sig)
        else:
            s.send(b"+$k#6b")
        ends_well("%s in a guest that is held, %d steps" % (sig.name if sig else "kill", steps), p, path)
        s.close()
print("ok")
PY
