# SPDX-License-Identifier: Apache-2.0
"""More than comes in an ordinary day: a million SYNs, a million datagrams, and programs that stand still meanwhile."""
import os
import signal
import threading
import time

import subjects
import tap
from results import OURS, Verdict

NAME = "floods"
TITLE = ("Floods of a million packets (SYNs, each of another connection; datagrams of 64 bytes), at full speed where no speed "
         "is named, and programs that stand still")
COLUMNS = {"kpps": "1,000 packets/s", "cpu": "ns CPU a packet", "lost": "lost", "uncounted": "of these uncounted"}
FIRST = None
FLOOD = tap.program("tests/bench/flood")
STALLS = {"enrich": 0.2, "capture": 0.4}
KINDS = {"syn": ("syn", 0), "syn, 500,000/s": ("syn", 500), "udp": ("udp", 0)}
PACED = "syn, 500,000/s"
SLOWEST = 450  # 1,000 packets/s that it should be


def flood(world, kind, count):
    verb, kpps = KINDS[kind]
    argv = tap.inside(world.clients, FLOOD, verb, "v0", str(count), str(kpps))
    r = subjects.pairs(tap.run(argv, text=True, timeout=120, check=True).stdout)
    return r["sent"] * 1e6 / r["elapsed_ns"]


def balance(f, count):
    """(packets that are in no record, of these in no counter)."""
    ledgers = f.f.ledgers()
    dropped = ledgers["capture_packets_dropped"] + ledgers["capture_packets_ring_full"]
    missing = abs(count - ledgers["enrich_packets_read"] - dropped)
    return dropped + ledgers["enrich_packets_lost"] + missing, missing


def lines(s):
    with open(f"{s.dir}/out", "rb") as f:
        return sum(1 for _ in f)


def watched(samples, world, s, kind, count):
    before = s.cpu_ns()
    kpps = flood(world, kind, count)
    if isinstance(s, subjects.Flowner):
        tap.wait_for(lambda: balance(s, count)[1] == 0, timeout=20)
    s.settle()
    cpu = (s.cpu_ns() - before) / count
    found = {}
    if isinstance(s, subjects.Flowner):
        found["lost"], found["uncounted"] = balance(s, count)
    else:
        s.end()
        found["lost"] = found["uncounted"] = max(count - lines(s), 0)
    samples.add(NAME, f"{s.name}: {kind}", kpps=kpps, cpu=cpu, **found)
    s.stop()


def still(samples, world, programs, seconds):
    """Each of these programs stopped once under 20,000 connections/s."""
    for program in programs:
        pause = STALLS[program]
        f = subjects.Flowner()
        f.open(world)
        load = threading.Thread(target=world.load, args=(20000, seconds))
        load.start()
        time.sleep(seconds / 2)
        os.kill(f.programs[program], signal.SIGSTOP)
        time.sleep(pause)
        os.kill(f.programs[program], signal.SIGCONT)
        load.join()
        f.settle()
        samples.add(NAME, f"{OURS}: {program} stopped for {pause * 1000:.0f} ms", lost=f.lost())
        f.stop()


def run(samples, world, quick):
    count = 20_000 if quick else 1_000_000
    for kind in (PACED,) if quick else KINDS:
        samples.add(NAME, f"nothing: {kind}", kpps=flood(world, kind, count))
        cast = [subjects.Flowner()] + ([] if quick or kind == "udp" else [subjects.text()])
        for s in subjects.opened(samples, NAME, subjects.turned(cast, samples, NAME), world):
            watched(samples, world, s, kind, count)
    still(samples, world, ["enrich"] if quick else STALLS, 1 if quick else 3)


def judge(samples):
    paced = f"{OURS}: {PACED}"
    yield Verdict(5, "1,000 SYNs/s of the paced flood", samples.best(NAME, paced, "kpps"), ">=", SLOWEST)
    for kind in KINDS:
        yield Verdict(5, f"of a million packets lost and not counted, {kind}",
                      samples.total(NAME, f"{OURS}: {kind}", "uncounted"), "<=", 0)
    for program, pause in STALLS.items():
        name = f"{OURS}: {program} stopped for {pause * 1000:.0f} ms"
        yield Verdict(5, f"packets lost, {program} stopped for {pause * 1000:.0f} ms", samples.total(NAME, name, "lost"),
                      "<=", 0)
