# SPDX-License-Identifier: Apache-2.0
"""SIGHUP to `flowner run` reads the user's file again: outputs, rules and timeouts follow it, a wrong one changes nothing."""
import os
import signal
import socket

import pipeline
import tap

tap.need_root()
PORT = 17000
folder = tap.tmpdir()
out = os.path.join(folder, "out")
os.mkdir(out)
config = os.path.join(folder, "mine.yaml")


def write(*outputs, more=""):
    with open(config + ".new", "w") as f:
        f.write("output:\n  flush: 5ms\n  files:\n" + "".join(f"    - {o}\n" for o in outputs) + more)
    os.rename(config + ".new", config)


def path(name):
    return os.path.join(out, name)


def connect(server):
    c = socket.create_connection(server.getsockname())
    s = server.accept()[0]
    c.sendall(b"x")
    s.recv(1)
    c.close()
    s.close()


def lines(name):
    return pipeline.connections(pipeline.records(path(name)), "end") if os.path.exists(path(name)) else []


def reload(expected, name):
    before = len(f.log())
    f.p.send_signal(signal.SIGHUP)
    tap.ok(tap.wait_for(lambda: expected in f.log()[before:]), name, f.log()[before:])
    return f.log()[before:]


server = socket.create_server(("127.0.0.1", PORT))
os.chmod(out, 0o777)
write(f"ecs:{path('a')}")
f = pipeline.Flowner("-v", "-c", config, "-i", "lo", f"tcp port {PORT}")
connect(server)
tap.ok(tap.wait_for(lambda: len(lines("a")) == 1), "a connection")
write(f"ecs:{path('a')}", f"{{format: ecs, path: {path('b')}, include: ['port:{PORT}', 'prot:tcp']}}")
tap.has(reload("the one before it stays", "a wrong rule changes nothing"),
        f"{config}:5:{len(path('b')) + 45 + len(str(PORT)) + 4}: output.files.include: unknown key \"prot\"", "it is told with its place in the user's file")
write(f"{{format: ecs, path: {path('b')}, include: ['port:{PORT}']}}", f"{{format: ecs, path: {path('c')}, exclude: ['port:{PORT}']}}",
      more="limits:\n  tcp_timeout: 100s\n  flows: 5000\ncapture:\n  filter: tcp\n")
said = reload(f"writing ecs to {path('c')}", "other outputs")
tap.ok(tap.wait_for(lambda: "capture.filter has changed: that counts once flowner-capture is started again" in f.log()
                    and "limits.flows has changed: that counts once flowner-enrich is started again" in f.log()),
       "what needs a restart is told, each key", f.log())
tap.ok("limits.tcp_timeout" not in f.log(), "a timeout is taken over")
tap.wait_for(lambda: f"output {path('a')}: no longer written" in f.log())
connect(server)
tap.ok(tap.wait_for(lambda: len(lines("b")) == 1), "the next connection is in the new output")
f.stop()
tap.is_((len(lines("a")), len(lines("b")), len(lines("c"))), (1, 1, 0), "each is where the rules of its time want it")
tap.done()
