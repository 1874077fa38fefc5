# SPDX-License-Identifier: Apache-2.0
"""The loads every observer sees, the truth about them, and the verdict: scenarios of the truth harness, and one process
that makes connections at a steady or at its highest rate."""
import dataclasses
import itertools
import sys
import time

import harness
import judge
import pipeline
import scenarios
import tap
import truth

PORTS = 17000  # the harness's scenarios from here
STEADY_PORT = PORTS + 99
STEADY = tap.program("tests/bench/methods/steady")


class Watch(harness.Observer):
    """What the harness tells an observer, None for a load without any; its CPU time includes that of its backlog."""

    def __init__(self, observer):
        self.observer = observer
        self.cpu = 0

    def start(self, h):
        self.begin(min(h.ports), [h.programs["client"]])

    def begin(self, port, programs):
        if self.observer:
            self.observer.start(port, programs)
            self.before = self.observer.cpu_ns()

    def settle(self):
        if self.observer:
            self.observer.settle()
            self.cpu = self.observer.cpu_ns() - self.before

    def stop(self):
        return self.observer.stop() if self.observer else []


@dataclasses.dataclass
class Run:
    truths: list
    seconds: float


class Scenario:
    """Clients of a scenario of the truth harness."""

    def __init__(self, name, scenario, what, n):
        self.name, self.what, self.n = name, what, n
        self.scenario = next(s for s in scenarios.SCENARIOS if s.name == scenario)
        self.proto = self.scenario.proto

    def run(self, watch):
        with harness.Harness([self.scenario], n=self.n, ports=PORTS) as h:
            r = h.run(watch)[self.scenario.name]
        return Run([t for t in r.truths if t.side == "client"], r.seconds)


class Steady:
    """One process; rate 0 is as fast as it can."""

    proto = "tcp"

    def __init__(self, name, what, n, rate):
        self.name, self.what, self.n, self.rate = name, what, n, rate

    def run(self, watch):
        srv = pipeline.server("tcp", "127.0.0.1", STEADY_PORT)
        try:
            watch.begin(STEADY_PORT, [STEADY])
            t0 = time.time_ns()
            out = tap.run([STEADY, str(self.n), str(self.rate), str(STEADY_PORT)], text=True, timeout=600)
            t1 = time.time_ns()
            watch.settle()
        finally:
            tap.stop(srv)
        lines = out.stdout.splitlines()
        if not lines:
            tap.bail(f"{self.name}: {out.stderr}")
        truths = []
        for line in lines[1:]:
            proto, port, pid, uid = line.split()
            e = truth.Expect(frozenset({int(pid)}), uid=int(uid))
            truths.append(truth.Truth(self.name, "client", proto, ("127.0.0.1", int(port)),
                                      ("127.0.0.1", STEADY_PORT), t0, t1, e, e))
        return Run(truths, int(lines[0].split()[1]) / 1e9)


def loads(quick, scale):
    if quick:
        return [Scenario("once", "tcp exit at once", "a few TCP clients", 20),
                Scenario("udp", "udp fire and forget", "a few UDP clients", 20)]

    def n(count):
        return max(int(count * scale), 16)

    return [
        Scenario("once", "tcp exit at once", "TCP clients that exit at once, one at a time", n(1000)),
        Scenario("parallel", "tcp 8 launchers, CPUs full", "the same from eight launchers at once, both CPUs busy",
                 n(2000)),
        Steady("steady", "one long-lived process, 1,000 connections a second", n(2000), 1000),
        Steady("flat out", "one long-lived process, as many connections as it can", n(8000), 0),
        Scenario("udp", "udp fire and forget", "UDP clients that send one datagram and exit, one at a time", n(1000)),
    ]


def owner_of(sighting, sharers):
    """Of several connections that had one port in turn the one a sighting is about: the nearest in time."""
    _, _, who, t_ns = sighting
    if t_ns is None:  # told without time: taken for its owner's, if it names one of them
        return next((t for t in sharers if int(who) in t.end.pids), sharers[0])
    return min(sharers, key=lambda t: max(t.t0 - t_ns, t_ns - t.t1, 0))


def verdict(truths, sightings):
    """The harness's verdict on what an observer said: (proto, local port, pid or "uid:N", time), port None when it knows
    only processes, time None when it tells none. An observer may be late, so that a sighting is about its port's
    connection; the owner's uid, and a process that is named without connection, count as naming the owner."""
    seen, by_port = [], {}
    for t in truths:
        by_port.setdefault(t.local[1], []).append(t)
    at_large = {int(s[2]) for s in sightings if s[1] is None}
    # Every connection gets a number of its own in place of its port.
    number = {id(t): n for n, t in enumerate(truths)}
    for s in sightings:
        if s[1] not in by_port:
            continue
        t, pid = owner_of(s, by_port[s[1]]), s[2]
        if str(pid).startswith("uid:"):
            pid = min(t.end.pids) if pid == f"uid:{t.end.uid}" else -1
        seen.append((t.proto, number[id(t)], t.t0, int(pid)))
    for t in truths:
        seen += [(t.proto, number[id(t)], t.t0, pid) for pid in at_large & t.end.pids]
    numbered = [dataclasses.replace(t, local=(t.local[0], number[id(t)])) for t in truths]
    count = judge.judge_seen(numbered, seen)
    wrong = ((t, said) for t in truths if count["wrong"] for said in
             [{pid for _, n, _, pid in seen if n == number[id(t)]}] if said and not said & t.end.pids)
    for t, said in itertools.islice(wrong, 3):
        print(f"wrong: port {t.local[1]} is {sorted(t.end.pids)}'s, said {sorted(said)}", file=sys.stderr)
    return {"right": count["right"], "missed": count["unknown"] + count["missing"], "wrong": count["wrong"]}
