# SPDX-License-Identifier: Apache-2.0
"""A connection between two processes of one host is one record with both, in one namespace or in two."""
import os
import subprocess

import pipeline
import tap

tap.need_root()

CLIENTS = 20


def clients(prefix, proto, address, port):
    """CLIENTS clients, one after the other; their own reports."""
    reports = []
    for _ in range(CLIENTS):
        r = tap.run([*prefix, pipeline.TRUTH, "client", proto, address, str(port)], text=True)
        part = r.stdout.split()
        if len(part) == 6:
            reports.append((int(part[1]), int(part[2])))
    return reports


def check(name, path, port, reports, server_pid):
    """Every client's connection is there once, from its process to the server's."""
    found = [r for r in pipeline.connections(pipeline.records(path), "end") if r["destination"]["port"] == port]
    ends = sorted((r["source"]["port"], r.get("process", {}).get("pid"),
                   r["flowner"].get("responder", {}).get("process", {}).get("pid")) for r in found)
    want = sorted((source, pid, server_pid) for source, pid in reports)
    tap.is_(len(reports), CLIENTS, f"{name}: every client reported")
    tap.ok(ends == want, f"{name}: each connection once, with client and server",
           f"missing: {[e for e in want if e not in ends]}", f"   wrong: {[e for e in ends if e not in want]}")
    tap.is_({r["flowner"]["direction"] for r in found}, {"local"}, f"{name}: they are local")


# address of the server, of the client's call
LOCAL = (
    ("TCP", "tcp", "127.0.0.1", "127.0.0.1"),
    ("TCP over IPv6", "tcp", "::1", "::1"),
    ("UDP", "udp", "127.0.0.1", "127.0.0.1"),
    ("UDP over IPv6", "udp", "::1", "::1"),
    ("TCP, IPv4 to an IPv6 listener", "tcp", "::", "127.0.0.1"),
    ("UDP, IPv4 to an IPv6 socket", "udp", "::", "127.0.0.1"),
    ("TCP, a v4-mapped client", "tcp", "127.0.0.1", "::ffff:127.0.0.1"),
    ("UDP, a v4-mapped client", "udp", "127.0.0.1", "::ffff:127.0.0.1"),
)


def local():
    path = os.path.join(tap.tmpdir(), "out.ndjson")
    base = 18100
    f = pipeline.Flowner("-i", "lo", "-o", f"ecs:{path}", f"portrange {base}-{base + len(LOCAL)}")
    servers = [pipeline.server(proto, listen, base + i) for i, (_, proto, listen, _) in enumerate(LOCAL)]
    reports = [clients([], proto, call, base + i) for i, (_, proto, _, call) in enumerate(LOCAL)]
    f.settle()
    tap.is_(f.stop(), 0, "one namespace: flowner ends well")
    for i, case in enumerate(LOCAL):
        tap.stop(servers[i])
        check(case[0], path, base + i, reports[i], servers[i].server_pid)


def bridged():
    """Two namespaces on the bridge of a third, which sees every packet on three interfaces."""
    host, a, b = tap.netns("ends"), tap.netns("ends"), tap.netns("ends")

    def ip(ns, *args):
        subprocess.run(tap.inside(ns, "ip", *args), check=True)

    ip(host, "link", "add", "br0", "type", "bridge")
    ip(host, "addr", "add", "10.78.0.254/24", "dev", "br0")
    ip(host, "link", "set", "br0", "up")
    for n, ns in enumerate((a, b), 1):
        ip(host, "link", "add", f"h{n}", "type", "veth", "peer", "name", "v0", "netns", ns)
        ip(host, "link", "set", f"h{n}", "master", "br0", "up")
        ip(ns, "addr", "add", f"10.78.0.{n}/24", "dev", "v0")
        ip(ns, "addr", "add", f"fd78::{n}/64", "dev", "v0", "nodad")
        ip(ns, "link", "set", "v0", "up")

    path = os.path.join(tap.tmpdir(), "out.ndjson")
    f = pipeline.Flowner("-o", f"ecs:{path}", "portrange 18120-18123", prefix=tap.inside(host))
    cases = (("TCP between namespaces", "tcp", "10.78.0.2"), ("UDP between namespaces", "udp", "10.78.0.2"),
             ("TCP over IPv6 between namespaces", "tcp", "fd78::2"), ("UDP over IPv6 between namespaces", "udp", "fd78::2"))
    servers = [pipeline.server(proto, address, 18120 + i, tap.inside(b)) for i, (_, proto, address) in enumerate(cases)]
    reports = [clients(tap.inside(a), proto, address, 18120 + i) for i, (_, proto, address) in enumerate(cases)]
    f.settle()
    duplicates = f.ledgers()["enrich_packets_duplicate"]
    tap.is_(f.stop(), 0, "two namespaces: flowner ends well")
    tap.ok(duplicates > 0, f"packets were seen on several interfaces ({duplicates} of them again)")
    for i, case in enumerate(cases):
        tap.stop(servers[i])
        check(case[0], path, 18120 + i, reports[i], servers[i].server_pid)


local()
bridged()
tap.done()
