# SPDX-License-Identifier: Apache-2.0
"""Services that never hold a privilege: what takes one is opened by `--open`, kept by the service manager, and taken by
programs that have no capability and no interface of their own. The service manager is this test."""
import json
import os
import socket
import struct
import subprocess
import threading
import time

import pipeline
import tap

tap.need_root()
UID = 65531
PORT = 12100
ns = tap.netns("opened")
home = tap.tmpdir()
out = os.path.join(home, "out.ndjson")
runtime = os.path.join(home, "run")
for folder in (home, runtime, *(os.path.join(runtime, p) for p in pipeline.PROGRAMS)):
    os.makedirs(folder, exist_ok=True)
    os.chown(folder, UID, UID)
USERS = [x for section in ("capture", "enrich", "output") for x in ("--set", f"{section}.user={UID}")]
SETTINGS = {"capture": [], "enrich": [], "sink": ["--set", f"output.files=ecs:{out}"]}


class Service:
    """One program as a service manager runs it: an opener as root, then the program itself with nothing."""

    def __init__(self, program):
        self.program, self.p, self.kept = program, None, {}
        self.path = os.path.join(home, f"notify-{program}")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        os.chmod(self.path, 0o777)
        self.log = os.path.join(home, f"log-{program}")
        self.ready = threading.Event()
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while True:
            data, fds, _, _ = socket.recv_fds(self.socket, 4096, 64)
            said = dict(line.split("=", 1) for line in data.decode().splitlines() if "=" in line)
            if "FDSTOREREMOVE" in said:
                for fd in self.kept.pop(said["FDNAME"], []):
                    os.close(fd)
            elif "FDSTORE" in said:
                self.kept.setdefault(said["FDNAME"], []).extend(fds)
            else:
                for fd in fds:  # BARRIER=1 waits for this
                    os.close(fd)
            if "READY" in said:
                self.ready.set()

    def argv(self, *more):
        return [tap.program(f"flowner-{self.program}"), "--runtime-dir", runtime, *USERS, *more]

    def open(self):
        r = tap.run(self.argv("--open", f"/run/netns/{ns}", *SETTINGS[self.program]), text=True,
                    env={**os.environ, "NOTIFY_SOCKET": self.path})
        tap.is_((r.returncode, r.stderr), (0, ""), f"{self.program}: what takes a privilege is opened")

    def start(self, opens=True):
        if opens:
            self.open()
        self.ready.clear()
        fds = [(name, fd) for name, all_of in self.kept.items() for fd in all_of]
        # At 3 and after, as systemd passes them; first out of the way of each other.
        moves = "".join(f"exec {100 + i}<&{fd}; " for i, (_, fd) in enumerate(fds))
        moves += "".join(f"exec {3 + i}<&{100 + i} {100 + i}<&-; " for i in range(len(fds)))
        script = moves + (f"export LISTEN_PID=$$ LISTEN_FDS={len(fds)} LISTEN_FDNAMES={':'.join(n for n, _ in fds)};"
                          if fds else "") + 'exec "$@"'
        self.p = tap.spawn(
            ["bash", "-c", script, "bash", "unshare", "-n", "setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups",
             "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", *self.argv(*SETTINGS[self.program])],
            env={**os.environ, "NOTIFY_SOCKET": self.path}, pass_fds=[fd for _, fd in fds], stderr=open(self.log, "ab"))
        if not self.ready.wait(30):
            tap.note(open(self.log).read())
            tap.bail(f"{self.program} does not become ready")

    def kill(self):
        self.p.kill()
        self.p.wait()


def ledger(program):
    with open(f"{runtime}/{program}/ledger", "rb") as f:
        data = f.read()
    names = pipeline.NAMES[program]
    return dict(zip(names, struct.unpack_from(f"<{len(names)}Q", data, 40)))


def ends():
    found = []
    try:
        with open(out, encoding="utf-8") as f:
            for line in f:
                found.append(json.loads(line)) if line.endswith("\n") else None
    except FileNotFoundError:
        pass
    return [r for r in found if r["event"].get("action") == "connection_end"]


def connect(n, what):
    """n connections by a program of its own each: all are recorded, with both owners."""
    before = len(ends())
    for _ in range(n):
        tap.run(tap.inside(ns, "bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{PORT}; echo x >&3; read -r -t 5 _ <&3"))
    tap.ok(tap.wait_for(lambda: len(ends()) >= before + n, timeout=30), f"{what}: each is recorded",
           f"{len(ends()) - before} of {n}", *(open(s.log).read() for s in services))
    return [(r.get("process", {}).get("name"), r["flowner"].get("responder", {}).get("process", {}).get("name"))
            for r in ends()[before:]]


# A server that is older than all of it: only the sweep can know who it is.
server = tap.spawn(tap.inside(ns, "python3", "-c", f"""
import socket
s = socket.create_server(("127.0.0.1", {PORT}), backlog=64)
while True:
    c, _ = s.accept()
    c.recv(1)
    c.sendall(b"y\\n")
    c.close()
"""))
tap.ok(tap.wait_for(lambda: f":{PORT}" in tap.run(tap.inside(ns, "ss", "-ltn"), text=True).stdout), "a server listens")

for program in "capture", "enrich":
    r = tap.run([tap.program(f"flowner-{program}"), "--open", "/proc/self/ns/net", *USERS], text=True,
                env={k: v for k, v in os.environ.items() if k != "NOTIFY_SOCKET"})
    tap.ok(r.returncode and "service manager" in r.stderr, f"{program}: --open needs a service manager", r.stderr)

with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as nobody:
    nobody.bind(os.path.join(home, "nobody"))
    began = time.monotonic()
    r = tap.run([tap.program("flowner-capture"), "--open", f"/run/netns/{ns}", *USERS, "--set", "capture.netns=[flowner-none]"],
                text=True, env={**os.environ, "NOTIFY_SOCKET": nobody.getsockname()})
    took = time.monotonic() - began
    tap.ok(r.returncode and r.stderr.count("\n") == 1 and "no such network namespace" in r.stderr,
           "a namespace that is not there: it is said once", r.stderr)
    tap.ok(took >= 1, "and not ten times a second, when it is started again at once", took)

services = capture, enrich, sink = [Service(p) for p in pipeline.PROGRAMS]
sink.start(opens=False)
enrich.start()
capture.start()

for s in services:
    with open(f"/proc/{s.p.pid}/status", encoding="ascii") as f:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
    for cap in "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb":
        tap.is_(int(status[cap], 16), 0, f"{s.program}: {cap} is empty")
    tap.ok(os.stat(f"/proc/{s.p.pid}/ns/net").st_ino != os.stat(f"/run/netns/{ns}").st_ino,
           f"{s.program} is in another network namespace")

tap.ok(tap.wait_for(lambda: ledger("enrich")["enrich_tier_tap"] == 1 or "tap" in open(capture.log).read()), "there is word of the tap")
live = "tap live" in open(capture.log).read()
tap.note(next(l for l in open(capture.log).read().splitlines() if "tap" in l))
if live:
    tap.is_(connect(20, "from the start"), [("bash", "python3")] * 20, "and both owners known")
else:
    tap.is_([s for _, s in connect(20, "from the start")], ["python3"] * 20, "and its server")

for s in enrich, capture:
    s.kill()
    s.start()
    tap.ok(tap.wait_for(lambda: ledger("enrich")["enrich_tier_tap"] == 1) if live else True, f"{s.program}: killed, it has the tap again")
    found = connect(10, f"{s.program} started again")
    tap.is_([b for _, b in found], ["python3"] * 10, "with its server")
    if live:
        tap.is_([a for a, _ in found], ["bash"] * 10, "and its client")

# Without what was opened enrich has no way to the kernel: it does not go on with what it sees in its own namespace.
log = open(enrich.log).read()
tap.ok("own processes only" not in log, "enrich has seen all processes", log)

tap.done()
