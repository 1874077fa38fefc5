# SPDX-License-Identifier: Apache-2.0
"""A file gives the same bytes in every format whenever it is read, also after the next boot: two runs can be compared."""
import os
import time

import sessions
import tap

flowner = tap.program("flowner")
folder = tap.tmpdir()
NANO = 10**9
TCP = ">S100 <SA500,101 >A101,501 >PA101,501+30 <A501,131 <PA501,131+70 >A131,571 >FA131,571 <FA571,132 >A132,572"
packets = []
for n in range(60):
    proto, script = (("tcp", TCP), ("udp", ">.0+20 <.0+40"), ("icmp", ">.0+8 <.0+8"), ("tcp", ">S100 <RA0,101"))[n % 4]
    part, _ = sessions.play(script, proto, 20000 + n, 1_700_000_000 * NANO + n * NANO // 7, proto != "icmp" and n % 3 == 0)
    packets += part
packets.sort(key=lambda p: p[0])
read = sessions.write(os.path.join(folder, "read.pcap"), packets)
BOOT_ID = "/proc/sys/kernel/random/boot_id"
FORMATS = ["ecs", "ocsf", "zeek", "zeek-json", "sysmon", "pcapng", "text"]


def run(name, boot_id):
    """Every format's bytes; with another boot id where namespaces of mounts can be had."""
    outputs = []
    for f in FORMATS:
        outputs += ["-o", f"{f}:{os.path.join(folder, f)}"]
    argv = [flowner, "run", "-r", read, *outputs]
    if boot_id:
        other = os.path.join(folder, "boot_id")
        with open(other, "w") as f:
            f.write(boot_id + "\n")
        os.chmod(other, 0o644)
        argv = ["unshare", "-m", "sh", "-c", 'mount --bind "$0" "$1" && shift && exec "$@"', other, BOOT_ID, *argv]
    r = tap.run(argv, text=True)
    tap.is_(r.returncode, 0, f"{name}: the file is read") or tap.note(r.stderr)
    found = {}
    for f in FORMATS:
        path = os.path.join(folder, f)
        with open(path, "rb") as file:
            found[f] = file.read()
        os.unlink(path)
    return found


with open(BOOT_ID) as f:
    own = f.read().strip()
first = run("once", None)
time.sleep(1.1)  # so that the second has another second
if os.geteuid() == 0:
    second = run("after a boot", "01234567-89ab-cdef-0123-456789abcdef")
else:
    tap.skip("after a boot", "needs root")
    second = run("again", None)
for f in FORMATS:
    tap.ok(len(first[f]) > 500, f"{f}: there is something")
    tap.ok(first[f] == second[f], f"{f}: the same bytes", *[(a, b) for a, b in zip(
        first[f].splitlines(), second[f].splitlines()) if a != b][:1])
    tap.ok(own.encode() not in first[f], f"{f}: nothing of this boot")
tap.done()
