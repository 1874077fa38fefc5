# SPDX-License-Identifier: Apache-2.0
"""capture.netns: interfaces of other namespaces, each with its own addresses, loopback and owners."""
import os
import subprocess

import pipeline
import tap

tap.need_root()
PORT = 13200
N = 10
a, b = tap.netns("cap"), tap.netns("cap")
tap.veth(a, b)


def launch(ns, proto, address, port):
    r = tap.run(tap.inside(ns, pipeline.TRUTH, "launch", str(N), "1", proto, address, str(port)), text=True)
    tap.is_(r.returncode, 0, f"clients to {address} port {port} work")
    return {int(p[1]): int(p[2]) for p in (line.split(None, 5) for line in r.stdout.splitlines())}


def ends(found, netns, port):
    return [r for r in pipeline.connections(found, "end")
            if r["destination"]["port"] == port and r["flowner"].get("netns") == netns]


def owners(r):
    f = r["flowner"]
    return r.get("process", {}).get("pid"), f.get("responder", {}).get("process", {}).get("pid")


# The same loopback address and port in both, and a connection from one to the other.
servers = {ns: pipeline.server("tcp", "0.0.0.0", PORT, prefix=tap.inside(ns)) for ns in (a, b)}
for mode in "full", "off":
    path = os.path.join(tap.tmpdir(), "out.ndjson")
    f = pipeline.Flowner("--netns", a, "--set", f"capture.netns=[{b}]", "--netns", f"/run/netns/{b}", "-i", "lo",
                         "-i", "v0", "-o", f"ecs:{path}", "--set", f"enrich.tap={mode}",
                         "--set", "enrich.procfs=keep", f"tcp port {PORT}")
    truth = {ns: launch(ns, "tcp", "127.0.0.1", PORT) for ns in (a, b)}
    between = launch(a, "tcp", "10.77.0.2", PORT)
    f.settle()
    tap.is_(f.stop(), 0, f"tap {mode}: flowner ends well")
    found = pipeline.records(path)
    for ns in a, b:
        local = [r for r in ends(found, ns, PORT) if r["destination"]["ip"] == "127.0.0.1"]
        tap.is_(len(local), N, f"tap {mode}: the loopback connections of each namespace are kept apart")
        tap.is_({r["observer"]["egress"]["interface"]["name"] for r in local}, {"lo"}, "with the interface's name there")
        tap.is_({r["flowner"]["direction"] for r in local}, {"local"}, "they are local there")
        server = servers[ns].server_pid
        bad = [(r["source"]["port"], *owners(r)) for r in local if owners(r)[0] not in (None, truth[ns].get(r["source"]["port"]))
               or owners(r)[1] not in (None, server)]
        tap.is_(bad, [], f"tap {mode}: nobody of the other namespace is named")
        if mode == "full":
            tap.is_([owners(r) for r in local], [(truth[ns][r["source"]["port"]], server) for r in local],
                    "both ends are named")
        else:
            tap.ok(any(owners(r)[1] == server for r in local), "the server is named")
        # From outside: seen in both namespaces, so there is a record of each.
        link = [r for r in ends(found, ns, PORT) if r["destination"]["ip"] == "10.77.0.2"]
        tap.is_(len(link), N, f"tap {mode}: a connection between two captured namespaces has a record in each")
        bad = [owners(r) for r in link if owners(r)[0] not in (None, between[r["source"]["port"]])
               or owners(r)[1] not in (None, servers[b].server_pid)]
        tap.is_(bad, [], "nobody wrong is named there")
        if mode == "full":
            tap.is_([owners(r) for r in link], [(between[r["source"]["port"]], servers[b].server_pid) for r in link],
                    "both ends are named, from either side")

# --- a namespace that is deleted meanwhile is let go, and the rest goes on
c = tap.netns("cap")
f = pipeline.Flowner("--netns", a, "--netns", c, "-i", "lo", "-o", f"ecs:{path}2", f"tcp port {PORT}")
subprocess.run(tap.inside(a, "ip", "link", "add", "g0", "type", "veth", "peer", "name", "g0", "netns", c), check=True)
subprocess.run(["ip", "netns", "del", c], check=True)
tap.ok(tap.wait_for(lambda: "the network namespace is gone" in f.log()), "a deleted namespace is noticed")
tap.ok(tap.wait_for(lambda: tap.run(tap.inside(a, "ip", "link", "show", "g0")).returncode),
       "and not kept alive: the other end of its cable is gone")
truth = launch(a, "tcp", "127.0.0.1", PORT)
f.settle()
tap.is_(f.stop(), 0, "flowner goes on without it and ends well")
tap.is_(len(ends(pipeline.records(path + "2"), a, PORT)), N, "and the other namespace is still captured in")

for args, status, says in (
        (["--netns", "flowner-no-such"], 66, "no such network namespace: flowner-no-such"),
        (["--netns", "/dev/null"], 66, "/dev/null is not a network namespace"),
        (["--netns", a, "-i", "nosuch0"], 66, f"no such interface: {a}:nosuch0")):
    r = tap.run([tap.program("flowner-capture"), "--runtime-dir", tap.tmpdir(), *args], text=True)
    tap.is_((r.returncode, len(r.stderr.splitlines())), (status, 1), f"{' '.join(args)}: status and one line")
    tap.has(r.stderr, says, "the line says what is wrong")
tap.done()
