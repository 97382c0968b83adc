#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""bochs.py [options] FOLDER: runs FOLDER/payload, a shell script, in Bochs under a Debian kernel, as root and process 2.

FOLDER is laid over the root of an initramfs: programs in FOLDER/bin, the shared libraries they need are added by ldd. What the
payload leaves in /out is handed back (--out). The console appears on standard output as it comes. The exit status is the payload's;
99: the kernel's log has trouble; 124: the time limit; 125: the emulator or its kernel ended early; 126: it can't be started.

The boot: ISO image with isolinux, busybox's shell as init (host/init), the end marked on the console. Bochs counts instructions as
time (sync=none): the same files give the same run.
"""
import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
IPS = 50000000
# The initcalls left out cost seconds of emulated time and nothing here needs them.
COMMAND_LINE = (
    f"console=ttyS0,115200 nokaslr mitigations=off tsc=reliable tsc_early_khz={IPS // 1000} lpj={IPS // 500} panic=0 no_timer_check "
    "nowatchdog audit=0 random.trust_cpu=on quiet cryptomgr.notests apparmor=0 ipv6.disable=1 initcall_blacklist="
    "load_system_certificate_list,init_hw_perf_events,trace_eval_init,init_kprobe_trace,cubictcp_register,slab_sysfs_init,"
    "tracer_init_tracefs,bpf_rstat_kfunc_init,dev_map_init,acpi_hed_driver_init")

BOCHSRC = """\
display_library: rfb, options="timeout=0"
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
cpu: model={cpu}, count={cpus}, ips={ips}, reset_on_triple_fault=0, ignore_bad_msrs=1
memory: guest={memory}, host={memory}
boot: cdrom
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path=boot.iso, status=inserted
com1: enabled=1, mode=file, dev=serial.txt
port_e9_hack: enabled=1
clock: sync=none, time0=1700000000
log: bochs.log
panic: action=fatal
error: action=ignore
info: action=ignore
debug: action=ignore
speaker: enabled=0
sound: driver=dummy
"""


def libraries(program):
    """The shared libraries of a program, as absolute paths, the dynamic loader with them."""
    with open(program, "rb") as f:
        if f.read(4) != b"\x7fELF":
            return set()
    said = subprocess.run(["ldd", program], capture_output=True, text=True)
    found = set()
    for word in said.stdout.split():
        if word.startswith("/") and os.path.exists(word):
            found.add(word)
    return found


def make_initramfs(args, work):
    root = os.path.join(work, "root")
    shutil.copytree(args.folder, root, symlinks=True)
    for d in ("bin", "dev", "proc", "sys", "tmp", "etc"):
        os.makedirs(os.path.join(root, d), exist_ok=True)
    shutil.copy("/bin/busybox", os.path.join(root, "bin/busybox"))
    os.symlink("busybox", os.path.join(root, "bin/sh"))
    shutil.copy(os.path.join(HERE, "host/init"), os.path.join(root, "init"))
    shutil.copy(args.port_e9, os.path.join(root, "bin/port-e9"))
    os.chmod(os.path.join(root, "init"), 0o755)
    wanted = set()
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path) and not os.path.islink(path) and os.access(path, os.X_OK):
                wanted |= libraries(path)
    for library in wanted:
        target = root + library
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy(library, target)
    names = "\n".join(sorted(os.path.relpath(os.path.join(d, n), root)
                             for d, ds, fs in os.walk(root) for n in ds + fs)) + "\n"
    with open(os.path.join(work, "iso/initrd"), "wb") as out:
        subprocess.run(["cpio", "-o", "-H", "newc", "--quiet", "-R", "0:0"], input=names.encode(), stdout=out, cwd=root, check=True)


def make_iso(args, work):
    iso = os.path.join(work, "iso")
    os.makedirs(os.path.join(iso, "isolinux"))
    make_initramfs(args, work)
    shutil.copy(args.kernel, os.path.join(iso, "kernel"))
    shutil.copy("/usr/lib/ISOLINUX/isolinux.bin", os.path.join(iso, "isolinux"))
    shutil.copy("/usr/lib/syslinux/modules/bios/ldlinux.c32", os.path.join(iso, "isolinux"))
    with open(os.path.join(iso, "isolinux/isolinux.cfg"), "w") as f:
        f.write(f"PROMPT 0\nTIMEOUT 0\nDEFAULT l\nLABEL l\nKERNEL /kernel\nINITRD /initrd\nAPPEND {COMMAND_LINE} {args.append}\n")
    subprocess.run(["xorriso", "-as", "mkisofs", "-quiet", "-o", os.path.join(work, "boot.iso"), "-b", "isolinux/isolinux.bin",
                    "-c", "isolinux/boot.cat", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", iso],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def command(work):
    """Bochs with its debugger told to go on; alone in a network namespace, because two of its displays would collide."""
    with open(os.path.join(work, "go"), "w") as f:
        f.write("c\nq\n")
    bochs = ["bochs-bin", "-q", "-f", "bochsrc", "-rc", "go"]
    for alone in (["unshare", "-n"], ["unshare", "-rn"]):
        if subprocess.run(alone + ["true"], stderr=subprocess.DEVNULL).returncode == 0:
            return alone + bochs
    return bochs


class Console:
    """The serial console's file, read while Bochs writes it."""

    def __init__(self, path, quiet):
        self.path, self.quiet, self.file, self.text = path, quiet, None, ""

    def read(self):
        if not self.file:
            if not os.path.exists(self.path):
                return
            self.file = open(self.path, "rb")
        new = self.file.read().decode("utf-8", "replace").replace("\r", "")
        self.text += new
        if new and not self.quiet:
            sys.stdout.write(new)
            sys.stdout.flush()

    def end(self):
        """The payload's status, "panic", or None."""
        at = self.text.find("@@CV-END ")
        if at >= 0 and "\n" in self.text[at:]:
            return int(self.text[at + 9:self.text.index("\n", at)])
        if "Kernel panic - not syncing" in self.text or self.text.count("@@CV-BEGIN") > 1:
            return "panic"
        return None


def watch(process, console, limit):
    """Waits for the end; (status, reason)."""
    end = time.monotonic() + limit
    while True:
        console.read()
        status = console.end()
        if status == "panic":
            time.sleep(1)
            console.read()
            return 125, "the kernel in Bochs has panicked or was reset"
        if status is not None:
            return status, ""
        if process.poll() is not None:
            console.read()
            if isinstance(console.end(), int):
                return console.end(), ""
            return 125, f"Bochs ended early (status {process.returncode})"
        if time.monotonic() > end:
            return 124, f"not finished after {limit} s"
        time.sleep(0.05)


def take_files(work, out):
    """What came by the debug port: a tar file, unpacked into `out`."""
    with open(os.path.join(work, "stdout"), "rb") as f:
        data = f.read()
    at = data.find(b"\n@@CV-FILE ")
    if at < 0:
        return
    start = data.index(b"\n", at + 1) + 1
    size = int(data[at + 11:start])
    os.makedirs(out, exist_ok=True)
    subprocess.run(["tar", "-C", out, "-xf", "-", "--no-same-owner"], input=data[start:start + size], check=True)


def stop(process):
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(3)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def run(args, work):
    make_iso(args, work)
    with open(os.path.join(work, "bochsrc"), "w") as f:
        f.write(BOCHSRC.format(cpu=args.cpu, cpus=args.cpus, ips=IPS, memory=args.memory))
    console = Console(os.path.join(work, "serial.txt"), args.quiet)
    with open(os.path.join(work, "stdout"), "wb") as out:
        process = subprocess.Popen(command(work), cwd=work, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                   start_new_session=True)
        try:
            status, reason = watch(process, console, args.timeout)
        finally:
            stop(process)
    if args.out:
        take_files(work, args.out)
    if args.console:
        shutil.copy(os.path.join(work, "serial.txt"), args.console)
    if reason:
        with open(os.path.join(work, "bochs.log"), errors="replace") as f:
            bad = [line for line in f if "PANIC" in line or ">>" in line]
        sys.stdout.write("".join("bochs: " + line for line in bad[-10:]))
        print(f"\nbochs.py: {reason}", file=sys.stderr)
    return status


def main():
    p = argparse.ArgumentParser()
    p.add_argument("folder")
    p.add_argument("--kernel", required=True)
    p.add_argument("--port-e9", required=True, help="the program host/port-e9.c, compiled statically")
    p.add_argument("--cpu", default="broadwell_ult", help="broadwell_ult, corei7_skylake_x, corei3_cnl")
    p.add_argument("--cpus", type=int, default=1)
    p.add_argument("--memory", type=int, default=256, help="MiB")
    p.add_argument("--timeout", type=float, default=120, help="seconds of wall-clock time")
    p.add_argument("--append", default="", help="more for the kernel's command line")
    p.add_argument("--out", help="folder for the payload's files")
    p.add_argument("--console", help="file for the console's text")
    p.add_argument("--quiet", action="store_true", help="the console isn't shown")
    args = p.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(126))
    work = tempfile.mkdtemp(prefix="cv-bochs-")
    try:
        return run(args, work)
    except (OSError, subprocess.CalledProcessError) as e:
        print(f"bochs.py: {e}", file=sys.stderr)
        return 126
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
