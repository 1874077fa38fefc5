# SPDX-License-Identifier: Apache-2.0
"""The ring beside others: ns for a frame handed to another process, by its size (ring/ring-cost.c)."""
import subjects
import tap
from results import OURS, Verdict

NAME = "ring"
TITLE = "ns to hand a frame to another process, copied in and out, by its size"
SIZES = (64, 128, 512)
COLUMNS = {f"ns {size}": f"{size} bytes" for size in SIZES}
FIRST = "ns 64"
CK, RTE = "ck_ring, by value", "rte_ring, bulk 32"
PROGRAM = "tests/bench/ring/ring-cost"


def run(samples, world, quick):
    cost = tap.program(PROGRAM)
    r = tap.run([cost, *(("2000", "1") if quick else ("2000000", "1"))], timeout=300, text=True)
    found = {}
    for line in r.stdout.splitlines():
        name, size, ns = line.split()
        found.setdefault(name.replace("_", " ").replace("ck ring", "ck_ring").replace("rte ring", "rte_ring"), {})[
            f"ns {size}"] = float(ns)
    for name, figures in found.items():
        samples.add(NAME, name, **figures)
    if r.returncode:
        tap.bail(f"ring-cost: a frame was wrong {r.stderr}")
    for name in CK, RTE:
        if name not in found:
            samples.lacks(NAME, name, "not built in (contrib/install-packages bench)")
    w = tap.run([cost, "wake", "100" if quick else "5000"], timeout=60, text=True)
    counts = {k: v for line in w.stdout.splitlines() for k, v in subjects.pairs(line).items()}
    samples.add(NAME, OURS, wakes=counts["wakes"] / counts["batches"])


def judge(samples):
    for size in SIZES:
        for peer, bound in (CK, 4), (RTE, 1.5):
            yield Verdict(6, f"frames/s beside {peer}, {size} bytes", samples.ratio(NAME, peer, OURS, f"ns {size}"), ">=",
                          bound)
    yield Verdict(6, "wake-ups a batch", samples.median(NAME, OURS, "wakes"), "<=", 1)
