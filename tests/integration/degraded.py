# SPDX-License-Identifier: Apache-2.0
"""Where something is missing, the rest works: what is live is said with the reason, and nobody wrong is named."""
import glob
import os
import signal
import socket
import subprocess

import pipeline
import tap

tap.need_root()
REFUSE = tap.program("tests/integration/refuse")
CLIENTS = 20
PORT = 14900
NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
NO_TRACEFS = "for d in /sys/kernel/tracing /sys/kernel/debug; do mount -t tmpfs none $d; done; exec \"$@\""
HIDEPID = "mount -t proc -o hidepid=2 none /proc && exec \"$@\""
PERF = "perf_event_open=EACCES"
DIAG = "socket:0=16:2=4=EPROTONOSUPPORT"
CONNECTOR = "socket:0=16:2=11=EPROTONOSUPPORT"


def refused(*rules):
    return [REFUSE, *rules, "--"]


def in_mounts(script):
    return ["unshare", "--mount", "sh", "-c", script, "sh"]


class Degraded(pipeline.Flowner):
    """A `flowner run` whose runtime directory may be elsewhere: @where is a pattern."""

    def __init__(self, where, *args, **kwargs):
        self.where = where
        super().__init__(*args, **kwargs)

    def runtime(self):
        return (glob.glob(self.where) or ["/nonexistent"])[0] if self.where else super().runtime()

    def stop(self):
        # unshare(1) waits for its child and takes no signal meanwhile.
        with open(f"/proc/{self.p.pid}/comm") as f:
            if f.read().strip() != "unshare":
                return super().stop()
        os.kill(self.child(), signal.SIGINT)
        return self.p.wait(60)

    def child(self):
        with open(f"/proc/{self.p.pid}/task/{self.p.pid}/children") as f:
            return int(f.read().split()[0])

    def says(self, line):
        return any(line in " ".join(s.split()) for s in self.status().splitlines())

    def status(self):
        return tap.run([tap.program("flowner"), "status", "--runtime-dir", self.runtime()]).stdout


def check(name, sets, prefix, tiers, named, log=(), where=None, env=None, clients_in=(), inside=False):
    """
    One run: clients whose server answers after 50 ms, and a connection of this very process. @tiers: lines of `flowner
    status`; @named: share of the clients that has to be named, None = nobody may be; @log: parts of the start-up lines.
    """
    global PORT
    PORT += 1
    path = os.path.join(tap.tmpdir(), "out.ndjson")
    if env:
        os.chown(os.path.dirname(path), 65534, 65534)
    srv = tap.spawn([pipeline.TRUTH, "answer", "50", "127.0.0.1", str(PORT)], stdout=subprocess.PIPE)
    srv.server_pid = int(srv.stdout.readline().split()[1])
    f = Degraded(where, "-v", "-i", "lo", "-o", f"ecs:{path}", *[x for s in sets for x in ("--set", s)],
                 f"tcp port {PORT}", prefix=prefix, env=env)
    tap.wait_for(lambda: "until Ctrl-C" in f.log())  # before, enrich does not read yet
    for line in tiers:
        tap.ok(f.says(line), f"{name}: status says {line}", f.status())
    for part in log:
        tap.has(f.log(), part, f"{name}: the log says so")
    if inside:  # as the pids of that namespace
        clients_in = ["nsenter", f"--pid=/proc/{f.child()}/ns/pid"]
    reports = {r["port"]: r for r in tap_truth(clients_in, "ask", CLIENTS, 1, "tcp", "127.0.0.1", PORT)}
    mine = socket.create_connection(("127.0.0.1", PORT))
    f.settle()
    tap.is_(f.stop(), 0, f"{name}: flowner ends well")
    reports[mine.getsockname()[1]] = {"pid": os.getpid(), "uid": "0", "exe": os.path.realpath("/proc/self/exe")}
    mine.close()
    tap.stop(srv)
    ends = pipeline.connections(pipeline.records(path), "end")
    judge(name, ends, reports, srv, named)


def tap_truth(prefix, *args):
    r = tap.run([*prefix, pipeline.TRUTH, *map(str, args)], timeout=120, text=True)
    tap.is_(r.returncode, 0, "the clients work")
    keys = ("proto", "port", "pid", "uid", "ticks", "exe")
    found = [dict(zip(keys, line.split(None, 5))) for line in r.stdout.splitlines()]
    return [dict(t, port=int(t["port"]), pid=int(t["pid"])) for t in found]


def judge(name, ends, reports, srv, named):
    tap.is_(len(ends), CLIENTS + 1, f"{name}: every connection is logged")
    right = servers = wrong = 0
    for r in ends:
        client, user = r.get("process", {}), r.get("user", {})
        server = r["flowner"].get("responder", {}).get("process", {})
        t = reports.get(r["source"]["port"])
        if client.get("pid") == srv.server_pid and not server:
            client, server, user = {}, client, {}  # the only end that is known
        if "pid" in client:
            bad = client["pid"] != t["pid"] or client.get("executable", t["exe"]) != t["exe"]
            bad |= user.get("id", t["uid"]) != t["uid"]
            right += not bad
        else:
            bad = user.get("id", t["uid"]) != t["uid"]
        if "pid" in server:
            servers += 1
            bad |= server["pid"] != srv.server_pid
        if bad:
            wrong += 1
            tap.note(f"wrong: {t}: {r.get('process')} {r.get('user')} {r['flowner']}")
    tap.note(f"{name}: of {len(ends)}, clients named {right}, servers named {servers}")
    tap.is_(wrong, 0, f"{name}: nobody wrong is named")
    if named is None:
        tap.is_(right, 0, f"{name}: no client is named")
    else:
        tap.ok(right >= named * len(ends), f"{name}: enough clients are named ({right} of {len(ends)})")


KEEP = ["enrich.procfs=keep"]
OFF = ["enrich.tap=off"]

# The tap is refused in one way or another: capture takes packets at once, and /proc tells.
check("no tracefs", KEEP, [*in_mounts(NO_TRACEFS), *refused("fsopen=EPERM")],
      ["tap not live:", "sock_diag live", "connector live", "procfs live"], 0.9,
      ["no tracefs: ", "each packet at once", "sock_diag, process connector, start-up sweep, procfs"])
check("perf refused", KEEP, refused(PERF), ["tap not live: Permission denied", "connector live"], 0.9,
      ["no life: Permission denied (needs root or CAP_PERFMON)", "each packet at once"])
check("perf refused, no later use of /proc", [], refused(PERF),
      ["tap not live: Permission denied", "procfs off in the configuration"], 0)

# The tap does without the others.
check("sock_diag refused", [], refused(DIAG), ["tap live", "sock_diag not live: Protocol not supported"], 0.95,
      ["no sock_diag: Protocol not supported"])
check("process connector refused", OFF + KEEP, refused(CONNECTOR),
      ["tap off in the configuration", "connector not live: Protocol not supported", "procfs live"], 0.9,
      ["no process connector: Protocol not supported"])
check("all refused", ["enrich.procfs=off"], refused(PERF, DIAG, CONNECTOR),
      ["tap not live: Permission denied", "sock_diag not live", "none live: no owners are found"], None)

# Other processes are hidden: with the capabilities that keep asks for they are seen all the same.
check("hidepid, keep", OFF + KEEP, in_mounts(HIDEPID), ["procfs live"], 0.9)
check("hidepid, seed", OFF, in_mounts(HIDEPID), ["seed live"], 0)

# A user with CAP_NET_RAW and nothing else: it may look at its own processes.
home = tap.tmpdir()
os.chown(home, 65534, 65534)
user = [*NOBODY, "--inh-caps=+net_raw", "--ambient-caps=+net_raw"]
env = dict(os.environ, XDG_RUNTIME_DIR=home)
for who, clients_in, named in ("its own clients", NOBODY, 0.9), ("root's clients", (), None):
    check(f"capabilities missing, {who}", KEEP, user,
          ["tap not live:", "connector live", "procfs live for our own user's processes only"], named,
          ["procfs (own processes only)", "no capability"], where=f"{home}/flowner-run-*", env=env,
          clients_in=clients_in)

# In a pid namespace there is no process connector; the tap names those of the namespace by their pids in it.
inner = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
check("pid namespace, clients outside", KEEP, inner, ["tap live"], None, where="/run/flowner/run-1")
check("pid namespace, clients inside", KEEP, inner, ["tap live"], 0.95, where="/run/flowner/run-1", inside=True)
check("pid namespace, no tap", OFF + KEEP, inner, ["connector not live: Operation not permitted", "procfs live"], None,
      where="/run/flowner/run-1")

# A CPU that went takes its part of the tap with it: all is opened anew.
cpus = os.path.join(tap.tmpdir(), "online")
with open(cpus, "w") as out:
    out.write("0-1\n")
f = pipeline.Flowner("-i", "lo", "-o", "ecs:/dev/null", prefix=in_mounts(f'mount --bind {cpus} /sys/devices/system/cpu/online && exec "$@"'))
with open(cpus, "w") as out:
    out.write("0\n")
tap.ok(tap.wait_for(lambda: "CPUs have come or gone" in f.log()), "a CPU is gone: capture starts again", f.log())
tap.ok(tap.wait_for(lambda: f.ledgers().get("capture_epoch") == 2 and f.ready()), "and has another tap", f.log())
tap.is_(f.log().count("CPUs have come or gone"), 1, "once")
tap.is_(f.stop(), 0, "all ends well")
tap.done()
