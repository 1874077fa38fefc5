# SPDX-License-Identifier: Apache-2.0
"""A small DNS server for names.py: dns_server.py ADDRESS, on port 53. Prints "ready" once it listens.

What it answers is in the question's first label: aN is the address 10.77.0.N (and nothing for AAAA), cN an alias of
"target.N.example.test" with that address, nN does not exist, sN is first answered by three that nobody asked for, as a
spoofer would, and then by its address. Any other first label is 10.77.0.250.
"""
import socket
import struct
import sys


def labels(message):
    at, found = 12, []
    while message[at]:
        found.append(message[at + 1:at + 1 + message[at]])
        at += 1 + message[at]
    return found, at + 1


def wire(name):
    return b"".join(bytes([len(x)]) + x for x in name.encode().split(b".")) + b"\0"


def record(owner, kind, data, ttl=60):
    return owner + struct.pack("!HHIH", kind, 1, ttl, len(data)) + data


def address(n):
    return bytes([10, 77, 0, n])


def reply(ident, question, answers, rcode=0):
    return struct.pack("!HHHHHH", ident, 0x8180 | rcode, 1, len(answers), 0, 0) + question + b"".join(answers)


def answer(message):
    """All the datagrams that answer one."""
    ident, = struct.unpack_from("!H", message)
    name, end = labels(message)
    question = message[12:end + 4]
    kind, = struct.unpack_from("!H", message, end)
    first, n = name[0][:1], int(name[0][1:]) if name[0][1:].isdigit() else 250
    if kind != 1:
        return [reply(ident, question, [])]
    here = b"\xc0\x0c"
    if first == b"n":
        return [reply(ident, question, [], rcode=3)]
    if first == b"c":
        target = wire(f"target.{n}.example.test")
        return [reply(ident, question, [record(here, 5, target), record(target, 1, address(n))])]
    good = reply(ident, question, [record(here, 1, address(n))])
    if first != b"s":
        return [good]
    other = wire("bank.example.test")
    return [reply(ident ^ 1, question, [record(here, 1, address(n + 1))]),
            reply(ident, other + question[-4:], [record(here, 1, address(n + 1))]),
            reply(ident, question, [record(other, 1, address(n + 1)), record(here, 1, address(n))]),
            good]


if __name__ == "__main__":
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((sys.argv[1], 53))
    print("ready", flush=True)
    while True:
        data, peer = s.recvfrom(2048)
        for datagram in answer(data):
            s.sendto(datagram, peer)
