# SPDX-License-Identifier: Apache-2.0
"""The clock is set, by a day and by little, forward and back, while connections come and others last: owners, times,
timeouts and files stay right. What the kernel stamps follows the clock, as it does."""
import mmap
import os
import struct
import subprocess
import sys
import time

import pipeline
import tap

tap.need_root()
PORT = 16400
DAY = 86400
STEPS = DAY, 0, -DAY, 0, 0.5, 0, -0.5, -1.5, 3, -3, 0
CLIENTS = 10
NS = tap.netns("c")
home = tap.tmpdir()
step_path = os.path.join(home, "step")
folder = os.path.join(home, "out")
os.mkdir(folder)
os.chmod(folder, 0o777)
LASTING = f"""
import os, socket, sys
sys.stdin.readline()
while True:
    s = socket.create_connection(("127.0.0.1", {PORT + 1}))
    print(s.getsockname()[1], os.getpid(), flush=True)
    if not sys.stdin.readline():
        break
    s.close()
"""


class Clock:
    """The clock of flowner's programs: how far it was set ahead, and when (by CLOCK_REALTIME)."""

    def __init__(self):
        self.steps = []
        with open(step_path, "wb") as f:
            f.write(bytes(4096))
        os.chmod(step_path, 0o644)
        with open(step_path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), 4096)

    def set(self, seconds):
        at = len(self.steps) * 16
        self.steps.append((time.time_ns(), int(seconds * 1e9)))
        self.map[at + 8:at + 16] = struct.pack("<q", self.steps[-1][1])
        self.map[at:at + 8] = struct.pack("<q", self.steps[-1][0])


class Lasting:
    """A process from before all steps, with one connection at a time."""

    def __init__(self):
        self.p = tap.spawn(tap.inside(NS, sys.executable, "-c", LASTING), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                           text=True, bufsize=1)

    def next(self):
        """Closes its connection, and opens another: port, pid."""
        self.p.stdin.write("\n")
        return self.p.stdout.readline().split()


def launch():
    r = tap.run(tap.inside(NS, pipeline.TRUTH, "launch", str(CLIENTS), "1", "tcp", "127.0.0.1", str(PORT)), text=True)
    return [line.split()[1:3] for line in r.stdout.splitlines()]


def time_of(text):
    """Seconds of a record's time."""
    return time.mktime(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone


def written():
    return f.ledger("sink").get("sink_records_written", 0)


clock = Clock()
for port in PORT, PORT + 1:
    pipeline.server("tcp", "127.0.0.1", port, prefix=tap.inside(NS))
path = os.path.join(folder, "out.ndjson")
env = dict(os.environ, LD_PRELOAD=tap.program("tests/integration/libclock-step.so"), CLOCK_STEP=step_path)
lasting = Lasting()
f = pipeline.Flowner("-i", "lo", "--set", f"output.files=[{{format: ecs, path: {path}, rotate_interval: 1h}}]",
                     f"tcp port {PORT} or tcp port {PORT + 1}", prefix=tap.inside(NS), env=env)
tap.wait_for(lambda: "capturing on" in f.log())  # enrich has the tap
pids = {p: f.pid(p) for p in pipeline.PROGRAMS}
clients, held, slowest = {}, {}, 0
stream = tap.spawn(tap.inside(NS, pipeline.TRUTH, "pace", "100", "600", "127.0.0.1", str(PORT)), stdout=subprocess.DEVNULL)
clients[0] = launch()
port, pid = lasting.next()
for n, seconds in enumerate(STEPS, 1):
    held[port] = pid, time.time(), n - 1
    clock.set(seconds)
    before, since = written(), time.monotonic()
    clients[n] = launch()
    tap.ok(tap.wait_for(lambda: written() >= before + CLIENTS), f"F12 clock at {seconds:+} s: what comes is logged", f.log())
    slowest = max(slowest, time.monotonic() - since)
    port, pid = lasting.next()
held[port] = pid, time.time(), len(STEPS)
stream.kill()
stream.wait()
lasting.p.stdin.close()
lasting.p.wait()
f.settle()
tap.is_({p: f.pid(p) for p in pids}, pids, "none was ended by it")
status = tap.run([tap.program("flowner"), "status", "--runtime-dir", f.runtime()], text=True).stdout
tap.ok(pipeline.balances(status), "the ledger balances", status)
tap.is_(f.log().count("the clock was set by"), len(STEPS), "each step is told once")
tap.is_(f.stop(), 0, "it ends well")
files = sorted(os.listdir(folder))
tap.ok(len(files) <= 2 * STEPS.count(DAY) + 6, "files are not changed more often than the clock", files)
found = [r for x in files for r in pipeline.records(os.path.join(folder, x))]
ends = {}
for r in pipeline.connections(found, "end"):
    ends.setdefault((r["destination"]["port"], str(r["source"]["port"])), []).append(r)


def owners(port, mine):
    """How many of the (client port, pid) are named; the wrong ones. A port may have been several clients', in turn."""
    had = [c for others in clients.values() for c in others]
    named, bad = 0, []
    for client, owner in mine:
        got = {str(r.get("process", {}).get("pid")) for r in ends.get((port, client), [])} - {"None"}
        named += owner in got
        may = {owner, str(stream.pid), *(pid for c, pid in had if c == client)}
        bad += [(client, owner, got)] if got - may or not got and (port, client) not in ends else []
    return named, bad


for n, mine in clients.items():
    named, bad = owners(PORT, mine)
    what = f"F12 clock at {(0, *STEPS)[n]:+} s"
    tap.is_(bad, [], f"{what}: nobody wrong is named")
    tap.ok(named >= len(mine) - 1, f"{what}: {named} of {len(mine)} clients are named")
streamed = [str(r.get("process", {}).get("pid")) for (port, _), rs in ends.items() if port == PORT for r in rs]
others = {pid for mine in clients.values() for _, pid in mine}
streamed = [pid for pid in streamed if pid not in others]
tap.is_(set(streamed) - {str(stream.pid), "None"}, set(), "of a process that connects all the while nobody wrong is named")
tap.ok(streamed.count("None") <= len(streamed) / 100, f"and it is for {len(streamed)} connections but {streamed.count('None')}")
named, bad = owners(PORT + 1, [(p, v[0]) for p, v in held.items()])
tap.is_((named, bad), (len(held), []), "connections over a step keep their owner")
for port, (pid, opened, n) in held.items():
    r = ends[PORT + 1, port][-1]
    took = (r["event"]["duration"]) / 1e9
    # Closed after one step, and told before or after the next.
    settings = (0, *STEPS, STEPS[-1])[n + 1:n + 3]
    tap.ok(0 <= took < 60, f"F12 a connection over a step to {settings[0]:+} s: its duration is true", r["event"])
    off = time_of(r["event"]["end"]) - opened
    tap.ok(any(-2 <= off - ahead < 60 for ahead in settings),
           f"F12 a connection over a step to {settings[0]:+} s: its end is by the clock as it is then", off, r["event"])
tap.ok(all(0 <= r["event"].get("duration", 0) < 60 * 10**9 for rs in ends.values() for r in rs), "no duration holds a step")
starts = {}
for r in pipeline.connections(found):
    p = r.get("process", {})
    if "start" in p:
        starts.setdefault(p["pid"], set()).add(p["start"])
tap.is_([x for x in starts.items() if len(x[1]) != 1], [], "a process keeps the start it was first told with")
tap.note(f"F12 clock set {len(STEPS)} times: what comes is logged after at most {slowest * 1000:.0f} ms, lost = counted: 0")
tap.done()
