# SPDX-License-Identifier: Apache-2.0
"""A Debian of its own for a test: made by debootstrap once for all tests of a build, started by systemd-nspawn.

    m = machine.Machine("s6", packages=["s6"])
    m.start(["s6-svscan", "/run/service"])       # or m.boot() for systemd
    m.run("flowner", "status").stdout
"""
import atexit
import json
import os
import shutil
import subprocess
import time

import tap

# What a fresh server has, and what flowner's libraries are; the tests have no network to get more.
INCLUDE = ["systemd", "systemd-sysv", "dbus", "ca-certificates", "curl", "python3", "procps", "iproute2", "util-linux"]
FOLDER = os.path.join(os.path.abspath(tap.BUILD), "services")
ENV = ["env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "HOME=/",
       "DEBIAN_FRONTEND=noninteractive"]
LEFT_BY_KILLED = 15000  # packets: a second of the client's below, until the next life is there, for each of a dozen kills

SERVER = r"""
import socket
s = socket.create_server(("127.0.0.1", 8080), backlog=1024)
while True:
    c, _ = s.accept()
    c.recv(100)
    c.sendall(b"hello")
    c.close()
"""
CLIENT = r"""
import os, socket, time
n = 0
while not os.path.exists("/run/enough"):
    with socket.create_connection(("127.0.0.1", 8080)) as s:
        s.sendall(b"hi")
        while s.recv(100):
            pass
    n += 1
    time.sleep(0.002)
print(n)
"""


def need(*programs):
    tap.need_root()
    for p in ("debootstrap", "systemd-nspawn", *programs):
        if not shutil.which(p):
            tap.skip_all(f"no {p}: contrib/install-packages package services")


def command(argv, timeout=3600, **kwargs):
    """A step without which nothing else can be tested."""
    r = tap.run(argv, timeout=timeout, **kwargs)
    if r.returncode:
        tap.note((r.stdout or "")[-3000:] + (r.stderr or "")[-3000:])
        tap.bail(f"failed: {' '.join(argv)}")
    return r


def in_root(root, *argv):
    """Runs a command in a root folder, with this machine's network."""
    return command(["systemd-nspawn", "-q", "-D", root, "--register=no", "--keep-unit", "--pipe", *ENV, *argv])


def readme_commands():
    """The commands of README's section on services, a line each."""
    with open(os.path.join(tap.SOURCE, "README.md"), encoding="utf-8") as f:
        section = f.read().split("\n## Install as services\n")[1].split("\n## ")[0]
    lines = section.split("```")[1].strip("\n").split("\n")
    return [line.split("  #")[0].strip() for line in lines]


def newest():
    """When a file of this repository was changed last."""
    last = 0.0
    for top, folders, files in os.walk(os.path.abspath(tap.SOURCE)):
        folders[:] = [f for f in folders if f not in (".git", "__pycache__") and not f.startswith("build")]
        last = max([last, *(os.lstat(os.path.join(top, f)).st_mtime for f in files)])
    return last


def base():
    """The root that all tests start from: a fresh Debian 12, this repository in /opt/flowner, its package built there. Made
    once; the package anew when a file has changed."""
    root = os.path.join(FOLDER, "root")
    debian, package = os.path.join(FOLDER, "debian"), os.path.join(FOLDER, "package")
    began = time.monotonic()
    if not os.path.exists(debian):
        shutil.rmtree(FOLDER, ignore_errors=True)
        os.makedirs(FOLDER)
        command(["debootstrap", "--variant=minbase", f"--include={','.join(INCLUDE)}", "bookworm", root])
        tap.note(f"a fresh Debian: {time.monotonic() - began:.0f} s")
        touch(debian)
    if not os.path.exists(package) or os.stat(package).st_mtime < newest():
        began = time.monotonic()
        shutil.rmtree(f"{root}/opt/flowner", ignore_errors=True)
        os.makedirs(f"{root}/opt/flowner")
        command(["sh", "-c", 'tar -C "$1" --exclude-vcs --exclude="./build*" --exclude=__pycache__ -cf - . |'
                 ' tar -C "$2" -xf -', "-", os.path.abspath(tap.SOURCE), f"{root}/opt/flowner"])
        for line in readme_commands()[:2]:
            in_root(root, "sh", "-ec", f"cd /opt/flowner; {line}")
        tap.note(f"its package: {time.monotonic() - began:.0f} s")
        touch(package)
    return root


def touch(path):
    with open(path, "w", encoding="utf-8"):
        pass


class Machine:
    def __init__(self, name, packages=()):
        below = base()
        where = os.path.join(FOLDER, f"{name}-{os.getpid()}")
        self.root = os.path.join(where, "root")
        atexit.register(shutil.rmtree, where, ignore_errors=True)
        for d in ("upper", "work", "root"):
            os.makedirs(os.path.join(where, d))
        command(["mount", "-t", "overlay", "overlay", "-o",
                 f"lowerdir={below},upperdir={where}/upper,workdir={where}/work", self.root])
        atexit.register(subprocess.run, ["umount", "-l", self.root], stderr=subprocess.DEVNULL)
        if packages:
            in_root(self.root, "sh", "-ec", f"apt-get -q -y install --no-install-recommends {' '.join(packages)}")
        self.pid = self.nspawn = None
        self.name = name

    def start(self, argv):
        """Starts argv as process 1, without a network but loopback. The tap and Landlock are let through: what is tested is whether
        flowner gets it under its own service manager."""
        console = open(os.path.join(self.root, "..", "console"), "wb")
        self.nspawn = tap.spawn(
            ["systemd-nspawn", "-q", "-D", self.root, "--register=no", "--keep-unit", "--private-network", "--console=pipe",
             "--capability=CAP_PERFMON", "--system-call-filter=perf_event_open landlock_create_ruleset landlock_add_rule"
             " landlock_restrict_self", *argv],
            stdout=console, stderr=subprocess.STDOUT)
        atexit.register(self.stop)
        self.pid = tap.wait_for(self._leader, timeout=60)
        if not self.pid:
            tap.bail("the machine does not start")
        self.run("mount", "-t", "tracefs", "tracefs", "/sys/kernel/tracing")

    def _leader(self):
        """Process 1: the child of nspawn in another pid namespace that has become what it is to be."""
        with open(f"/proc/{self.nspawn.pid}/task/{self.nspawn.pid}/children", encoding="ascii") as f:
            for pid in f.read().split():
                try:
                    with open(f"/proc/{pid}/comm", encoding="utf-8") as c:
                        ours = c.read().strip() not in ("systemd-nspawn", "(sd-stubinit)")
                except OSError:
                    continue
                if ours:
                    return int(pid)
        return None

    def boot(self):
        self.start(["-b"])
        state = tap.wait_for(lambda: (s := self.run("systemctl", "is-system-running").stdout.strip())
                             in ("running", "degraded") and s, timeout=120)
        tap.ok(state, "systemd has booted as process 1", self.console())
        if not state:
            tap.done()

    def console(self):
        with open(os.path.join(self.root, "..", "console"), errors="replace") as f:
            return f.read()[-3000:]

    def stop(self):
        if self.pid and self.nspawn.poll() is None:
            try:
                os.kill(self.pid, 9)  # all in its pid namespace go with it
            except OSError:
                pass
            self.nspawn.wait(30)
        self.pid = None

    def argv(self, *argv):
        return ["nsenter", "-t", str(self.pid), "-a", "--", *ENV, *argv]

    def run(self, *argv, timeout=300):
        return tap.run(self.argv(*argv), timeout=timeout, text=True)

    def spawn(self, *argv, **kwargs):
        return tap.spawn(self.argv(*argv), **kwargs)

    # ---- flowner in it

    def status(self):
        """`flowner status --json` of the services, {} if there are none."""
        r = self.run("flowner", "status", "--json")
        found = json.loads(r.stdout)["instances"] if r.stdout else []
        return next((i for i in found if i["runtime_dir"] == "/run/flowner"), {})

    def running(self):
        """Pids by program if all three run and are ready, None otherwise."""
        programs = self.status().get("programs", {})
        if len(programs) != 3 or any(p["state"] != "running" for p in programs.values()):
            return None
        return {name: p["pid"] for name, p in programs.items()}

    def settle(self):
        """Waits until nothing is under way; the status then."""
        seen = [None, 0.0]

        def quiet():
            s = self.status()
            now = json.dumps(s.get("counters", {}).get("sink", {}).get("records_written"))
            if now != seen[0]:
                seen[:] = now, time.monotonic()
            return s and time.monotonic() - seen[1] > 1.5 and s["balance"]["under_way"] == 0 and s

        return tap.wait_for(quiet, timeout=60, step=0.3) or self.status()

    def records(self):
        """Every line of the log; one that does not parse is a failed check."""
        found = []
        with open(f"{self.root}/var/log/flowner/flowner.ndjson", "rb") as f:
            data = f.read()
        tap.ok(data.endswith(b"\n") or not data, "the log ends with a whole line", data[-200:])
        for line in data.split(b"\n")[:-1]:
            try:
                found.append(json.loads(line))
            except ValueError:
                tap.ok(False, "a line is JSON", line)
        return found

    def serve(self):
        for name, text in ("server.py", SERVER), ("client.py", CLIENT):
            with open(f"{self.root}/opt/{name}", "w", encoding="utf-8") as f:
                f.write(text)
        self.spawn("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "python3", "/opt/server.py")
        tap.ok(tap.wait_for(lambda: ":8080" in self.run("ss", "-ltn").stdout), "a server of another user listens")

    def traffic(self):
        """Starts connections, one after the other; returns the process, to be ended with enough()."""
        return self.spawn("python3", "/opt/client.py", stdout=subprocess.PIPE, text=True)

    def enough(self, client):
        """How many there were."""
        self.run("touch", "/run/enough")
        out, _ = client.communicate(timeout=60)
        self.run("rm", "/run/enough")
        return int(out)


# ---- what is to hold under every service manager


def check_owners(m, n=20):
    """Connections of known programs are logged with both owners."""
    before = len(ends(m.records()))
    for _ in range(n):
        r = m.run("curl", "-s", "-o", "/dev/null", "--http0.9", "http://127.0.0.1:8080/")
        if r.returncode:
            tap.note(f"curl: {r.returncode} {r.stderr}")
    tap.ok(tap.wait_for(lambda: m.settle() and len(ends(m.records())) >= before + n, timeout=60),
           f"{n} connections are in the log")
    found = ends(m.records())[before:]
    names = [r.get("process", {}).get("name") for r in found]
    servers = [r["flowner"].get("responder", {}).get("process", {}).get("name") for r in found]
    tiers = {k: v["state"] for k, v in m.status()["tiers"].items()}
    tap.note(f"tiers: {tiers}")
    if tiers["tap"] != "off" and m.status()["tiers"]["tap"]["live"]:
        tap.is_(names, ["curl"] * n, "each with its client")
        tap.is_(servers, ["python3"] * n, "and its server")
    else:
        tap.ok(any(servers), "some with their server (no tap here)", servers)
        tap.skip("each with its client", f"no tap: {tiers['tap']}")


def ends(records):
    return [r for r in records if r["event"].get("action") == "connection_end"]


def check_numbers(m, what, enrich_killed=False):
    """Every record that was published is in the log, once, and no other. Numbers go on over restarts; a killed enrich may have taken
    some for what it did not publish any more."""
    s = m.settle()
    records = m.records()
    numbers = [r["event"]["sequence"] for r in records if "sequence" in r["event"]]
    tap.is_(len(numbers) - len(set(numbers)), 0, f"{what}: no record twice")
    there = [n for n in numbers if n <= s["counters"]["enrich"]["seq"]]
    tap.is_(len(there), s["counters"]["enrich"]["records_published"], f"{what}: every published record is there, and no other")
    unused = max(numbers) - len(numbers)
    tap.ok(enrich_killed or unused == 0, f"{what}: no number is left out", f"{unused} of {max(numbers)}")
    lost = {f"{x['stage']} {x['reason']}": x["count"] for x in s["losses"] if x["count"] and x["reason"] != "killed"}
    if enrich_killed and lost.pop("tap overflow", 0):
        tap.note(f"{what}: the tap overflowed meanwhile, with what all of this host does")
    # What the kernel had for a capture that was killed, and where descriptors are kept what came until the next one.
    left = sum(x["count"] for x in s["losses"] if (x["stage"], x["reason"]) == ("capture", "killed"))
    tap.ok(left <= LEFT_BY_KILLED, f"{what}: {left} packets of killed captures are counted")
    tap.is_(lost, {}, f"{what}: no other loss counted")
    off = s["balance"]["under_way"]
    tap.ok(off == 0 and s["balance"]["balanced"], f"{what}: flowner status balances", s["balance"])
    tap.ok(s["output_balance"]["balanced"], f"{what}: so does the output", s["output_balance"])
    tap.note(f"{what}: {len(records)} records in the log, {unused} numbers unused")


def check_kill(m, program, kill, times=3, most=8, limit=1.5):
    """A killed program is back in time; the best of a few, for other things run on this machine."""
    took = []
    while len(took) < times or (min(took) > limit and len(took) < most):
        pids = m.running()
        began = time.monotonic()
        kill(program)
        ok = tap.wait_for(lambda: (now := m.running()) and now[program] != pids[program], timeout=30, step=0.01)
        took.append(time.monotonic() - began)
        if not ok:
            tap.ok(False, f"{program} comes back", m.run("flowner", "status").stdout)
            return
    tap.ok(min(took) <= limit, f"{program}: killed, it is back and ready within {limit} s", took)
    tap.note(f"{program}: back after {', '.join(f'{t:.2f}' for t in took)} s")


def check_steady(m):
    """No root, no capability, filtered system calls."""
    for name, pid in m.running().items():
        text = m.run("cat", f"/proc/{pid}/status").stdout
        status = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
        tap.ok("0" not in status["Uid"].split(), f"{name} is not root", status["Uid"])
        for caps in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            tap.is_(int(status[caps], 16), 0, f"{name}: {caps} is empty")
        tap.is_((status["NoNewPrivs"], status["Seccomp"]), ("1", "2"), f"{name}: no new privileges, system calls are filtered")
        tap.note(f"{name}: uid {status['Uid'].split()[0]}, {status.get('Seccomp_filters', '?')} filters")


def without_package(name, packages):
    """A machine with what `meson install` installs, and the three users as the run files say."""
    m = Machine(name, packages)
    command(["meson", "install", "-C", tap.BUILD, "--no-rebuild", "--quiet", "--destdir", m.root])
    for p in ("capture", "enrich", "sink"):
        in_root(m.root, "useradd", "-r", "-U", "-d", "/nonexistent", "-s", "/usr/sbin/nologin", f"flowner-{p}")
    return m


def examples(m, name):
    """Where the run files for a service manager are, inside."""
    return next(p for p in (f"{prefix}/share/doc/flowner/examples/{name}" for prefix in ("/usr/local", "/usr"))
                if os.path.isdir(m.root + p))


def check_supervised(m, kill):
    """All of it, once the services are started."""
    ready = tap.wait_for(m.running, timeout=60)
    tap.ok(ready, "all three are ready", m.console())
    if not ready:
        tap.done()
    check_steady(m)
    m.serve()
    check_owners(m)
    client = m.traffic()
    for p in "sink", "capture":
        check_kill(m, p, kill)
    tap.note(f"{m.enough(client)} connections meanwhile")
    check_numbers(m, "sink and capture killed")
    client = m.traffic()
    check_kill(m, "enrich", kill)
    tap.note(f"{m.enough(client)} connections meanwhile")
    check_numbers(m, "enrich killed", enrich_killed=True)
