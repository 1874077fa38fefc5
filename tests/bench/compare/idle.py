# SPDX-License-Identifier: Apache-2.0
"""What programs cost when little happens: CPU and wake-ups, all of them at once, so that all see the same."""
import time

import observers
import subjects
from results import OURS, Verdict

NAME = "idle"
TITLE = "At 0, 20 and 200 connections/s, all programs at once"
RATES = (0, 20, 200)
COLUMNS = {f"{what} {rate}": f"{heading} at {rate}/s" for what, heading in (("core", "% of a core"), ("wakes", "wake-ups/s"))
           for rate in RATES}
FIRST = "core 200"


def cast(quick):
    if quick:
        return [subjects.Flowner(), subjects.text()]
    return [subjects.Flowner(), subjects.limit(), subjects.raw(), subjects.dumpcap(), subjects.text(), subjects.Nethogs(),
            subjects.Bpftrace()]


def reading(pids):
    return sum(map(observers.cpu_ns, pids)), subjects.sleeps(pids)


def window(watched, rate, world, seconds):
    """{name: (% of a core, wake-ups/s)} over one load."""
    before = {name: reading(pids) for name, pids in watched.items()}
    begin = time.monotonic()
    if rate:
        world.load(rate, seconds)
    else:
        time.sleep(seconds)
    after = {name: reading(pids) for name, pids in watched.items()}
    took = time.monotonic() - begin
    return {name: ((after[name][0] - cpu) / took / 1e7, (after[name][1] - wakes) / took)
            for name, (cpu, wakes) in before.items()}


def run(samples, world, quick):
    there, watched = [], {}
    for s in subjects.opened(samples, NAME, cast(quick), world):
        there.append(s)
        if not quick:
            subjects.warm(s, world)
        watched[s.name] = s.pids()
        if s.name == OURS:
            watched[s.name] = list(s.programs.values())
            watched.update({f"{OURS}: {p}": [pid] for p, pid in s.programs.items()})
            watched[f"{OURS}: supervisor"] = [s.f.p.pid]
    if not quick:
        time.sleep(2)  # whatever follows a start
    for rate in RATES[2:] if quick else RATES:
        for name, (core, wakes) in window(watched, rate, world, 1 if quick else 6).items():
            samples.add(NAME, name, **{f"core {rate}": core, f"wakes {rate}": wakes})
    for s in there:
        s.stop()


def judge(samples):
    yield Verdict(2, "% of a core when idle", samples.median(NAME, OURS, "core 0"), "<=", 0.2)
    yield Verdict(2, "wake-ups/s of the three when idle", samples.median(NAME, OURS, "wakes 0"), "<=", 10)
    yield Verdict(2, "% of a core at 200 connections/s", samples.median(NAME, OURS, "core 200"), "<=", 1)
