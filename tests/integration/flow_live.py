# SPDX-License-Identifier: Apache-2.0
"""Live connections that fail or are reset get their states; a file replayed on an interface gives the records of the file."""
import ctypes
import os
import socket
import struct
import subprocess
import time

import pipeline
import sessions
import tap

tap.need_root()
PORT = 16200
NANO = 10**9


def ends(path):
    return pipeline.connections(pipeline.records(path), "end")


def abort(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


# Failures: to a port nobody listens on, to an address without a host, closed with a reset on either side.
ns = tap.netns()
here, _ = tap.uplink(ns, 16)
subprocess.run(["ip", "neigh", "add", "10.77.16.99", "lladdr", "02:00:00:00:00:99", "dev", here], check=True)
path = os.path.join(tap.tmpdir(), "out.ndjson")
f = pipeline.Flowner("-i", here, "-i", "lo", "-o", f"ecs:{path}", "--set", "limits.tcp_attempt_timeout=2s",
                     f"tcp portrange {PORT}-{PORT + 9}")
refused = socket.socket()
refused.settimeout(5)
tap.is_(refused.connect_ex(("10.77.16.2", PORT)), 111, "refused")
filtered = socket.socket()
filtered.settimeout(0.5)
tap.ok(filtered.connect_ex(("10.77.16.99", PORT + 1)) != 0, "no answer")
filtered.close()
listener = socket.create_server(("127.0.0.1", PORT + 2))
for by_client in (True, False):
    client = socket.create_connection(("127.0.0.1", PORT + 2))
    server = listener.accept()[0]
    client.sendall(b"12345")
    server.recv(5)
    abort(client if by_client else server)
    (server if by_client else client).close()
tap.wait_for(lambda: f.ledgers().get("enrich_flows_ended") == 4)
f.stop()
got = sorted((r["destination"]["port"] - PORT, r["flowner"]["conn_state"], r["event"].get("reason")) for r in ends(path))
tap.is_(got, [(0, "REJ", "refused"), (1, "S0", "timeout"), (2, "RSTO", "reset"), (2, "RSTR", "reset")], "their states")

# A file, read and replayed.
with open(os.path.join(tap.SOURCE, "tests/data/flow-states.tsv")) as table:
    rows = [line.rstrip("\n").split("\t") for line in table if not line.startswith("#")]
packets = []
for n, (proto, _, script, _) in enumerate(rows):
    # Without the waits: they would be waited for.
    if "^" in script or "~" in script.rsplit(None, 1)[0]:
        continue
    part, _ = sessions.play(script, proto, 20000 + n, 1_700_000_000 * NANO + n * NANO // 20, proto == "tcp" and n % 2)
    packets += part
packets.sort(key=lambda p: p[0])
SET = ["--set", "capture.mode=headers", "--set", "limits.tcp_timeout=2s", "--set", "limits.tcp_attempt_timeout=2s",
       "--set", "limits.udp_timeout=2s"]


def summary(path):
    """What both must agree on."""
    found = []
    for r in ends(path):
        side = r["source"], r["destination"]
        found.append((r["network"]["transport"], *[(s["ip"], s.get("port"), s.get("bytes"), s["packets"]) for s in side],
                      r["flowner"]["conn_state"], r["flowner"].get("history"), r["event"].get("reason")))
    return sorted(found, key=str)


offline = os.path.join(tap.tmpdir(), "offline.ndjson")
# One more packet, so that the timeouts pass in the file as they do live.
late = sessions.packet(">.0+1", "udp", 9999)
read = sessions.write(os.path.join(tap.tmpdir(), "read.pcap"), packets + [(packets[-1][0] + 10 * NANO, late)])
r = tap.run([tap.program("flowner"), "run", "-r", read, "-o", f"ecs:{offline}", *SET], text=True)
tap.is_(r.returncode, 0, "the file is read")
a, b = tap.netns(), tap.netns()
tap.veth(a, b, 17)
for space in a, b:  # nothing but the file's packets
    subprocess.run(tap.inside(space, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1"), check=True)
    subprocess.run(tap.inside(space, "ip", "addr", "flush", "dev", "v0"), check=True)
live = os.path.join(tap.tmpdir(), "live.ndjson")
f = pipeline.Flowner("-i", "v0", "-o", f"ecs:{live}", *SET, prefix=tap.inside(b))
sender = os.fork()
if not sender:
    with open(f"/run/netns/{a}") as space:
        ctypes.CDLL(None).setns(space.fileno(), 0)
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    raw.bind(("v0", 0))
    begin = time.monotonic_ns()
    for t_ns, frame in packets:
        time.sleep(max(0, t_ns - packets[0][0] - time.monotonic_ns() + begin) / NANO)
        raw.send(frame)
    os._exit(0)
tap.is_(os.waitpid(sender, 0)[1], 0, "and replayed")
started = tap.wait_for(lambda: f.ledgers().get("enrich_packets_read") == len(packets))
tap.wait_for(lambda: f.ledgers().get("enrich_flows_ended") == f.ledgers().get("enrich_flows_started"))
f.stop()
want = [w for w in summary(offline) if w[1][1] != 9999]
got = summary(live)
tap.ok(started and len(want) > 20, "every packet came", len(packets), f.log())
tap.is_([w for w in want if w not in got], [], "the records of the file, live")
tap.is_([g for g in got if g not in want], [], "and no others")
tap.done()
