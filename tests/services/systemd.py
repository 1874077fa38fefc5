# SPDX-License-Identifier: Apache-2.0
"""Under systemd as process 1: README's commands lead to running services, which come back when killed, go through an upgrade
without losing a record, and leave nothing behind."""
import glob
import os
import shutil
import time

import machine
import tap

machine.need("dpkg-deb", "lintian")
PROGRAMS = ("sink", "enrich", "capture")
UNITS = [f"flowner-{p}.service" for p in PROGRAMS]

m = machine.Machine("systemd")
m.boot()

# The first two built the package, with a network (machine.base()).
lines = machine.readme_commands()
tap.ok(len(lines) <= 5, "README needs five commands or fewer", lines)
for line in lines[2:]:
    r = m.run("sh", "-ec", f"cd /opt/flowner; {line}")
    tap.is_(r.returncode, 0, f"README: {line}")
    if r.returncode:
        tap.note(r.stdout[-3000:] + r.stderr[-3000:])
ready = tap.wait_for(m.running, timeout=30)
tap.ok(ready, "all three are ready", m.run("systemctl", "status", "flowner*").stdout)
if not ready:
    tap.done()
tap.is_(m.run("systemctl", "is-active", "flowner.target", *UNITS).stdout.split(), ["active"] * 4, "systemd says so")
tap.is_(m.run("systemctl", "--failed", "--quiet", "--no-legend").stdout, "", "and that nothing has failed")
machine.check_supervised(m, lambda p: m.run("systemctl", "kill", "-s", "KILL", f"flowner-{p}.service"))

client = m.traffic()
pids = m.running()
began = time.monotonic()
m.run("systemctl", "kill", "-s", "KILL", *UNITS)
back = tap.wait_for(lambda: (now := m.running()) and not set(now.values()) & set(pids.values()), timeout=30, step=0.01)
tap.ok(back, "all killed at once, all come back")
tap.note(f"all three back after {time.monotonic() - began:.2f} s")
m.enough(client)
machine.check_numbers(m, "killed at once", enrich_killed=True)

# A program that hangs says nothing to the watchdog. The units' own time is too long to wait for.
tap.is_(m.run("systemctl", "show", "-P", "WatchdogUSec", *UNITS).stdout.split(), ["30s"] * 3, "the watchdog is on")
for unit in UNITS:
    os.makedirs(f"{m.root}/etc/systemd/system/{unit}.d")
    with open(f"{m.root}/etc/systemd/system/{unit}.d/short.conf", "w", encoding="utf-8") as f:
        f.write("[Service]\nWatchdogSec=3s\n")
m.run("systemctl", "daemon-reload")
tap.is_(m.run("systemctl", "restart", *UNITS).returncode, 0, "a drop-in makes it shorter")
tap.ok(tap.wait_for(m.running, timeout=30), "all three are ready again")
client = m.traffic()
for program in PROGRAMS:
    pid = m.running()[program]
    began = time.monotonic()
    m.run("systemctl", "kill", "-s", "STOP", f"flowner-{program}.service")
    tap.ok(tap.wait_for(lambda: (now := m.running()) and now[program] != pid, timeout=60),
           f"{program}: stopped, it is started again by the watchdog")
    tap.note(f"{program}: back {time.monotonic() - began:.1f} s after it was stopped")
    tap.has(m.run("journalctl", "-u", f"flowner-{program}", "--no-pager").stdout, "Watchdog timeout", f"{program}: systemd says why")
m.enough(client)
machine.check_numbers(m, "watchdog", enrich_killed=True)
for unit in UNITS:
    shutil.rmtree(f"{m.root}/etc/systemd/system/{unit}.d")
m.run("systemctl", "daemon-reload")
tap.is_(m.run("systemctl", "reload", "flowner-sink").returncode, 0, "the sink reloads")

# A wrong configuration is not tried again.
with open(f"{m.root}/etc/flowner/conf.d/wrong.yaml", "w", encoding="utf-8") as f:
    f.write("capture:\n    flash: 1s\n")
for program in "capture", "enrich":
    m.run("systemctl", "restart", f"flowner-{program}")
    tap.ok(tap.wait_for(lambda: m.run("systemctl", "is-active", f"flowner-{program}").stdout.strip() == "failed", timeout=30),
           f"{program}: a wrong configuration: it stays down", m.run("systemctl", "status", f"flowner-{program}").stdout)
os.unlink(f"{m.root}/etc/flowner/conf.d/wrong.yaml")
m.run("systemctl", "start", "flowner-enrich", "flowner-capture")
tap.ok(tap.wait_for(m.running, timeout=30), "mended, they are there again")

# Upgrade: the same with a higher number.
old = glob.glob(f"{m.root}/opt/flowner/build-deb/flowner_*.deb")[0]
r = tap.run(["lintian", "--fail-on", "error,warning", "--allow-root", old], text=True, timeout=300)
tap.is_((r.returncode, r.stdout), (0, ""), "lintian has nothing to say about the package")
tree = os.path.join(tap.tmpdir(), "tree")
machine.command(["dpkg-deb", "-R", old, tree])
control = os.path.join(tree, "DEBIAN", "control")
with open(control, encoding="utf-8") as f:
    text = f.read()
version = text.split("Version: ")[1].split("\n")[0] + "+upgrade"
with open(control, "w", encoding="utf-8") as f:
    f.write(text.replace(f"Version: {version[:-8]}", f"Version: {version}"))
machine.command(["dpkg-deb", "-b", tree, f"{m.root}/opt/new.deb"])

with open(f"{m.root}/etc/flowner/conf.d/mine.yaml", "w", encoding="utf-8") as f:
    f.write("limits:\n    flows: 1000\n")
pids = m.running()
before = m.settle()["counters"]["sink"]["records_written"]
client = m.traffic()
r = m.run("apt-get", "install", "-y", "/opt/new.deb")
tap.is_(r.returncode, 0, "the upgrade installs")
tap.note(r.stderr) if r.returncode else None
tap.ok(tap.wait_for(lambda: (now := m.running()) and not set(now.values()) & set(pids.values()), timeout=30),
       "all three were restarted by it")
for name, pid in (m.running() or {}).items():
    # A file that was replaced is "(deleted)".
    tap.is_(m.run("readlink", f"/proc/{pid}/exe").stdout.strip(), f"/usr/sbin/flowner-{name}", f"{name} is what was installed now")
n = m.enough(client)
s = m.settle()
tap.is_(m.run("dpkg-query", "-W", "-f", "${Version}", "flowner").stdout, version, "its version is there")
machine.check_numbers(m, "upgraded", enrich_killed=True)
logged = s["counters"]["sink"]["records_written"] - before
tap.note(f"upgrade: {n} connections meanwhile, {logged} records")
tap.ok(os.path.exists(f"{m.root}/etc/flowner/conf.d/mine.yaml"), "what the administrator wrote stays")

# The host starts again.
m.stop()
m.boot()
tap.ok(tap.wait_for(m.running, timeout=60), "all three are there after a boot", m.run("systemctl", "status", "flowner*").stdout)

# Removed, the log stays; purged, it goes.
tap.is_(m.run("apt-get", "remove", "-y", "flowner").returncode, 0, "the package can be removed")
tap.ok(os.path.exists(f"{m.root}/var/log/flowner/flowner.ndjson"), "the log stays")
tap.is_(m.run("pgrep", "-f", "flowner-").stdout, "", "nothing runs any more")
r = m.run("apt-get", "purge", "-y", "flowner")
tap.is_(r.returncode, 0, "and purged")
tap.note(r.stdout + r.stderr) if r.returncode else None
left = m.run("find", "/", "-xdev", "-name", "*flowner*", "-not", "-path", "/opt/*", "-not", "-path", "/proc/*").stdout.split()
left += m.run("find", "/run", "-name", "*flowner*").stdout.split()
tap.is_([p for p in left if not p.startswith("/var/lib/systemd/")], [], "nothing of it is left")
tap.is_(m.run("systemctl", "list-units", "--all", "--no-legend", "flowner*").stdout.strip(), "", "no unit either")

tap.done()
