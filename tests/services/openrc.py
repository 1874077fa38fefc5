# SPDX-License-Identifier: Apache-2.0
"""Under OpenRC's supervise-daemon: started by rc-service, back when killed, stopped in good order."""
import machine
import tap

machine.need("meson")
m = machine.without_package("openrc", ["openrc"])
# OpenRC is not process 1 itself; that one only buries the dead.
m.start(["sh", "-c", "mkdir -p /run/openrc; touch /run/openrc/softlevel; while :; do sleep 1; done"])
m.run("sh", "-ec", f"cp {machine.examples(m, 'openrc')}/* /etc/init.d; rc-update -u")
for p in "sink", "enrich", "capture":
    r = m.run("rc-service", "--nodeps", f"flowner-{p}", "start")
    tap.is_(r.returncode, 0, f"flowner-{p} starts")
    if r.returncode:
        tap.note(r.stdout + r.stderr)
machine.check_supervised(m, lambda p: m.run("kill", "-KILL", str(m.running()[p])))

tap.is_(m.run("rc-service", "--nodeps", "flowner-sink", "reload").returncode, 0, "the sink reloads")
for p in "capture", "enrich", "sink":
    r = m.run("rc-service", "--nodeps", f"flowner-{p}", "stop")
    tap.is_(r.returncode, 0, f"flowner-{p} stops")
tap.is_(m.run("pgrep", "-f", "sbin/flowner-").stdout, "", "nothing runs any more")

tap.done()
