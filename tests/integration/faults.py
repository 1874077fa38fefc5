# SPDX-License-Identifier: Apache-2.0
"""The faults of a host, one by one: nothing ends the service, all is counted, and it is back within a second of the cure."""
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pipeline
import tap

tap.need_root()
STRACE = shutil.which("strace")
NS = tap.netns("f")
PORT = 16010
class Host:
    """A flowner in a namespace of its own, and a way to see whether it works."""

    def __init__(self, *args, prefix=(), interface="lo"):
        self.path = os.path.join(tap.tmpdir(), "out.ndjson")
        self.at = 0
        self.f = pipeline.Flowner("-v", "-i", interface, "-o", f"ecs:{self.path}", "--set", "output.flush=20ms", *args,
                                  f"tcp port {PORT}", prefix=[*prefix, *tap.inside(NS)])
        self.pids = {p: self.f.pid(p) for p in pipeline.PROGRAMS}

    def lines(self):
        """New whole lines since the last call."""
        with open(self.path, "rb") as f:
            f.seek(self.at)
            data = f.read()
        data = data[:data.rfind(b"\n") + 1]
        self.at += len(data)
        return [json.loads(line) for line in data.splitlines()]

    def probe(self, address="127.0.0.1"):
        """One connection; true when it is in the log with its owner."""
        wanted = connect(address)
        return tap.wait_for(lambda: any(who(r) == wanted for r in self.lines()), step=0.005)

    def cured(self, name, lost="0", address="127.0.0.1"):
        """Works again: the time from now until one of many new connections is in the log with its owner."""
        since = time.monotonic()
        wanted, found = set(), False
        while not found and time.monotonic() - since < 20:
            wanted.add(connect(address))
            found = any(who(r) in wanted for r in self.lines())
            time.sleep(0.02)
        tap.ok(found, f"{name}: a new connection is logged with its owner", self.f.log()[-2000:])
        tap.note(f"{name}: back after {(time.monotonic() - since) * 1000:.0f} ms, lost = counted: {lost}")

    def same(self, name, *programs):
        """None of them was ended by it."""
        for p in programs or pipeline.PROGRAMS:
            tap.is_(self.f.pid(p), self.pids[p], f"{name}: {p} is still the same process")

    def balanced(self, name):
        self.f.settle(quiet=0.5)
        r = tap.run([tap.program("flowner"), "status", "--runtime-dir", self.f.runtime()], text=True).stdout
        tap.ok("balance" in r and "does not balance" not in r, f"{name}: the ledger balances", r)

    def stop(self):
        tap.is_(self.f.stop(), 0, "it ends well")


def connect(address):
    """A client's (port, pid)."""
    r = tap.run(tap.inside(NS, pipeline.TRUTH, "client", "tcp", address, str(PORT)), text=True)
    return tuple(map(int, r.stdout.split()[1:3]))


def who(record):
    return record.get("source", {}).get("port"), record.get("process", {}).get("pid")


class Inject:
    """From now until .cure() the system calls of a running process fail."""

    def __init__(self, pid, calls, error):
        self.strace = tap.spawn([STRACE, "-f", "-qq", "-o", "/dev/null", "-p", str(pid), "-e", f"trace={calls}",
                                 "-e", f"inject={calls}:error={error}"], stderr=subprocess.DEVNULL)
        tap.wait_for(lambda: status_kib(pid, "TracerPid"))

    def cure(self):
        tap.stop(self.strace, signal.SIGINT)


def status_kib(pid, key):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith(key + ":"))


def load(rate, seconds):
    return subprocess.Popen(tap.inside(NS, pipeline.TRUTH, "pace", str(rate), str(seconds), "127.0.0.1", str(PORT)),
                            stdout=subprocess.DEVNULL)


def rests(name, pid, seconds=1.0, most=100):
    """It does not spin meanwhile."""
    before = pipeline.cpu_ns(pid)
    time.sleep(seconds)
    ms = (pipeline.cpu_ns(pid) - before) / 1e6
    tap.ok(ms <= most * seconds, f"{name}: meanwhile it rests", f"{ms:.0f} ms of CPU in {seconds} s")


def stopped(h):
    for program in pipeline.PROGRAMS:
        name = f"F2 SIGSTOP of {program}"
        before = h.f.ledgers()
        others = [p for p in pipeline.PROGRAMS if p != program]
        rss = {p: status_kib(h.pids[p], "VmRSS") for p in others}
        p = load(1000, tap.amount(1, 10, 1))
        os.kill(h.pids[program], signal.SIGSTOP)
        p.wait()
        grown = {p: status_kib(h.pids[p], "VmRSS") - rss[p] for p in others}
        tap.ok(all(g < 8192 for g in grown.values()), f"{name}: nobody else grows", grown)
        os.kill(h.pids[program], signal.SIGCONT)
        after = h.f.ledgers()
        keys = "capture_packets_dropped", "capture_packets_ring_full", "enrich_records_lost"
        h.cured(name, str({k: after[k] - before[k] for k in keys if after[k] != before[k]} or 0))
        h.same(name)
        h.balanced(name)


def no_descriptors(h):
    """The one that lives on cannot open a descriptor, while its neighbour dies and comes again."""
    producers = [("enrich", "sink"), ("capture", "enrich")]
    pairs = [*producers, ("sink", "enrich"), ("enrich", "capture")]
    for program, neighbour in tap.amount(producers, pairs, producers):
        name = f"F6 EMFILE in {program}, {neighbour} killed"
        fault = Inject(h.pids[program], "accept4,socket,openat,dup,fcntl", "EMFILE")
        lines = h.f.log().count("\n")
        h.f.kill(neighbour)
        rests(name, h.pids[program])
        tap.ok(h.f.log().count("\n") - lines < 15, f"{name}: the log is not flooded", h.f.log()[-3000:])
        fault.cure()
        h.cured(name)
        h.same(name, program)
        h.pids = {p: h.f.pid(p) for p in pipeline.PROGRAMS}


def no_memory(h):
    for program in tap.amount(["enrich"], pipeline.PROGRAMS, ["enrich"]):
        name = f"F7 ENOMEM in {program}"
        fault = Inject(h.pids[program], "mmap,brk,mremap", "ENOMEM")
        held = hold(3000)
        load(500, 1).wait()
        fault.cure()
        tap.stop(held)
        h.cured(name)
        h.same(name)
        h.balanced(name)


def hold(n):
    """Connections that stay open, for the tables to grow."""
    code = f"""
import resource, socket, time
resource.setrlimit(resource.RLIMIT_NOFILE, ({n + 100}, {n + 100}))
s = [socket.create_connection(("127.0.0.1", {PORT})) for _ in range({n})]
print("ready", flush=True)
time.sleep(3600)
"""
    p = tap.spawn(tap.inside(NS, sys.executable, "-c", code), stdout=subprocess.PIPE)
    p.stdout.readline()
    return p


def netlink_overflow(h):
    name = "F8 netlink overflow"
    n = 4000
    tap.run(tap.inside(NS, "ip", "link", "add", "d0", "type", "veth", "peer", "name", "d1"))
    os.kill(h.pids["enrich"], signal.SIGSTOP)
    batch = "".join(f"address add 10.99.{i >> 8}.{i & 255}/32 dev d0\n" for i in range(n))
    subprocess.run(tap.inside(NS, "ip", "-batch", "-"), input=batch, text=True, check=True)
    os.kill(h.pids["enrich"], signal.SIGCONT)
    last = f"10.99.{n - 1 >> 8}.{n - 1 & 255}"
    h.cured(name, f"none, {n} addresses were added meanwhile", address=last)
    h.same(name)
    tap.run(tap.inside(NS, "ip", "link", "del", "d0"))


def perf_overflow(h):
    name = "F9 perf overflow"
    before = h.f.ledger("enrich")["enrich_tap_lost"]
    os.kill(h.pids["enrich"], signal.SIGSTOP)
    pipeline.truth("forks", 15000, "udp", "127.0.0.1", 9)  # more than 2 MiB a CPU hold
    os.kill(h.pids["enrich"], signal.SIGCONT)
    lost = lambda: h.f.ledger("enrich")["enrich_tap_lost"] - before
    tap.ok(tap.wait_for(lost), f"{name}: what the kernel dropped is counted")
    h.cured(name, f"{lost()} perf records")
    h.same(name)
    h.balanced(name)


def interface_gone():
    """The only interface there is to capture on."""
    name = "F11 interface gone and back"
    other = tap.netns("g")
    tap.veth(NS, other)
    pipeline.server("tcp", "0.0.0.0", PORT, prefix=tap.inside(other))
    h = Host(interface="v0")
    tap.ok(h.probe("10.77.0.2"), f"{name}: it works")
    tap.run(tap.inside(NS, "ip", "link", "del", "v0"))
    tap.ok(tap.wait_for(lambda: "waiting for it to come back" in h.f.log()), f"{name}: it says that it waits", h.f.log())
    tap.veth(NS, other)
    h.cured(name, address="10.77.0.2")
    h.same(name, "enrich", "sink")
    h.balanced(name)
    tap.run(tap.inside(NS, "ip", "link", "del", "v0"))
    tap.wait_for(lambda: h.f.log().count("waiting for it to come back") == 2)
    h.stop()


def fork_bomb(h):
    """Of a user who may have 100 processes, for two seconds: a storm of forks."""
    name = "F16 fork bomb"
    before = h.f.ledger("enrich")
    bomb = "for i in 1 2 3 4 5 6 7 8; do while :; do : | :; done & done; wait"
    p = tap.spawn(["unshare", "--pid", "--fork", "--kill-child=KILL", "setpriv", "--reuid", "65520", "--regid", "65520",
                   "--clear-groups", "--pdeathsig", "KILL", "prlimit", "--nproc=100", "sh", "-c", bomb], stderr=subprocess.DEVNULL)
    time.sleep(2)
    tap.stop(p, signal.SIGKILL)  # and with it its namespace
    tap.ok(tap.wait_for(lambda: tap.run(["pgrep", "-u", "65520"]).returncode == 1), f"{name}: it is over")
    after = h.f.ledger("enrich")
    seen = after["enrich_tap_events"] - before["enrich_tap_events"]
    tap.ok(seen > 1000, f"{name}: it was seen", after)
    h.cured(name, f"{after['enrich_tap_lost'] - before['enrich_tap_lost']} perf records beside {seen} read")
    h.same(name)


pipeline.server("tcp", "0.0.0.0", PORT, prefix=tap.inside(NS))
h = Host()
tap.ok(h.probe(), "it works")
stopped(h)
netlink_overflow(h)
perf_overflow(h)
fork_bomb(h)
if STRACE:
    no_descriptors(h)
    no_memory(h)
else:
    tap.skip("F6 EMFILE and F7 ENOMEM", "no strace here")
h.stop()
interface_gone()
tap.done()
