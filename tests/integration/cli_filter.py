# SPDX-License-Identifier: Apache-2.0
"""`flowner filter`: of a file whose packets are known, each class has the number that was sent, and the sums are the file."""
import os
import struct

import tap

flowner = tap.program("flowner")
folder = tap.tmpdir()
ROOT = {"LC_ALL": "C", "PATH": os.environ["PATH"]}


def frame(protocol, payload, ethertype=0x0800, fragment=0):
    ip = struct.pack(">BBHHHBBHII", 0x45, 0, 20 + len(payload), 1, fragment, 64, protocol, 0, 0x0A000001, 0x0A000002)
    return bytes(12) + struct.pack(">H", ethertype) + ip + payload


def tcp(flags, data=b"", port=80):
    return frame(6, struct.pack(">HHIIBBHHH", 40000, port, 1, 1, 0x50, flags, 1000, 0, 0) + data)


def udp(port, data):
    return frame(17, struct.pack(">HHHH", 40000, port, 8 + len(data), 0) + data)


HELLO = b"\x16\x03\x01\x00\xc8\x01" + bytes(300)
# name: class by mode (handshake, handshake+tls, headers), how many, packet
SENT = [
    (("tcp", "tcp", "tcp"), 7, tcp(2)),
    (("tcp", "tcp", "tcp"), 5, tcp(0x11, bytes(900))),
    (("tcp-no-more", "tcp-no-more", "tcp"), 400, tcp(0x10, bytes(1400))),
    (("tcp-no-more", "tls", "tls"), 3, tcp(0x18, HELLO, 443)),
    (("dns", "dns", "dns"), 11, udp(53, bytes(600))),
    (("quic", "quic", "quic"), 13, udp(443, b"\xc3" + bytes(1199))),
    (("udp", "udp", "udp"), 170, udp(443, b"\x43" + bytes(1199))),
    (("icmp", "icmp", "icmp"), 2, frame(1, b"\x08" + bytes(55))),
    (("sctp", "sctp", "sctp"), 1, frame(132, bytes(12) + b"\x01" + bytes(40))),
    (("none", "none", "sctp"), 6, frame(132, bytes(12) + b"\x00" + bytes(40))),
    (("none", "none", "none"), 4, frame(17, bytes(500), fragment=3)),
    (("none", "none", "none"), 9, bytes(12) + b"\x08\x06" + bytes(46)),
    (("short", "short", "short"), 1, bytes(12)),
]
SNAP = {"tcp": 128, "tls": 2000, "dns": 512, "quic": 1440, "udp": 96, "icmp": 128, "sctp": 128}


def tagged(packet):
    return packet[:12] + b"\x81\0\0\7" + packet[12:]


def pcap(name, packets):
    path = f"{folder}/{name}.pcap"
    with open(path, "wb") as f:
        f.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        for i, p in enumerate(packets):
            f.write(struct.pack("<IIII", i, 0, len(p), len(p)) + p)
    return path


def show(*args):
    return tap.run([flowner, "filter", *args], env=ROOT)


def rows(text):
    """{class: (packets, bytes, kept)} of the second table."""
    lines = text.split("insns run\n")[1].splitlines()
    return {f[0]: tuple(map(int, f[1:4])) for f in map(str.split, lines) if len(f) == 5}


for name, change in ("plain", bytes), ("tagged", tagged):
    path = pcap(name, [change(p) for _, n, p in SENT for _ in range(n)])
    for column, mode in enumerate(("handshake", "handshake+tls", "headers")):
        want, everything, taken = {}, (0, 0, 0), (0, 0, 0)
        for classes, n, packet in SENT:
            kind, size = classes[column], len(change(packet))
            kept = min(size, SNAP.get(kind, 0))
            add = (n, n * size, n * kept)
            want[kind] = tuple(map(sum, zip(want.get(kind, (0, 0, 0)), add)))
            everything = tuple(map(sum, zip(everything, add)))
            taken = tuple(map(sum, zip(taken, add if kept else (0, 0, 0))))
        r = show("-r", path, "-m", mode)
        got = rows(r.stdout)
        tap.is_((r.returncode, r.stderr), (0, ""), f"{name}, {mode}: good")
        tap.is_((got.pop("all"), got.pop("taken")), (everything, taken), f"{name}, {mode}: the sums are the file's")
        tap.is_({k: v for k, v in got.items() if v[0]}, want, f"{name}, {mode}: each class has what was sent")

r = show("-r", f"{folder}/plain.pcap", "port", "53")
tap.is_(rows(r.stdout)["taken"][0], 11, "an expression narrows it")
tap.is_(rows(r.stdout)["expression"][0], sum(n for _, n, _ in SENT) - 12, "what it rejects has a row; one is too short")
r = show("-r", f"{folder}/plain.pcap", "--set", "capture.filter=port 53", "--set", "capture.mode=headers")
tap.is_(rows(r.stdout)["taken"][0], 11, "that of the configuration counts, too")
tap.has(r.stdout, "Mode headers, ", "and its mode")
with open(f"{folder}/cut.pcap", "wb") as cut, open(f"{folder}/plain.pcap", "rb") as whole:
    cut.write(whole.read(24 + 2 * (16 + 54) + 20))
r = show("-r", f"{folder}/cut.pcap")
tap.is_((r.returncode, rows(r.stdout)["all"][0]), (0, 2), "the whole packets of a cut file")
tap.has(r.stderr, "ignoring the rest of it", "a warning about the cut")
with open(f"{folder}/plain.pcap", "rb") as f:
    r = tap.run([flowner, "filter", "-r", "-"], stdin=f)
tap.is_(rows(r.stdout)["tcp"][0], 12, "- is standard input")

for args, head in ((), "any (LINUX_SLL2)"), (("-i", "lo"), "lo (EN10MB)"), (("--set", "capture.interfaces=lo"), "lo (EN10MB)"):
    r = show("--set", "capture.mode=handshake", *args)
    lines = r.stdout.splitlines()
    tap.ok(r.returncode == 0 and lines[0].startswith(f"Mode handshake, {head}: "), f"{head}: explained", r.stdout, r.stderr)
    insns = [int(line[12:18]) for line in lines[4:]]
    tap.is_(sum(insns), int(lines[0].split(": ")[1].split()[0]), f"{head}: the rows are the program")
    tap.ok(max(map(len, lines)) <= 80 and len(lines) <= 24, f"{head}: fits 80 x 24", r.stdout)

for args, status, text in [
        (("tcp", "prot", "80"), 64, "bad filter expression \"tcp prot 80\": can't parse filter expression: syntax error, "
                                    "at character 5, \"prot\""),
        (("-r", f"{folder}/no"), 66, "No such file"), (("-r", "/dev/null"), 65, "not a pcap"), (("-i", "nosuch0"), 66, "no such"),
        (("-m", "all"), 78, "capture.mode"), (("-c", f"{folder}/no.yaml"), 78, "cannot be opened"),
        (("-r", "a", "-i", "lo"), 64, "exclude each other"), (("--frob",), 64, "unknown option --frob"),
        (("-r",), 64, "missing value of option -r")]:
    r = show(*args)
    tap.is_((r.returncode, r.stdout, r.stderr.count("\n")), (status, "", 1), f"{' '.join(args)}: status and one line")
    tap.has(r.stderr, text, "what is wrong")

tap.done()
