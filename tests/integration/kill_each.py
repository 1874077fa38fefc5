# SPDX-License-Identifier: Apache-2.0
"""SIGKILL of each program, and of several at once, again and again under load: no torn line, no number twice, nothing
published missing, the ledger balanced."""
import os
import random
import signal
import subprocess
import time

import pipeline
import tap

tap.need_root()
KILLS = int(os.environ.get("FLOWNER_KILLS", tap.amount(4, 250, 2)))  # of each kind: 1,000 of the long run
RATE = 2000
KINDS = *pipeline.PROGRAMS, "several"

random.seed(os.environ.get("FLOWNER_SEED", "1"))
srv = pipeline.server("tcp", "127.0.0.1", 9971)


def kill(f, programs):
    """Kills them at one blow; True when each has a successor that is ready."""
    pids = {p: f.pid(p) for p in programs}
    for p in random.sample(programs, len(programs)):
        os.kill(pids[p], signal.SIGKILL)

    def back(p):
        ledger = f.ledger(p)
        return ledger.get("pid") not in (None, 0, pids[p]) and ledger["ready"]

    return tap.wait_for(lambda: all(back(p) for p in programs))


def victims(kind, n):
    if kind != "several":
        return [kind]
    # All three every other time: then nobody is left who holds a ring, but for the supervisor.
    return list(pipeline.PROGRAMS) if n % 2 == 0 else random.sample(pipeline.PROGRAMS, 2)


def check(kind, path, counters, status):
    jq = tap.run(["jq", "-e", "-c", ".event.sequence // 0", path], text=True, timeout=300)
    tap.is_(jq.returncode, 0, f"{kind}: jq -e reads every line")
    numbers = [int(x) for x in jq.stdout.split() if int(x)]
    tap.is_(len(numbers), len(set(numbers)), f"{kind}: no sequence number twice")
    # What was published before the stop; the stop itself publishes the ends of open flows.
    published = counters["enrich_records_published"]
    missing = 0
    if kind in ("capture", "sink"):
        # One life of enrich: its numbers run without a gap but for records counted as lost.
        missing = max(numbers) - len(numbers) - counters["enrich_records_lost"]
    tap.is_(missing, 0, f"{kind}: every published record is there")
    tap.ok(len(numbers) >= published, f"{kind}: at least the {published} published ones ({len(numbers)})")
    tap.is_(counters["sink_records_lost"] + counters["sink_records_invalid"], 0, f"{kind}: none was lost by an output")
    tap.ok("balance" in status and "does not balance" not in status, f"{kind}: the ledger balances", status, counters)
    tap.note(f"{kind}: {len(numbers)} records, {counters}")


for kind in KINDS:
    path = os.path.join(tap.tmpdir(), "out.ndjson")
    f = pipeline.Flowner("-v", "-i", "lo", "-o", f"ecs:{path}", "tcp port 9971")
    load = subprocess.Popen([pipeline.TRUTH, "pace", str(RATE), str(3600), "127.0.0.1", "9971"],
                            stdout=subprocess.DEVNULL)
    back = 0
    for n in range(KILLS):
        time.sleep(random.uniform(0.1, 0.4))
        back += bool(kill(f, victims(kind, n)))
    time.sleep(0.5)
    load.kill()
    load.wait()
    tap.ok(f.settle(), f"{kind}: the counters come to rest")
    counters = f.ledgers()
    status = tap.run([tap.program("flowner"), "status", "--runtime-dir", f.runtime()], text=True).stdout
    tap.is_(f.stop(), 0, f"{kind}: flowner ends well")
    tap.is_(back, KILLS, f"{kind}: restarted after each of {KILLS} kills")
    check(kind, path, counters, status)
    if kind == "several":
        kept = f.log().count("what is left in the ring of a killed run")
        tap.ok(kept > 0, f"{kind}: rings were read that had lost both their ends ({kept})", f.log())
tap.done()
