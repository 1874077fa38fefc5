# SPDX-License-Identifier: Apache-2.0
"""Clients and servers in other network namespaces, seen on the host's side of their veth: owned, and never wrongly."""
import collections
import os
import subprocess

import pipeline
import tap

tap.need_root()
PORT = 13000
NAME = f"fl{os.getpid()}"
N = 20


def host(*argv):
    subprocess.run(["ip", *argv], check=True)


def container(n, address, bridge):
    """A namespace with one interface at the bridge, like a container."""
    ns, dev = tap.netns("own"), f"{NAME}v{n}"
    host("link", "add", dev, "type", "veth", "peer", "name", "eth0", "netns", ns)
    tap.atexit.register(subprocess.run, ["ip", "link", "del", dev], stderr=subprocess.DEVNULL)
    host("link", "set", dev, "master", bridge, "up")
    for argv in ["addr", "add", f"{address}/24", "dev", "eth0"], ["link", "set", "eth0", "up"]:
        subprocess.run(tap.inside(ns, "ip", *argv), check=True)
    return ns


def bridge(n, address=None):
    name = f"{NAME}b{n}"
    host("link", "add", name, "type", "bridge")
    tap.atexit.register(subprocess.run, ["ip", "link", "del", name], stderr=subprocess.DEVNULL)
    if address:
        host("addr", "add", address, "dev", name)
    host("link", "set", name, "up")
    return name


def flowner(path, *args):
    return pipeline.Flowner("-i", "any", "-o", f"ecs:{path}", *args,
                            f"net 10.78.0.0/16 and portrange {PORT}-{PORT + 99}")


def launch(ns, proto, address, port):
    """{source port: pids of the clients that had it, one after the other}"""
    r = tap.run([*(tap.inside(ns) if ns else []), pipeline.TRUTH, "launch", str(N), "1", proto, address, str(port)],
                text=True)
    tap.is_(r.returncode, 0, f"clients {proto} to port {port} work")
    pids = {}
    for p in (line.split(None, 5) for line in r.stdout.splitlines()):
        pids.setdefault(int(p[1]), set()).add(int(p[2]))
    return pids


def named(path, event, port):
    """(source address and port, client's pid or None, server's pid or None, whole record) of each record."""
    for r in pipeline.connections(pipeline.records(path), event):
        if r["destination"]["port"] != port:
            continue
        f = r["flowner"]
        client, server = r.get("process", {}).get("pid"), f.get("responder", {}).get("process", {}).get("pid")
        if "responder" not in f and r["flowner"]["direction"] == "ingress":
            client, server = None, client
        yield (r["source"]["ip"], r["source"]["port"]), client, server, r


def check(path, what, port, truth, server, client_known=True):
    ends = list(named(path, "end", port))
    tap.is_(len(ends), N, f"{what}: every connection is logged once")
    tap.is_([c for (_, p), c, _, _ in ends if c not in truth[p] and (client_known or c)], [],
            f"{what}: clients are named by their host pids")
    tap.is_({s for _, _, s, _ in ends}, {server}, f"{what}: and the server")
    for r in [r for *_, r in ends if r.get("process", {}).get("pid") is None][:2]:
        tap.note(r["flowner"])


b1 = bridge(1, "10.78.0.1/24")
a, b = container(1, "10.78.0.2", b1), container(2, "10.78.0.3", b1)
old_tcp = pipeline.server("tcp", "0.0.0.0", PORT, prefix=tap.inside(b))
old_udp = pipeline.server("udp", "0.0.0.0", PORT + 1, prefix=tap.inside(b))
on_host = pipeline.server("tcp", "0.0.0.0", PORT + 3)

# --- the tap, and servers that were there before it
path = os.path.join(tap.tmpdir(), "full.ndjson")
f = flowner(path)
tap.ok(f.ledger("capture")["capture_netns"] >= 2, "capture hands both namespaces over")
to_tcp, to_udp = launch(a, "tcp", "10.78.0.3", PORT), launch(a, "udp", "10.78.0.3", PORT + 1)
to_host, from_host = launch(a, "tcp", "10.78.0.1", PORT + 3), launch(None, "tcp", "10.78.0.3", PORT)
c, d = container(3, "10.78.0.4", b1), container(4, "10.78.0.5", b1)  # younger than flowner
new_tcp = pipeline.server("tcp", "0.0.0.0", PORT + 2, prefix=tap.inside(c))
to_new = launch(d, "tcp", "10.78.0.4", PORT + 2)
f.settle()
tap.is_(f.stop(), 0, "flowner ends well")
tap.stop(new_tcp)
starts = [s for (ip, _), _, s, _ in named(path, "start", PORT)]
tap.is_((len(starts), set(starts)), (2 * N, {old_tcp.server_pid}),
        "a wildcard listener that was there before is named when a connection starts")
old = [(ip, p, c, s) for (ip, p), c, s, _ in named(path, "end", PORT)]
truth = {("10.78.0.2", p): pid for p, pid in to_tcp.items()} | {("10.78.0.1", p): pid for p, pid in from_host.items()}
tap.is_([o for o in old if o[2] not in truth[o[:2]] or o[3] != old_tcp.server_pid], [],
        "both ends of connections from a namespace and from the host to it")
check(path, "UDP between namespaces", PORT + 1, to_udp, old_udp.server_pid)
check(path, "from a namespace to the host", PORT + 3, to_host, on_host.server_pid)
check(path, "namespaces made later", PORT + 2, to_new, new_tcp.server_pid)
for ns in (c, d):
    subprocess.run(["ip", "netns", "del", ns], check=True)

# --- without the tap: sock_diag in each namespace
for procfs in "keep", "seed":
    path = os.path.join(tap.tmpdir(), "off.ndjson")
    f = flowner(path, "--set", "enrich.tap=off", "--set", f"enrich.procfs={procfs}")
    to_tcp, to_udp = launch(a, "tcp", "10.78.0.3", PORT), launch(a, "udp", "10.78.0.3", PORT + 1)
    f.settle()
    tap.is_(f.stop(), 0, f"tap off, procfs {procfs}: flowner ends well")
    for port, truth, server in (PORT, to_tcp, old_tcp.server_pid), (PORT + 1, to_udp, old_udp.server_pid):
        ends = list(named(path, "end", port))
        # A port may have come again, and without the tap a datagram is then taken for the former client's.
        seen = collections.Counter(p for (_, p), *_ in ends)
        tap.is_([(p, seen[p]) for p, pids in truth.items() if not 1 <= seen[p] <= len(pids)], [],
                f"port {port}: every connection is logged")
        tap.is_([e[:3] for e in ends if e[1] not in {None, *truth[e[0][1]]} or e[2] not in (None, server)], [],
                f"port {port}: nobody wrong is named")
        # An accepted socket may be closed before it is looked for; the server's own, for UDP, was there from the start.
        found = [e[2] == server for e in ends]
        tap.ok(any(found) if port == PORT else all(found), f"port {port}: the server in the other namespace is found",
               *[e[3]["flowner"] for e in ends if e[2] != server][:2])

# --- the same addresses twice: who is meant cannot be told from outside, so nobody wrong may be named
bx, by = bridge(2), bridge(3)
x1, x2, y1, y2 = (container(n, f"10.78.9.{host_part}", br)
                  for n, host_part, br in ((5, 2, bx), (6, 3, bx), (7, 2, by), (8, 3, by)))
server_x = pipeline.server("tcp", "0.0.0.0", PORT + 4, prefix=tap.inside(x2))
udp_x = pipeline.server("udp", "0.0.0.0", PORT + 6, prefix=tap.inside(x2))
server_y = pipeline.server("tcp", "0.0.0.0", PORT + 5, prefix=tap.inside(y2))
for mode in "full", "off":
    path = os.path.join(tap.tmpdir(), "twice.ndjson")
    f = flowner(path, "--set", f"enrich.tap={mode}", "--set", "enrich.procfs=keep")
    truth = {}
    for ns, port in (x1, PORT + 4), (y1, PORT + 5):
        truth[port] = launch(ns, "tcp", "10.78.9.3", port)
    truth[PORT + 6] = launch(x1, "udp", "10.78.9.3", PORT + 6)
    # To a port where only the other one listens: refused, so neither end has an owner but the client.
    wrong = tap.run(tap.inside(y1, pipeline.TRUTH, "client", "tcp", "10.78.9.3", str(PORT + 4)), text=True)
    tap.ok(wrong.returncode, f"same addresses, tap {mode}: the other one is not reached")
    f.settle()
    tap.is_(f.stop(), 0, f"same addresses, tap {mode}: flowner ends well")
    servers = {PORT + 4: server_x.server_pid, PORT + 5: server_y.server_pid, PORT + 6: udp_x.server_pid}
    for port, server in servers.items():
        clients = truth[port]
        found = list(named(path, "end", port))
        tap.ok(len(found) >= N, f"tap {mode}, port {port}: the connections are logged")
        bad = [e[:3] for e in found if e[0][1] in clients and
               (e[1] not in {None, *clients[e[0][1]]} or e[2] not in (None, server))]
        bad += [e[:3] for e in found if e[0][1] not in clients and e[2]]
        tap.is_(bad, [], f"tap {mode}, port {port}: nobody wrong is named")
        if mode == "full":
            tap.is_(sum(e[1] is not None for e in found if e[0][1] in clients), N,
                    f"tap {mode}, port {port}: its clients are")
tap.done()
