# SPDX-License-Identifier: Apache-2.0
"""Without the tap, connections that are over when their batch comes: who listens is named, though hardly anything is asked."""
import os
import socket
import subprocess
import sys

import pipeline
import tap

tap.need_root()
PORT = 13600
CLIENTS = 13700
N = 100
# Listens on each address and port given; closes first, or last, as it is asked to.
SERVER = """
import select, socket, sys
listeners = []
for address in sys.argv[1:]:
    host, port = address.rsplit("-", 1)
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    if s.family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    s.bind((host, int(port)))
    s.listen(64)
    listeners.append(s)
print("ready", flush=True)
while True:
    for s in select.select(listeners, [], [])[0]:
        c, _ = s.accept()
        if c.recv(1) == b"l":
            c.recv(1)
        c.close()
"""


def server(*addresses):
    p = tap.spawn([sys.executable, "-c", SERVER, *addresses], stdout=subprocess.PIPE)
    p.stdout.readline()
    return p


def ask(host, port, who, local):
    """One connection from port @local; @who closes it first: "f" the server, "l" the client."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((host, local))
        s.connect((host, port))
        s.send(who)
        if who == b"f":
            s.recv(1)


def who_listens(r):
    """Pid of the server; where only one end is known, it stands at the top."""
    return r["flowner"].get("responder", {}).get("process", r.get("process", {})).get("pid")


# Of one port: one listener; one for each address; one for each family; one for all addresses, and one of these has its own.
one, here, there = server(f"127.0.0.1-{PORT}"), server(f"127.0.0.1-{PORT + 1}"), server(f"127.0.0.2-{PORT + 1}")
v4, v6 = server(f"0.0.0.0-{PORT + 2}"), server(f"::-{PORT + 2}")
wide, narrow = server(f"0.0.0.0-{PORT + 3}"), server(f"127.0.0.1-{PORT + 3}")
CASES = {"one listener": ("127.0.0.1", PORT, one), "its address": ("127.0.0.1", PORT + 1, here),
         "another's address": ("127.0.0.2", PORT + 1, there), "its family": ("127.0.0.1", PORT + 2, v4),
         "another's family": ("::1", PORT + 2, v6), "all addresses": ("127.0.0.2", PORT + 3, wide)}
BOTH = {"an address of all": ("127.0.0.1", PORT + 3, narrow)}
CLOSERS = {b"f": "the server closes first", b"l": "the client closes first"}


def traffic(f, cases, first):
    """{(case, who closes): ports of its clients}, from @first on, and how many questions that took."""
    before = f.ledger("enrich")["enrich_diag_requests"]
    ports = {}
    for name, (host, port, _) in cases.items():
        for who in CLOSERS:
            ports[name, who] = range(first + len(ports) * N, first + (len(ports) + 1) * N)
            for local in ports[name, who]:
                ask(host, port, who, local)
    f.settle()
    return ports, f.ledger("enrich")["enrich_diag_requests"] - before


path = os.path.join(tap.tmpdir(), "out.ndjson")
f = pipeline.Flowner("-i", "lo", "-o", f"ecs:{path}", "--set", "enrich.tap=off", f"tcp portrange {PORT}-{PORT + 3}",
                     starts=())
tap.wait_for(lambda: "until Ctrl-C" in f.log())  # before, enrich does not read yet
ports, asked = traffic(f, CASES, CLIENTS)
tap.ok(asked < N * len(CASES) / 2, f"{2 * N * len(CASES)} connections took few questions", asked)
more, asked = traffic(f, BOTH, CLIENTS + len(ports) * N)
tap.note(f"where two listeners would do, {2 * N} took {asked}")
tap.is_(f.stop(), 0, "flowner ends well")
ends = pipeline.connections(pipeline.records(path), "end")
for (name, who), clients in (ports | more).items():
    _, port, right = (CASES | BOTH)[name]
    named = [who_listens(r) for r in ends if r["destination"]["port"] == port and r["source"]["port"] in clients]
    tap.is_(len(named), N, f"{name}, {CLOSERS[who]}: every connection is logged")
    tap.is_(sorted(set(named) - {None, right.pid}), [], f"{name}, {CLOSERS[who]}: nobody wrong is named")
    # Of two that would do the kernel says which, as long as it has not the rest of the connection to show.
    if name not in BOTH or who == b"l":
        tap.ok(named.count(right.pid) >= 0.98 * N, f"{name}, {CLOSERS[who]}: who listens is named", named.count(right.pid))
tap.done()
