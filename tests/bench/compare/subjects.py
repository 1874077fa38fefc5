# SPDX-License-Identifier: Apache-2.0
"""The programs that are compared, each as an observer (methods/observers.py) of what arrives in one namespace, and the
traffic they observe."""
import os
import time

import observers
import pipeline
import tap

PORT = 19000
PORTS = 8  # of the load's server
HERE, THERE = "10.77.0.1", "10.77.0.2"  # the client's address, the server's
FLAGS = "tcp[tcpflags] & (tcp-syn|tcp-fin|tcp-rst) != 0"
COUNT = tap.program("tests/bench/count-calls")
LOAD = tap.program("tests/bench/load")


def pairs(line):
    words = line.split()
    return {k: int(v) for k, v in zip(words[::2], words[1::2])}


class World:
    """Two namespaces joined by a veth pair: clients in the first, servers and observers in the second."""

    def __init__(self):
        self.clients, self.servers = tap.netns("clients"), tap.netns("servers")
        tap.veth(self.clients, self.servers)
        for ns in self.clients, self.servers:
            for s in ("net.ipv4.ip_local_port_range=1024 65535", "net.ipv4.tcp_tw_reuse=1",
                      "net.ipv4.tcp_max_tw_buckets=2000", "net.core.somaxconn=8192",
                      "net.ipv6.conf.v0.disable_ipv6=1"):
                tap.run(tap.inside(ns, "sysctl", "-qw", s), check=True)

    def load(self, rate, seconds):
        """TCP connections, @rate a second or (0) as many as it can; {"done": ..., "elapsed_ns": ...}."""
        argv = [LOAD, "-n", self.servers, THERE, "tcp", str(rate), str(seconds), str(PORT)]
        r = pairs(tap.run(tap.inside(self.clients, *argv), text=True, timeout=120, check=True).stdout)
        r["done"] = max(r["done"], 1)
        r["rate"] = r["done"] * 1e9 / r["elapsed_ns"]
        return r


def tasks(pid):
    try:
        return list(map(int, os.listdir(f"/proc/{pid}/task")))
    except OSError:
        return []


def tree(pid):
    """A process and its descendants."""
    found = [pid]
    for p in found:
        for tid in tasks(p):
            try:
                with open(f"/proc/{p}/task/{tid}/children") as f:
                    found += map(int, f.read().split())
            except OSError:
                pass
    return found


def sleeps(pids):
    """How often their threads have gone to sleep so far: each sleep ends with a wake-up."""
    total = 0
    for tid in [t for p in pids for t in tasks(p)]:
        try:
            with open(f"/proc/{tid}/status") as f:
                total += next(int(x.split()[1]) for x in f if x.startswith("voluntary_ctxt"))
        except OSError:
            pass
    return total


class CallCounter:
    """System calls of processes over @seconds."""

    def __init__(self, pids, seconds):
        self.p = tap.spawn([COUNT, str(seconds), *(str(t) for p in pids for t in tasks(p))], stdout=-1)

    def result(self):
        return sum(map(int, self.p.communicate()[0].split()))


class Subject(observers.Observer):
    """A program run inside the servers' namespace, ready when it says @ready; {out} in the command is a file."""

    quiet = 0.3  # seconds its socket may come later than its word

    def __init__(self, name, command, ready, binary=None):
        self.name, self.command, self.ready = name, command, ready
        self.binary = binary or command[0]

    def open(self, world):
        self.world = world
        self.start(PORT, [])
        time.sleep(self.quiet)

    def argv(self):
        observers.need(self.binary)
        return tap.inside(self.world.servers, *(a.replace("{out}", f"{self.dir}/file") for a in self.command))

    def attached(self):
        return self.ready in self.read("err") + self.read("out")

    def pids(self):
        return tree(self.p.pid)

    def sightings(self):
        return ()


class Nethogs(Subject):
    polls = True

    def __init__(self):
        super().__init__("nethogs -t", ["nethogs", "-t", "-d", "1", "v0"], "Refreshing")


class Bpftrace(Subject):
    """A line for each change of state of the clients' sockets."""

    PROGRAM = f"""
tracepoint:sock:inet_sock_set_state /args->dport >= {PORT} && args->dport < {PORT + PORTS}/ {{
	printf("%llu %d %s %d %d %d %d\\n", nsecs, pid, comm, args->sport, args->dport, args->oldstate, args->newstate); }}
BEGIN {{ printf("attached\\n"); }}
"""
    MOUNTS = """mountpoint -q /sys/kernel/debug || mount -t debugfs none /sys/kernel/debug
[ -e /sys/kernel/debug/tracing/events ] || mount -t tracefs none /sys/kernel/debug/tracing
[ -e /sys/kernel/tracing/events ] || mount -t tracefs none /sys/kernel/tracing
exec bpftrace -e "$1"
"""

    def __init__(self):
        super().__init__("bpftrace, state changes", ["unshare", "-m", "sh", "-c", self.MOUNTS, "sh", self.PROGRAM],
                         "attached", binary="bpftrace")

class Flowner(observers.Flowner):
    """`flowner run` writing ECS."""

    def __init__(self, name="flowner", *settings):
        super().__init__(name, *settings)

    def open(self, world):
        self.dir = tap.tmpdir()
        self.f = pipeline.Flowner("-i", "v0", "-o", f"ecs:{self.dir}/out", *self.settings,
                                  prefix=tap.inside(world.servers), starts=())
        self.programs = {p: self.f.pid(p) for p in pipeline.PROGRAMS}

    def pids(self):
        return [self.f.p.pid, *self.programs.values()]

    def lost(self):
        return sum(v for k, v in self.f.ledgers().items()
                   if k.endswith(("_dropped", "ring_full", "packets_lost", "records_lost")))

    def sightings(self):
        return ()


def warm(s, world):
    """A service's first touch of its rings and tables, a page fault each, is no part of how it goes on."""
    if isinstance(s, Flowner):
        world.load(20000, 5)
        s.settle()
    else:
        world.load(6000, 1)


def limit():
    """The same packets read and thrown away: no program that logs can be cheaper."""
    return Subject("limit: tcpdump -w /dev/null, filter",
                   ["tcpdump", "-i", "v0", "-s128", "-w", "/dev/null", FLAGS], "listening on")


def text():
    return Subject("tcpdump -l -n, filter", ["tcpdump", "-i", "v0", "-l", "-n", FLAGS], "listening on")


def raw():
    return Subject("tcpdump -w FILE -s128", ["tcpdump", "-i", "v0", "-s128", "-w", "{out}"], "listening on")


def dumpcap():
    return Subject("dumpcap, filter", ["dumpcap", "-q", "-i", "v0", "-f", FLAGS, "-w", "{out}"], "File:")


def tshark():
    return Subject("tshark -T ek, filter", ["tshark", "-i", "v0", "-n", "-T", "ek", "-f", FLAGS], "Capturing on")


def opened(samples, part, subjects, world):
    """Opens each, in turn; those that cannot be run here are noted."""
    for s in subjects:
        try:
            s.open(world)
        except observers.Unavailable as e:
            samples.lacks(part, s.name, str(e))
            continue
        yield s


def turned(subjects, samples, part):
    """The subjects of a round, rotated, so that none always goes first."""
    n = max((len(v) for s in samples.found.get(part, {}).values() for v in s.values()), default=0)
    n %= len(subjects)
    return subjects[n:] + subjects[:n]
