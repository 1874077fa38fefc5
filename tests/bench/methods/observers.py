# SPDX-License-Identifier: Apache-2.0
"""Observers: start(port, programs) returns once one watches connections to the port, cpu_ns() is its CPU time,
settle() lets it work through its backlog, stop() returns its sightings: (proto, local port, pid or "uid:N", time), see
loads.verdict().

Unavailable(why) from start() becomes a row of the table, never silence.
"""
import atexit
import os
import shutil
import signal
import time

import judge
import pipeline
import tap

OBSERVE = tap.program("tests/bench/methods/observe")
GROUP = 171  # nflog's
BACKLOG = 10  # seconds an observer may take to work through what it has seen


class Unavailable(Exception):
    """Cannot be run here; the message says why."""


def need(program):
    if not shutil.which(program):
        raise Unavailable("not installed (contrib/install-packages bench)")


def cpu_ns(pid):
    """CPU time so far: of its threads by the scheduler's own count, of its children that ended by wait's."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            fields = f.read().rpartition(")")[2].split()
    except OSError:
        return 0
    return pipeline.cpu_ns(pid) + (int(fields[13]) + int(fields[14])) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


class Observer:
    """A program that prints its sightings."""

    name = ""
    names = "pid"  # what it tells of an owner
    protos = ("tcp", "udp")
    polls = False  # it is never idle and has no backlog

    def argv(self):
        raise NotImplementedError

    def attached(self):
        """Whether it watches; asked until it does."""
        return "ready" in self.read("err")

    def prepare(self):
        """What must stand before the program starts."""

    def start(self, port, programs):
        self.port, self.programs = port, programs
        self.dir = tap.tmpdir()
        self.prepare()
        with open(f"{self.dir}/out", "wb") as out, open(f"{self.dir}/err", "wb") as err:
            self.p = tap.spawn(self.argv(), stdout=out, stderr=err, start_new_session=True)
        if not tap.wait_for(lambda: self.attached() or self.p.poll() is not None, timeout=30) or \
                self.p.poll() is not None:
            self.end()
            why = " ".join((self.read("err") + self.read("out")).split())[:160]
            raise Unavailable(f"does not work here: {why or 'it says nothing'}")

    def read(self, name):
        with open(f"{self.dir}/{name}", errors="replace") as f:
            return f.read()

    def pids(self):
        return [self.p.pid]

    def cpu_ns(self):
        return sum(map(cpu_ns, self.pids()))

    def settle(self):
        """Until it takes less than a twentieth of a core."""
        end = time.monotonic() + BACKLOG
        while not self.polls and time.monotonic() < end:
            before = self.cpu_ns()
            time.sleep(0.2)
            if self.cpu_ns() - before < 10_000_000:
                break

    def end(self):
        tap.stop(self.p, signal.SIGINT)

    def stop(self):
        self.end()
        found = list(self.sightings())
        shutil.rmtree(self.dir)
        return found

    def sightings(self):
        """Of "t_ns proto port who"."""
        for line in self.read("out").splitlines():
            parts = line.split()
            if len(parts) == 4:
                yield parts[1], int(parts[2]), parts[3], int(parts[0])


class Ours(Observer):
    """A method of observe.c; what each assumes stands at the head of its file."""

    def __init__(self, name, method, extra=None, names="pid", polls=False):
        self.name, self.method, self.names, self.polls = name, method, names, polls
        self.extra = [] if extra is None else [str(extra)]

    def argv(self):
        return [OBSERVE, self.method, str(self.port), "lo", *self.extra]


class Nflog(Ours):
    """Assumes a rule for first packets in the output path; netfilter then logs them with the socket's uid."""

    def __init__(self):
        super().__init__("nflog with uid", "nflog", GROUP, names="uid only")
        self.table = f"flowner_bench_{os.getpid()}"

    def prepare(self):
        need("nft")
        rules = f"""table inet {self.table} {{ chain out {{
            type filter hook output priority 0;
            tcp dport {self.port} tcp flags & (syn|ack) == syn log group {GROUP}
            udp dport {self.port} log group {GROUP}
        }}
        }}"""
        atexit.register(self.remove)
        r = tap.run(["nft", rules], text=True)
        if r.returncode:
            raise Unavailable(f"nft: {r.stderr.splitlines()[0]}")

    def remove(self):
        tap.run(["nft", "delete", "table", "inet", self.table])
        atexit.unregister(self.remove)

    def end(self):
        super().end()
        self.remove()


class Flowner(Observer):
    """The whole pipeline, writing ECS to a file."""

    def __init__(self, name, *settings):
        self.name = name
        self.settings = [a for s in settings for a in ("--set", s)]

    def start(self, port, programs):
        self.port, self.dir = port, tap.tmpdir()
        self.f = pipeline.Flowner("-i", "lo", "-o", f"ecs:{self.dir}/out", *self.settings, f"port {port}")

    def pids(self):
        return [self.f.p.pid, *map(self.f.pid, pipeline.PROGRAMS)]

    def settle(self):
        self.f.settle(quiet=0.5, timeout=BACKLOG)

    def end(self):
        self.f.stop()

    def sightings(self):
        for r in pipeline.connections(pipeline.records(f"{self.dir}/out"), "end"):
            process = r.get("process", {})
            if r["destination"].get("port") == self.port and "pid" in process:
                start = judge.time_ns(r["event"]["start"])
                yield r["network"]["transport"], r["source"]["port"], process["pid"], start


def flowners():
    return [Flowner("flowner"), Flowner("flowner, no tap", "enrich.tap=off", "enrich.procfs=keep")]


def methods():
    """The ways people have tried."""
    return [
        Ours("process connector", "connector", names="pid, guessed"),
        Ours("/proc poll, 100 ms", "poll", 100, polls=True),
        Ours("/proc poll, no pause", "poll", 0, polls=True),
        Nflog(),
        Ours("libpcap + /proc walk", "walk"),
        Ours("libpcap + sock_diag", "diag"),
    ]
