# SPDX-License-Identifier: Apache-2.0
"""Several processes at one port (SO_REUSEPORT): until something tells them apart nobody is named, then the right one."""
import os
import socket
import subprocess
import sys

import pipeline
import tap

tap.need_root()
PORT = 13400
N = 40
# Answers every connection and datagram with its pid.
SERVER = """
import os, socket, sys
kind = socket.SOCK_STREAM if sys.argv[1] == "tcp" else socket.SOCK_DGRAM
s = socket.socket(socket.AF_INET6, kind)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
s.bind(("::", int(sys.argv[2])))
if kind == socket.SOCK_STREAM:
    s.listen(64)
print("ready", flush=True)
while True:
    if kind == socket.SOCK_STREAM:
        c, _ = s.accept()
        c.recv(16)
        c.send(str(os.getpid()).encode())
        c.close()
    else:
        _, peer = s.recvfrom(16)
        s.sendto(str(os.getpid()).encode(), peer)
"""


def group(proto, port):
    members = [tap.spawn([sys.executable, "-c", SERVER, proto, str(port)], stdout=subprocess.PIPE) for _ in range(3)]
    for m in members:
        m.stdout.readline()
    return members


def ask(proto, port, n):
    """{own port: pid of who answered}; over IPv4, so that the servers' sockets are v4-mapped."""
    answers = {}
    for _ in range(n):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM if proto == "tcp" else socket.SOCK_DGRAM) as s:
            s.settimeout(10)
            s.connect(("127.0.0.1", port))
            s.send(b"?")
            answers[s.getsockname()[1]] = int(s.recv(16))
            if proto == "tcp":
                s.recv(16)  # its end first
    return answers


def server_of(r):
    """(pid, owner) of the end that the connection went to."""
    f = r["flowner"]
    o = f.get("responder", {})
    if o:
        return o.get("process", {}).get("pid"), o.get("owner", {})
    return None, {}


def run(mode, procfs):
    path = os.path.join(tap.tmpdir(), "out.ndjson")
    f = pipeline.Flowner("-i", "lo", "-o", f"ecs:{path}", "--set", f"enrich.tap={mode}", "--set",
                         f"enrich.procfs={procfs}", f"portrange {PORT}-{PORT + 9}")
    young = group("tcp", PORT + 2)
    truth = {PORT + n: ask(proto, PORT + n, N) for n, proto in ((0, "tcp"), (1, "udp"), (2, "tcp"))}
    f.settle()
    tap.is_(f.stop(), 0, f"tap {mode}, procfs {procfs}: flowner ends well")
    for m in young:
        tap.stop(m)
    found = pipeline.records(path)
    for port, what in (PORT, "an old TCP group"), (PORT + 1, "an old UDP group"), (PORT + 2, "a younger TCP group"):
        name = f"tap {mode}, procfs {procfs}, {what}"
        starts, ends = ([r for r in pipeline.connections(found, e) if r["destination"]["port"] == port]
                        for e in ("start", "end"))
        # Two datagrams from one port of ours are one conversation.
        n = len(truth[port]) if what == "an old UDP group" else N
        tap.is_((len(starts), len(ends)), (n, n), f"{name}: every connection is logged")
        tap.ok(len(set(truth[port].values())) > 1, f"{name}: more than one of them answered")
        right = {r["source"]["port"]: truth[port][r["source"]["port"]] for r in ends}
        wrong = [(r["source"]["port"], *server_of(r)) for r in ends
                 if server_of(r)[0] not in (None, right[r["source"]["port"]])]
        tap.is_(wrong, [], f"{name}: nobody wrong is named at the end")
        if mode == "full":
            guessed = [(r["source"]["port"], *server_of(r)) for r in starts
                       if server_of(r)[0] not in (None, truth[port][r["source"]["port"]])]
            tap.is_(guessed, [], f"{name}: nor at the start")
            named = sum(server_of(r)[0] is not None for r in ends)
            tap.ok(named >= N * 0.95, f"{name}: who answered is named at the end", named, *(server_of(r) for r in ends[:3]))
            if port != PORT + 1:
                reasons = {server_of(r)[1].get("reason") for r in starts if server_of(r)[0] is None}
                tap.ok(reasons <= {"ambiguous"}, f"{name}: at the start it says why nobody is", reasons)
        tap.note(f"{name}: named at the start {sum(server_of(r)[0] is not None for r in starts)}, "
                 f"at the end {sum(server_of(r)[0] is not None for r in ends)} of {N}")


old = [group("tcp", PORT), group("udp", PORT + 1)]
run("full", "seed")
run("off", "keep")
tap.done()
