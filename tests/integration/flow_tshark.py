# SPDX-License-Identifier: Apache-2.0
"""A mixed capture of 100,000 packets and more, made here: in mode headers the connections, their packets and their bytes are
those that tshark counts; of the same file mangled every packet is accounted for."""
import os
import random
import re
import subprocess

import pipeline
import sessions
import tap

tap.need_root()
PACKETS = tap.amount(100_000, 500_000, 20_000)
SEEDS = tap.amount(1, 40, 1)
START = 1_700_000_000 * 10**9
SCRIPTS = (
    ("tcp", ">S100 <SA500,101 >A101,501 >PA101,501+{a} <A501,{0} <PA501,{0}+{b} >A{0},{1} >FA{0},{1} <FA{1},{2} >A{2},{3}"),
    ("tcp", ">S100 <SA500,101 >A101,501 >PA101,501+{a} >PA101,501+{a} <A501,{0} >RA{0},501"),
    ("tcp", ">S100 <RA0,101"),
    ("tcp", ">S100 >S100 >S100"),
    ("tcp", ">PA100,500+{a} <PA500,{0}+{b}"),
    ("tcp", ">S100 <S500 >SA100,501 <SA500,101 >PA101,501+{a}"),
    ("udp", ">.0+{a} <.0+{b}"),
    ("udp", ">.0+{a} >.0+{a} >.0+{b}"),
)
rng = random.Random(16)


def make(path):
    """Sessions of all kinds, interleaved, two on each pair of ports; below 10 kB each: tshark rounds larger ones."""
    packets, n = [], 0
    while len(packets) < PACKETS:
        proto, script = rng.choice(SCRIPTS)
        a, b = rng.randrange(1, 900), rng.randrange(1, 900)
        script = script.format(101 + a, 501 + b, 102 + a, 502 + b, a=a, b=b)
        start = START + n % 2 * 20 * 10**9 + rng.randrange(10 * 10**9)
        part, _ = sessions.play(script, proto, 1024 + n // 2 % 64000, start, n // 2 % 2, rng.randrange(2**32))
        packets += part
        n += 1
    packets.sort(key=lambda p: p[0])
    return sessions.write(path, packets, 200), len(packets)


def conversations(path):
    """{(proto, {end, end}): (frames and bytes of each end by its name)} as tshark counts."""
    found = {}
    r = tap.run(["tshark", "-n", "-q", "-r", path, "-z", "conv,tcp", "-z", "conv,udp"], text=True, timeout=200)
    proto = None
    for line in r.stdout.splitlines():
        if line.startswith(("TCP", "UDP")):
            proto = line[:3].lower()
        part = line.replace("bytes", "").split()
        if "<->" not in part:
            continue
        # A <-> B  frames(B->A) bytes  frames(A->B) bytes  frames bytes ...
        a, b = part[0], part[2]
        frames = [int(part[3]), int(part[5])]
        sizes = [int(part[4]), int(part[6])]
        x, y = found.setdefault((proto, frozenset((a, b))), ({}, {}))
        for name, f, s in ((b, frames[0], sizes[0]), (a, frames[1], sizes[1])):
            x[name] = x.get(name, 0) + f
            y[name] = y.get(name, 0) + s
    return found


MODES = "handshake", "handshake+tls", "headers"


def flowner(path, mode="headers"):
    """Reads the file: how it went, the records."""
    out = os.path.join(tap.tmpdir(), "out.ndjson")
    r = tap.run([tap.program("flowner"), "run", "--stats", "-r", path, "-o", f"ecs:{out}", "--set",
                 f"capture.mode={mode}", "--set", "limits.flows=200000"], text=True, timeout=200)
    return r, out


def endpoints(x):
    """[(name of the end, its packets, its bytes with 14 of Ethernet each)]"""
    for side in "source", "destination":
        n = x[side]["packets"]
        yield f"{x[side]['ip']}:{x[side]['port']}", n, x["flowner"][side]["ip_bytes"] + 14 * n


path, total = make(os.path.join(tap.tmpdir(), "mixed.pcap"))
want = conversations(path)
r, out = flowner(path)
tap.is_(r.returncode, 0, "flowner reads it")
got = {}
records = pipeline.connections(pipeline.records(out), "end")
for x in records:
    ends = list(endpoints(x))
    frames, sizes = got.setdefault((x["network"]["transport"], frozenset(name for name, _, _ in ends)), ({}, {}))
    for name, n, size in ends:
        frames[name] = frames.get(name, 0) + n
        sizes[name] = sizes.get(name, 0) + size
tap.note(f"{total} packets, {len(want)} conversations, {len(records)} connections")
tap.ok(len(want) > PACKETS // 20, "tshark found conversations")
tap.is_(sorted(map(str, set(want) ^ set(got)))[:5], [], "the same conversations")
tap.is_(sum(sum(f.values()) for f, _ in want.values()), total, "tshark has every packet")
tap.is_([(k, want[k][0], got[k][0]) for k in want if k in got and want[k][0] != got[k][0]][:5], [], "packets of each end")
tap.is_([(k, want[k][1], got[k][1]) for k in want if k in got and want[k][1] != got[k][1]][:5], [], "bytes of each end")
tap.ok(all(x["flowner"].get("packets_complete") for x in records), "each record says that it has all packets")

for seed in range(SEEDS):
    mangled = os.path.join(tap.tmpdir(), "mangled.pcap")
    subprocess.run(["editcap", "-F", "pcap", "-E", "0.03", "--seed", str(seed), path, mangled], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.chmod(mangled, 0o644)
    for mode in MODES:
        r, out = flowner(mangled, mode)
        tap.ok(r.returncode == 0 and "signal" not in r.stderr, f"mangled, seed {seed}, {mode}: nothing crashes", r.stderr)
        balance = re.search(r"(\d+) matched = (.*?): (balances|does not balance)", r.stderr, re.S)
        tap.ok(balance and balance.group(3) == "balances", f"mangled, seed {seed}, {mode}: every packet is in an account", r.stderr)
        with open(out, "rb") as f:
            logged = sum(map(int, re.findall(rb'"delta":{"packets":(\d+)', f.read())))
        tap.ok(balance and f" {logged} logged" in f" {balance.group(2)}", f"mangled, seed {seed}, {mode}: records stand for all logged",
               logged, r.stderr)
    os.unlink(mangled)
tap.done()
