# SPDX-License-Identifier: Apache-2.0
"""What the traffic loses to being watched: connections/s and the throughput of one stream, both as fast as they go."""
import json
import time

import host_memory
import subjects
import tap
from results import OURS, Samples, Verdict

NAME = "traffic"
TITLE = "The traffic's own speed while it is watched, and what watching one TCP stream costs"
COLUMNS = {"rate": "connections/s", "gbit": "Gbit/s", "core": "% of a core at that"}
FIRST = "rate"
PORT = 19500
TAP_OFF = "flowner, tap off"


class Nothing:
    name = "nothing"

    def open(self, world):
        pass

    def cpu_ns(self):
        return 0

    def stop(self):
        pass


def cast(quick):
    found = [Nothing(), subjects.Flowner(), subjects.Flowner(TAP_OFF, "enrich.tap=off"), subjects.limit()]
    return found[1:2] if quick else found + [subjects.text(), subjects.Bpftrace()]


def stream(world, seconds):
    """Gbit/s of one TCP connection."""
    subjects.observers.need("iperf3")
    server = tap.spawn(tap.inside(world.servers, "iperf3", "-s", "-p", str(PORT)), stdout=-3, stderr=-3)
    client = tap.inside(world.clients, "iperf3", "-c", subjects.THERE, "-p", str(PORT), "-t", str(seconds), "-J")
    for _ in range(20):  # until the server listens; on a busy machine one end may give the other up
        r = tap.run(client, text=True)
        found = json.loads(r.stdout or "{}").get("end", {}).get("sum_received")
        if found:
            break
        time.sleep(0.1)
    tap.stop(server)
    if not found:
        raise subjects.observers.Unavailable(f"does not work here: {r.stdout[-200:]}")
    return found["bits_per_second"] / 1e9


def run(samples, world, quick):
    for s in subjects.opened(samples, NAME, subjects.turned(cast(quick), samples, NAME), world):
        if not quick:
            subjects.warm(s, world)
            host_memory.fetch()
        figures = {"rate": world.load(0, 1 if quick else 2)["rate"]}
        try:
            before = s.cpu_ns()
            figures["gbit"] = stream(world, 1 if quick else 2)
            figures["core"] = (s.cpu_ns() - before) / (1 if quick else 2) / 1e7
        except subjects.observers.Unavailable as e:
            samples.lacks(NAME, "iperf3", str(e))
        samples.add(NAME, s.name, **figures)
        s.stop()


def judge(samples):
    """Of the best, since what slows a round down is mostly somebody else's doing."""
    beside = subjects.limit().name
    yield Verdict(4, "connections/s beside tcpdump -w /dev/null with a filter",
                  samples.ratio(NAME, OURS, beside, "rate", Samples.best), ">=", 0.93)
    yield Verdict(4, "the same with enrich.tap: off", samples.ratio(NAME, TAP_OFF, beside, "rate", Samples.best), ">=", 0.98)
    yield Verdict(4, "throughput of a TCP stream beside nothing", samples.ratio(NAME, OURS, Nothing.name, "gbit", Samples.best),
                  ">=", 0.98)
