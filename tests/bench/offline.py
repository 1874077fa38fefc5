# SPDX-License-Identifier: Apache-2.0
"""How long `flowner run -r FILE` takes to an ecs file, beside tcpdump and tshark printing it and libpcap reading it.

    tests/bench/offline.py [--quick] [--rounds N] [--connections N] [--only SUBJECT,...]

The file is made here: connections of ten packets, 20,000 a second, TCP over IPv4 and IPv6 and UDP. Medians of interleaved
rounds: wall time, and the CPU of all processes. tshark reads a part of the file and is scaled up.
"""
import argparse
import os
import resource
import statistics
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
import sessions  # noqa: E402
import tap  # noqa: E402

FLOWNER = tap.program("flowner")
READ = tap.program("tests/bench/sink/pcap-read")
TCP = (">S100 <SA500,101 >A101,501 >PA101,501+100 <A501,201 <PA501,201+900 >A201,1401 >FA201,1401 <FA1401,202 "
       ">A202,1402")
UDP = ">.0+40 <.0+120 >.0+40 <.0+500 >.0+40 <.0+120 >.0+40 <.0+900 >.0+40 <.0+120"
SNAPLEN = 128
PART = 20  # tshark's


def make(path, part, connections):
    """The file, its first part, and the number of its packets."""
    kinds = [("tcp", TCP, False)] * 7 + [("tcp", TCP, True)] + [("udp", UDP, False)] * 2
    made = [(proto, v6, [w[0] == ">" for w in script.split()], [f for _, f in sessions.play(script, proto, 0, 0, v6)[0]])
            for proto, script, v6 in kinds]
    packets = []
    for n in range(connections):
        _, v6, directions, frames = made[n % len(made)]
        at = 54 if v6 else 34
        for i, (from_client, frame) in enumerate(zip(directions, frames)):
            port = at if from_client else at + 2
            last = at - 1 - (16 if v6 else 4) * from_client  # byte of the client's address
            t = n * 50_000 + i * 1_000_000
            packets.append((t, frame[:last] + bytes([100 + n // 64000]) + frame[last + 1:port] +
                            struct.pack(">H", 1024 + n % 64000) + frame[port + 2:]))
    packets.sort(key=lambda p: p[0])
    packets = [(1_700_000_000 * 10**9 + t, frame) for t, frame in packets]
    sessions.write(path, packets, SNAPLEN)
    sessions.write(part, packets[:len(packets) // PART], SNAPLEN)
    return len(packets)


def measure(argv):
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    r = subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    wall, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if r.returncode:
        tap.bail(f"{argv[0]} ended with {r.returncode}", r.stderr)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def have(program):
    return any(os.access(os.path.join(d, program), os.X_OK) for d in os.environ["PATH"].split(":"))


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--quick", action="store_true")
    a.add_argument("--rounds", type=int, default=5)
    a.add_argument("--connections", type=int, default=100000)
    a.add_argument("--only", default="")
    a = a.parse_args()
    if a.quick:
        a.rounds, a.connections = 1, 2000
    folder = tap.tmpdir()
    path, part, out = (os.path.join(folder, n) for n in ("all.pcap", "part.pcap", "out.ndjson"))
    n = make(path, part, a.connections)
    subjects = {
        "flowner": [FLOWNER, "run", "-r", path, "-o", f"ecs:{out}"],
        "tcpdump -nn": ["tcpdump", "-nn", "-r", path],
        "tshark -T fields": ["tshark", "-n", "-r", part, "-T", "fields", "-e", "frame.time_epoch", "-e", "ip.src", "-e",
                             "tcp.srcport", "-e", "ip.dst", "-e", "tcp.dstport", "-e", "tcp.flags"],
        "pcap_loop": [READ, "loop", path],
        "pcap_loop, decoded": [READ, "decode", path],
    }
    if a.only:
        subjects = {k: v for k, v in subjects.items() if k in a.only.split(",")}
    for name in [s for s, argv in subjects.items() if not have(os.path.basename(argv[0])) and os.sep not in argv[0]]:
        tap.skip(name, "not installed")
        del subjects[name]
    found = {s: [] for s in subjects}
    for _ in range(a.rounds):
        for name, argv in subjects.items():
            scale = PART if name.startswith("tshark") else 1
            found[name].append(tuple(x * scale for x in measure(argv)))
            if name == "flowner":
                with open(out, "rb") as f:
                    ends = sum(b'"end"' in line for line in f)
                os.unlink(out)
    tap.note(f"{n} packets, {a.rounds} rounds        wall s      CPU s   ns/packet")
    wall = {}
    for name, rows in found.items():
        wall[name] = statistics.median(w for w, _ in rows)
        cpu = statistics.median(c for _, c in rows)
        tap.note(f"{name:30}{wall[name]:11.3f}{cpu:11.3f}{wall[name] / n * 1e9:12.0f}")
    if "flowner" in found:
        tap.is_(ends, a.connections, "flowner has the end of each connection")
    if not a.quick and {"flowner", "tcpdump -nn"} <= set(found):
        ratio = wall["flowner"] / wall["tcpdump -nn"]
        tap.ok(ratio <= 0.15, f"to ecs in at most 0.15 of the time of tcpdump -nn: {ratio:.3f}")
    if not a.quick and {"pcap_loop", "pcap_loop, decoded"} <= set(found):
        ratio = wall["pcap_loop, decoded"] / wall["pcap_loop"]
        tap.ok(ratio <= 1.2, f"reading and decoding takes at most 1.2 of reading: {ratio:.3f}")
    tap.done()


if __name__ == "__main__":
    main()
