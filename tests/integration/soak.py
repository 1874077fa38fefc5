# SPDX-License-Identifier: Apache-2.0
"""The generator's maximum for ten minutes, with 50,000 sockets on the host: memory within its bounds, memory and
descriptors flat, the ledger balanced. $FLOWNER_SOAK_SECONDS for less, $FLOWNER_SOAK_RATE for a rate."""
import os
import resource
import subprocess
import sys
import time

import pipeline
import tap

tap.need_root()
SECONDS = int(os.environ.get("FLOWNER_SOAK_SECONDS", "600"))
RATE = os.environ.get("FLOWNER_SOAK_RATE", "0")
SOCKETS = int(os.environ.get("FLOWNER_SOAK_SOCKETS", "50000"))
PORT = 16200
MOST_KIB = 64 << 10
LOAD = tap.program("tests/bench/load")
HOLD = """
import resource, socket, sys, time
n = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (n + 20, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
s = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(n)]
for x in s:
    x.bind((sys.argv[2], 0))
print(n, flush=True)
time.sleep(100000)
"""


def hold(ns, count):
    """That many sockets, as many a process as it may have."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 100
    for i in range(1, 200):
        n = min(count, most, 19000)
        if n <= 0:
            return
        p = tap.spawn(tap.inside(ns, sys.executable, "-c", HOLD, str(n), f"127.1.{i}.1"), stdout=subprocess.PIPE)
        p.stdout.readline()
        count -= n


def memory(pid):
    """KiB: proportional (what is shared counts for each sharer's part), and the packet ring of the kernel mapped in it."""
    total = ring = 0
    with open(f"/proc/{pid}/smaps") as f:
        packet = False
        for line in f:
            if "-" in line.split(" ", 1)[0] and ":" not in line.split(" ", 1)[0]:
                packet = "socket:" in line
            elif line.startswith("Pss:"):
                total += int(line.split()[1])
                ring += packet * int(line.split()[1])
    return total - ring, ring


def look(f):
    found = {}
    for p in pipeline.PROGRAMS:
        pid = f.pid(p)
        found[p] = (*memory(pid), len(os.listdir(f"/proc/{pid}/fd")))
    return found


def show(when, found):
    tap.note(f"{when}: " + ", ".join(f"{p} {kib} KiB and {ring} KiB packet ring, {fds} descriptors"
                                     for p, (kib, ring, fds) in found.items()) +
             f"; together {sum(x[0] for x in found.values())} KiB")


ns = tap.netns("s")
for setting in "tcp_tw_reuse=1", "tcp_max_tw_buckets=4000":
    tap.run(tap.inside(ns, "sysctl", "-qw", f"net.ipv4.{setting}"))
hold(ns, SOCKETS)
path = os.path.join(tap.tmpdir(), "out.ndjson")
began = time.monotonic()
f = pipeline.Flowner("-i", "lo", "-o", "ecs:/dev/null", prefix=tap.inside(ns))
tap.note(f"ready after {time.monotonic() - began:.1f} s, with {SOCKETS} sockets on the host")
pids = {p: f.pid(p) for p in pipeline.PROGRAMS}
load = subprocess.Popen(tap.inside(ns, LOAD, "tcp", RATE, str(SECONDS), str(PORT)), stdout=subprocess.PIPE, text=True)
early = late = None
began = time.monotonic()
while load.poll() is None:
    time.sleep(min(5, SECONDS / 20))
    at = (time.monotonic() - began) / SECONDS
    if at >= 1 / 5 and not early:
        early = look(f)
        show("early", early)
    if at < 1:
        late = look(f)
show("late", late)
done = load.stdout.read().split()
tap.note(f"{int(done[1]) / SECONDS:.0f} connections a second, {done[3]} failed")
tap.ok(f.settle(timeout=60), "the counters come to rest")
status = tap.run([tap.program("flowner"), "status", "--runtime-dir", f.runtime()], text=True).stdout
tap.is_({p: f.pid(p) for p in pids}, pids, "none of the three was ended")
tap.ok("balance" in status and "does not balance" not in status, "the ledger balances", status)
for p in pipeline.PROGRAMS:
    tap.ok(late[p][0] <= early[p][0] * 1.1 + 1024, f"{p}: memory is flat", early[p], late[p])
    tap.is_(late[p][2], early[p][2], f"{p}: descriptors are, too")
together = sum(x[0] for x in late.values())
tap.ok(together <= MOST_KIB, f"all three together: {together} KiB, at most {MOST_KIB}")
counters = f.ledgers()
tap.note(f"lost = counted: kernel {counters['capture_packets_dropped']}, packet ring {counters['capture_packets_ring_full']}, "
         f"records {counters['enrich_records_lost']}; evicted flows {counters['enrich_flows_evicted']}")
tap.is_(f.stop(), 0, "it ends well")
tap.done()
