# SPDX-License-Identifier: Apache-2.0
"""`flowner run` with the real programs: one clear line for what cannot be done, files with and without root, progress."""
import os
import pty
import re
import shutil
import struct
import subprocess

import tap

home = tap.tmpdir()
for name in "flowner", "flowner-capture", "flowner-enrich", "flowner-sink":
    shutil.copy2(tap.program(name), os.path.join(home, name))  # where every user can execute them
flowner = os.path.join(home, "flowner")
trace = os.path.join(home, "trace.pcap")
PACKETS = 200_000


def dns_query(n):
    udp = struct.pack("!HHHH", 1024 + n, 53, 8 + 40, 0) + bytes(40)
    ip = struct.pack("!BBHHHBBHII", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, 0x0A000001, 0x0A000002)
    frame = bytes(12) + b"\x08\x00" + ip + udp
    return struct.pack("<IIII", 1_700_000_000, 1000 * (n % 1000), len(frame), len(frame)) + frame


with open(trace, "wb") as f:
    f.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
    block = b"".join(dns_query(n) for n in range(1000))
    for _ in range(PACKETS // 1000):
        f.write(block)


def nobody():
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)


root = os.geteuid() == 0
ERRORS = [
    # arguments, exit status, how the one line on standard error starts, needs root
    (["-r", "/nonexistent.pcap"], 66, "flowner-capture: cannot read /nonexistent.pcap: No such file", False),
    (["-r", "/etc/passwd"], 65, "flowner-capture: cannot read /etc/passwd: not a pcap or pcapng file", False),
    (["-r", trace, "udp prot 53"], 64, "flowner-capture: bad filter expression \"udp prot 53\": ", False),
    (["-r", trace, "-o", "foo:-"], 78, "flowner: -o: output.files: entry 1: unknown format \"foo\", one of: ecs, ", False),
    (["-r", trace, "-o", "ecs:/nonexistent/x"], 1, "flowner-sink: output /nonexistent/x: No such file", False),
    (["-i", "nosuch0"], 66, "flowner-capture: no such interface: nosuch0", True),
    (["-d", "1", "udp prot 53"], 64, "flowner-capture: bad filter expression \"udp prot 53\": ", True),
    (["--set", "capture.user=no-such-user"], 78, "flowner: capture.user: \"no-such-user\" is not a user", True),
]
for args, status, line, needs_root in ERRORS:
    shown = "flowner run " + " ".join(args).replace(trace, "FILE")
    if needs_root and not root:
        tap.skip(shown, "needs root")
        continue
    r = tap.run([flowner, "run", *args])
    tap.ok((r.returncode, r.stdout, r.stderr.count("\n")) == (status, "", 1) and r.stderr.startswith(line),
           f"{shown}: one line, status {status}", r.returncode, r.stdout, r.stderr)

SUMMARY = re.compile(rf"flowner: {PACKETS} packets seen, (\d+) records written, lost: kernel 0, packet ring 0, "
                     r"record ring 0, output 0\n")


def read_file(what, **kwargs):
    r = tap.run([flowner, "run", "-r", trace], **kwargs)
    tap.ok(r.returncode == 0 and SUMMARY.fullmatch(r.stderr), f"{what}: everything read, nothing else said", r.stderr)
    tap.is_(r.stdout.count("10.0.0.1:"), 1000, f"{what}: a line for each connection")


read_file("a file")
if root:
    read_file("a file, as nobody", preexec_fn=nobody, env={"PATH": os.environ["PATH"]})
else:
    tap.skip("a file, as nobody", "needs root to become nobody")
with open(trace, "rb") as f:
    r = tap.run([flowner, "run", "-r", "-"], stdin=f)
tap.ok(SUMMARY.fullmatch(r.stderr), "standard input", r.stderr)
r = tap.run([flowner, "run", "-r", trace, "--stats", "-o", "ecs:/dev/null"])
tap.has(r.stderr, f"  balance   {PACKETS} matched = ", "--stats shows all counters")
tap.has(r.stderr, ": balances\n", "which balance")


# What is opened later is no standard output.
r = tap.run(["sh", "-c", 'exec "$0" run -r "$1" -o ecs:- >&-', flowner, trace])
tap.ok(r.returncode and "output -: standard output is closed" in r.stderr, "a closed standard output fails the run", r.returncode, r.stderr)
notes = os.path.join(home, "notes.txt")
with open(notes, "w") as f:
    f.write("a line\nof somebody")
r = tap.run([flowner, "run", "-r", trace, "-o", f"ecs:{notes}"])
with open(notes) as f:
    tap.is_((r.returncode != 0, "is not a file of this format" in r.stderr, f.read()), (True, True, "a line\nof somebody"),
            "somebody's file is not cut")


def no_room():
    """A disk that stays full: what is written is whole lines, the rest is told."""
    folder = tap.tmpdir()
    tap.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder], check=True)
    try:
        r = tap.run([flowner, "run", "-r", trace, "-o", f"ecs:{folder}/out"])
        with open(f"{folder}/out", "rb") as f:
            lines = f.read().split(b"\n")
    finally:
        tap.run(["umount", folder])
    told = re.search(r"(\d+) records written, .*, left in the record ring (\d+)\n", r.stderr)
    tap.is_(r.returncode, 70, "a full disk fails the run")
    if tap.ok(told, "which says what it has not written", r.stderr):
        written, left = map(int, told.groups())
        tap.ok(left > 0 and written == len(lines) - 1, f"{written} lines are written and {left} left, not {len(lines) - 1}")
        tap.is_(lines[-1], b"", "no line is torn")


if root:
    no_room()
else:
    tap.skip("a full disk", "needs root to mount one")


def on_terminal(*args, **env):
    """Standard error is a terminal, standard output is not."""
    ours, theirs = pty.openpty()
    p = subprocess.Popen([flowner, "run", *args], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=theirs,
                         env={**{k: v for k, v in os.environ.items() if k != "NO_COLOR"}, "TERM": "xterm", **env})
    os.close(theirs)
    text = b""
    while True:
        try:
            text += os.read(ours, 65536)
        except OSError:  # nobody has the other end any more
            break
    os.close(ours)
    return p.wait(), text.decode()


status, text = on_terminal("-r", trace)
tap.is_(status, 0, "on a terminal")
tap.ok(SUMMARY.search(text.replace("\r\n", "\n")), "the summary comes last", text[-300:])
tap.has(text, "\r\033[K", "a progress bar is removed at the end")
status, text = on_terminal("-r", trace, NO_COLOR="1")
tap.ok("\033[3" not in text and "\r\033[K" in text, "NO_COLOR: no colours", text[:300])

tap.done()
