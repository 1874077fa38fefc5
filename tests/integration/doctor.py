# SPDX-License-Identifier: Apache-2.0
"""`flowner doctor`: good where all is good; each fault that is made here is named, with what to do, and the exit status."""
import concurrent.futures
import json
import os
import re
import shutil
import subprocess

import pipeline
import tap

tap.need_root()
FLOWNER = tap.program("flowner")
REFUSE = tap.program("tests/integration/refuse")
NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
NOWHERE = os.path.join(tap.tmpdir(), "none")
USERS = {"capture.user": "60801", "enrich.user": "60802", "output.user": "60803"}

logs = tap.tmpdir()
os.chown(logs, 60803, 60803)
# The tap takes longest to open and close: only where it is looked at.
GOOD = {"capture.interfaces": "lo", "enrich.tap": "off", **USERS}
TAP = {"enrich.tap": "full"}
confs = tap.tmpdir()
conf = None


def outputs(*items):
    """The configuration of what follows: these outputs."""
    global conf
    conf = f"{confs}/{len(os.listdir(confs))}.yaml"
    with open(conf, "w", encoding="utf-8") as f:
        f.write("output:\n    files:\n" + "".join(f"        - {i}\n" for i in items))


def bounded(path, fmt="ecs"):
    return f"{{format: {fmt}, path: {path}, rotate_size: 1MiB, keep_files: 3}}"


def doctor(config, sets, prefix, env, runtime):
    """The exit status and the findings as {id: [(verdict, what, remedy)]}."""
    values = {**GOOD, **dict(sets)}
    r = tap.run([*prefix, FLOWNER, "doctor", "--json", "-c", config, "--runtime-dir", runtime,
                 *[x for k, v in values.items() for x in ("--set", f"{k}={v}")]], env=env)
    try:
        report = json.loads(r.stdout)
    except ValueError:
        tap.note(r.stderr)
        return r.returncode, {}
    found = {}
    for c in report["checks"]:
        found.setdefault(c["id"], []).append((c["verdict"], c["what"], c["remedy"]))
    verdicts = [c["verdict"] for c in report["checks"]]
    if [report[v] for v in ("pass", "warn", "fail")] != [verdicts.count(v) for v in ("pass", "warn", "fail")]:
        tap.ok(False, "the sums are right", report)
    return r.returncode, found


def says(name, found, what_id, verdict, part=""):
    tap.ok(any(v == verdict and part in what and (remedy or verdict == "pass")
               for v, what, remedy in found.get(what_id, [])),
           f"{name}: {verdict} {what_id} {part}", found.get(what_id), sorted(found))


# Most of a doctor's time is the kernel's, closing tracepoints: several at a time.
pool = concurrent.futures.ThreadPoolExecutor(6)
waiting = []
cases = -1


def check(name, expected, status, sets=(), prefix=(), env=None, runtime=NOWHERE, without=()):
    """One doctor: @expected is [(id, verdict, part of what it says)], ids that begin as @without are not there. Under the
    sanitizers each fourth one."""
    global cases
    cases += 1
    if cases % tap.amount(1, 1, 4) == 0:
        waiting.append((name, expected, status, without, pool.submit(doctor, conf, sets, prefix, env, runtime)))


def judge():
    """The checks so far. Gives back what the last one found."""
    found = {}
    for name, expected, status, without, future in waiting:
        code, found = future.result()
        for what_id, verdict, *part in expected:
            says(name, found, what_id, verdict, *part)
        for start in without:
            tap.ok(not any(i.startswith(start) for i in found), f"{name}: nothing of {start}", sorted(found))
        failed = [i for i, all_of in found.items() for v, _, _ in all_of if v == "fail"]
        tap.ok(code == status == bool(failed), f"{name}: exit status {status}", code, failed)
    waiting.clear()
    return found


def refused(*rules):
    return [REFUSE, *rules, "--"]


def in_mounts(script):
    return ["unshare", "--mount", "sh", "-c", script + ' && exec "$@"', "sh"]


# ---- all is good
outputs(bounded(f"{logs}/flowner.ndjson"))
cgroup2 = any(x.split()[2] == "cgroup2" and x.split()[1].startswith("/sys/fs/cgroup") for x in open("/proc/mounts"))
ALL = ["kernel.release", "kernel.seccomp", "kernel.landlock", "kernel.memfd", *(["kernel.cgroup2"] if cgroup2 else []), "configuration.good",
       "users.distinct", "sandbox.on", "capture.privileges", "capture.filter", "capture.interface", "capture.namespaces",
       "capture.tracefs", "capture.tap", "enrich.addresses", "enrich.sock_diag", "enrich.tcp_info", "enrich.connector",
       "enrich.seed", "enrich.procfs", "sink.io_uring", "sink.folder", "sink.retention", "owners.tiers",
       "clock.namespace", "clock.boot_id", "instances.number"]
check("good", [(i, "pass") for i in ALL], 0, sets=TAP)
found = judge()
tap.ok("sink.space" in found and "clock.synchronised" in found and any(i.startswith("units.") for i in found),
       "space, clock and units are looked at", sorted(found))
tap.is_(os.listdir(logs), [], "nothing was made in the folder")

# ---- what the kernel or a container may withhold
PERF, DIAG = "perf_event_open=EACCES", "socket:0=16:2=4=EPROTONOSUPPORT"
CONNECTOR = "socket:0=16:2=11=EPROTONOSUPPORT"
check("perf", [("capture.tap", "warn", "Permission denied"), ("owners.tiers", "warn", "sock_diag, start-up sweep only")],
      0, sets=TAP, prefix=refused(PERF))
check("sock_diag and connector", [("enrich.sock_diag", "warn", "Protocol not supported"),
                                  ("enrich.connector", "warn", "Protocol not supported"),
                                  ("enrich.tcp_info", "warn"), ("owners.tiers", "pass", "tap, start-up sweep")], 0,
      sets={"enrich.tcp_info": "true", **TAP}, prefix=refused(DIAG, CONNECTOR))
check("nothing that names owners", [("enrich.tcp_info", "pass", "does not tell"), ("owners.tiers", "fail")], 1,
      sets={"enrich.procfs": "off"}, prefix=refused(DIAG))
check("packet sockets", [("capture.interface", "fail", "lo")], 1, prefix=refused("socket:0=17=EPERM"))
check("io_uring, landlock, clock", [("sink.io_uring", "warn", "Function not implemented"), ("kernel.landlock", "warn"),
                                    ("clock.synchronised", "warn", "cannot be asked")], 0,
      prefix=refused("io_uring_setup=ENOSYS", "landlock_create_ruleset=ENOSYS", "adjtimex=EPERM", "clock_adjtime=EPERM"))
check("seccomp and memfd", [("kernel.seccomp", "fail"), ("kernel.memfd", "fail", "Function not implemented")], 1,
      prefix=refused("seccomp=EINVAL", "memfd_create=ENOSYS"))
NO_TRACEFS = "for d in /sys/kernel/tracing /sys/kernel/debug; do mount -t tmpfs none $d; done"
check("no tracefs", [("capture.tracefs", "warn", "Operation not permitted"), ("capture.tap", "warn", "no tracefs")], 0,
      sets=TAP, prefix=[*in_mounts(NO_TRACEFS), *refused("fsopen=EPERM")])
check("no cgroup v2", [("kernel.cgroup2", "warn")], 0, prefix=in_mounts("mount -t tmpfs none /sys/fs/cgroup"))
HIDEPID = in_mounts("mount -t proc -o hidepid=2 none /proc")
check("hidepid", [("enrich.hidepid", "warn", "hidepid=")], 0, prefix=HIDEPID)
check("hidepid, keep", [("enrich.procfs", "pass", "can be kept")], 0, sets={"enrich.procfs": "keep"}, prefix=HIDEPID,
      without=["enrich.hidepid"])
check("time namespace", [("clock.namespace", "warn")], 0, prefix=["unshare", "-T", "--monotonic", "1000", "--fork"])
check("pid namespace", [("enrich.pidns", "warn"), ("enrich.connector", "warn", "Operation not permitted")], 0,
      prefix=["unshare", "--pid", "--fork", "--mount-proc"])
check("not root", [("kernel.user", "warn", "65534"), ("capture.privileges", "fail"), ("capture.perfmon", "warn"),
                   ("capture.interface", "fail", "not allowed"), ("enrich.seed", "warn"),
                   ("sink.folder", "fail", "nothing can be rotated")], 1, sets=TAP, prefix=NOBODY)
check("not root, keep", [("enrich.procfs", "warn", "own user")], 1, sets={"enrich.procfs": "keep"}, prefix=NOBODY)

# ---- the configuration
check("filter", [("capture.filter", "fail", "tcp prot 80")], 1, sets={"capture.filter": "tcp prot 80"})
check("interface", [("capture.interface", "fail", "no such interface: nope0"), ("capture.interface", "pass", "lo")], 1,
      sets={"capture.interfaces": "nope0,lo"})
check("namespace", [("capture.netns", "fail", "nope"), ("capture.interface", "pass", "lo")], 1,
      sets={"capture.netns": "self,nope"})
check("wrong key", [("configuration.good", "fail", "did you mean \"limits.flows\"?")], 1, sets={"limits.flow": "5"},
      without=["capture.", "sink."])
check("off", [("capture.tap", "pass", "off"), ("enrich.sock_diag", "pass", "off"), ("sink.io_uring", "pass", "off"),
              ("owners.tiers", "warn", "start-up sweep only")], 0,
      sets={"enrich.sock_diag": "false", "output.io_uring": "off"})

# ---- users
check("no such user", [("users.exist", "fail", "output.user: nobody-of-that-name"), ("sink.folder", "warn")], 1,
      sets={"output.user": "nobody-of-that-name"})
check("one user for two", [("users.distinct", "warn", "capture.user and enrich.user")], 0, sets={"enrich.user": "60801"})
check("sandbox", [("sandbox.seccomp", "warn", "off"), ("sandbox.landlock", "warn", "off")], 0,
      sets={"sandbox.seccomp": "off", "sandbox.landlock": "off"})
check("metrics", [("users.exist", "fail", "metrics.user: nobody-of-that-name"), ("metrics.folder", "fail", "/nonexistent")],
      1, sets={"metrics.textfile": "/nonexistent/flowner.prom", "metrics.user": "nobody-of-that-name"})
check("metrics", [("users.distinct", "warn", "output.user and metrics.user"), ("metrics.folder", "pass")],
      0, sets={"metrics.textfile": f"{logs}/flowner.prom", "metrics.user": "60803"})

# ---- outputs
foreign = tap.tmpdir()
os.symlink("elsewhere", f"{foreign}/link")
os.mkdir(f"{foreign}/folder")
open(f"{foreign}/root.ndjson", "w", encoding="utf-8").close()
outputs(bounded("/nonexistent/x/f.ndjson"), bounded(f"{foreign}/root.ndjson"), bounded(f"{foreign}/f.ndjson"), f"ecs:{foreign}/g.ndjson",
        f"ecs:{foreign}/link", f"ecs:{foreign}/folder", "ecs:/dev/null", "text:-",
        f"{{format: ecs, path: {logs}/h.ndjson, rotate_interval: 1d}}")
check("folders", [("sink.folder", "fail", "no such folder"), ("sink.folder", "fail", "nothing can be rotated"),
                  ("sink.folder", "warn", "cannot be begun anew"), ("sink.output", "fail", "symbolic link"),
                  ("sink.output", "fail", "is a directory"), ("sink.output", "pass", "stream or device"),
                  ("sink.output", "pass", "standard output"),
                  ("sink.output", "warn", "60803 may not write it"), ("sink.retention", "warn", "kept for ever"),
                  ("sink.retention", "warn", "grows without a bound")], 1,
      prefix=in_mounts("if test -e /etc/logrotate.d/flowner; then mount --bind /dev/null /etc/logrotate.d/flowner; "
                       "mount -t tmpfs none /etc/logrotate.d; fi"))
outputs(f"csv:{logs}/f.csv")
check("format", [("configuration.good", "fail", "csv")], 1)
outputs(f"{{format: ecs, path: {logs}/f.ndjson, include: [\"prot:tcp\"]}}")
check("rule", [("configuration.good", "fail", "unknown key \"prot\" (did you mean")], 1)
outputs(bounded(f"{foreign}/small/f.ndjson"))
os.mkdir(f"{foreign}/small")
SMALL = f"mount -t tmpfs -o size=1m,uid=60803 none {foreign}/small"
check("a full disk", [("sink.space", "fail", "1 MiB"), ("sink.folder", "pass")], 1, prefix=in_mounts(SMALL))
check("read-only", [("sink.space", "fail", "read-only")], 1,
      prefix=in_mounts(f"{SMALL} && mount -o remount,ro {foreign}/small"))

# ---- services, as systemctl would tell of them
SYSTEMD = in_mounts("mount -t tmpfs none /run && mkdir -p /run/systemd/system")
outputs(bounded(f"{logs}/flowner.ndjson"))


def told(*states):
    """The environment in which systemctl tells that; nothing: in which it fails."""
    fake = tap.tmpdir()
    with open(f"{fake}/units", "w", encoding="utf-8") as f:
        f.write("\n".join("NRestarts={3}\nLoadState={0}\nActiveState={1}\nUnitFileState={2}\n".format(*s) for s in states))
    with open(f"{fake}/systemctl", "w", encoding="utf-8") as f:
        f.write(f"#!/bin/sh\n[ \"$1\" = show ] && cat {fake}/units && test -s {fake}/units\n")
    os.chmod(f"{fake}/systemctl", 0o755)
    return dict(os.environ, PATH=f"{fake}:{os.environ['PATH']}")


check("units", [("units.active", "pass", "flowner-capture.service is active, enabled, restarted 2 times"),
                ("units.active", "warn", "flowner-enrich.service is active, disabled"),
                ("units.active", "fail", "flowner-sink.service has failed")], 1, prefix=SYSTEMD,
      env=told(("loaded", "active", "enabled", 2), ("loaded", "active", "disabled", 0), ("loaded", "failed", "enabled", 5)))
check("units", [("units.installed", "warn", "flowner-capture.service is not installed"),
                ("units.installed", "fail", "flowner-enrich.service is bad-setting"),
                ("units.active", "warn", "flowner-sink.service is inactive")], 1, prefix=SYSTEMD,
      env=told(("not-found", "inactive", "", 0), ("bad-setting", "inactive", "enabled", 0),
               ("loaded", "inactive", "enabled", 0)))
check("units, systemctl fails", [("units.systemd", "warn")], 0, prefix=SYSTEMD, env=told())
judge()

# ---- an instance that runs is seen, and not disturbed
f = pipeline.Flowner("-i", "lo", "-o", f"ecs:{logs}/run.ndjson", "tcp port 14999")
srv = pipeline.server("tcp", "127.0.0.1", 14999)
before = {p: f.ledger(p) for p in pipeline.PROGRAMS}
check("a run", [("instances.running", "pass", f.runtime()), ("capture.tap", "pass", "live")], 0,
      sets=TAP, runtime=f.runtime())
judge()
reports = pipeline.truth("client", "tcp", "127.0.0.1", 14999)
f.settle()
after = {p: f.ledger(p) for p in pipeline.PROGRAMS}
tap.is_([after[p]["pid"] for p in after], [before[p]["pid"] for p in before], "a run: goes on")
tap.is_([after[p][f"{p}_epoch"] for p in after], [1, 1, 1], "a run: nothing was counted as a start")
tap.ok(reports, "a run: a client connected meanwhile")
copy = os.path.join(tap.tmpdir(), "run")
shutil.copytree(f.runtime(), copy, ignore=lambda d, names: [n for n in names if n.endswith(("sock", "notify"))])
gone = subprocess.Popen(["true"])
gone.wait()
with open(f"{copy}/sink/ledger", "r+b") as ledger:
    ledger.seek(16)
    ledger.write(gone.pid.to_bytes(8, "little"))
check("a program is missing", [("instances.running", "fail", "flowner-sink does not run")], 1, runtime=copy)
judge()
with open(f"{copy}/sink/ledger", "r+b") as ledger:
    ledger.seek(8)
    ledger.write(b"\xff")
check("another version", [("instances.version", "warn")], 0, runtime=copy)
judge()
tap.is_(f.stop(), 0, "a run: ends well")
named = {r["source"]["port"]: r.get("process", {}).get("pid")
         for r in pipeline.connections(pipeline.records(f"{logs}/run.ndjson"), "end")}
# A busy machine may lose events of the tap, doctor or not: then an owner may be missing, and that is said.
lost = after["enrich"]["enrich_tap_lost"]
true = {r["port"]: r["pid"] for r in reports}
tap.ok(named.keys() == true.keys() and all(named[p] == true[p] or lost and not named[p] for p in true),
       "a run: names owners all the while", named, true, lost)

# ---- for people
r = tap.run([FLOWNER, "doctor", "-c", conf, *[x for k, v in USERS.items() for x in ("--set", f"{k}={v}")]])
lines = r.stdout.splitlines()
tap.ok(r.stderr == "" and len(lines) > 20 and
       all(re.fullmatch(r"pass  [a-z]+: \S.*|(warn|fail)  [a-z]+: \S.* — \S.*", x) for x in lines[:-1]),
       "each line is verdict, what, and what to do unless it passes", r.stdout, r.stderr)
tap.ok(re.fullmatch(r"\d+ pass, \d+ warn, \d+ fail", lines[-1]), "the last line is the sum", lines[-1])
for args, message in ((["--all"], "unknown option --all"), (["now"], "unexpected argument now"),
                      (["--set"], "missing value of option --set")):
    r = tap.run([FLOWNER, "doctor", *args])
    tap.is_((r.returncode, r.stderr), (64, f"flowner: {message}; see flowner doctor --help\n"), message)
r = tap.run([FLOWNER, "doctor", "--help"])
tap.ok(r.returncode == 0 and max(map(len, r.stdout.splitlines())) <= 80 and "Exit status" in r.stdout, "its help")

# ---- a program that is not there, or is another one
alone = tap.tmpdir()
shutil.copy(FLOWNER, f"{alone}/flowner")
with open(f"{alone}/flowner-enrich", "w", encoding="utf-8") as f:
    f.write("#!/bin/sh\necho unknown option >&2\nexit 64\n")
os.chmod(f"{alone}/flowner-enrich", 0o755)
r = tap.run([f"{alone}/flowner", "doctor", "-c", conf], env=dict(os.environ, PATH="/bin:/usr/bin"))
tap.ok(r.returncode == 1 and "flowner-enrich --examine did not end well: exit status 64" in r.stdout, "another program",
       r.stdout)
if "capture: flowner-capture: not found" in r.stdout:
    tap.ok(True, "a program is not installed")
else:
    tap.skip("a program is not installed", "it is, in the prefix")
tap.done()
