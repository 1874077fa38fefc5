# SPDX-License-Identifier: Apache-2.0
"""Who accepted a connection, in the end record: the process that closed it; in the start record: the listener's."""
import os
import subprocess
import time

import pipeline
import tap

tap.need_root()
CONNECTIONS = tap.amount(100, 2000, 100)
SERVERS = tap.program("tests/integration/servers")
PORT = 15100


class Server:
    """A server that reports what it accepts; .listener is the pid that said `ready`, or the workers'."""

    def __init__(self, kind, workers, how, address, port):
        self.path = os.path.join(tap.tmpdir(), "server")
        self.p = tap.spawn([SERVERS, kind, str(workers), how, address, str(port)], stdout=open(self.path, "wb"))
        want = 1 + (workers if kind in ("prefork", "reuseport") else 0)
        if not tap.wait_for(lambda: len(self.lines()) >= want):
            tap.bail(f"{kind} server does not start")
        self.listeners = {int(x[3]) for x in self.lines() if x[0] == ("worker" if kind == "reuseport" else "ready")}

    def lines(self):
        with open(self.path) as f:
            return [line.split() for line in f.read().splitlines()]

    def accepted(self):
        """{client's port: pid that served it}"""
        return {int(x[2]): int(x[3]) for x in self.lines() if x[0] == "accepted"}

    def stop(self):
        for pid in {int(x[3]) for x in self.lines()} - {self.p.pid}:
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                pass
        tap.stop(self.p)


def ends_of(path, event, port):
    """{client's port: [(pid, method, confidence)] of who answered} in the records of connections to our port."""
    found = {}
    for r in pipeline.connections(pipeline.records(path), event):
        if r["destination"]["port"] == port:
            end = r["flowner"].get("responder", {})
            owner = end.get("owner", {})
            found.setdefault(r["source"]["port"], []).append(
                (end.get("process", {}).get("pid"), owner.get("method"), owner.get("confidence")))
    return found


def scenario(name, kind, workers, how, address="127.0.0.1", port=None, n=CONNECTIONS, share=0.99, before=None,
             sure="exact"):
    global PORT
    PORT += 1
    port = port or PORT
    path = os.path.join(tap.tmpdir(), "out.ndjson")
    srv = Server(kind, workers, how, address, port)
    f = pipeline.Flowner("-i", "lo", "-o", f"ecs:{path}", f"tcp port {port}")
    if before:
        before(f, address, port)
    clients = subprocess.run([SERVERS, "connect", str(n), "1", address, str(port)], env={**os.environ, "HOW": how},
                             capture_output=True, text=True, timeout=120)
    tap.is_(clients.returncode, 0, f"{name}: clients are served")
    ports = [int(x.split()[1]) for x in clients.stdout.splitlines()]
    f.settle()
    f.stop()
    accepted = srv.accepted()
    srv.stop()
    ends, starts = ends_of(path, "end", port), ends_of(path, "start", port)
    right = sum(any(e[0] == accepted.get(p) and e[1:] == ("tap_close", sure) for e in ends.get(p, ())) for p in ports)
    wrong = [(p, e, accepted.get(p)) for p in ports for e in ends.get(p, ())
             if e[0] and e[0] != accepted.get(p) and e[2] == "exact"]
    tap.ok(right >= share * n, f"{name}: the acceptor at the end for {share:.0%} or more ({right} of {n})",
           *[f"{p}: {ends.get(p)} but {accepted.get(p)}" for p in ports if not any(
               e[0] == accepted.get(p) for e in ends.get(p, ()))][:5])
    tap.is_(wrong[:3], [], f"{name}: never another process for sure")
    return srv, starts, ports


def listener_at_start(name, srv, starts, ports):
    told = sum(any(s[0] in srv.listeners and s[2] == "probable" for s in starts.get(p, ())) for p in ports)
    tap.ok(told >= 0.99 * len(ports), f"{name}: the listener at the start ({told} of {len(ports)})",
           *[str(starts.get(p)) for p in ports[:3]])


for kind in "prefork", "threads", "inetd":
    listener_at_start(kind, *scenario(kind, kind, 4, "fin"))
for how in "first", "reset", "unread", "shutdown":
    scenario(f"prefork, {how}", "prefork", 3, how)
scenario("IPv6", "prefork", 3, "fin", address="::1")
scenario("IPv6, reset", "prefork", 3, "reset", address="::1")
scenario("reuseport", "reuseport", 4, "fin")

# A server in the range of automatic ports: its closes are recorded once flowner has met the listener.
def until_known(f, address, port):
    """The first connection shows the listener; a housekeeping later capture has been asked."""
    subprocess.run([SERVERS, "connect", "1", "0", address, str(port)], capture_output=True, timeout=20)
    time.sleep(2.5)


scenario("high port", "prefork", 3, "fin", port=40001, before=until_known)
scenario("high port, IPv6", "threads", 3, "first", address="::1", port=40002, before=until_known)
# The child is done before its parent has closed its own copy: then the parent is named, and not for sure.
scenario("inetd, first", "inetd", 3, "first", share=0.8)
# Each session had a child that held its connection, too: it may have served it.
scenario("session", "session", 1, "fin", sure="probable")


def killed():
    """Workers that end by SIGKILL close what they had."""
    path = os.path.join(tap.tmpdir(), "out.ndjson")
    srv = Server("prefork", 4, "hold", "127.0.0.1", 15190)
    f = pipeline.Flowner("-i", "lo", "-o", f"ecs:{path}", "tcp port 15190")
    clients = [tap.spawn([SERVERS, "connect", "1", "0", "127.0.0.1", "15190"], stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL) for _ in range(4)]
    tap.wait_for(lambda: len(srv.accepted()) == 4)
    accepted = srv.accepted()
    for pid in accepted.values():
        os.kill(pid, 9)
    for c in clients:
        c.wait(20)
    f.settle()
    f.stop()
    srv.stop()
    ends = ends_of(path, "end", 15190)
    got = {p: [e[0] for e in ends.get(p, ())] for p in accepted}
    tap.is_(got, {p: [pid] for p, pid in accepted.items()}, "a killed worker is named")


killed()
tap.done()
