# SPDX-License-Identifier: Apache-2.0
"""Under runit as process 1: back when killed, down for good when the configuration is wrong."""
import machine
import tap

machine.need("meson")
m = machine.without_package("runit", ["runit"])
m.start(["sh", "-c", f"mkdir /run/service; cp -R {machine.examples(m, 'runit')}/* /run/service; exec runsvdir /run/service"])
machine.check_supervised(m, lambda p: m.run("sv", "kill", f"/run/service/flowner-{p}"))

with open(f"{m.root}/etc/flowner/conf.d/wrong.yaml", "w", encoding="utf-8") as f:
    f.write("output:\n    flash: 1s\n")
m.run("sv", "term", "/run/service/flowner-sink")
tap.ok(tap.wait_for(lambda: m.run("sv", "status", "/run/service/flowner-sink").stdout.startswith("down: ")
                    and "want up" not in m.run("sv", "status", "/run/service/flowner-sink").stdout, timeout=30),
       "a wrong configuration: it stays down", m.run("sv", "status", "/run/service/flowner-sink").stdout)

tap.done()
