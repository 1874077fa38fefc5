# SPDX-License-Identifier: Apache-2.0
"""The packet filter, as the BPF paper (McCanne & Jacobson 1993) measured its own.

    FLOWNER_BUILD=build tests/bench/filter.py [--quick] [--rounds N]

Prints four tables in Markdown: what a packet costs at a socket that takes or rejects all, by its size; deciding in the
kernel against copying first and deciding in user space; the bytes flowner keeps of a mix of traffic, by class; the
paper's four filters on the register machine and on a boolean tree. Times are CPU time, medians of N rounds (7) in which
all rivals take turns. Then TAP lines. --quick proves that it runs, and judges no time.
"""
import argparse
import collections
import os
import statistics
import struct
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../integration"))
import tap  # noqa: E402

FLAT = 0.10  # how much rejecting may depend on the size
KINDS = ["none", "reject", "reject-5", "flowner", "accept", "accept-128"]
MODES = ["handshake", "handshake+tls", "headers"]
FILTERS = {"word": "one 16-bit word: IP", "host": "a host: IP, from or to it", "port": "a TCP destination port",
           "two": "two hosts: IP, ARP, RARP"}


def lines(name, prefix, *args):
    r = tap.run([*prefix, tap.program(f"tests/bench/filter/{name}"), *map(str, args)], timeout=300)
    tap.ok(r.returncode == 0, f"{name}: each packet was decided about as it should be", r.stderr)
    return [x.split() for x in r.stdout.splitlines()]


def medians(rows, n):
    """{the first n words: median of the last}"""
    values = collections.defaultdict(list)
    for row in rows:
        values[tuple(row[:n])].append(float(row[-1]))
    return {k: statistics.median(v) for k, v in values.items()}


def table(say, title, head, rows):
    say(f"\n{title}\n\n| {' | '.join(head)} |\n|---{'|---:' * (len(head) - 1)}|")
    for row in rows:
        say(f"| {' | '.join(row)} |")


# ---- a and b: in the kernel

def interfaces():
    """A bridge without ports for each kind: it throws frames away at once, and says nothing itself."""
    ns = tap.netns("filter")
    for i in range(len(KINDS)):
        subprocess.run(tap.inside(ns, "ip", "link", "add", f"p{i}", "type", "bridge", "mcast_snooping", "0"), check=True)
        subprocess.run(tap.inside(ns, "sysctl", "-qw", f"net.ipv6.conf.p{i}.disable_ipv6=1"), check=True)
        subprocess.run(tap.inside(ns, "ip", "link", "set", f"p{i}", "up"), check=True)
    return ns


def kernel(say, rounds, bursts, judge):
    ns = interfaces()
    rows = lines("tap-cost", tap.inside(ns), *(f"p{i}" for i in range(len(KINDS))), rounds, bursts)
    base = medians([r for r in rows if r[0] == "base"], 2)
    cost = medians([r for r in rows if r[0] != "base"], 3)
    sizes = [k[1] for k in base]
    further = {s: (cost["size", s, "reject-5"] - cost["size", s, "reject"]) / 4 for s in sizes}
    table(say, "ns a packet at a packet socket, beyond those without one", [
        "bytes", "no socket", "reject-all", "each further reject-all", "flowner rejects", "accept 128 bytes", "accept-all"], [
        [s, f"{base['base', s]:.0f}"] + [f"{x:.0f}" for x in (
            cost["size", s, "reject"], further[s], *(cost["size", s, k] for k in ("flowner", "accept-128", "accept")))]
        for s in sizes])
    spread = {name: max(v) / min(v) - 1 for name, v in (
        ("reject", [cost["size", s, "reject"] for s in sizes]), ("further", list(further.values())),
        ("accept", [cost["size", s, "accept"] for s in sizes]))}
    say(f"\nFrom {sizes[0]} to {sizes[-1]} bytes a socket that rejects all varies by {spread['further'] * 100:.1f} %, with "
        f"the kernel's clone for the first by {spread['reject'] * 100:.1f} %; one that accepts all "
        f"by {spread['accept'] * 100:.1f} %.")
    shares = sorted({k[1] for k in cost if k[0] == "share"}, key=int)
    table(say, "ns a packet where flowner's program decides (mode handshake), reading included; segments of 1454 bytes", [
        "SYNs", "in the kernel", "copied whole, then decided", "ratio", "128 bytes copied, then decided", "ratio"], [
        [f"{s} %"] + [f"{cost['share', s, 'flowner']:.0f}"] +
        [x for k in ("accept", "accept-128") for x in
         (f"{cost['share', s, k]:.0f}", f"{cost['share', s, 'flowner'] / cost['share', s, k]:.2f}")] for s in shares])
    if judge:
        tap.ok(spread["further"] < FLAT, f"rejecting varies by less than {FLAT * 100:.0f} % with the size", further)
        tap.ok(all(cost["share", s, "flowner"] < cost["share", s, "accept"] for s in ("0", "1", "10")),
               "deciding in the kernel is cheaper where little is wanted")


# ---- c: bytes kept

def packet(protocol, head, data=0, first=b"", ethertype=0x0800):
    payload = head + first + bytes(data - len(first))
    ip = struct.pack(">BBHHHBBHII", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0, 0x0A000001, 0x0A000002)
    return bytes(12) + struct.pack(">H", ethertype) + ip + payload


def tcp(flags, data=0, first=b"", port=443):
    return packet(6, struct.pack(">HHIIBBHHH", 40000, port, 1, 1, 0x80, flags, 1000, 0, 0) + bytes(12), data, first)


def udp(port, data, first=b""):
    return packet(17, struct.pack(">HHHH", 40000, port, 8 + data, 0), data, first)


def mix():
    """A page's worth: 10 names, 6 connections with TLS of 100 KB each, one by QUIC of as much, a ping, ARP."""
    hello = b"\x16\x03\x01\x02\x00\x01"
    yield from (udp(53, n) for _ in range(10) for n in (32, 120))
    for _ in range(6):
        yield from (tcp(2), tcp(0x12), tcp(0x10), tcp(0x18, 517, hello), *[tcp(0x10, 1448)] * 3, tcp(0x18, 80))
        yield from (tcp(0x10, 1448 if n % 3 else 0) for n in range(104))
        yield from (tcp(0x11), tcp(0x11), tcp(0x10))
    yield from [udp(443, 1200, b"\xc3")] * 4 + [udp(443, 1252, b"\x43")] * 80 + [udp(443, 40, b"\x43")] * 27
    yield from [packet(1, b"\x08" + bytes(7), 56)] * 2 + [bytes(12) + b"\x08\x06" + bytes(46)] * 2


def kept(say):
    path = os.path.join(tap.tmpdir(), "mix.pcap")
    with open(path, "wb") as f:
        f.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        for i, p in enumerate(mix()):
            f.write(struct.pack("<IIII", i, 0, len(p), len(p)) + p)
    found, order, insns = {}, [], {}
    for mode in MODES:
        r = tap.run([tap.program("flowner"), "filter", "-m", mode, "-r", path])
        tap.ok(r.returncode == 0 and "insns run\n" in r.stdout, f"flowner filter counts the mix, {mode}", r.stderr)
        for name, packets, size, keep, run in (x.split() for x in r.stdout.split("insns run\n")[1].splitlines()
                                               if len(x.split()) == 5):
            found[mode, name] = int(packets), int(size), int(keep)
            insns[mode, name] = run
            order += [name] if name not in order else []
    whole = found[MODES[0], "all"]

    def cell(mode, name):
        packets, size, keep = found.get((mode, name), (0, 0, 0))
        return [str(packets), f"{keep / size * 100:.1f} %" if size else "-", insns[mode, name] if packets else "-"]
    order = [x for x in order if any(found.get((m, x), [0])[0] for m in MODES)]
    order.sort(key=lambda x: (x in ("taken", "all"), x == "all"))
    table(say, f"Bytes kept of each class's packets, and instructions run for one, of a mix of {whole[0]} packets and "
          f"{whole[1]} bytes (a page over TLS and QUIC)", ["class"] + [x for m in MODES for x in (m, "kept", "insns")],
          [[name] + [x for m in MODES for x in cell(m, name)] for name in order])


# ---- d: the paper's four filters

def machines(say, rounds, passes):
    rows = lines("machines", [], rounds, passes)
    time = medians([r[1:] for r in rows if r[0] == "time"], 2)
    run = {(r[1], r[2]): r[4] for r in rows if r[0] == "run"}
    match = {r[1]: float(r[2]) for r in rows if r[0] == "match"}
    table(say, "The paper's four filters: instructions run for a packet (mean), and ns", [
        "filter", "matches", "registers", "ns", "tree", "ns", "ratio", "tree, ends early", "ns", "ratio"], [
        [what, f"{match[f] * 100:.0f} %", run[f, "bpf"], f"{time[f, 'bpf']:.1f}"] +
        [x for m in ("tree", "tree-short") for x in
         (run[f, m], f"{time[f, m]:.1f}", f"{time[f, 'bpf'] / time[f, m]:.2f}")] for f, what in FILTERS.items()])
    tap.ok(all(float(run[f, "bpf"]) < float(run[f, "tree"]) for f in ("host", "port", "two")),
           "the register machine runs fewer instructions than the tree", run)


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--quick", action="store_true")
    a.add_argument("--rounds", type=int, default=7)
    a = a.parse_args()
    tap.need_root()
    say = tap.note if a.quick else print
    kernel(say, 1 if a.quick else a.rounds, 3 if a.quick else 300, not a.quick)
    kept(say)
    machines(say, 1 if a.quick else a.rounds, 2 if a.quick else 500)
    tap.done()


if __name__ == "__main__":
    main()
