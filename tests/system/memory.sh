#!/bin/sh
# SPDX-License-Identifier: MIT
# Recording needs the guest RAM that was touched and at most 128 MiB besides; 16 GiB of guest RAM are sparse; a replay and
# its timeline stay small too.
. "$(dirname "$0")/../lib.sh"
[ -e "$LINUX/vmlinuz" ] || fail "no Linux guest in $LINUX"
python3 - "$CV" "$WORK" "$LINUX" <<'PY'
import re, subprocess, sys, time
cv, work, linux = sys.argv[1:]

def sizes(pid):
    """Resident guest RAM and resident rest, in KiB."""
    ram = rest = 0
    guest = False
    try:
        for line in open("/proc/%d/smaps" % pid):
            if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
                guest = "memfd:" in line
            elif line.startswith("Rss:"):
                if guest:
                    ram = max(ram, int(line.split()[1]))
                else:
                    rest += int(line.split()[1])
    except (FileNotFoundError, ProcessLookupError):
        pass
    return ram, rest

def measure(name, ram_limit, *args):
    p = subprocess.Popen([cv] + list(args), stdin=subprocess.DEVNULL, stdout=open(work + "/out", "wb"),
                         stderr=open(work + "/err", "wb"))
    ram = rest = samples = 0
    while p.poll() is None:
        a, b = sizes(p.pid)
        ram, rest, samples = max(ram, a), max(rest, b), samples + (a > 0)
        time.sleep(0.02)
    if p.returncode != 0:
        sys.exit("%s: status %d: %s" % (name, p.returncode, open(work + "/err").read()))
    print("%-40s guest RAM touched %4d MiB, besides %4d MiB, %d samples" % (name, ram >> 10, rest >> 10, samples))
    if samples < 2:
        sys.exit(name + ": it was over before it could be measured")
    if rest > 128 << 10:
        sys.exit(name + ": more than 128 MiB besides guest RAM")
    if ram > ram_limit << 10:
        sys.exit("%s: more than %d MiB of guest RAM" % (name, ram_limit))

boot = ["--kernel", linux + "/vmlinuz", "--initrd", linux + "/initramfs.gz", "--append", "console=ttyS0 earlyprintk=ttyS0",
        "--until", "insns=600000000"]
measure("Linux in 256 MiB, recorded", 256, "record", "-o", work + "/a.cvr", "--memory", "256M", *boot)
measure("the same, replayed", 256, "replay", work + "/a.cvr")
measure("checkpoints with state, virtual clock", 256, "record", "-o", work + "/b.cvr", "--memory", "256M", "--checkpoints",
        "100M", "--clock", "virtual", *boot)
# Linux keeps 64 bytes for each page of its memory: 256 MiB of 16 GiB.
measure("Linux in 16 GiB, recorded", 800, "record", "-o", work + "/c.cvr", "--memory", "16G", *boot)
print("ok")
PY
