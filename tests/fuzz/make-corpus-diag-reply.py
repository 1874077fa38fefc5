#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the corpus of fuzz-diag-reply: usage: make-corpus-diag-reply.py FOLDER"""
import os
import socket
import struct
import sys

SOCK_DIAG_BY_FAMILY, NLMSG_ERROR, NLMSG_DONE = 20, 2, 3
ESTABLISHED, TIME_WAIT, CLOSE, LISTEN = 1, 6, 7, 10


def message(kind, body, seq=7, flags=0):
    length = 16 + len(body)
    return struct.pack("=IHHII", length, kind, flags, seq, 4242) + body + bytes(-length % 4)


def attribute(kind, value):
    length = 4 + len(value)
    return struct.pack("=HH", length, kind) + value + bytes(-length % 4)


def reply(family, state, src, sport, dst, dport, inode, uid, attributes=b""):
    address = [socket.inet_pton(family, a).ljust(16, b"\0") for a in (src, dst)]
    body = struct.pack("=BBBB", family, state, 0, 0) + struct.pack("!HH", sport, dport)
    body += address[0] + address[1] + struct.pack("=III", 0, 5, 6)
    return message(SOCK_DIAG_BY_FAMILY, body + struct.pack("=IIIII", 0, 0, 0, uid, inode) + attributes)


v4, v6 = socket.AF_INET, socket.AF_INET6
more = attribute(8, b"\0") + attribute(11, b"\1") + attribute(21, struct.pack("=Q", 4711)) + attribute(22, b"\0\0")
corpus = {
    "established": reply(v4, ESTABLISHED, "10.0.0.1", 40000, "10.0.0.2", 80, 999, 1000, more),
    "listener": reply(v6, LISTEN, "::", 80, "::", 0, 998, 0, more),
    "time-wait": reply(v4, TIME_WAIT, "10.0.0.1", 40000, "10.0.0.2", 80, 0, 0),
    "udp-bound": reply(v4, CLOSE, "0.0.0.0", 53, "0.0.0.0", 0, 997, 101, more),
    "mapped": reply(v6, ESTABLISHED, "::ffff:10.0.0.1", 40000, "::ffff:10.0.0.2", 80, 996, 0, more),
    "no-such-socket": message(NLMSG_ERROR, struct.pack("=i", -2) + bytes(16)),
    "done": message(NLMSG_DONE, struct.pack("=i", 0), flags=2),
    "short-error": message(NLMSG_ERROR, b""),
    "attribute-too-long": reply(v4, ESTABLISHED, "10.0.0.1", 1, "10.0.0.2", 2, 3, 4, struct.pack("=HHI", 200, 21, 0)),
    "two-gigabytes": message(SOCK_DIAG_BY_FAMILY, b"\xff" * 4) + b"\xff" * 100,
    "empty": b"",
}
corpus["batch"] = b"".join(corpus[n] for n in ("established", "no-such-socket", "listener", "time-wait", "done"))
os.makedirs(sys.argv[1], exist_ok=True)
for name, data in corpus.items():
    with open(os.path.join(sys.argv[1], name), "wb") as f:
        f.write(data)
