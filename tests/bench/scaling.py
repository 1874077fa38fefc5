# SPDX-License-Identifier: Apache-2.0
"""What one connection costs beside more and more of everything else.

    tests/bench/scaling.py [--quick] [--rounds N] [--curves A,B] [--data FILE] [--draw FOLDER]

Prints for each curve its points, medians over rounds in which all points take turns, and whether it passes: the cost
of a connection at the last point is at most 1.25 times that at the first. The load is local, both ends have an owner,
the tap is live. Points measured are appended to FILE, and what is in it already counts, so that a long measurement
can be done in pieces; --rounds 0 only prints and draws. Costs are the scheduler's own CPU time of the three programs.
A point at which the generator did not reach nine tenths of its rate is left out, and counted; at the highest rate it is
what it reaches. --quick judges nothing.

Beside the flows: few of them in an enrich that holds as much memory as the most of them took, and reads none of it.
"""
import argparse
import collections
import json
import os
import resource
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../integration"), os.path.join(HERE, "scaling")]
import curve  # noqa: E402
import host_memory  # noqa: E402
import pipeline  # noqa: E402
import tap  # noqa: E402

LOAD = tap.program("tests/bench/load")
FLOWS = tap.program("tests/bench/scaling/flows")
BALLAST = tap.program("tests/bench/scaling/ballast.so")
PORT = 16300
RATE = 4000
GROWTH = 1.25  # a curve may end this much above its start: what caches and a shared machine make of the same work
TIER_LIVE = 1  # of enum ledger_tier
HOLD_FROM = 500  # descriptors held for nothing have numbers above those the generator uses
FLOWS_AT_ONCE = 40000
FLOWS_MAX = 1100000
PER_HOLDER = 18000
CURVES = {
    "rate": ("connections a second", (1000, 2000, 5000, 10000, 20000)),
    "sockets": ("open sockets on the host", (100, 1000, 10000, 50000)),
    "processes": ("processes on the host", (100, 300, 1000, 3000)),
    "namespaces": ("other network namespaces", (1, 10, 100, 250)),
    "fds": ("sockets open in the connecting process", (1, 100, 1000, 19000)),
    "flows": ("flows in the table", (1000, 10000, 100000, 1000000)),
}
HELD = ("sockets", "processes", "namespaces")  # found at the start
HOLD_SOCKETS = """
import resource, socket, sys, time
n, net = int(sys.argv[1]) // 2, sys.argv[2]
resource.setrlimit(resource.RLIMIT_NOFILE, (20000, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
held = []
for first in range(0, n, 4000):
    server = socket.create_server((f"{net}.{1 + first // 4000}", 0), backlog=64)
    for _ in range(min(4000, n - first)):
        held.append(socket.create_connection(server.getsockname()))
        held.append(server.accept()[0])
    held.append(server)
print("ready", flush=True)
time.sleep(100000)
"""
HOLD_PROCESSES = """
import os, sys, time
for _ in range(int(sys.argv[1])):
    os.posix_spawn("/bin/sleep", ["sleep", "100000"], os.environ)
print("ready", flush=True)
time.sleep(100000)
"""
HOLD_NAMESPACES = """
import subprocess, sys, time
held = []
for i in range(int(sys.argv[1])):
    inside = f"ip link set lo up && ip addr add 10.200.{i >> 8}.{i & 255}/32 dev lo && echo && exec sleep 100000"
    held.append(subprocess.Popen(["unshare", "-n", "sh", "-c", inside], stdout=subprocess.PIPE))
assert all(p.stdout.readline() for p in held)
print("ready", flush=True)
time.sleep(100000)
"""
WITH_FDS = """
import os, resource, socket, sys
n, first = int(sys.argv[1]), int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_NOFILE, (first + n + 10, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
for i in range(n):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    os.dup2(s.fileno(), first + i)
    s.close()
os.execv(sys.argv[3], sys.argv[3:])
"""


def python(code, *args):
    return [sys.executable, "-c", code, *map(str, args)]


def pairs(line):
    words = line.split()
    return {k: int(v) for k, v in zip(words[::2], words[1::2])}


def memory_mib(f):
    with open(f"/proc/{f.pid('enrich')}/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize() >> 20


class Holder:
    """Something held in a process group of its own until free()."""

    def __init__(self, argv):
        self.p = tap.spawn(["setsid", *argv], stdout=subprocess.PIPE)
        if self.p.stdout.readline() != b"ready\n":
            tap.bail("nothing is held")

    def free(self):
        os.killpg(self.p.pid, 9)
        self.p.wait()


class Bench:
    def __init__(self, quick):
        self.seconds, self.warm = (1, 0) if quick else (2, 1)
        self.ns = tap.netns("scaling")
        for s in "tcp_tw_reuse=1", "tcp_max_tw_buckets=2000":
            tap.run(tap.inside(self.ns, "sysctl", "-qw", f"net.ipv4.{s}"), check=True)
        tap.run(tap.inside(self.ns, "sysctl", "-qw", "net.core.somaxconn=8192"), check=True)

    def hold(self, what, n):
        if what == "processes":
            running = sum(x.isdigit() for x in os.listdir("/proc"))
            return [Holder(python(HOLD_PROCESSES, max(0, n - running)))]
        if what == "namespaces":
            return [Holder(python(HOLD_NAMESPACES, n))]
        return [Holder(tap.inside(self.ns, *python(HOLD_SOCKETS, min(PER_HOLDER, n - at), f"127.2.{at // PER_HOLDER}")))
                for at in range(0, n, PER_HOLDER)]

    def load(self, rate, seconds, fds=0):
        argv = [LOAD, "tcp", str(rate), str(seconds), str(PORT)]
        if fds > 1:
            argv = python(WITH_FDS, fds - 1, HOLD_FROM, *argv)
        return pairs(tap.run(tap.inside(self.ns, *argv), text=True, timeout=120, check=True).stdout)

    def open_flows(self, f, have, n):
        """A part at a time: enrich is to take them all in."""
        def are_open(wanted):
            ledger = f.ledger("enrich")
            return ledger["enrich_flows_started"] - ledger["enrich_flows_ended"] >= wanted

        for at in range(have, n, FLOWS_AT_ONCE):
            count = min(n - at, FLOWS_AT_ONCE)
            tap.run(tap.inside(self.ns, FLOWS, "open", str(at), str(count)), check=True)
            if not tap.wait_for(lambda: are_open(at + count)):
                tap.bail(f"{n} flows are to be open: {f.ledgers()}")
        f.settle()  # each is told of after enrich.start_after: no part of what a later connection costs

    def start(self, *args, env=None):
        """A flowner whose tap is live and whose rings and tables have been touched once: a page fault each."""
        f = pipeline.Flowner("-i", "lo", "-o", "ecs:/dev/null", *args, prefix=tap.inside(self.ns), starts=(), env=env)
        if not tap.wait_for(lambda: f.ledger("enrich")["enrich_tier_tap"] == TIER_LIVE):
            tap.bail("the tap does not become live")
        f.lives = {p: f.pid(p) for p in pipeline.PROGRAMS}
        if self.warm:
            for i in range(4):
                first = FLOWS_MAX + i * FLOWS_AT_ONCE // 2
                tap.run(tap.inside(self.ns, FLOWS, "over", str(first), str(FLOWS_AT_ONCE // 2)), check=True)
                f.settle(quiet=0.1)
            self.load(0, self.warm)
            f.settle(quiet=0.1)
        return f

    def point(self, f, what, n):
        """CPU time of each program per connection, us, and the connections a second that were reached."""
        host_memory.fetch()
        pids = {p: f.pid(p) for p in pipeline.PROGRAMS}
        before = {p: pipeline.cpu_ns(pid) for p, pid in pids.items()}
        done = self.load(n if what == "rate" else RATE, self.seconds, n if what == "fds" else 0)
        time.sleep(0.3)
        if pids != f.lives or pids != {p: f.pid(p) for p in pipeline.PROGRAMS}:
            tap.bail(f"a program was started again, its tables are new: {f.lives}, {pids}\n{f.log()}")
        cost = {p: (pipeline.cpu_ns(pid) - before[p]) / max(done["done"], 1) / 1000 for p, pid in pids.items()}
        return {"curve": what, "at": n, "reached": done["done"] / self.seconds, **cost}

    def beside_held(self, what, n):
        """A point with a flowner of its own, that found what is held when it started."""
        held = self.hold(what, n)
        try:
            f = self.start()
            point = self.point(f, what, n)
            tap.stop(f.p)
        finally:
            for h in held:
                h.free()
        return point

    def flows(self, xs):
        args = ("--set", f"limits.flows={FLOWS_MAX}", "--set", "limits.tcp_attempt_timeout=1h")
        f = self.start(*args)
        before, have = memory_mib(f), 0
        for n in sorted(xs):  # they stay open
            self.open_flows(f, have, n)
            have = n
            yield self.point(f, "flows", n)
        held = memory_mib(f) - before
        tap.stop(f.p)
        f = self.start(*args, env={**os.environ, "LD_PRELOAD": BALLAST, "BALLAST_MIB": str(held)})
        if memory_mib(f) < before + held - 1:
            tap.bail(f"enrich does not hold {held} MiB: {f.log()}")
        self.open_flows(f, 0, min(xs))
        yield {**self.point(f, "ballast", min(xs)), "held_mib": held}
        tap.stop(f.p)

    def round(self, curves):
        """Yields a point each of {curve: [x]}."""
        mine = [what for what in curves if what in ("rate", "fds")]
        if mine:
            f = self.start()
            for what in mine:
                for n in curves[what]:
                    yield self.point(f, what, n)
            tap.stop(f.p)
        if "flows" in curves:
            yield from self.flows(curves["flows"])
        for what in (x for x in curves if x in HELD):
            for n in curves[what]:
                yield self.beside_held(what, n)


def reached(p):
    wanted = p["at"] if p["curve"] == "rate" else RATE
    return p["reached"] >= (0.6 if wanted == max(CURVES["rate"][1]) else 0.9) * wanted


def lines_of(what, points):
    """{name: {x: [values]}} of one curve, the sum first."""
    lines = {name: collections.defaultdict(list) for name in ("all", *pipeline.PROGRAMS)}
    for p in points:
        if p["curve"] != what or not reached(p):
            continue
        for name in pipeline.PROGRAMS:
            lines[name][p["at"]].append(p[name])
        lines["all"][p["at"]].append(sum(p[name] for name in pipeline.PROGRAMS))
    return lines


def show(what, points):
    """Prints a curve; returns (last over first, ends), NaN without both."""
    name, xs = CURVES[what]
    lines = lines_of(what, points)
    short = sum(p["curve"] == what and not reached(p) for p in points)
    tap.note(f"{name}: us of CPU per connection" + (f" ({short} left out: the rate was not reached)" if short else ""))
    for x in xs:
        v = lines["all"].get(x)
        if v:
            parts = ", ".join(f"{p} {statistics.median(lines[p][x]):.2f}" for p in pipeline.PROGRAMS)
            at = statistics.median(p["reached"] for p in points if p["curve"] == what and p["at"] == x and reached(p))
            tap.note(f"{x:9,} ({at:6,.0f}/s) {statistics.median(v):6.2f}  ({min(v):.2f}..{max(v):.2f}, {len(v)} rounds)  {parts}")
    if what == "flows" and (held := [p for p in points if p["curve"] == "ballast" and reached(p)]):
        v = [sum(p[name] for name in pipeline.PROGRAMS) for p in held]
        mib = statistics.median(p["held_mib"] for p in held)
        tap.note(f"{held[0]['at']:9,} beside {mib:.0f} MiB unread {statistics.median(v):6.2f}  ({min(v):.2f}..{max(v):.2f}, {len(v)} rounds)")
    ends = [lines["all"].get(x) for x in (xs[0], xs[-1])]
    return statistics.median(ends[1]) / statistics.median(ends[0]) if all(ends) else float("nan")


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--quick", action="store_true")
    a.add_argument("--rounds", type=int, default=5)
    a.add_argument("--curves", default=",".join(CURVES))
    a.add_argument("--data")
    a.add_argument("--draw")
    a = a.parse_args()
    names = a.curves.split(",")
    tap.need_root()
    points = []
    if a.data and os.path.exists(a.data):
        with open(a.data) as f:
            points = [json.loads(line) for line in f]
    b = Bench(a.quick)
    before = sum(p["curve"] == names[0] and p["at"] == CURVES[names[0]][1][0] for p in points)
    for i in range(before, before + (1 if a.quick else a.rounds)):
        order = slice(0, 3, 2) if a.quick else slice(None, None, -1 if i % 2 else 1)
        for point in b.round({what: CURVES[what][1][order] for what in names}):
            points.append(point)
            if a.data:
                with open(a.data, "a") as f:
                    f.write(json.dumps(point) + "\n")
    for what in names:
        growth = show(what, points)
        title = f"CPU of a connection, by {CURVES[what][0]}"
        lines = {k: v for k, v in lines_of(what, points).items() if v}
        svg = curve.draw(title, CURVES[what][0], "us", lines) if lines else ""
        if a.quick:
            cost = [p[name] for p in points if p["curve"] == what for name in pipeline.PROGRAMS]
            tap.ok(len(cost) == 6 and min(cost) > 0, f"{what}: two points were measured", cost)
            continue
        tap.ok(growth <= GROWTH, f"{what}: {'pass' if growth <= GROWTH else 'falls short'}, the last point costs "
               f"{growth:.2f} times the first, at most {GROWTH}")
        if a.draw and svg:
            with open(os.path.join(a.draw, f"{what}.svg"), "w") as f:
                f.write(svg)
    if a.quick:
        points = [{"curve": "rate", "at": x, "reached": x, **{p: x / 10 for p in pipeline.PROGRAMS}} for x in (10, 100)]
        drawn = curve.draw("title", "across", "us", lines_of("rate", points))
        tap.ok(drawn.count("<polyline") == 4 and drawn.endswith("</svg>\n"), "a curve is drawn")
    tap.done()


if __name__ == "__main__":
    main()
