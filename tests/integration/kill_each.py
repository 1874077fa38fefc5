# SPDX-License-Identifier: Apache-2.0
"""SIGKILL of each program, and of several at once, again and again under load: no torn line, no number twice, nothing
published missing, the ledger balanced, packet by packet. Under `flowner run`, and with the three started by themselves: there
each is back at once, and a thousand kills take minutes."""
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
# Of each kind; 1,010 in the long run: 4 x 15 under `flowner run`, which lets one wait for a second that died young, and 7 x 136.
KILLS = int(os.environ.get("FLOWNER_KILLS", tap.amount(3, 136, 2)))
RUN_KILLS = tap.amount(2, 15, 1)
SLICE = 70  # of one pipeline
RATE = 2000
PORT = 13001
SEED = os.environ.get("FLOWNER_SEED", "1")
ONLY = os.environ.get("FLOWNER_ONLY", "")  # part of a kind's name
RING = "enrich.ring=32MiB"  # what a sink leaves waiting that is killed again and again

random.seed(SEED)


def moved(f):
    c = f.ledgers()
    return [c.get(x, 0) for x in ("capture_packets_published", "enrich_records_published", "sink_records_written")]


def kill(f, programs):
    """Kills them at one blow; True when each has a successor that is ready."""
    pids = {p: f.pid(p) for p in programs}
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
    if kind != "several":
        return [kind]
    # All three every other time: then nobody is left who holds a ring, but for the supervisor.
    return list(pipeline.PROGRAMS) if n % 2 == 0 else random.sample(pipeline.PROGRAMS, 2)


def numbers_of(path):
    """The records' numbers, and how many lines are no JSON."""
    numbers, torn = [], 0
    with open(path, "rb") as f:
        for line in f:
            try:
                if not line.endswith(b"\n"):
                    raise ValueError
                number = json.loads(line)["event"].get("sequence")
            except ValueError:
                torn += 1
                continue
            if number:
                numbers.append(number)
    return numbers, torn


def check(name, kind, path, counters, status):
    """@counters: at rest, before the stop, which publishes the ends of open flows."""
    numbers, torn = numbers_of(path)
    tap.is_(torn, 0, f"{name}: every line is whole")
    tap.is_(len(numbers) - len(set(numbers)), 0, f"{name}: no sequence number twice")
    before = [n for n in numbers if n <= counters["enrich_seq"]]
    tap.is_(len(before), counters["enrich_records_published"], f"{name}: every published record is there, and no other")
    if kind in ("capture", "sink"):
        # One life of enrich: its numbers run without a gap but for records counted as lost.
        tap.is_(max(numbers) - len(numbers), counters["enrich_records_lost"], f"{name}: without a gap")
    tap.is_(counters["sink_records_lost"] + counters["sink_records_invalid"], 0, f"{name}: none was lost by an output")
    tap.is_(counters["capture_packets_published"], counters["enrich_packets_read"],
            f"{name}: each packet was read once")
    b, o = status["balance"], status["output_balance"]
    tap.ok(b["balanced"] and b["under_way"] == 0, f"{name}: the ledger balances", b)
    tap.ok(o["balanced"] and o["under_way"] == 0, f"{name}: so does the output", o)
    lost = {f"{x['stage']} {x['reason']}": x["count"] for x in status["losses"] if x["count"]}
    tap.note(f"{name}: {len(numbers)} records of {b['matched']} packets, counted losses: {lost}")


def run(name, kind, kills, f, path):
    load = subprocess.Popen([pipeline.TRUTH, "pace", str(RATE), "3600", "127.0.0.1", str(PORT)],
                            stdout=subprocess.DEVNULL)
    began = time.monotonic()
    flows = int(bool(tap.wait_for(lambda: all(moved(f)))))  # of packets before the first hand-over nobody knows
    back = 0
    for n in range(kills):
        flows += bool(pause(f))
        back += bool(kill(f, victims(kind, n)))
    flows += bool(tap.wait_for(lambda before=moved(f): all(a > b for a, b in zip(moved(f), before))))
    took = time.monotonic() - began
    load.kill()
    load.wait()
    tap.ok(f.settle(timeout=120), f"{name}: the counters come to rest")
    counters = f.ledgers()
    status = json.loads(tap.run([tap.program("flowner"), "status", "--json", "--runtime-dir", f.runtime()], text=True).stdout)
    tap.is_(f.stop(), 0, f"{name}: all end well")
    tap.is_((back, flows), (kills, kills + 2), f"{name}: back after each of {kills} kills, and records flow")
    tap.note(f"{name}: {kills} kills in {took:.1f} s, seed {SEED}")
    check(name, kind, path, counters, status["instances"][0])
    os.unlink(path)


def under_run(kind):
    path = os.path.join(tap.tmpdir(), "out.ndjson")
    f = pipeline.Flowner("-v", "-i", "lo", "-o", f"ecs:{path}", "--set", RING, f"tcp port {PORT}")
    run(f"run, {kind}", kind, RUN_KILLS, f, path)
    if kind == "several":
        kept = f.log().count("what is left in the ring of a killed run")
        tap.ok(kept > 0, f"run: rings were read that had lost both their ends ({kept})", f.log())


def by_themselves(kind, kills, keeps=True):
    name = kind if keeps else f"{kind}, nothing kept"
    f = daemons.Daemons("ecs", "capture.interfaces=[lo]", f"capture.filter=tcp port {PORT}", RING, "output.flush=20ms",
                        keeps=keeps)
    run(name, kind, kills, f, f.out_path)


srv = pipeline.server("tcp", "127.0.0.1", PORT)
everything = "FLOWNER_LONG" in os.environ
for k in *pipeline.PROGRAMS, "several":
    if ONLY not in k:
        continue
    if RUN_KILLS and not ONLY and (everything or k == "several"):
        under_run(k)
    for at in range(0, KILLS, SLICE):
        by_themselves(k, min(SLICE, KILLS - at))
    # Without a supervisor that keeps anything the other end of each ring must live.
    if k != "several" and (everything or ONLY or k == "enrich"):
        for at in range(0, KILLS, SLICE):
            by_themselves(k, min(SLICE, KILLS - at), keeps=False)
tap.done()
