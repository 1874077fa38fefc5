#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the corpora of fuzz-dns and fuzz-tls: usage: make-corpus-names.py FOLDER-OF-DNS FOLDER-OF-TLS"""
import os
import struct
import sys


def name(text):
    return b"".join(bytes([len(x)]) + x.encode() for x in text.split(".")) + b"\0"


def dns(flags, questions, answers, body):
    return struct.pack("!HHHHHH", 7, flags, questions, answers, 0, 0) + body


def rr(owner, kind, data):
    return owner + struct.pack("!HHIH", kind, 1, 60, len(data)) + data


def vector(size, data):
    return len(data).to_bytes(size, "big") + data


def extension(kind, data):
    return struct.pack("!H", kind) + vector(2, data)


def hello(extensions):
    body = b"\3\3" + bytes(32) + vector(1, bytes(32)) + vector(2, b"\x13\1\x13\2") + vector(1, b"\0")
    return b"\x16\3\1" + vector(2, b"\1" + vector(3, body + vector(2, b"".join(extensions))))


question = name("www.example.test") + b"\0\1\0\1"
here = b"\xc0\x0c"
corpora = [{
    "question": dns(0x0100, 1, 0, question),
    "answer": dns(0x8180, 1, 2, question + rr(here, 1, b"\n\1\2\3") + rr(here, 28, bytes(16))),
    "alias": dns(0x8180, 1, 2, question + rr(here, 5, b"\1b\xc0\x10") + rr(b"\1b\xc0\x10", 1, b"\n\1\2\3")),
    "not-there": dns(0x8183, 1, 0, question),
    "text": dns(0x8180, 1, 2, question + rr(here, 16, b"\3abc") + rr(here, 1, b"\n\1\2\3")),
    "pointer-to-itself": dns(0x0100, 1, 0, b"\xc0\x0c\0\1\0\1"),
    "chain": dns(0x8180, 1, 3, question + b"".join(
        rr(b"\1b" + struct.pack("!H", 0xc000 | at), 1, b"\n\1\2\3") for at in (12, 34, 52))),
    "longest": dns(0x0100, 1, 0, name(".".join(["x" * 63] * 3 + ["x" * 61])) + b"\0\1\0\1"),
    "commas": dns(0x0100, 1, 0, name(",,\\\\") + b"\0\1\0\1"),
    "empty": b"",
}, {
    "whole": hello([extension(0, vector(2, b"\0" + vector(2, b"www.example.test"))),
                    extension(16, vector(2, vector(1, b"h2") + vector(1, b"http/1.1")))]),
    "no-extensions": hello([]),
    "other-name-type": hello([extension(0, vector(2, b"\1" + vector(2, b"x") + b"\0" + vector(2, b"y")))]),
    "long-list": hello([extension(16, vector(2, vector(1, b"p" * 200) + vector(1, b",\\" * 100)))]),
    "cut": hello([extension(0, vector(2, b"\0" + vector(2, b"www.example.test")))])[:-4],
    "server": b"\x16\3\3\0\4\2\0\0\0",
    "quic": b"\xc3\0\0\0\1\x08" + bytes(20),
    "empty": b"",
}]
for folder, corpus in zip(sys.argv[1:], corpora):
    os.makedirs(folder, exist_ok=True)
    for title, data in corpus.items():
        with open(os.path.join(folder, title), "wb") as f:
            f.write(data)
