# SPDX-License-Identifier: Apache-2.0
"""What finding owners costs: how late they are known, what they add to the pipeline, what the tap costs the traffic.

    tests/bench/owner-cost.py [--quick] [--rounds N] [--seconds N]

Each round runs flowner once with owners off and once with the tap, in turn, over the same load in a network
namespace of its own (both ends local: load.c). Prints one table, medians over the rounds with the range, and the
median of the rounds' ratios; then TAP lines for what is promised. --quick only proves that it runs.

CPU time is the scheduler's own. "Highest rate" is what the busier end's CPU time a connection (an answer) allows: on
a machine with nothing else to do that is the rate itself, and on one that has it says what the rate would be.
"""
import argparse
import json
import os
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
import pipeline  # noqa: E402
import tap  # noqa: E402

LOAD = tap.program("tests/bench/load")
COUNT = tap.program("tests/bench/count-calls")
PORT = 19000
OFF = ("--set", "enrich.tap=off", "--set", "enrich.sock_diag=false", "--set", "enrich.procfs=off")
VARIANTS = {"off": OFF, "tap": ()}
BATCH_TIMEOUT_MS = 10  # capture.batch_timeout unless configured


def cpu_ns(pid):
    """CPU time of a process's threads so far."""
    total = 0
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/schedstat") as f:
            total += int(f.read().split()[0])
    return total


class Bench:
    def __init__(self, seconds):
        self.seconds = seconds
        self.ns = tap.netns("bench")
        for s in "tcp_tw_reuse=1", "tcp_max_tw_buckets=2000":
            tap.run(tap.inside(self.ns, "sysctl", "-qw", f"net.ipv4.{s}"), check=True)
        tap.run(tap.inside(self.ns, "sysctl", "-qw", "net.core.somaxconn=8192"), check=True)

    def start(self, variant, path):
        return pipeline.Flowner("-i", "lo", "-o", f"ecs:{path}", *VARIANTS[variant],
                                prefix=tap.inside(self.ns))

    def load(self, *args):
        out = tap.run(tap.inside(self.ns, LOAD, *map(str, args)), text=True, timeout=120, check=True).stdout
        words = out.split()
        r = {k: int(v) for k, v in zip(words[::2], words[1::2])}
        r["done"] = max(r["done"], 1)
        return r

    def calls(self, pid, rate):
        """System calls of a process per connection."""
        counter = tap.spawn([COUNT, str(self.seconds), str(pid)], stdout=-1)
        done = self.load("tcp", rate, self.seconds, PORT)["done"]
        return int(counter.communicate()[0]) / done

    def one(self, variant):
        """All figures of one run of flowner; us per connection where it says cpu."""
        f = self.start(variant, os.path.join(tap.tmpdir(), "out.ndjson"))
        pids = {p: f.pid(p) for p in pipeline.PROGRAMS}
        self.load("tcp", 1000, 1, PORT)  # first touch of rings and tables
        figures = {}

        before = {p: cpu_ns(pid) for p, pid in pids.items()}
        foreign = f.ledger("enrich")["enrich_tap_events"]
        done = self.load("tcp", 6000, self.seconds, PORT)["done"]
        time.sleep(0.3)
        for p, pid in pids.items():
            figures[f"{p} cpu"] = (cpu_ns(pid) - before[p]) / done / 1000
        figures["pipeline cpu"] = sum(figures[f"{p} cpu"] for p in pipeline.PROGRAMS)
        figures["events"] = (f.ledger("enrich")["enrich_tap_events"] - foreign) / done
        figures["calls"] = self.calls(pids["enrich"], 6000)

        r = self.load("tcp", 0, self.seconds, PORT)
        figures["tcp max"] = 1e9 * r["done"] / max(r["client_ns"], r["server_ns"])
        figures["tcp wall"] = 1e9 * r["done"] / r["elapsed_ns"]
        r = self.load("tcp", 1000, self.seconds, PORT)
        figures["paced rate"] = 1e9 * r["done"] / r["elapsed_ns"]
        figures["paced cpu"] = (r["client_ns"] + r["server_ns"]) / r["done"] / 1000
        r = self.load("udp", 0, self.seconds, PORT)
        figures["udp max"] = 1e9 * r["done"] / r["server_ns"]
        figures["udp wall"] = 1e9 * r["done"] / r["elapsed_ns"]
        f.stop()
        return figures

    def latencies(self, rate):
        """Packet to owner known, ns, of every end of a connection whose owner is known."""
        path = os.path.join(tap.tmpdir(), "out.ndjson")
        f = self.start("tap", path)
        self.load("tcp", rate, self.seconds, PORT)
        f.settle()
        f.stop()
        found = []
        with open(path, "rb") as lines:
            for line in lines:
                flowner = json.loads(line).get("flowner", {})
                for end in flowner, flowner.get("responder", {}):
                    if "latency_ns" in end.get("owner", {}):
                        found.append(end["owner"]["latency_ns"])
        return sorted(found) or [0]


ROWS = (
    # figure, name, better when higher
    ("pipeline cpu", "whole pipeline at 6,000/s, us CPU/connection", False),
    ("capture cpu", "  of this capture", False),
    ("enrich cpu", "  of this enrich", False),
    ("sink cpu", "  of this sink", False),
    ("calls", "system calls of enrich/connection", False),
    ("events", "tap events of the host/connection", False),
    ("tcp max", "TCP connections/s, highest rate", True),
    ("tcp wall", "  as reached", True),
    ("paced rate", "TCP at 1,000/s: connections/s reached", True),
    ("paced cpu", "  us CPU of both ends/connection", False),
    ("udp max", "UDP answers/s, highest rate", True),
    ("udp wall", "  as reached", True),
)


def table(runs):
    """Prints it; returns {figure: median of the rounds' ratios tap : off}."""
    ratios = {}
    tap.note(f"{'':48}{'owners off':>28}{'with the tap':>28}   ratio")
    for figure, name, _ in ROWS:
        cells = []
        for v in VARIANTS:
            values = [r[figure] for r in runs[v]]
            digits = 0 if statistics.median(values) > 500 else 3
            cells.append(f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}..{max(values):.{digits}f})")
        pairs = [t[figure] / o[figure] for o, t in zip(runs["off"], runs["tap"]) if o[figure]]
        ratios[figure] = statistics.median(pairs) if pairs else 0
        tap.note(f"{name:48}{cells[0]:>28}{cells[1]:>28}{ratios[figure]:8.3f}")
    return ratios


def at_most(value, bound, name):
    tap.ok(value <= bound, f"{name}: {value:.3f}, promised at most {bound}")


def at_least(value, bound, name):
    tap.ok(value >= bound, f"{name}: {value:.3f}, promised at least {bound}")


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--quick", action="store_true")
    a.add_argument("--rounds", type=int, default=7)
    a.add_argument("--seconds", type=int, default=2)
    a = a.parse_args()
    if a.quick:
        a.rounds, a.seconds = 1, 1
    tap.need_root()
    b = Bench(a.seconds)
    runs = {v: [] for v in VARIANTS}
    late = []
    for i in range(a.rounds):
        for v in list(VARIANTS)[::-1 if i % 2 else 1]:
            runs[v].append(b.one(v))
        found = b.latencies(2000)
        late.append([found[int(len(found) * q)] / 1e6 for q in (0.5, 0.99)] + [len(found)])
    ratios = table(runs)
    p50, p99 = (statistics.median(x[i] for x in late) for i in (0, 1))
    tap.note(f"packet to owner known at 2,000/s, ms: p50 {p50:.2f}, p99 {p99:.2f}"
             f" ({min(x[1] for x in late):.2f}..{max(x[1] for x in late):.2f})")
    if a.quick:
        tap.ok(all(f[k] > 0 for v in runs for f in runs[v] for k in ("enrich cpu", "calls", "tcp max", "udp max")),
               "everything was measured")
        tap.ok(all(n > 1000 for _, _, n in late), "owners were known, and how late")
        tap.done()
    calls = statistics.median(r["calls"] for r in runs["tap"])
    at_most(p99, BATCH_TIMEOUT_MS + 2, "packet to owner known, p99 in ms")
    at_most(calls, 0.05, "system calls of enrich per connection from known processes")
    at_most(ratios["pipeline cpu"], 3, "CPU per connection beside owners off")
    at_least(ratios["tcp max"], 0.94, "TCP connections/s at the highest rate beside no tap")
    at_least(ratios["paced rate"], 0.98, "TCP connections/s at 1,000/s beside no tap")
    at_least(1 / ratios["paced cpu"], 0.98, "the same by CPU time of both ends")
    at_least(ratios["udp max"], 0.97, "answers/s of a UDP server beside no tap")
    tap.done()


if __name__ == "__main__":
    main()
