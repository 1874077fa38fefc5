# SPDX-License-Identifier: Apache-2.0
"""The generator's maximum for ten minutes, with 50,000 sockets on the host: the resident memory of the three within its bound,
each page counted for each program that has it (also by a memory cgroup that ends who takes more), memory and descriptors flat,
the ledger balanced. $FLOWNER_SOAK_SECONDS for less, $FLOWNER_SOAK_RATE for a rate."""
import atexit
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
SETTLED = min(SECONDS / 5, 120)  # tables that go round have gone round, and who ended before is forgotten
SOCKETS = int(os.environ.get("FLOWNER_SOAK_SOCKETS", "50000"))
PORT = 16200
GONE_ROUND = 70000  # connections, after which the largest table that goes round has done so
MOST_KIB = 64 << 10
PER_RATE = 1  # KiB of tables that grow with the highest rate so far, for each connection a second: claims, ended connections
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


def mappings(pid):
    """{name: [rss, pss]} in KiB; the packet ring of the kernel is "packets"."""
    found = {}
    with open(f"/proc/{pid}/smaps") as f:
        for line in f:
            first, _, rest = line.partition(" ")
            if not first.endswith(":"):
                name = rest.split()[-1] if len(rest.split()) > 4 else "anonymous"
                name = "packets" if name.startswith("socket:") else name.rsplit("/", 1)[-1]
            elif first in ("Rss:", "Pss:"):
                found.setdefault(name, [0, 0])[first == "Pss:"] += int(rest.split()[0])
    return found


class Look:
    """KiB of one program without the packet ring: plain, and by parts (what is shared counts for each sharer's part)."""

    def __init__(self, pid):
        self.maps = mappings(pid)
        self.packets = self.maps.pop("packets", [0, 0])[1]
        self.rss, self.pss = (sum(x[i] for x in self.maps.values()) for i in (0, 1))
        self.fds = len(os.listdir(f"/proc/{pid}/fd"))

    def most(self):
        return ", ".join(f"{name} {pss}" for name, (_, pss) in
                         sorted(self.maps.items(), key=lambda x: -x[1][1])[:4])


def look(f):
    return {p: Look(f.pid(p)) for p in pipeline.PROGRAMS}


def memory_group():
    """A cgroup of MOST_KIB for processes still to come: (folder, file of what is used); (None, None) without.

    The kernel's own for them counts in it, shared pages once, the packet ring not at all. While it starts, the sweep goes
    through /proc: for each descriptor it looks at the kernel keeps a name and an inode, 40 MiB here, until it needs the room."""
    with open("/proc/self/cgroup") as f:
        own = [line.rstrip().split(":", 2)[2] for line in f if line.split(":")[1] == "memory"]
    for above, limit, used in (*((f"/sys/fs/cgroup/memory{x}", "memory.limit_in_bytes", "memory.usage_in_bytes")
                                 for x in own), ("/sys/fs/cgroup", "memory.max", "memory.current")):
        path = f"{above.rstrip('/')}/flowner-soak-{os.getpid()}"
        try:
            os.mkdir(path)
        except OSError:
            continue
        atexit.register(lambda: tap.wait_for(lambda: removed(path), timeout=10))
        try:
            with open(f"{path}/{limit}", "w") as f:
                f.write(str(MOST_KIB << 10))
            return path, f"{path}/{used}"
        except OSError:
            continue
    return None, None


def removed(path):
    try:
        os.rmdir(path)
    except OSError:
        pass
    return not os.path.exists(path)


def show(when, found):
    for p, x in found.items():
        tap.note(f"{when}: {p}: {x.pss} KiB ({x.most()}), plain RSS {x.rss}, packet ring {x.packets}, {x.fds} descriptors")
    tap.note(f"{when}: together {sum(x.pss for x in found.values())} KiB, plain RSS {sum(x.rss for x in found.values())} "
             f"(rings and libraries once for each program), packet ring {sum(x.packets for x in found.values())}")


group, used = memory_group()
enter = ["sh", "-c", 'echo 0 > "$0"/cgroup.procs && exec "$@"', group] if group else []
ns = tap.netns("s")
for setting in "tcp_tw_reuse=1", "tcp_max_tw_buckets=4000":
    tap.run(tap.inside(ns, "sysctl", "-qw", f"net.ipv4.{setting}"))
hold(ns, SOCKETS)
path = os.path.join(tap.tmpdir(), "out.ndjson")
began = time.monotonic()
# Namespaces of others, in each of which enrich would have sockets, may come and go meanwhile.
f = pipeline.Flowner("-i", "lo", "-o", "ecs:/dev/null", "--set", "enrich.netns=false",
                     prefix=[*enter, *tap.inside(ns)])
tap.note(f"ready after {time.monotonic() - began:.1f} s, with {SOCKETS} sockets on the host")
pids = {p: f.pid(p) for p in pipeline.PROGRAMS}
load = tap.spawn(tap.inside(ns, LOAD, "tcp", RATE, str(SECONDS), str(PORT)), stdout=subprocess.PIPE, text=True)
early = late = None
early_flows = most = early_rate = highest = flows = 0
began = at = time.monotonic()
while load.poll() is None:
    time.sleep(min(5, SECONDS / 20))
    before, at = (flows, at), time.monotonic()
    flows = f.ledger("enrich")["enrich_flows_started"]
    highest = max(highest, int((flows - before[0]) / (at - before[1])))
    if at - began >= SETTLED and not early:
        early, early_flows, early_rate = look(f), flows, highest
        show(f"early, after {early_flows} connections", early)
    if at - began < SECONDS:
        late = look(f)
        if group and early:
            with open(used) as u:
                most = max(most, int(u.read()) >> 10)
show("late", late)
done = load.stdout.read().split()
tap.note(f"{int(done[1]) / SECONDS:.0f} connections a second, {done[3]} failed")
tap.ok(f.settle(timeout=60), "the counters come to rest")
status = tap.run([tap.program("flowner"), "status", "--runtime-dir", f.runtime()], text=True).stdout
tap.is_({p: f.pid(p) for p in pids}, pids, "none of the three was ended")
tap.ok(pipeline.balances(status), "the ledger balances", status)
for p in pipeline.PROGRAMS:
    if early_flows >= GONE_ROUND:
        room = early[p].pss * 0.1 + 1024 + (highest - early_rate) * PER_RATE
        tap.ok(late[p].pss <= early[p].pss + room, f"{p}: memory is flat", early[p].pss, late[p].pss, early_rate, highest)
    else:
        tap.skip(f"{p}: memory is flat", "too few connections: tables still touch new pages")
    tap.is_(late[p].fds, early[p].fds, f"{p}: descriptors are, too")
plain = sum(x.rss for x in late.values())
tap.ok(plain <= MOST_KIB, f"all three together: {plain} KiB resident, at most {MOST_KIB}")
tap.is_(f.ledger("capture")["capture_buffer_size"] >> 10, late["capture"].packets, "the packet ring comes on top, and is reported")
if group:
    tap.ok(0 < most < MOST_KIB, f"with the supervisor and the kernel's part they have {most} KiB once settled")
else:
    tap.skip("the same by a memory cgroup", "there is none to be made here")
counters = f.ledgers()
tap.note(f"lost = counted: kernel {counters['capture_packets_dropped']}, packet ring {counters['capture_packets_ring_full']}, "
         f"records {counters['enrich_records_lost']}; evicted flows {counters['enrich_flows_evicted']}")
tap.is_(f.stop(), 0, "it ends well")
tap.done()
