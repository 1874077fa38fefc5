#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the corpus of fuzz-decode: one small packet for every way through the decoder.

usage: make-corpus-decode.py FOLDER    (tests/fuzz/corpus/decode in the repository; the result is always the same)

Each file is the link type (2 bytes), the length on the wire beyond the captured bytes (2), the packet.
"""
import os
import struct
import sys

V4, V6 = 0x0800, 0x86DD
TCP, UDP, ICMP, ICMPV6, SCTP = 6, 17, 1, 58, 132


def tcp(flags=2, options=b"", payload=b""):
    return struct.pack(">HHIIBBHHH", 40000, 443, 100, 500, (5 + len(options) // 4) << 4, flags, 1024, 0, 0) + options + payload


def udp(payload=b"", size=None, port=53):
    return struct.pack(">HHHH", 40000, port, 8 + len(payload) if size is None else size, 0) + payload


def icmp(kind, code=0, payload=b"ping"):
    return struct.pack(">BBHHH", kind, code, 0, 999, 1) + payload


def sctp():
    return struct.pack(">HHII", 40000, 443, 1, 0) + bytes([1, 0, 0, 20]) + bytes(16)


def ip4(proto, body, options=b"", frag=0x4000, total=None, version=4):
    head = 20 + len(options)
    total = head + len(body) if total is None else total
    return struct.pack(">BBHHHBBH4s4s", version << 4 | head // 4, 0, total, 1, frag, 64, proto, 0,
                       bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])) + options + body


def ip6(first, body, size=None, version=6):
    return struct.pack(">IHBB", version << 28, len(body) if size is None else size, first, 64) + \
        bytes.fromhex("20010db8000000000000000000000001") + bytes.fromhex("20010db8000000000000000000000002") + body


def ext(following, size=8):
    return bytes([following, size // 8 - 1]) + bytes(size - 2)


def fragment(following, value):
    return struct.pack(">BBHI", following, 0, value, 77)


def ah(following, words=4):
    return bytes([following, words]) + bytes((words + 2) * 4 - 2)


def ethernet(kind, packet, tags=()):
    out = bytes(12)
    for tag in tags:
        out += struct.pack(">HH", tag, 100)
    return out + struct.pack(">H", kind) + packet


def sll(kind, packet, hatype=1):
    return struct.pack(">HHH8sH", 4, hatype, 6, bytes(8), kind) + packet


def sll2(kind, packet, hatype=1):
    return struct.pack(">HHIHBB8s", kind, 0, 3, hatype, 4, 6, bytes(8)) + packet


def seeds():
    syn4, syn6 = ip4(TCP, tcp()), ip6(TCP, tcp())
    links = {
        "ethernet-4": (1, ethernet(V4, syn4)), "ethernet-6": (1, ethernet(V6, syn6)),
        "ethernet-vlan": (1, ethernet(V4, syn4, [0x8100])), "ethernet-qinq": (1, ethernet(V6, syn6, [0x88A8, 0x8100])),
        "ethernet-9100": (1, ethernet(V4, syn4, [0x9100, 0x8100])), "ethernet-3-tags": (1, ethernet(V4, syn4, [0x8100] * 3)),
        "ethernet-arp": (1, ethernet(0x0806, bytes(28))), "ethernet-padded": (1, ethernet(V4, syn4) + bytes(6)),
        "ethernet-length": (1, ethernet(0x26, bytes(38))),
        "sll": (113, sll(V4, syn4)), "sll-vlan": (113, sll(0x8100, struct.pack(">HH", 100, V4) + syn4)),
        "sll2": (276, sll2(V6, syn6)), "sll2-vlan": (276, sll2(0x8100, struct.pack(">HH", 100, V6) + syn6)),
        "sll2-netlink": (276, sll2(0, bytes(40), 824)),
        "raw-dlt": (12, syn4), "raw": (101, syn6), "ipv4": (228, syn4), "ipv6": (229, syn6), "ipv4-is-6": (228, syn6),
        "null-little": (0, struct.pack("<I", 2) + syn4), "null-big": (0, struct.pack(">I", 24) + syn6),
        "null-freebsd": (0, struct.pack("<I", 28) + syn6), "loop": (108, struct.pack(">I", 30) + syn6),
        "null-unknown": (0, bytes(4) + syn4), "unknown-link": (127, syn4), "empty": (1, b""),
    }
    packets = {
        "4-options": ip4(TCP, tcp(), bytes(40)), "4-first-fragment": ip4(UDP, udp(b"x" * 8, 1008), frag=0x2000),
        "4-fragment": ip4(UDP, bytes(16), frag=0x2001), "4-tso": ip4(TCP, tcp(0x18, b"", b"data"), total=0),
        "4-ah": ip4(51, ah(TCP) + tcp()), "4-ah-short": ip4(51, ah(TCP, 0) + bytes(8) + tcp()), "4-gre": ip4(47, bytes(16)),
        "4-version-5": ip4(TCP, tcp(), version=5), "4-length-19": ip4(TCP, tcp(), total=19), "4-length-39": ip4(TCP, tcp(), total=39),
        "4-icmp6": ip4(ICMPV6, icmp(128)),
        "6-hop": ip6(0, ext(TCP, 16) + tcp()), "6-routing-dst": ip6(43, ext(60, 24) + ext(TCP) + tcp()),
        "6-first-fragment": ip6(44, fragment(UDP, 1) + udp(b"x" * 8, 1008)), "6-fragment": ip6(44, fragment(UDP, 8) + bytes(16)),
        "6-atomic": ip6(44, fragment(TCP, 0) + tcp()), "6-ah": ip6(51, ah(TCP) + tcp()),
        "6-jumbo": ip6(0, bytes([TCP, 0, 0xC2, 4, 0, 1, 0, 0]) + tcp(), size=0), "6-none": ip6(59, b""),
        "6-chain-8": ip6(60, ext(60) * 7 + ext(TCP) + tcp()), "6-chain-9": ip6(60, ext(60) * 8 + ext(TCP) + tcp()),
        "6-ext-too-long": ip6(60, bytes([TCP, 255]) + bytes(6) + tcp()), "6-esp": ip6(50, bytes(32)),
        "tcp-options": ip4(TCP, tcp(2, bytes(40))), "tcp-fin-data": ip4(TCP, tcp(0x11, b"", b"bye")),
        "tcp-rst": ip6(TCP, tcp(0x14)), "tcp-offset-4": ip4(TCP, tcp()[:12] + b"\x40" + tcp()[13:]),
        "udp-dns": ip4(UDP, udp(bytes(12) + b"\x03www\x00\x00\x01\x00\x01")), "udp-empty": ip6(UDP, udp()),
        "udp-length-0": ip4(UDP, udp(b"data", 0)), "udp-length-7": ip4(UDP, udp(b"data", 7)), "udp-too-long": ip4(UDP, udp(b"data", 100)),
        "udp-quic": ip6(UDP, udp(b"\xc3\x00\x00\x00\x01" + bytes(20), port=443)),
        "icmp-echo": ip4(ICMP, icmp(8)), "icmp-reply": ip4(ICMP, icmp(0)), "icmp-unreachable": ip4(ICMP, icmp(3, 3, syn4)),
        "icmp-short": ip4(ICMP, bytes(7)), "icmp6-echo": ip6(ICMPV6, icmp(128)), "icmp6-reply": ip6(ICMPV6, icmp(129)),
        "icmp6-neighbour": ip6(ICMPV6, icmp(135, 0, bytes(16))), "sctp": ip4(SCTP, sctp()),
    }
    for name, packet in packets.items():
        links["ip-" + name] = (101, packet)
    return links


def main(folder):
    os.makedirs(folder, exist_ok=True)
    files = {name: struct.pack(">HH", link, 0) + packet for name, (link, packet) in seeds().items()}
    # A length that only the wire knows: what a segmentation offload leaves.
    files["ethernet-big-tcp"] = struct.pack(">HH", 1, 60000) + ethernet(V4, ip4(TCP, tcp(0x18, b"", b"x" * 20), total=0))
    for name, content in files.items():
        with open(os.path.join(folder, name), "wb") as f:
            f.write(content)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
