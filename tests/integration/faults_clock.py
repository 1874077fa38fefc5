# SPDX-License-Identifier: Apache-2.0
"""The clock is set by a day, forward and back, while packets keep the kernel's time: owners, order and files stay right."""
import os
import struct
import time

import pipeline
import tap

tap.need_root()
PORT = 16400
DAY = 86400
NS = tap.netns("c")
home = tap.tmpdir()
step = os.path.join(home, "step")
folder = os.path.join(home, "out")
os.mkdir(folder)
os.chmod(folder, 0o777)


def set_clock(seconds):
    with open(step, "r+b" if os.path.exists(step) else "w+b") as f:
        f.write(struct.pack("<q", seconds))


set_clock(0)
os.chmod(step, 0o644)
pipeline.server("tcp", "127.0.0.1", PORT, prefix=tap.inside(NS))
path = os.path.join(folder, "out.ndjson")
env = dict(os.environ, LD_PRELOAD=tap.program("tests/integration/libclock-step.so"), CLOCK_STEP=step)
f = pipeline.Flowner("-i", "lo", "--set", f"output.files=[{{format: ecs, path: {path}, rotate_interval: 1h}}]",
                     f"tcp port {PORT}", prefix=tap.inside(NS), env=env)
pids = {p: f.pid(p) for p in pipeline.PROGRAMS}
clients = []
for seconds in 0, DAY, 0, -DAY, 0:
    set_clock(seconds)
    before = f.ledger("sink").get("sink_records_written", 0)
    since = time.monotonic()
    r = tap.run(tap.inside(NS, pipeline.TRUTH, "launch", "10", "1", "tcp", "127.0.0.1", str(PORT)), text=True)
    clients += [line.split()[1:3] for line in r.stdout.splitlines()]
    tap.ok(tap.wait_for(lambda: f.ledger("sink").get("sink_records_written", 0) >= before + 10),
           f"F12 clock at {seconds:+} s: what comes is logged", f.log())
    tap.note(f"F12 clock at {seconds:+} s: logged after {(time.monotonic() - since) * 1000:.0f} ms")
f.settle()
tap.is_({p: f.pid(p) for p in pids}, pids, "none was ended by it")
status = tap.run([tap.program("flowner"), "status", "--runtime-dir", f.runtime()], text=True).stdout
tap.ok("does not balance" not in status, "the ledger balances", status)
tap.is_(f.stop(), 0, "it ends well")
files = sorted(os.listdir(folder))
tap.ok(len(files) <= 6, "files are not changed more often than the clock", files)
found = [r for x in files for r in pipeline.records(os.path.join(folder, x))]
ends = {str(r["source"]["port"]): r for r in pipeline.connections(found, "end")}
named = [str(ends[port].get("process", {}).get("pid")) for port, _ in clients if "pid" in ends[port].get("process", {})]
wrong = [(port, pid) for port, pid in clients if str(ends[port].get("process", {}).get("pid", pid)) != pid]
tap.is_(wrong, [], "nobody wrong is named")
tap.note(f"F12 clock set: {len(named)} of {len(clients)} clients named; the packets' clock was not set with the programs'")
tap.ok(all(0 <= r["event"].get("duration", 0) < 10 * 10**9 for r in ends.values()), "durations are those of the packets")
tap.done()
