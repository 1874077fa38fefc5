# SPDX-License-Identifier: Apache-2.0
"""SIGKILL of each program, and of several at once, again and again under load: no torn line, no number twice, nothing
published missing, the ledger balanced, packet by packet. Under `flowner run`, and with the three started by themselves: there
each is back at once, and a thousand kills take minutes. With a start record for every connection, and without one for those
that are over soon (enrich.start_after)."""
import itertools
import json
import os
import random
import signal
import subprocess
import time

import daemons
import pipeline
import tap

tap.need_root()
# Of each kind; 1,050 in the long run: 4 x 15 under `flowner run`, which lets one wait for a second that died young, 7 x 136 and 40.
KILLS = int(os.environ.get("FLOWNER_KILLS", tap.amount(3, 136, 1)))
RUN_KILLS = tap.amount(2, 15, 1)
BOTH_KILLS = int(os.environ.get("FLOWNER_KILLS", tap.amount(2, 40, 0)))  # of enrich and sink, with nobody who keeps a ring
SLICE = 70  # of one pipeline
RATE = 2000
PORT = 13001
HELD, HELD_MS = 100, 500  # a second, and for how long at most: on both sides of enrich.start_after, on the next port
FILTER = f"tcp portrange {PORT}-{PORT + 1}"
BOTH = "both ends"  # of the ring of records
STARTS = {"all starts": pipeline.TWO_RECORDS, "late starts": ()}
SEED = os.environ.get("FLOWNER_SEED", "1")
ONLY = os.environ.get("FLOWNER_ONLY", "")  # part of a kind's name
RING = "enrich.ring=32MiB"  # what a sink leaves waiting that is killed again and again

random.seed(SEED)


def moved(f):
    c = f.ledgers()
    return [c.get(x, 0) for x in ("capture_packets_published", "enrich_records_published", "sink_records_written")]


def kill(f, programs, waiting=False):
    """Kills them at one blow; True when each has a successor that is ready. @waiting: with records in the ring that sink has not read."""
    pids = {p: f.pid(p) for p in programs}
    if waiting:
        os.kill(pids["sink"], signal.SIGSTOP)
        published = moved(f)[1]
        tap.wait_for(lambda: moved(f)[1] > published, step=0.005)
    for p in random.sample(programs, len(programs)):
        os.kill(pids[p], signal.SIGKILL)

    def back(p):
        ledger = f.ledger(p)
        return ledger.get("pid") not in (None, 0, pids[p]) and ledger["ready"]

    return tap.wait_for(lambda: all(back(p) for p in programs), step=0.005)


def pause(f):
    """Until the next kill: none, while programs find each other; until records flow again; and some time more."""
    what = random.random()
    if what < 0.25:
        time.sleep(random.uniform(0, 0.03))
        return True
    before = moved(f)
    flows = tap.wait_for(lambda: all(a > b for a, b in zip(moved(f), before)), step=0.005)
    if what < 0.6:
        time.sleep(random.uniform(0, 0.15))
    return flows


def victims(kind, n):
    if kind == BOTH:
        return ["enrich", "sink"]
    if kind != "several":
        return [kind]
    # All three every other time: then nobody is left who holds a ring, but for the supervisor.
    return list(pipeline.PROGRAMS) if n % 2 == 0 else random.sample(pipeline.PROGRAMS, 2)


def read(path):
    """The connections' records, and how many lines are no JSON."""
    found, torn = [], 0
    with open(path, "rb") as f:
        for line in f:
            try:
                if not line.endswith(b"\n"):
                    raise ValueError
                r = json.loads(line)
            except ValueError:
                torn += 1
                continue
            if r["event"].get("sequence"):
                found.append((r["event"]["sequence"], r["flowner"]["flow_id"], set(r["event"]["type"])))
    return found, torn


def check_events(name, found, late):
    """What is told of a connection by one life of enrich, which gives each a number of its own: a start, unless its end is one, too;
    an end; nothing after that."""
    told, wrong, alone = {}, [], 0
    for number, flow, types in sorted(found):
        before = told.setdefault(flow, set())
        if "end" in before or ("start" in types and "start" in before):
            wrong.append((number, flow, before, types))
        alone += {"start", "end"} <= types and not before
        before |= types
    tap.is_(wrong[:5], [], f"{name}: each connection starts once and ends once")
    both = sum({"start", "end"} <= x for x in told.values()) - alone
    tap.ok(both and bool(alone) == late, f"{name}: {alone} connections in one record, {both} in two")


def check(name, kind, path, counters, status, late):
    """@counters: at rest, before the stop, which publishes the ends of open flows."""
    found, torn = read(path)
    numbers = [n for n, _, _ in found]
    tap.is_(torn, 0, f"{name}: every line is whole")
    tap.is_(len(numbers) - len(set(numbers)), 0, f"{name}: no sequence number twice")
    before = [n for n in numbers if n <= counters["enrich_seq"]]
    published, lost = counters["enrich_records_published"], counters["sink_records_orphaned"]
    if kind == BOTH:  # of the batches that sink was writing at its deaths nobody knows what is in the file
        tap.ok(0 < lost and published - lost <= len(before) <= published,
               f"{name}: every published record is there, or counted as lost with its ring", f"{len(before)} of {published}, lost {lost}")
    else:
        tap.is_((len(before), lost), (published, 0), f"{name}: every published record is there, and no other")
    if kind in ("capture", "sink"):
        # One life of enrich: its numbers run without a gap but for records counted as lost.
        tap.is_(max(numbers) - len(numbers), counters["enrich_records_lost"], f"{name}: without a gap")
    check_events(name, found, late)
    tap.is_(counters["sink_records_lost"] + counters["sink_records_invalid"], 0, f"{name}: none was lost by an output")
    tap.is_(counters["capture_packets_published"], counters["enrich_packets_read"],
            f"{name}: each packet was read once")
    b, o = status["balance"], status["output_balance"]
    tap.ok(b["balanced"] and b["under_way"] == 0, f"{name}: the ledger balances", b)
    tap.ok(o["balanced"] and o["under_way"] == 0, f"{name}: so does the output", o)
    lost = {f"{x['stage']} {x['reason']}": x["count"] for x in status["losses"] if x["count"]}
    tap.note(f"{name}: {len(numbers)} records of {b['matched']} packets, counted losses: {lost}")


def run(name, kind, kills, f, path, late):
    load = [tap.spawn([pipeline.TRUTH, *map(str, args)], stdout=subprocess.DEVNULL)
            for args in (("pace", RATE, 3600, "127.0.0.1", PORT), ("held", HELD, HELD_MS, "127.0.0.1", PORT + 1))]
    began = time.monotonic()
    flows = int(bool(tap.wait_for(lambda: all(moved(f)))))  # of packets before the first hand-over nobody knows
    back = 0
    for n in range(kills):
        flows += bool(pause(f))
        # The first blow to both ends finds something to lose: at any other the ring may be empty.
        back += bool(kill(f, victims(kind, n), waiting=kind == BOTH and n == 0))
    flows += bool(tap.wait_for(lambda before=moved(f): all(a > b for a, b in zip(moved(f), before))))
    time.sleep(2 * HELD_MS / 1000)  # connections that are held begin and end in the last lives
    took = time.monotonic() - began
    for p in load:
        p.kill()
        p.wait()
    tap.ok(f.settle(timeout=120), f"{name}: the counters come to rest")
    counters = f.ledgers()
    status = json.loads(tap.run([tap.program("flowner"), "status", "--json", "--runtime-dir", f.runtime()], text=True).stdout)
    tap.is_(f.stop(), 0, f"{name}: all end well")
    tap.is_((back, flows), (kills, kills + 2), f"{name}: back after each of {kills} kills, and records flow")
    tap.note(f"{name}: {kills} kills in {took:.1f} s, seed {SEED}")
    check(name, kind, path, counters, status["instances"][0], late)
    os.unlink(path)


def under_run(kind, starts):
    path = os.path.join(tap.tmpdir(), "out.ndjson")
    f = pipeline.Flowner("-v", "-i", "lo", "-o", f"ecs:{path}", "--set", RING, FILTER, starts=STARTS[starts])
    run(f"run, {kind}, {starts}", kind, RUN_KILLS, f, path, starts == "late starts")
    if kind == "several":
        kept = f.log().count("what is left in the ring of a killed run")
        tap.ok(kept > 0, f"run: rings were read that had lost both their ends ({kept})", f.log())


def by_themselves(kind, kills, starts, keeps=True):
    name = ", ".join([kind, starts] + ["nothing kept"] * (not keeps))
    f = daemons.Daemons("ecs", "capture.interfaces=[lo]", f"capture.filter={FILTER}", RING, "output.flush=20ms",
                        keeps=keeps, starts=STARTS[starts])
    run(name, kind, kills, f, f.out_path, starts == "late starts")


srv = pipeline.server("tcp", "127.0.0.1", PORT)
everything = "FLOWNER_LONG" in os.environ
turns = itertools.cycle(random.sample(list(STARTS), len(STARTS)))  # each pipeline in its turn
for k in *pipeline.PROGRAMS, "several":
    if ONLY not in k:
        continue
    if RUN_KILLS and not ONLY and (everything or k == "several"):
        under_run(k, next(turns))
    for at in range(0, KILLS, SLICE):
        by_themselves(k, min(SLICE, KILLS - at), next(turns))
    # Without a supervisor that keeps anything the other end of each ring must live.
    if k != "several" and (everything or ONLY or k == "enrich"):
        for at in range(0, KILLS, SLICE):
            by_themselves(k, min(SLICE, KILLS - at), next(turns), keeps=False)
if ONLY in BOTH:
    for at in range(0, BOTH_KILLS, SLICE):
        by_themselves(BOTH, min(SLICE, BOTH_KILLS - at), next(turns), keeps=False)
tap.done()
