# SPDX-License-Identifier: Apache-2.0
"""Scripted sessions as packets: the words of tests/unit/flow-play.h, turned into capture files.

`>` from the client (10.0.0.1 or fd00::1, the port given), `<` from the server (10.0.0.2 or fd00::2, port 80), then flags,
sequence number, `,ack`, `+payload`; `~S` waits S seconds, `^S` sets the clock back by S. A script whose protocol is udp has
packets `>.0+PAYLOAD`, icmp ones are echo requests `>` and replies `<`.
"""
import os
import re
import struct

WORD = re.compile(r"([<>])([A-Z.]+)(\d+)(?:,(\d+))?(?:\+(\d+))?$")
FLAGS = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16, ".": 0}


def ip(v6, proto, from_client, body):
    if v6:
        ends = [bytes([0xFD]) + bytes(14) + bytes([n]) for n in ((1, 2) if from_client else (2, 1))]
        return b"\x86\xdd" + struct.pack(">IHBB", 6 << 28, len(body), 58 if proto == 1 else proto, 64) + b"".join(ends) + body
    ends = [bytes([10, 0, 0, n]) for n in ((1, 2) if from_client else (2, 1))]
    return b"\x08\0" + struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 1, 0, 64, proto, 0) + b"".join(ends) + body


def packet(word, proto, client_port, v6=False, shift=0):
    side, letters, seq, ack, payload = WORD.match(word).groups()
    from_client = side == ">"
    ports = (client_port, 80) if from_client else (80, client_port)
    data = bytes(int(payload or 0))
    if proto == "tcp":
        flags = sum(FLAGS[c] for c in letters)
        seq, ack = (int(seq) + shift) % 2**32, (int(ack) + shift) % 2**32 if ack else 0
        body = struct.pack(">HHIIBBHHH", *ports, seq, ack, 5 << 4, flags, 65535, 0, 0) + data
        return bytes(12) + ip(v6, 6, from_client, body)
    if proto == "udp":
        body = struct.pack(">HHHH", *ports, 8 + len(data), 0) + data
        return bytes(12) + ip(v6, 17, from_client, body)
    kind = (8 if from_client else 0) if not v6 else (128 if from_client else 129)
    return bytes(12) + ip(v6, 1, from_client, struct.pack(">BBHHH", kind, 0, 0, client_port, int(seq)) + data)


def play(script, proto, client_port, t_ns, v6=False, shift=0, pace=1):
    """[(t_ns, frame)] and the time at the end; a millisecond between two packets, shift added to all TCP numbers, waits cut
    to 1/pace."""
    found = []
    for word in script.split():
        if word[0] in "~^":
            t_ns += int(word[1:]) * 10**9 // pace * (1 if word[0] == "~" else -1)
            continue
        found.append((t_ns, packet(word, proto, client_port, v6, shift)))
        t_ns += 10**6
    return found, t_ns


def write(path, packets, snaplen=262144):
    with open(path, "wb") as f:
        f.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1))
        for t_ns, data in packets:
            part = data[:snaplen]
            f.write(struct.pack("<IIII", t_ns // 10**9, t_ns % 10**9, len(part), len(data)) + part)
    os.chmod(path, 0o644)
    return path
