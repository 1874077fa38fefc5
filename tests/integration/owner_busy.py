# SPDX-License-Identifier: Apache-2.0
"""A busy UDP server's sends are left unrecorded, and still it is named; its successor on the port is not taken for it."""
import os
import signal

import pipeline
import tap

tap.need_root()
SERVERS = tap.program("tests/integration/servers")
PORT = 15500
CLIENTS = 200


def answering(found, ports):
    """{client's port: (pid, method, confidence)} of who answered, at the end."""
    got = {}
    for r in found:
        if r["source"]["port"] in ports:
            end = r["flowner"].get("responder", {})
            owner = end.get("owner", {})
            got[r["source"]["port"]] = (end.get("process", {}).get("pid"), owner.get("method"), owner.get("confidence"))
    return got


path = os.path.join(tap.tmpdir(), "out.ndjson")
first = pipeline.server("udp", "127.0.0.1", PORT)
f = pipeline.Flowner("-i", "lo", "-o", f"ecs:{path}", f"udp port {PORT}")
answered = 0
for _ in range(3):
    answered += int(tap.run([SERVERS, "flood", "1000", "127.0.0.1", str(PORT)], text=True).stdout.split()[1])
tap.note(f"{answered} datagrams answered")
before = f.ledger("enrich")
clients = {r["port"] for r in pipeline.truth("launch", CLIENTS, 1, "udp", "127.0.0.1", PORT)}
f.settle()
after = f.ledger("enrich")
asked = after["enrich_diag_requests"] - before["enrich_diag_requests"]

# Its port given up and taken by another process, at once and in the middle of everything.
first.send_signal(signal.SIGKILL)
first.wait()
second = pipeline.server("udp", "127.0.0.1", PORT)
late = {r["port"] for r in pipeline.truth("launch", 100, 1, "udp", "127.0.0.1", PORT)}
f.settle()
f.stop()

before_ports = set(clients)
clients -= late  # a port that served two clients
ends = pipeline.connections(pipeline.records(path), "end")
got = answering(ends, clients)
if answered < 4500:
    tap.skip("its flows are proved by the socket", f"this machine answers {answered // 3} datagrams a second")
else:
    tap.ok(asked >= CLIENTS / 2, f"sends are not recorded any more: {asked} sockets were looked up")
sure = first.server_pid, "tap_send", "exact"
right = sum(o == sure for o in got.values())
tap.ok(right >= 0.97 * len(clients), f"the busy server is named for sure ({right} of {len(clients)})")
for o in [o for o in got.values() if o != sure][:5]:
    tap.note(o)
named = {o[0] for o in answering(ends, late - before_ports).values()}
tap.note(f"{first.server_pid}, then {second.server_pid}; named {named}")
tap.ok(first.server_pid not in named, "who had the port before is not named for its successor's answers", named)
tap.done()
