# SPDX-License-Identifier: Apache-2.0
"""Seeds of corpus/connector: one message of each kind, two in a row, and some that lie about their length.

    make-corpus-connector.py FOLDER
"""
import os
import struct
import sys

KINDS = {"ack": 0, "fork": 1, "exec": 2, "uid": 4, "gid": 0x40, "sid": 0x80, "comm": 0x200, "exit": 0x80000000}


def event(what, *words):
    return struct.pack("<IIQ", what, 0, 123456789) + struct.pack("<6I", *(list(words) + [0] * (6 - len(words))))


def message(data, length=None, inner=None, index=1):
    head = struct.pack("<IHHII", length if length is not None else 36 + len(data), 3, 0, 0, 0)
    return head + struct.pack("<IIIIHH", index, 1, 7, 8, inner if inner is not None else len(data), 0) + data


def main(folder):
    os.makedirs(folder, exist_ok=True)
    seeds = {name: message(event(what, 100, 100, 101, 101)) for name, what in KINDS.items()}
    seeds["thread"] = message(event(1, 100, 100, 102, 101))
    seeds["two"] = seeds["fork"] + seeds["exec"]
    seeds["short"] = message(event(2, 5, 5)[:16])
    seeds["long"] = message(event(2, 5, 5), length=4096)
    seeds["inner-long"] = message(event(2, 5, 5), inner=65535)
    seeds["other"] = message(event(2, 5, 5), index=2)
    seeds["head"] = seeds["exec"][:20]
    for name, data in seeds.items():
        with open(os.path.join(folder, name), "wb") as f:
            f.write(data)


main(sys.argv[1])
