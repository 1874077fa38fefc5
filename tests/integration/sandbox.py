# SPDX-License-Identifier: Apache-2.0
"""What the three programs hold once they run, what they cannot do any more, and that they can do what they must."""
import os
import re
import signal
import socket
import subprocess
import threading

import pipeline
import tap

tap.need_root()
PORT = 12400
PROBE = tap.program("tests/integration/sandbox-probe")
MOST = {"capture": 16, "enrich": 20, "sink": 16}


def start_line(f, program):
    """The log line of a start that says what is held."""
    return next((l for l in f.log().splitlines() if l.startswith(f"flowner-{program}: uid ") and "bounding set" in l), "")


def status_of(pid):
    with open(f"/proc/{pid}/status") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def limit_of(pid, name):
    with open(f"/proc/{pid}/limits") as f:
        return next(line for line in f if line.startswith(name)).split()[len(name.split()):]


def filtered():
    """False in a build with sanitizers, whose start lines say that there is no sandbox."""
    r = tap.run([PROBE, "capture", tap.tmpdir()], text=True)
    return "refused\topen a file" in r.stdout


def look(f):
    """(a) /proc tells what is held."""
    for program in pipeline.PROGRAMS:
        pid = f.ledger(program)["pid"]
        tap.wait_for(lambda: status_of(pid)["Seccomp"] == "2")
        s = status_of(pid)
        tap.ok("0" not in s["Uid"].split() + s["Gid"].split(), f"{program}: no uid 0, no gid 0", s["Uid"], s["Gid"])
        tap.is_(s["Groups"].strip(), "", f"{program}: no other group")
        for cap in "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb":
            tap.is_(int(s[cap], 16), 0, f"{program}: {cap} is empty")
        tap.is_((s["Seccomp"], s["NoNewPrivs"]), ("2", "1"), f"{program}: system calls are filtered, no new privileges")
        tap.is_(limit_of(pid, "Max core file size")[:2], ["0", "0"], f"{program}: no core")
        tap.is_(os.stat(f"/proc/{pid}/mem").st_uid, 0, f"{program}: not dumpable: its memory is root's")
        tap.ok("securebits locked, no dumps; " in start_line(f, program), f"{program}: the start says what is held",
               start_line(f, program), f.log())
    uids = {status_of(f.ledger(p)["pid"])["Uid"].split()[0] for p in pipeline.PROGRAMS}
    tap.is_(len(uids), 3, "three users")


def probe(program):
    """(b) Each forbidden act is refused."""
    folder = os.path.join(tap.tmpdir(), "out")
    os.mkdir(folder)
    os.chmod(folder, 0o777)
    with open(os.path.join(folder, "victim"), "w"):
        pass
    r = tap.run([PROBE, program, folder], text=True)
    tap.ok(r.returncode == 0, f"{program}: the probe works", r.stderr)
    lines = [l.split("\t") for l in r.stdout.splitlines()]
    tap.ok(len(lines) > 40, f"{program}: it tries them all", str(len(lines)))
    for result, act, how in lines:
        if result == "absent":
            tap.skip(f"{program}: {act}", "this machine does not have it")
        elif result.startswith("must "):
            tap.is_(result, "must works", f"{program}: {act} works")
        else:
            tap.ok(result == "refused", f"{program}: {act}: refused, {how}")


def table(program):
    """(d) No more calls than promised, each with a reason."""
    rows = [l.split("\t") for l in tap.run([PROBE, program, folder_of_table(), "table"], text=True).stdout.splitlines()]
    names = {r[0] for r in rows}
    tap.ok(0 < len(names) <= MOST[program], f"{program}: {len(names)} system calls of at most {MOST[program]}", str(sorted(names)))
    tap.ok(all(len(r) == 2 and len(r[1]) > 3 for r in rows), f"{program}: each with a reason")
    return len(names)


def folder_of_table():
    folder = tap.tmpdir()
    os.chmod(folder, 0o777)
    return folder


def serve():
    s = socket.create_server(("127.0.0.1", PORT))

    def answer():
        while True:
            c, _ = s.accept()
            with c:
                c.recv(10)
                c.sendall(b"ok")

    threading.Thread(target=answer, daemon=True).start()


def traffic(n):
    for _ in range(n):
        with socket.create_connection(("127.0.0.1", PORT)) as c:
            c.sendall(b"x")
            c.recv(10)


def runs(f):
    return {p: f.ledger(p).get("pid") for p in pipeline.PROGRAMS}


def live():
    """(c) Traffic, rotation, signals and restarts: nothing that is needed is refused."""
    out = os.path.join(tap.tmpdir(), "out")
    os.mkdir(out)
    os.chmod(out, 0o777)
    path = os.path.join(out, "o.ndjson")
    f = pipeline.Flowner("-v", "-o", f"ecs:{path}", "-o", f"zeek:{out}/conn.log", "--set", "output.flush=20ms",
                         "--set", "output.sync=100ms", "-i", "lo", f"tcp port {PORT}")
    look(f)
    serve()
    traffic(20)
    tap.ok(tap.wait_for(lambda: f.ledger("sink").get("sink_records_written", 0) >= 20), "records are written")
    calls = {p: int(m.group(1)) if (m := re.search(r"; (\d+) system calls", start_line(f, p))) else 0 for p in pipeline.PROGRAMS}
    tap.ok(all(0 < calls[p] <= MOST[p] for p in calls), "the lines of the starts tell as few", str(calls))

    before = runs(f)
    sink = before["sink"]
    os.rename(path, path + ".1")
    os.kill(sink, signal.SIGUSR1)
    tap.ok(tap.wait_for(lambda: os.path.exists(path)), "SIGUSR1: the next file is begun")
    os.kill(sink, signal.SIGHUP)
    tap.ok(tap.wait_for(lambda: "the configuration was read again" in f.log()), "SIGHUP: the configuration is read")
    for p in pipeline.PROGRAMS:
        os.kill(before[p], signal.SIGUSR2)
    tap.ok(tap.wait_for(lambda: f.log().count(": ledger:") >= 3), "SIGUSR2: the counters are logged")
    for p in pipeline.PROGRAMS:  # as a terminal or a freezer does: a wait goes on behind it
        os.kill(before[p], signal.SIGSTOP)
        os.kill(before[p], signal.SIGCONT)
    traffic(20)
    tap.ok(tap.wait_for(lambda: f.ledger("sink").get("sink_records_written", 0) >= 40), "all goes on")
    tap.is_(runs(f), before, "nobody was refused anything")

    for p in "enrich", "sink", "capture":
        os.kill(runs(f)[p], signal.SIGKILL)
        was = before[p]
        tap.ok(tap.wait_for(lambda: runs(f)[p] not in (was, None) and f.ledger(p).get("ready")), f"{p}: started again")
        written = f.ledger("sink").get("sink_records_written", 0)
        tap.ok(tap.wait_for(lambda: traffic(5) or f.ledger("sink").get("sink_records_written", 0) > written), f"{p}: records go on")
    tap.is_(f.stop(), 0, "flowner ends well")
    tap.ok("signal 31" not in f.log() and "status 159" not in f.log(), "none ended by its sandbox", f.log())


def named():
    """A call that is refused is named: by a table without what is needed there is none, so by hand."""
    r = tap.run([PROBE, "capture", tap.tmpdir(), "named"], text=True)
    tap.has(r.stderr, "the system call openat (", "sandbox.seccomp=log: the call is named")
    tap.is_(r.returncode, 159, "and the program ends")


if not filtered():
    tap.skip_all("a build with sanitizers has no sandbox")
live()
for name in pipeline.PROGRAMS:
    probe(name)
    table(name)
named()
tap.done()
