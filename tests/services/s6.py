# SPDX-License-Identifier: Apache-2.0
"""Under s6 as process 1: ready by its own protocol, back when killed, down for good when the configuration is wrong."""
import machine
import tap

machine.need("meson")
m = machine.without_package("s6", ["s6"])
m.start(["sh", "-c", f"mkdir /run/service; cp -R {machine.examples(m, 's6')}/* /run/service; exec s6-svscan /run/service"])
r = tap.wait_for(lambda: m.run("sh", "-c", "s6-svwait -U -t 1000 /run/service/flowner-*").returncode == 0, timeout=60)
tap.ok(r, "s6 hears from all three that they are ready", m.console())
machine.check_supervised(m, lambda p: m.run("s6-svc", "-k", f"/run/service/flowner-{p}"))

with open(f"{m.root}/etc/flowner/conf.d/wrong.yaml", "w", encoding="utf-8") as f:
    f.write("output:\n    flash: 1s\n")
m.run("s6-svc", "-t", "/run/service/flowner-sink")
tap.ok(tap.wait_for(lambda: m.run("s6-svstat", "-o", "up,wantedup", "/run/service/flowner-sink").stdout.strip()
                    == "false false", timeout=30), "a wrong configuration: it stays down",
       m.run("s6-svstat", "/run/service/flowner-sink").stdout)

tap.done()
