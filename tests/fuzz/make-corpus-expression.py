# SPDX-License-Identifier: Apache-2.0
"""Seeds of corpus/expression: one of each kind of term, operators, and what is refused.

    make-corpus-expression.py FOLDER
"""
import os
import sys

SEEDS = {
    "all": b"process:curl port:443 not host:10.0.0.0/8 or user:ann bytes:1MiB- duration:5s-1m",
    "bare": b"loopback",
    "bare-wrong": b"tcp 443 10.0.0.1 loopbak curl",
    "escapes": b"process:a\\,\\ \\*\\\"\\\\ args:\"a b, *\"",
    "globs": b"exe:*/bin/* name:*.Example.com host:*.x",
    "glob-many": b"args:" + b"*a" * 200,
    "hosts": b"host:1.2.3.4,::1,2001:db8::/32,10.0.0.0/8,::ffff:1.2.3.4,0.0.0.0/0,::/0",
    "hosts-wrong": b"host:10.0.0.0/33",
    "keys": b"prot:tcp",
    "lists": b"port:" + b",".join(b"%d" % n for n in range(300)),
    "names": b"direction:egress,local state:SF,S0 method:seed confidence:exact event:end reason:reset service:dns",
    "names-wrong": b"direction:egres",
    "nots": b"not not port:1",
    "ors": b"port:1 or port:2 or",
    "protocols": b"proto:tcp,udp,icmp,sctp,47",
    "quote": b"process:\"a",
    "ranges": b"port:1-2,3-,-4 pid:0-18446744073709551615 uid:18446744073709551616",
    "backwards": b"port:9-1",
    "steering": b"\x1b[2J:\xff\x00",
    "terms": b"pid:1 " * 70,
}


def main(folder):
    os.makedirs(folder, exist_ok=True)
    for name, data in SEEDS.items():
        with open(os.path.join(folder, name), "wb") as f:
            f.write(data)


main(sys.argv[1])
