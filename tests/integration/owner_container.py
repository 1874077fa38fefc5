# SPDX-License-Identifier: Apache-2.0
"""A container-like client, in network and pid namespaces of its own behind a bridge and in a cgroup named as a runtime
names it: its record has the pid here, the pid inside, the cgroup, the container and its runtime."""
import atexit
import json
import os
import subprocess

import pipeline
import tap

tap.need_root()
PORT = 12110
ID = "c0ffee" + "0123456789" * 5 + "deadbeef"
CLIENT = """
import os, socket, sys
s = socket.create_connection(("10.77.211.1", %d))
s.send(b"x")
print(os.getpid(), s.getsockname()[1], flush=True)
sys.stdin.read()
""" % PORT


def cgroup2():
    with open("/proc/mounts") as f:
        mounts = [line.split() for line in f]
    found = [m[1] for m in mounts if m[2] == "cgroup2"]
    if not found:
        tap.skip_all("no cgroup v2 hierarchy is mounted")
    return found[0]


def make_cgroup(path):
    try:
        os.mkdir(path)
    except OSError as e:
        tap.skip_all(f"cannot make a cgroup: {e}")
    atexit.register(lambda: tap.wait_for(lambda: not os.path.exists(path) or remove(path)))


def remove(path):
    try:
        os.rmdir(path)
    except OSError:
        return False
    return True


def bridge(ns):
    """A bridge here, 10.77.211.1, and behind it the namespace's 10.77.211.2; returns its name."""
    br, port = f"flwbr{os.getpid()}", f"flwbp{os.getpid()}"
    for argv in (["ip", "link", "add", br, "type", "bridge"],
                 ["ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", ns],
                 ["ip", "link", "set", port, "master", br],
                 ["sysctl", "-qw", f"net.ipv6.conf.{br}.disable_ipv6=1", f"net.ipv6.conf.{port}.disable_ipv6=1"],
                 ["ip", "addr", "add", "10.77.211.1/24", "dev", br],
                 ["ip", "link", "set", port, "up"], ["ip", "link", "set", br, "up"],
                 tap.inside(ns, "ip", "addr", "add", "10.77.211.2/24", "dev", "eth0"),
                 tap.inside(ns, "ip", "link", "set", "eth0", "up")):
        subprocess.run(argv, check=True)
        if argv[:3] == ["ip", "link", "add"]:
            atexit.register(subprocess.run, ["ip", "link", "del", argv[3]], stderr=subprocess.DEVNULL)
    return br


def contained(ns, cgroup, *argv):
    """The command line that runs argv as pid 1 of a pid namespace, in the network namespace and the cgroup."""
    return ["sh", "-c", f'echo $$ > {cgroup}/cgroup.procs && exec "$@"', "sh",
            *tap.inside(ns, "unshare", "--pid", "--fork", "--kill-child", "--mount-proc", *argv)]


def host_pid(cgroup, inner):
    """Which process of the cgroup has that pid inside; the kernel's list has pids as seen here."""
    with open(f"{cgroup}/cgroup.procs") as f:
        pids = f.read().split()
    for pid in pids:
        with open(f"/proc/{pid}/status") as f:
            ns = [line.split()[1:] for line in f if line.startswith("NSpid:")][0]
        if len(ns) > 1 and ns[-1] == str(inner):
            return int(pid)
    return 0


def check(found, name, pid, inner, path, what):
    process, flowner = found.get("process", {}), found.get("flowner", {})
    tap.is_(process.get("pid"), pid, f"{name}: the pid here")
    tap.is_(process.get("vpid"), inner, f"{name}: the pid inside")
    tap.is_(flowner.get("cgroup", {}).get("path"), path, f"{name}: the cgroup")
    tap.is_(found.get("container"), what, f"{name}: the container")
    tap.is_(flowner.get("systemd", {}).get("unit"), None, f"{name}: no unit, the cgroup is not below one")
    tap.ok(flowner.get("namespace", {}).get("pid"), f"{name}: a pid namespace that is not ours", flowner)
    tap.is_(flowner.get("owner", {}).get("confidence"), "exact", f"{name}: for sure")


def main():
    root = cgroup2()
    top = f"{root}/flowner-test-{os.getpid()}"
    docker, podman = f"{top}/docker-{ID}.scope", f"{top}/libpod-{ID}.scope"
    make_cgroup(top)
    make_cgroup(docker)
    ns = tap.netns("container")
    br = bridge(ns)
    out = os.path.join(tap.tmpdir(), "out.ndjson")
    srv = pipeline.server("tcp", "0.0.0.0", PORT)
    f = pipeline.Flowner("-i", br, "-o", f"ecs:{out}", f"port {PORT}")

    # Two containers, one cgroup of which is made while flowner runs; both have lived for a while at their end.
    make_cgroup(podman)
    clients = []
    for cgroup in docker, podman:
        p = tap.spawn(contained(ns, cgroup, "python3", "-c", CLIENT), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        line = p.stdout.readline().split()
        if len(line) != 2:
            tap.bail("the client does not connect")
        inner, port = int(line[0]), int(line[1])
        clients.append((p, inner, port, host_pid(cgroup, inner)))
    starts = {}

    def seen():
        for r in pipeline.connections(pipeline.records(out), "start"):
            starts[r["source"]["port"]] = r
        return all(c[2] in starts for c in clients)

    tap.ok(tap.wait_for(seen), "both connections are seen")
    for p, *_ in clients:
        p.stdin.close()
        p.wait(20)
    # One that exits at once: nobody could look at it.
    quick = tap.run(contained(ns, docker, pipeline.TRUTH, "client", "tcp", "10.77.211.1", str(PORT)), text=True)
    port = int(quick.stdout.split()[1])
    f.settle()
    tap.is_(f.stop(), 0, "flowner ends well")
    tap.stop(srv)

    ends = {r["source"]["port"]: r for r in pipeline.connections(pipeline.records(out), "end")}
    for (_, inner, p, pid), name, what in zip(clients, ("docker", "libpod"), ("docker", "podman")):
        tap.ok(pid and inner == 1, f"{what}: a pid of its own inside", pid, inner)
        path = f"/flowner-test-{os.getpid()}/{name}-{ID}.scope"
        for event, found in ("start", starts), ("end", ends):
            check(found.get(p, {}), f"{what}, {event}", pid, inner, path, {"id": ID, "runtime": what})
        server = ends.get(p, {}).get("flowner", {}).get("responder", {})
        tap.is_(server.get("process", {}).get("pid"), srv.server_pid, f"{what}: the server at the other end")
        tap.ok("namespace" not in server and "container" not in server, f"{what}: which is in none", server)
    r = ends.get(port, {})
    tap.is_(r.get("container"), {"id": ID, "runtime": "docker"}, "one that exits at once: the container")
    tap.ok(r.get("process", {}).get("executable") == pipeline.TRUTH and r["process"].get("vpid") in (None, 1),
           "and its program; the pid inside only if it is right", json.dumps(r.get("process")))


main()
tap.done()
