# SPDX-License-Identifier: Apache-2.0
"""What a connection costs: CPU and system calls of each program at an exact rate, owners on."""
import host_memory
import subjects
from results import OURS, Verdict

NAME = "connections"
TITLE = "CPU and system calls a connection, 6,000 connections/s, owners of both ends, ECS to a file"
COLUMNS = {"cpu": "us CPU", "calls": "system calls", "core": "% of a core", "rate": "connections/s"}
FIRST = "cpu"
LIMIT = subjects.limit().name
FAST = "flowner, 20,000/s"


def cast(quick):
    if quick:
        return [subjects.Flowner(), subjects.text()]
    return [subjects.Flowner(), subjects.Flowner("flowner, start_after 0", "enrich.start_after=0s"),
            subjects.Flowner("flowner, owners off", "enrich.tap=off", "enrich.sock_diag=false",
                                                 "enrich.procfs=off"),
            subjects.limit(), subjects.raw(), subjects.dumpcap(), subjects.text(), subjects.Nethogs(),
            subjects.Bpftrace(), subjects.tshark()]


def paced(s, world, rate, seconds):
    """Figures of one load; the backlog it leaves belongs to it."""
    host_memory.fetch()
    before = s.cpu_ns()
    r = world.load(rate, seconds)
    s.settle()
    cpu = s.cpu_ns() - before
    return {"cpu": cpu / r["done"] / 1000, "core": cpu / r["elapsed_ns"] * 100, "rate": r["rate"]}


def calls(s, world, rate):
    counter = subjects.CallCounter(s.pids(), 2)  # the load's second and its backlog
    done = world.load(rate, 1)["done"]
    return counter.result() / done


def by_program(f, world, rate, seconds):
    """System calls of each of our programs for 1,000 records."""
    before = f.f.ledger("enrich")["enrich_records_published"]
    counters = {p: subjects.CallCounter([pid], seconds + 1) for p, pid in f.programs.items()}
    world.load(rate, seconds)
    found = {p: c.result() for p, c in counters.items()}
    records = max(f.f.ledger("enrich")["enrich_records_published"] - before, 1)
    return {p: n * 1000 / records for p, n in found.items()}, records / seconds


def run(samples, world, quick):
    rate, seconds = (500, 1) if quick else (6000, 3)
    for s in subjects.opened(samples, NAME, subjects.turned(cast(quick), samples, NAME), world):
        if not quick:
            subjects.warm(s, world)
        samples.add(NAME, s.name, **paced(s, world, rate, seconds), calls=calls(s, world, rate))
        if s.name == OURS and not quick:
            found, reached = by_program(s, world, 2 * rate, 2)  # promised from 10,000 records/s on
            samples.add(NAME, s.name, **{f"{p} calls/1000": n for p, n in found.items()}, records=reached)
            samples.add(NAME, FAST, **paced(s, world, 20000, seconds))
            samples.add(NAME, s.name, lost=s.lost())
        s.stop()


def judge(samples):
    def beside(peer):
        return samples.ratio(NAME, OURS, peer, "cpu")

    def made(*programs):
        found = [samples.median(NAME, OURS, f"{p} calls/1000") for p in programs]
        return None if None in found else sum(found)
    for peer, bound in ((subjects.text(), 0.15), (subjects.dumpcap(), 0.6), (subjects.Bpftrace(), 0.1),
                        (subjects.raw(), 2)):
        yield Verdict(1, f"CPU a connection beside {peer.name}", beside(peer.name), "<=", bound)
    yield Verdict(1, "% of a core at 20,000 connections/s or what is reached", samples.median(NAME, FAST, "core"), "<=", 5)
    yield Verdict(3, "system calls of sink for 1,000 records", made("sink"), "<=", 5)
    yield Verdict(3, "of capture and enrich", made("capture", "enrich"), "<=", 60)
