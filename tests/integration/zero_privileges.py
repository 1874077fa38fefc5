# SPDX-License-Identifier: Apache-2.0
"""Without tap and capabilities: user and cgroup of every socket that is there, a process only where that is proven."""
import glob
import os
import re
import subprocess

import pipeline
import tap

tap.need_root()
PORT = 14950
OLD = """
import os, socket, sys
s = socket.create_connection(("127.0.0.1", %d))
print(s.getsockname()[1], os.getpid(), flush=True)
sys.stdin.readline()
if %d:
    if os.fork():
        s.close()
        os.write(1, b"0\\n")
        sys.stdin.readline()
        os._exit(0)
    os.write(1, b"%%d\\n" %% os.getpid())  # in one piece, beside the other's
s.send(b"x")
s.shutdown(socket.SHUT_WR)  # a packet that is captured, while the socket is held
s.recv(1)
sys.stdin.readline()
"""


def cgroup2():
    with open("/proc/self/mounts") as f:
        for line in f:
            if line.split()[2] == "cgroup2":
                return line.split()[1]
    return None


def new_cgroup():
    """A cgroup of our own and a prefix to run something in it; (None, []) where there is no version 2."""
    root = cgroup2()
    if not root:
        return None, []
    path = os.path.join(root, f"flowner-test-{os.getpid()}")
    os.mkdir(path)
    return path, ["sh", "-c", f"echo $$ > {path}/cgroup.procs; exec \"$@\"", "sh"]


class Plain(pipeline.Flowner):
    """`flowner run` of a user who is not root."""

    def runtime(self):
        return (glob.glob(f"{home}/flowner-run-*") or ["/nonexistent"])[0]


def old_connection(to, passes_on):
    p = tap.spawn(["python3", "-c", OLD % (to, passes_on)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    port, pid = p.stdout.readline().split()
    return p, int(port), int(pid)


def go_on(p):
    p.stdin.write(b"go\n")
    p.stdin.flush()


def check(name, make, prefix, knows_old, keep=False):
    """@make starts flowner; @knows_old: its sweep can see the sockets of root's processes."""
    path = os.path.join(tap.tmpdir(), "out.ndjson")
    os.chown(os.path.dirname(path), 65534, 65534)
    servers = [tap.spawn([pipeline.TRUTH, "answer", ms, "127.0.0.1", str(PORT + n)], stdout=subprocess.PIPE)
               for n, ms in enumerate(("100", "2000", "2000"))]
    for srv in servers:
        srv.stdout.readline()
    stays, stays_port, stays_pid = old_connection(PORT + 1, 0)
    passes, passes_port, passes_pid = old_connection(PORT + 2, 1)
    f = make("-i", "lo", "-o", f"ecs:{path}", "--set", "enrich.tap=off",
             "--set", f"enrich.procfs={'keep' if keep else 'seed'}", f"tcp portrange {PORT}-{PORT + 2}", prefix=prefix)
    tap.wait_for(lambda: "until Ctrl-C" in f.log())  # before, enrich does not read yet
    go_on(stays)
    go_on(passes)
    child = [int(passes.stdout.readline()) for _ in range(2)]
    heir = max(child)
    tap.ok(heir > 0, f"{name}: the socket is with the child")
    cgroup, inside = new_cgroup()
    users = {}
    for uid in "0", "65534", "12345":
        for r in truths([*inside, "setpriv", "--reuid", uid, "--clear-groups"]):
            users[r["port"]] = r
    f.settle()
    tap.is_(f.stop(), 0, f"{name}: flowner ends well")
    for p in stays, passes, *servers:
        tap.stop(p)
    os.kill(heir, 9)
    cgroup_id = os.stat(cgroup).st_ino if cgroup else None
    if cgroup:
        tap.wait_for(lambda: not remove(cgroup))
    ends = pipeline.connections(pipeline.records(path), "end")
    judge(name, ends, users, cgroup_id, knows_old, keep)
    old(name, ends, stays_port, {stays_pid}, knows_old or keep)
    old(name + ", passed on", ends, passes_port, {heir}, keep)


def remove(path):
    try:
        os.rmdir(path)
    except OSError as e:
        return e
    return None


def truths(prefix):
    r = tap.run([*prefix, pipeline.TRUTH, "ask", "5", "1", "tcp", "127.0.0.1", str(PORT)], text=True)
    tap.is_(r.returncode, 0, "the clients work")
    keys = ("proto", "port", "pid", "uid", "ticks", "exe")
    return [dict(zip(keys, line.split(None, 5)), port=int(line.split()[1])) for line in r.stdout.splitlines()]


def client_of(r):
    """What a record says of the end that is not the server's."""
    if r["destination"]["port"] == PORT:
        return r.get("process", {}), r.get("user", {}), r["flowner"]
    other = r["flowner"].get("responder", {})
    return other.get("process", {}), other.get("user", {}), other


def judge(name, ends, users, cgroup_id, knows_old, keep):
    seen = uid = cgroup = wrong = 0
    for r in ends:
        t = users.get(r["source"]["port"])
        if not t:
            continue
        seen += 1
        process, user, verdict = client_of(r)
        uid += user.get("id") == t["uid"]
        cgroup += verdict.get("cgroup", {}).get("id") == cgroup_id
        wrong += "pid" in process and process["pid"] != int(t["pid"])
        wrong += "pid" in process and not keep
        if user.get("id") != t["uid"] or (cgroup_id and verdict.get("cgroup", {}).get("id") != cgroup_id):
            tap.note(f"{t}: {process} {user} {verdict}")
    tap.is_(seen, 15, f"{name}: every client is logged")
    tap.is_(uid, seen, f"{name}: each one's user is known")
    if cgroup_id:
        tap.is_(cgroup, seen, f"{name}: and its cgroup")
    else:
        tap.skip(f"{name}: and its cgroup", "no cgroup version 2 here")
    tap.is_(wrong, 0, f"{name}: no process is named that is not proven")


def old(name, ends, port, pids, named):
    """A connection older than flowner, of a process that is as old."""
    found = [r for r in ends if port in (r["source"]["port"], r["destination"]["port"])]
    tap.is_(len(found), 1, f"{name}: the old connection is logged")
    for r in found:
        process = r.get("process", {}) if r["source"]["port"] == port else \
            r["flowner"].get("responder", {}).get("process", {})
        if named:
            tap.ok(process.get("pid") in pids, f"{name}: its process is named", r)
        else:
            tap.ok("pid" not in process, f"{name}: no process is named", r)


home = tap.tmpdir()
os.chown(home, 65534, 65534)
os.environ["XDG_RUNTIME_DIR"] = home
user = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=+net_raw",
        "--ambient-caps=+net_raw"]
with open("/proc/sys/kernel/osrelease") as release:
    told = tuple(map(int, re.match(r"(\d+)\.(\d+)", release.read()).groups())) >= (6, 6)
check("started by root", pipeline.Flowner, (), told)
check("a plain user", Plain, user, False)
check("with the capabilities", pipeline.Flowner, (), True, keep=True)
tap.done()
