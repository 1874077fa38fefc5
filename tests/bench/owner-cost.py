# SPDX-License-Identifier: Apache-2.0
"""What finding owners costs: how late they are known, what they add to the pipeline, what the tap costs the traffic.

    tests/bench/owner-cost.py [--quick] [--rounds N] [--seconds N]

Prints two tables, medians over the rounds with their range, then TAP lines for what is promised; --quick only proves
that it runs. Both ends of the traffic are local, in a network namespace of its own (load.c).
 - The pipeline: flowner with owners off and with the tap, in turn, each round the same load.
 - The traffic: one load, the kernel's part of the tap switched on in every other slice of 50 ms (tap-switch.c), so
   that both halves share whatever else the machine does. The UDP server's port is left unrecorded: that flowner does
   so with a busy sender is looked at apart.
Times are the scheduler's own CPU time. The rate a generator reaches at its maximum is what its busier end's CPU time
a connection (an answer) allows; what was reached beside other work on the machine stands in brackets.
"""
import argparse
import json
import os
import signal
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
import pipeline  # noqa: E402
import tap  # noqa: E402

LOAD = tap.program("tests/bench/load")
COUNT = tap.program("tests/bench/count-calls")
SWITCH = tap.program("tests/bench/tap-switch")
SLICE_MS = 50
PORT = 19000
OFF = ("--set", "enrich.tap=off", "--set", "enrich.sock_diag=false", "--set", "enrich.procfs=off")
BATCH_TIMEOUT_MS = 10  # shorter than the default: the ledger tells latencies apart there, not at 40 ms
BATCH = ("--set", f"capture.batch_timeout={BATCH_TIMEOUT_MS}ms")
VARIANTS = {"off": (*OFF, *BATCH), "tap": BATCH}


def pairs(line):
    words = line.split()
    return [(k, int(v)) for k, v in zip(words[::2], words[1::2])]


class Bench:
    def __init__(self, seconds, warm):
        self.seconds, self.warm = seconds, warm
        self.ns = tap.netns("bench")
        for s in "tcp_tw_reuse=1", "tcp_max_tw_buckets=2000":
            tap.run(tap.inside(self.ns, "sysctl", "-qw", f"net.ipv4.{s}"), check=True)
        tap.run(tap.inside(self.ns, "sysctl", "-qw", "net.core.somaxconn=8192"), check=True)

    def start(self, variant, path):
        return pipeline.Flowner("-i", "lo", "-o", f"ecs:{path}", *VARIANTS[variant],
                                prefix=tap.inside(self.ns))

    def load(self, *args):
        out = tap.run(tap.inside(self.ns, LOAD, *map(str, args)), text=True, timeout=120, check=True).stdout
        r = dict(pairs(out))
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
        if self.warm:  # first touch of rings and tables: a page fault each
            self.load("tcp", 6000, self.warm, PORT)
        figures = {}

        before = {p: pipeline.cpu_ns(pid) for p, pid in pids.items()}
        foreign = f.ledger("enrich")["enrich_tap_events"]
        done = self.load("tcp", 6000, self.seconds, PORT)["done"]
        time.sleep(0.3)
        for p, pid in pids.items():
            figures[f"{p} cpu"] = (pipeline.cpu_ns(pid) - before[p]) / done / 1000
        figures["pipeline cpu"] = sum(figures[f"{p} cpu"] for p in pipeline.PROGRAMS)
        figures["events"] = (f.ledger("enrich")["enrich_tap_events"] - foreign) / done
        figures["calls"] = self.calls(pids["enrich"], 6000)

        f.stop()
        return figures

    def sends_recorded(self):
        """Tap events for each answer of a busy UDP server, once flowner has had a second to know it."""
        f = self.start("tap", os.path.join(tap.tmpdir(), "out.ndjson"))
        server = tap.spawn(tap.inside(self.ns, LOAD, "udp", "0", str(self.seconds + 2), str(PORT), "1000"), stdout=-1)
        time.sleep(1.5)
        before = f.ledger("enrich")["enrich_tap_events"]
        time.sleep(self.seconds)
        events = f.ledger("enrich")["enrich_tap_events"] - before
        answers = sum(dict(pairs(line))["done"] for line in server.communicate()[0].decode().splitlines())
        f.stop()
        return events / max(answers * self.seconds / (self.seconds + 2), 1)

    def switched(self, kind, rate, side):
        """Ratios of a load without to the same load with the tap: what a connection costs each end, and all in all."""
        left_out = [str(PORT)] if kind == "udp" else []
        switch = tap.spawn([SWITCH, "full", str(SLICE_MS), side, *left_out], stdout=-1)
        if switch.stdout.readline() != b"ready\n":
            tap.bail("no tap here")
        out = tap.run(tap.inside(self.ns, LOAD, kind, str(rate), str(self.seconds), str(PORT), str(SLICE_MS)),
                      text=True, timeout=120, check=True).stdout
        tap.stop(switch, signal.SIGKILL)
        with_tap, without = ({k: v / max(pairs(line)[0][1], 1) for k, v in pairs(line)}
                             for line in out.splitlines()[::-1 if side == "odd" else 1])
        busier = max("server_ns", "client_ns", key=lambda k: without[k]) if kind != "udp" else "server_ns"
        both = [x["client_ns"] + x["server_ns"] for x in (without, with_tap)]
        return {"us": without[busier] / 1000, "rate": without[busier] / with_tap[busier],
                "reached": without["elapsed_ns"] / with_tap["elapsed_ns"], "both": both[0] / both[1]}

    def latencies(self, rate):
        """Packet to owner known, ns, of every end of a connection whose owner is known."""
        path = os.path.join(tap.tmpdir(), "out.ndjson")
        f = self.start("tap", path)
        time.sleep(1.5)  # the sweep at the start
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
    ("pipeline cpu", "whole pipeline, us CPU/connection"),
    ("capture cpu", "  of this capture"),
    ("enrich cpu", "  of this enrich"),
    ("sink cpu", "  of this sink"),
    ("calls", "system calls of enrich/connection"),
    ("events", "tap events of the host/connection"),
)
LOADS = (
    ("tcp", 0, "TCP connections at the highest rate"),
    ("tcp6", 0, "the same over IPv6"),
    ("tcp", 1000, "TCP connections at 1,000/s"),
    ("udp", 0, "answers of a UDP server at its highest rate"),
)


def spread(values, digits):
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}..{max(values):.{digits}f})"


def pipeline_table(runs):
    """Prints it; returns the median of the rounds' ratios of the whole pipeline's CPU."""
    tap.note(f"{'the pipeline at 6,000 connections/s':42}{'owners off':>24}{'with the tap':>24}")
    for figure, name in ROWS:
        cells = [spread([r[figure] for r in runs[v]], 3 if figure == "calls" else 2) for v in VARIANTS]
        tap.note(f"{name:42}{cells[0]:>24}{cells[1]:>24}")
    ratios = [t["pipeline cpu"] / o["pipeline cpu"] for o, t in zip(runs["off"], runs["tap"])]
    tap.note(f"{'ratio of the whole pipeline':66}{spread(ratios, 2):>24}")
    return statistics.median(ratios)


def traffic_table(switched):
    """Prints it; returns {load: median rate beside no tap}."""
    tap.note(f"{'the traffic, with the tap beside without':46}{'us CPU':>8}{'rate':>24}{'(as reached)':>24}{'CPU of both':>24}")
    for (kind, rate, name), found in switched.items():
        us = statistics.median(x["us"] for x in found)
        cells = [spread([x[k] for x in found], 3) for k in ("rate", "reached", "both")]
        tap.note(f"{name:46}{us:8.1f}" + "".join(f"{c:>24}" for c in cells))
    return {k[:2]: {x: statistics.median(r[x] for r in found) for x in found[0]} for k, found in switched.items()}


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
    b = Bench(a.seconds, 0 if a.quick else 3)
    runs = {v: [] for v in VARIANTS}
    switched = {load: [] for load in LOADS}
    late, recorded = [], []
    for i in range(a.rounds):
        for v in list(VARIANTS)[::-1 if i % 2 else 1]:
            runs[v].append(b.one(v))
        for load in LOADS:
            switched[load].append(b.switched(*load[:2], ("even", "odd")[i % 2]))
        found = b.latencies(2000)
        recorded.append(b.sends_recorded())
        late.append([found[int(len(found) * q)] / 1e6 for q in (0.5, 0.99)] + [len(found)])
    beside_off = pipeline_table(runs)
    traffic = traffic_table(switched)
    p50, p99 = (statistics.median(x[i] for x in late) for i in (0, 1))
    tap.note(f"packet to owner known at 2,000/s, ms: p50 {p50:.2f}, p99 {p99:.2f}"
             f" ({min(x[1] for x in late):.2f}..{max(x[1] for x in late):.2f})")
    tap.note(f"tap events for each answer of a busy UDP server: {spread(recorded, 4)}")
    if a.quick:
        tap.ok(all(f[k] > 0 for v in runs for f in runs[v] for k in ("enrich cpu", "calls")),
               "the pipeline was measured")
        tap.ok(all(x[k] > 0 for found in switched.values() for x in found for k in x), "the traffic was measured")
        tap.ok(all(n > 1000 for _, _, n in late), "owners were known, and how late")
        tap.done()
    at_most(p99, BATCH_TIMEOUT_MS + 2, "packet to owner known, p99 in ms")
    at_most(statistics.median(r["calls"] for r in runs["tap"]), 0.05,
            "system calls of enrich per connection from known processes")
    at_most(beside_off, 3, "CPU per connection beside owners off")
    at_least(traffic["tcp", 0]["rate"], 0.94, "TCP connections/s at the highest rate beside no tap")
    at_least(traffic["tcp", 1000]["reached"], 0.98, "TCP connections/s at 1,000/s beside no tap")
    at_least(traffic["udp", 0]["rate"], 0.97, "answers/s of a UDP server beside no tap")
    at_most(statistics.median(recorded), 0.1, "sends recorded of a busy UDP server")
    tap.done()


if __name__ == "__main__":
    main()
