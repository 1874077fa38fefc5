# SPDX-License-Identifier: Apache-2.0
"""What the programs of a scenario said about themselves, as what has to be found: one Truth per end of a connection."""
import dataclasses
import os

SLACK_NS = 30_000_000  # a report's times may be this far from a packet's
TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


@dataclasses.dataclass
class Expect:
    """A record's end is right if it names one of these; None = not judged."""
    pids: frozenset
    exes: frozenset | None = None
    argv: tuple | None = None  # of argument lists, any of which is right
    uid: int | None = None
    cgroup: str | None = None
    comm: str | None = None
    inner: int | None = None  # pid inside its own pid namespace
    start_ticks: int = 0  # since boot, 0 = not told
    accepted_by_listener: bool = False  # which then passed the connection on


@dataclasses.dataclass
class Truth:
    """One end of one connection. `start` and `end` say who is behind it at the first and at the last record."""
    scenario: str
    side: str  # "client" or "server"
    proto: str
    local: tuple  # (address, port), port 0 = not known
    remote: tuple
    t0: int  # CLOCK_REALTIME, ns: the connection began between t0 and t1
    t1: int
    start: Expect
    end: Expect
    lived_ns: int = 0  # of the client process, fork to reaped; 0 = not told
    listener: int = 0  # server side: the process that listens


def plain(address):
    """As it is on the wire: a v4-mapped address is an IPv4 one."""
    return address[7:] if address.startswith("::ffff:") else address


class Report:
    """One line of a client or a server (tests/bench/owners/report.h)."""

    def __init__(self, words):
        (self.kind, self.proto, local, lport, remote, rport, self.pid, self.inner, self.uid, self.t0, self.t1,
         self.note) = words
        self.local, self.remote = (plain(local), int(lport)), (plain(remote), int(rport))
        self.pid, self.inner, self.uid = int(self.pid), int(self.inner), int(self.uid)
        self.t0, self.t1 = int(self.t0), int(self.t1)


class Process:
    """One line of the launcher (tests/bench/owners/launch.c)."""

    def __init__(self, words):
        self.pid, self.ticks, self.status, self.t0, self.t1, self.number = map(int, words[1:7])


class Reports:
    """All lines of one report file."""

    def __init__(self, path):
        self.connections, self.accepted, self.processes, self.ready, self.other = [], [], [], [], []
        with open(path, "rb") as f:
            for line in f.read().decode("utf-8", "replace").splitlines():
                self.take(line)
        self.by_pid = {}
        for p in self.processes:
            self.by_pid.setdefault(p.pid, []).append(p)

    def take(self, line):
        words = line.split(" ")
        if words[0] in ("conn", "acc") and len(words) == 12:
            (self.connections if words[0] == "conn" else self.accepted).append(Report(words))
        elif words[0] == "proc" and len(words) == 7:
            self.processes.append(Process(words))
        elif words[0] == "ready":
            self.ready.append(int(words[1]))
        else:
            self.other.append(line)

    def process(self, pid, t):
        """The launched process that had this pid at that time."""
        for p in self.by_pid.get(pid, ()):
            if p.t0 - SLACK_NS <= t <= p.t1 + SLACK_NS:
                return p
        return None
