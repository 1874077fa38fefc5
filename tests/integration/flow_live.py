# SPDX-License-Identifier: Apache-2.0
"""Live connections that fail or are reset get their states; a file replayed on an interface gives the records of the file."""
import ctypes
import json
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
# A retransmission stays far below the timeout of its connection; a UDP conversation's pause outlasts its own.
PACE = {"tcp": 100, "udp": 70, "icmp": 70}
for n, (proto, _, script, _) in enumerate(rows):
    # Not "the clock goes back": on an interface the kernel stamps packets, by a clock that only goes forward.
    if "^" in script:
        continue
    part, _ = sessions.play(script, proto, 20000 + n, 1_700_000_000 * NANO + n * NANO // 40, proto == "tcp" and n % 2,
                            pace=PACE[proto])
    packets += part
packets.sort(key=lambda p: p[0])
SET = ["--set", "capture.mode=headers", "--set", "limits.tcp_timeout=2s", "--set", "limits.tcp_attempt_timeout=2s",
       "--set", "limits.udp_timeout=800ms", *pipeline.TWO_RECORDS]


# When, numbers by which records are told apart, this host, and what only it knows: its owners and whose packets these are.
ASIDE = {"@timestamp", "event.start", "event.end", "event.duration", "event.id", "event.sequence", "flowner.epoch",
         "flowner.flow_id", "flowner.handshake_rtt_ns", "flowner.offline", "flowner.direction", "flowner.owner.reason",
         "network.direction", "observer.ingress.interface.name", "host.boot.id"}


def flat(value, name=""):
    if not isinstance(value, dict):
        return [(name, json.dumps(value))]
    return [pair for key, v in value.items() for pair in flat(v, f"{name}.{key}" if name else key)]


def whole(path):
    """Every record, start and end, without what is aside."""
    return sorted(sorted(pair for pair in flat(r) if pair[0] not in ASIDE) for r in pipeline.connections(pipeline.records(path)))


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
        time.sleep(max(0, begin + t_ns - packets[0][0] - time.monotonic_ns()) / NANO)
        raw.send(frame)
        # Was it late, what follows is, too: no pause gets shorter.
        begin = max(begin, time.monotonic_ns() - t_ns + packets[0][0])
    os._exit(0)
tap.is_(os.waitpid(sender, 0)[1], 0, "and replayed")
started = tap.wait_for(lambda: f.ledgers().get("enrich_packets_read") == len(packets))
tap.wait_for(lambda: f.ledgers().get("enrich_flows_ended") == f.ledgers().get("enrich_flows_started"))
f.stop()
want = [w for w in whole(offline) if ("source.port", "9999") not in w]
got = whole(live)
tap.ok(started and len(want) > 70, "every packet came", len(packets), f.log())
tap.is_([w for w in want if w not in got], [], "the records of the file, live")
tap.is_([g for g in got if g not in want], [], "and no others")
tap.is_(len(got), len(want), "nor any twice")
tap.done()
