# SPDX-License-Identifier: Apache-2.0
"""The faults of a host, one by one: nothing ends the service, all is counted, and it is back within a second of the cure.
The last notes are a table of all. Arguments: numbers of faults, for these alone."""
import json
import os
import resource
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
PORT = 14010
HELD = 14011  # its server is busy: it takes one connection after another
SOCKETS = 50000
DESCRIPTORS = 19000
# What can be lost, each counted by whoever loses it.
LOSSES = ("capture_packets_dropped", "capture_packets_orphaned", "capture_packets_ring_full", "enrich_records_lost", "enrich_tap_lost",
          "enrich_packets_orphaned", "sink_records_lost")
table = []


class Host:
    """A flowner in a namespace of its own, and a way to see whether it works."""

    def __init__(self, *args, prefix=(), interface="lo"):
        self.path = os.path.join(tap.tmpdir(), "out.ndjson")
        self.at = 0
        self.f = pipeline.Flowner("-v", "-i", interface, "-o", f"ecs:{self.path}", "--set", "output.flush=20ms", *args,
                                  f"tcp port {PORT} or tcp port {HELD}", prefix=[*prefix, *tap.inside(NS)])
        tap.wait_for(lambda: "attached to capture" in self.f.log())
        self.pids = {p: self.f.pid(p) for p in pipeline.PROGRAMS}
        self.before = {}

    def has(self, wanted, named=True):
        """Whether new whole lines since the last call have one of these (port, pid); with @named false, any pid will do."""
        with open(self.path, "rb") as f:
            f.seek(self.at)
            data = f.read()
        data = data[:data.rfind(b"\n") + 1]
        self.at += len(data)
        ports = [b'"port":%d,' % port for port, _ in wanted] + [b'"port":%d}' % port for port, _ in wanted]
        # Of many lines only these are worth parsing.
        said = {who(json.loads(line)) for line in data.splitlines() if any(p in line for p in ports)}
        return bool(said & wanted if named else {s[0] for s in said} & {w[0] for w in wanted})

    def skip(self):
        """What is there already is not looked at: a fault can leave so much that reading it would take seconds."""
        with open(self.path, "rb") as f:
            size = f.seek(0, os.SEEK_END)
            back = max(self.at, size - 65536)
            f.seek(back)
            self.at = back + f.read(size - back).rfind(b"\n") + 1

    def probe(self, address="127.0.0.1"):
        """One connection; true when it is in the log with its owner."""
        wanted = {connect(address)}
        return tap.wait_for(lambda: self.has(wanted), step=0.005)

    def fault(self, address="127.0.0.1"):
        """Before a fault: it works, and these are its counters."""
        self.probe(address)
        self.before = self.f.ledgers()

    def losses(self):
        after = self.f.ledgers()
        return {k: after[k] - self.before[k] for k in LOSSES if after.get(k, 0) > self.before.get(k, 0)}

    def cured(self, name, address="127.0.0.1", lost=None, counted=None):
        """Works again: the time from now until one of many new connections is in the log with its owner."""
        self.skip()
        since, waited = time.monotonic(), cpu_waited()
        wanted, found = set(), False
        while not found and time.monotonic() - since < 20:
            wanted.add(connect(address))
            found = self.has(wanted)
            time.sleep(0.02)
        took, waited = time.monotonic() - since, cpu_waited() - waited
        if counted:
            tap.ok(tap.wait_for(lambda: counted in self.losses()), f"{name}: what was lost is counted", self.f.ledgers())
        tap.ok(found, f"{name}: a new connection is logged with its owner", self.f.log()[-2000:])
        tap.ok(took - waited <= 1, f"{name}: within a second of the cure", f"{took:.2f} s, of that {waited:.2f} without a CPU")
        text = lost or ", ".join(f"{n} {k}" for k, n in self.losses().items()) or "nothing"
        table.append((name, text, took, waited))
        tap.note(f"{name}: back after {took * 1000:.0f} ms ({waited * 1000:.0f} of them no CPU was free), lost = counted: {text}")

    def same(self, name, *programs):
        """None of them was ended by it."""
        for p in programs or pipeline.PROGRAMS:
            tap.is_(self.f.pid(p), self.pids[p], f"{name}: {p} is still the same process")

    def balanced(self, name):
        self.f.settle(quiet=0.5)
        r = tap.run([tap.program("flowner"), "status", "--runtime-dir", self.f.runtime()], text=True).stdout
        tap.ok(pipeline.balances(r), f"{name}: the ledger balances", r)

    def stop(self):
        tap.is_(self.f.stop(), 0, "it ends well")


def cpu_waited():
    """Seconds so far in which somebody on this machine had to wait for a CPU; 0 = this kernel does not tell."""
    try:
        with open("/proc/pressure/cpu") as f:
            return int(f.readline().rsplit("=", 1)[1]) / 1e6
    except OSError:
        return 0


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


def load(rate, seconds, port=PORT):
    return tap.spawn(tap.inside(NS, pipeline.TRUTH, "pace", str(rate), str(seconds), "127.0.0.1", str(port)),
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
        h.fault()
        others = [p for p in pipeline.PROGRAMS if p != program]
        rss = {p: status_kib(h.pids[p], "VmRSS") for p in others}
        p = load(1000, tap.amount(1, 10, 1))
        os.kill(h.pids[program], signal.SIGSTOP)
        p.wait()
        grown = {p: status_kib(h.pids[p], "VmRSS") - rss[p] for p in others}
        tap.ok(all(g < 8192 for g in grown.values()), f"{name}: nobody else grows", grown)
        os.kill(h.pids[program], signal.SIGCONT)
        h.cured(name)
        h.same(name)
        h.balanced(name)


def no_descriptors(h):
    """The one that lives on cannot open a descriptor, while its neighbour dies and comes again."""
    producers = [("enrich", "sink"), ("capture", "enrich")]
    pairs = [*producers, ("sink", "enrich"), ("enrich", "capture")]
    for program, neighbour in tap.amount(producers, pairs, producers):
        name = f"F6 EMFILE in {program}, {neighbour} killed"
        h.fault()
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
        h.fault()
        fault = Inject(h.pids[program], "mmap,brk,mremap", "ENOMEM")
        held = hold(3000)
        load(500, 1, HELD).wait()
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
s = [socket.create_connection(("127.0.0.1", {HELD})) for _ in range({n})]
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
    h.fault()
    os.kill(h.pids["enrich"], signal.SIGSTOP)
    batch = "".join(f"address add 10.99.{i >> 8}.{i & 255}/32 dev d0\n" for i in range(n))
    subprocess.run(tap.inside(NS, "ip", "-batch", "-"), input=batch, text=True, check=True)
    os.kill(h.pids["enrich"], signal.SIGCONT)
    last = f"10.99.{n - 1 >> 8}.{n - 1 & 255}"
    h.cured(name, address=last, lost=f"nothing; {n} addresses added meanwhile are known")
    h.same(name)
    tap.run(tap.inside(NS, "ip", "link", "del", "d0"))


def perf_overflow(h):
    name = "F9 perf overflow"
    h.fault()
    os.kill(h.pids["enrich"], signal.SIGSTOP)
    # More than 2 MiB a CPU hold: each tells its stack.
    pipeline.truth("launch", tap.amount(1500, 6000, 1500), 4, "udp", "127.0.0.1", 9)
    os.kill(h.pids["enrich"], signal.SIGCONT)
    h.cured(name, counted="enrich_tap_lost")
    h.same(name)
    h.balanced(name)


def set_link(on, other):
    if on:
        tap.veth(NS, other)
    else:
        tap.run(tap.inside(NS, "ip", "link", "del", "v0"))


def interface_gone():
    """The only one there is to capture on; one of two, while the other goes on; and with capture killed meanwhile."""
    other, address = tap.netns("g"), "10.77.0.2"
    set_link(True, other)
    pipeline.server("tcp", "0.0.0.0", PORT, prefix=tap.inside(other))
    for name, interfaces in ("F11 interface gone and back", ["v0"]), ("F11 one of two interfaces gone and back", ["v0", "-i", "lo"]):
        h = Host(*interfaces[1:], interface=interfaces[0])
        tap.ok(h.probe(address), f"{name}: it works")
        h.fault(address)
        set_link(False, other)
        tap.ok(tap.wait_for(lambda: "waiting for it to come back" in h.f.log()), f"{name}: it says that it waits", h.f.log())
        if "lo" in interfaces:
            tap.ok(h.probe(), f"{name}: meanwhile the other is captured")
        rests(name, h.pids["capture"])
        set_link(True, other)
        h.cured(name, address=address)
        h.same(name)
        h.balanced(name)
        if "lo" in interfaces:
            name = "F11 one of two gone, capture killed, and back"
            h.fault(address)
            set_link(False, other)
            tap.wait_for(lambda: h.f.log().count("waiting for it to come back") == 2)
            h.f.kill("capture")
            tap.ok(h.probe(), f"{name}: meanwhile the other is captured")
            set_link(True, other)
            h.cured(name, address=address)
            h.same(name, "enrich", "sink")
            h.balanced(name)
        h.stop()
    set_link(False, other)


def ring_full():
    """Rings of 64 KiB, and nobody who empties them."""
    h = Host("--set", "capture.ring=64KiB", "--set", "enrich.ring=64KiB")
    for program, counter in ("enrich", "capture_packets_ring_full"), ("sink", "enrich_records_lost"):
        name = f"F10 ring full, {program} stopped"
        h.fault()
        os.kill(h.pids[program], signal.SIGSTOP)
        load(2000, 1).wait()
        os.kill(h.pids[program], signal.SIGCONT)
        h.cured(name, counted=counter)
        h.same(name)
        h.balanced(name)
    h.stop()
    with open(h.path, encoding="utf-8") as f:
        told = [json.loads(line).get("flowner", {}).get("loss") for line in f if '"loss"' in line]
    tap.ok(len(told) >= 2, "F10 ring full: the log itself tells of both", told[:3])


MANY = """
import resource, socket, sys, time
n, address = int(sys.argv[1]), sys.argv[2]
resource.setrlimit(resource.RLIMIT_NOFILE, (n + 50, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
kept = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(n)]
for s in kept:
    s.bind((address, 0))
print("ready", flush=True)
s = None
for line in sys.stdin:
    if s:
        s.close()
    s = socket.create_connection(("127.0.0.1", int(line)))
    print(s.getsockname()[1], flush=True)
"""


def many(n, address):
    """A process with that many sockets, which connects when told to."""
    p = tap.spawn(tap.inside(NS, sys.executable, "-c", MANY, str(n), address), stdin=subprocess.PIPE,
                  stdout=subprocess.PIPE, text=True, bufsize=1)
    tap.is_(p.stdout.readline(), "ready\n", f"a process has {n} sockets")
    return p


def large_host():
    """Tens of thousands of sockets, a process with as many descriptors as it may have, while each program is started anew."""
    most = min(DESCRIPTORS, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 100)
    large = many(most, "127.1.1.1")
    rest = [many(min(most, SOCKETS - at), f"127.1.2.{at // most}") for at in range(most, SOCKETS, most)]

    def connects():
        large.stdin.write(f"{PORT}\n")
        return int(large.stdout.readline()), large.pid

    for tiers, settings in ("with the tap", []), ("without it", ["--set", "enrich.tap=off", "--set", "enrich.procfs=keep"]):
        h = Host(*settings)
        name = f"F15 a process of {most} descriptors, {tiers}"
        mine, slowest, waited = {}, 0, cpu_waited()
        for _ in range(20):
            since = time.monotonic()
            port, pid = connects()
            mine[port] = pid
            found = tap.wait_for(lambda: h.has({(port, pid)}, named=not settings), timeout=20, step=0.005)
            slowest = max(slowest, time.monotonic() - since)
            if not found:
                break
        tap.ok(found, f"{name}: each of its connections is logged", h.f.log()[-2000:])
        table.append((name, "nothing", slowest, cpu_waited() - waited))
        with open(h.path, encoding="utf-8") as f:
            said = [who(json.loads(line)) for line in f if '"source"' in line]
        wrong = [x for x in said if x[0] in mine and x[1] not in (None, mine[x[0]])]
        tap.is_(wrong, [], f"{name}: with it or with nobody")
        for program in pipeline.PROGRAMS if not settings else ():
            name = f"F14 {SOCKETS} sockets on the host, {program} killed"
            h.fault()
            h.f.kill(program)
            h.cured(name)
            h.balanced(name)
        h.stop()
    for p in (large, *rest):
        tap.stop(p)


def fork_bomb(h):
    """Of a user who may have 100 processes, for two seconds: a storm of forks."""
    name = "F16 fork bomb"
    h.fault()
    bomb = "for i in 1 2 3 4 5 6 7 8; do while :; do : | :; done & done; wait"
    p = tap.spawn(["unshare", "--pid", "--fork", "--kill-child=KILL", "setpriv", "--reuid", "65520", "--regid", "65520",
                   "--clear-groups", "--pdeathsig", "KILL", "prlimit", "--nproc=100", "sh", "-c", bomb], stderr=subprocess.DEVNULL)
    time.sleep(2)
    tap.stop(p, signal.SIGKILL)  # and with it its namespace
    tap.ok(tap.wait_for(lambda: tap.run(["pgrep", "-u", "65520"]).returncode == 1), f"{name}: it is over")
    h.cured(name)
    seen = h.f.ledger("enrich")["enrich_tap_events"] - h.before["enrich_tap_events"]
    tap.ok(seen > 1000, f"{name}: it was seen", h.f.ledgers())
    h.same(name)
    h.balanced(name)


for port in PORT, HELD:
    pipeline.server("tcp", "0.0.0.0", port, prefix=tap.inside(NS))
PARTS = {"F2": stopped, "F8": netlink_overflow, "F9": perf_overflow, "F16": fork_bomb, "F6": no_descriptors, "F7": no_memory}
ALONE = {"F10": ring_full, "F11": interface_gone, "F14": large_host}  # with flowners of their own
wanted = sys.argv[1:] or [*PARTS, *ALONE]
h = Host()
tap.ok(h.probe(), "it works")
for number in wanted:
    if number in ("F6", "F7") and not STRACE:
        tap.skip(number, "no strace here")
    elif number in PARTS:
        PARTS[number](h)
h.stop()
for number in wanted:
    if number in ALONE:
        ALONE[number]()
tap.note("| fault | lost = counted | back after | meanwhile no CPU was free |")
for name, lost, took, waited in table:
    tap.note(f"| {name} | {lost} | {took:.2f} s | {waited:.2f} s |")
tap.done()
