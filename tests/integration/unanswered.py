# SPDX-License-Identifier: Apache-2.0
"""Connections that nobody answers for a while are their processes' all the same, over IPv4 and IPv6, side by side to one
place; and packets of one wait for its owner."""
import os
import socket
import subprocess
import sys

import pipeline
import tap

tap.need_root()
PORT = 16300
CLIENTS = 4
# Says its pid and port while nobody has answered yet, then stays until it is told to go.
CLIENT = f"""
import os, socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
s.setblocking(False)
s.connect_ex((sys.argv[1], {PORT}))
print(os.getpid(), s.getsockname()[1], flush=True)
sys.stdin.read()
"""


def unanswered(address):
    """Behind a full queue of connections that nobody accepts."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    path = os.path.join(tap.tmpdir(), "out.ndjson")
    listener = socket.create_server((address, PORT), family=family, backlog=0)
    f = pipeline.Flowner("-i", "lo", "-o", f"ecs:{path}", "--set", "enrich.start_after=200ms", f"tcp port {PORT}")
    full = [socket.create_connection((address, PORT))]
    clients = [tap.spawn([sys.executable, "-c", CLIENT, address], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
               for _ in range(CLIENTS)]
    truth = {int(port): int(pid) for pid, port in (c.stdout.readline().split() for c in clients)}
    tap.ok(tap.wait_for(lambda: len(pipeline.connections(pipeline.records(path), "start")) == CLIENTS + 1),
           f"{address}: {CLIENTS} are told while they wait", f.log())
    for s in [*full, listener]:
        s.close()
    for c in clients:
        c.stdin.close()
        c.wait()
    f.stop()
    for event in "start", "end":
        named = {r["source"]["port"]: r.get("process", {}).get("pid")
                 for r in pipeline.connections(pipeline.records(path), event) if r["source"]["port"] in truth}
        tap.is_(named, truth, f"{address}: each names its process at its {event}")


def packets(address):
    """All of a command's connection, from its first one."""
    server = pipeline.server("tcp", address, PORT)
    out = os.path.join(tap.tmpdir(), "out.pcapng")
    code = f"import socket; s = socket.create_connection(({address!r}, {PORT})); s.sendall(b'x' * 10); s.close()"
    r = tap.run([tap.program("flowner"), "run", "-i", "lo", "-o", f"pcapng:{out}", "--set", "capture.mode=headers",
                 f"tcp port {PORT}", "--", sys.executable, "-c", code], text=True)
    tap.stop(server)
    flags = tap.run(["tshark", "-n", "-r", out, "-T", "fields", "-e", "tcp.flags.str", "-e", "frame.comment"],
                    text=True).stdout.splitlines()
    tap.ok(r.returncode == 0 and len(flags) >= 7 and "S" in flags[0], f"{address}: packets from the SYN on", *flags, r.stderr)
    tap.is_([x for x in flags if "Owner: exact (tap_connect)" not in x], [], f"{address}: each with the process")


for host in "127.0.0.1", "::1":
    unanswered(host)
    packets(host)
tap.done()
