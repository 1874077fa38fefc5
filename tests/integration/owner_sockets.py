# SPDX-License-Identifier: Apache-2.0
"""Who sent what no TCP or UDP socket sent: echo requests, raw and packet sockets; sockets passed on; MPTCP; io_uring."""
import os
import socket
import subprocess
import time

import pipeline
import tap

tap.need_root()
SERVERS = tap.program("tests/integration/servers")
PORT = 15300


def own(end):
    """(pid, method, confidence or the reason) of one end."""
    owner = end.get("owner", {})
    return (end.get("process", {}).get("pid"), owner.get("method"),
            owner.get("unknown", owner.get("reason", owner.get("confidence"))))


def both(r):
    """The owners of a record's two ends."""
    first = {"process": r.get("process", {}), "owner": r["flowner"].get("owner", {})}
    return own(first), own(r["flowner"].get("responder", {}))


def servers(*args, **kwargs):
    """Runs servers(1); its reports as lists of words."""
    r = tap.run([SERVERS, *map(str, args)], text=True, **kwargs)
    tap.is_(r.returncode, 0, f"servers {' '.join(map(str, args))}")
    return [line.split() for line in r.stdout.splitlines()]


def record(filter_expression, act, *options):
    """Runs act() while flowner records what matches; returns its end records."""
    path = os.path.join(tap.tmpdir(), "out.ndjson")
    f = pipeline.Flowner("-i", "lo", "-o", f"ecs:{path}", *options, filter_expression)
    tap.wait_for(lambda: "until Ctrl-C" in f.log())  # before, enrich does not read yet
    act()
    f.settle()
    f.stop()
    return pipeline.connections(pipeline.records(path), "end")


# --- echo requests: one process a time, then two that ask the same host

NET = "127.77.0"
pids = {}


def pings():
    for i, (kind, address) in enumerate((("raw", f"{NET}.1"), ("dgram", f"{NET}.2"), ("raw", "::1"))):
        if kind == "dgram":
            saved = open("/proc/sys/net/ipv4/ping_group_range").read()
            with open("/proc/sys/net/ipv4/ping_group_range", "w") as f:
                f.write("0 0")
        try:
            pids[kind, address] = int(servers("ping", kind, 2, address)[0][3])
        finally:
            if kind == "dgram":
                with open("/proc/sys/net/ipv4/ping_group_range", "w") as f:
                    f.write(saved)
    two = [tap.spawn([SERVERS, "ping", "raw", "4", f"{NET}.3"], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    pids["two"] = {int(p.communicate()[0].split()[3]) for p in two}


def by_destination(found):
    d = {}
    for r in found:
        d.setdefault(r["destination"]["ip"], []).append(r)
    return d


ends = by_destination(record(f"net {NET}.0/24 and icmp or icmp6", pings))
two = pids.pop("two")
for (kind, address), pid in pids.items():
    got = [both(r) for r in ends.get(address, ())]
    got = [g for g in got if g[0][0] == pid] if address == "::1" else got
    tap.is_(got, [((pid, "tap_send", "exact"), (None, "kernel", "exact"))],
            f"{kind} echo request to {address}: the process asks, the kernel answers")
got = [both(r)[0] for r in ends.get(f"{NET}.3", ())]
tap.is_(len(got), 2, "two processes ask one host: two records")
named = [g[0] for g in got if g[0]]
tap.ok(set(named) <= two and len(set(named)) == len(named), "neither is named for the other", got)

# --- an error of the kernel's: a datagram to a closed port
ends = record(f"icmp and net {NET}.0/24", lambda: servers("raw", "udp", f"{NET}.4", 15311, 15310))
tap.is_([both(r)[0][:2] for r in ends], [(None, "kernel")], "an unreachable port: the kernel says so")

# --- a datagram to a port that nobody has, and the answer that says so
TEXT = os.path.join(tap.tmpdir(), "refused.txt")


def refused():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect((f"{NET}.8", 15313))
        s.send(b"x")
        try:
            s.recv(1)
        except ConnectionRefusedError:
            pass


ends = record("udp port 15313 or icmp", refused, "-o", f"text:{TEXT}")
ends = [r for r in ends if r["destination"].get("port") == 15313]
tap.is_([(both(r)[0][0], r["event"].get("reason"), both(r)[1]) for r in ends],
        [(os.getpid(), "refused", (None, None, "no_socket"))], "a datagram that is refused says so")
with open(TEXT) as f:
    lines = [line for line in f if f"{NET}.8:15313" in line]
tap.ok(" refused " in lines[-1] and "? (nothing listens there)" in lines[-1],
       "as people read it, too", *lines)

# --- raw and packet sockets
told = {}


def senders():
    told["udp"] = servers("raw", "udp", f"{NET}.5", 15321, 15320)
    told["header"] = servers("raw", "header", f"{NET}.6", 15321, 15320)
    told["packet"] = servers("packet", "lo", f"{NET}.7", 15321, 15320)


ends = by_destination(record("udp port 15320", senders))
for kind, address in ("udp", f"{NET}.5"), ("header", f"{NET}.6"):
    tap.is_([both(r)[0] for r in ends.get(address, ())], [(int(told[kind][0][3]), "tap_send", "probable")],
            f"raw socket, {kind}: its process, probably")
# Many one after the other: each is told from the one before.
told_many = []


def many():
    for i in range(20):
        told_many.append(servers("raw", ("udp", "header")[i % 2], f"{NET}.9", 15322, 15330 + i)[0])


found = {r["source"]["port"]: both(r)[0] for r in record("udp port 15322", many) if r["destination"]["ip"] == f"{NET}.9"}
named = sum(found.get(int(t[1]), (None,))[0] == int(t[3]) for t in told_many)
others = [(t, found.get(int(t[1]))) for t in told_many if found.get(int(t[1]), (None,))[0] not in (None, int(t[3]))]
tap.is_(others, [], "twenty raw sockets: nobody is named for another")
tap.ok(named >= 18, f"and nearly all are named ({named} of 20)", *found.values())
tap.is_([both(r)[0] for r in ends.get(f"{NET}.7", ())], [(None, None, "no_socket")],
        "packet socket: nobody is named, for there is no such socket")

# --- sockets passed on
def with_server(act):
    srv = tap.spawn([SERVERS, "threads", "2", "fin", "127.0.0.1", str(PORT)], stdout=subprocess.PIPE)
    srv.stdout.readline()
    try:
        return record(f"tcp port {PORT}", act)
    finally:
        tap.stop(srv)


reports = {}
ends = with_server(lambda: reports.update({r[0]: r for r in servers("pass", "127.0.0.1", PORT)}))
tap.is_([both(r)[0] for r in ends], [(int(reports["connected"][3]), "tap_connect", "exact")],
        "a socket passed on: who connected it")

reports = {}
ends = with_server(lambda: reports.update({r[0]: r for r in servers("mptcp", "127.0.0.1", PORT)}))
if "connected" in reports:
    tap.is_([both(r)[0] for r in ends], [(int(reports["connected"][3]), "tap_connect", "exact")], "MPTCP")
else:
    tap.skip("MPTCP", "this kernel has none")

# --- a question about a route is no connection
def plant():
    """A client holds its connection while somebody asks for the way of a tuple of the same server's."""
    reports["plain"] = servers("connect", 1, 0, "127.0.0.1", PORT)
    sport = str(int(reports["plain"][0][1]) + 1)
    ask = ["ip", "route", "get", "127.0.0.1", "from", "127.0.0.1", "ipproto", "tcp", "dport", str(PORT), "sport"]
    for port in sport, "15399":
        subprocess.run([*ask, port], check=True, stdout=subprocess.DEVNULL)
    servers("syn", "lo", "127.0.0.1", PORT, 15399)


ends = with_server(plant)
got = {r["source"]["port"]: both(r)[0] for r in ends}
tap.is_(got.get(int(reports["plain"][0][1]), (None,))[0], int(reports["plain"][0][3]), "a connection beside it has its owner")
tap.is_(got.get(15399, ("none",))[0], None, "asking for a route claims no connection", )
tap.done()
