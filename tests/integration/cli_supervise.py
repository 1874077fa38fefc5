# SPDX-License-Identifier: Apache-2.0
"""`flowner run` as a supervisor, with stand-ins for the three programs that do what each case asks for."""
import os
import shutil
import signal
import subprocess

import tap

tap.need_root()

# Writes "NAME EVENT" lines to a log; behaves as the environment variable CASE says.
STANDIN = r'''#!/usr/bin/env python3
import os, signal, socket, sys, time
name = os.path.basename(sys.argv[0])[len("flowner-"):]
def log(event):
    with open(os.environ["STANDIN_LOG"], "a") as f:
        f.write(f"{name} {event}\n")
case = dict(word.split("=", 1) for word in os.environ.get("CASE", "").split())
args = sys.argv[1:]
runtime = args[args.index("--runtime-dir") + 1]
count = os.path.join(runtime, name, "starts")
starts = len(open(count).read()) if os.path.exists(count) else 0
open(count, "a").write("x")
log(f"start{starts} pgrp={int(os.getpgrp() == os.getpid())} stdin={os.readlink('/proc/self/fd/0')}")
log("args " + " ".join(args))
log("env " + " ".join(sorted(k for k in os.environ if k.startswith("FLOWNER_"))))
log(f"owner {os.stat(os.path.join(runtime, name)).st_uid}")
if case.get(name) == "exit78" or case.get(name) == "exit1":
    print(f"flowner-{name}: this is why", file=sys.stderr)
    sys.exit(int(case[name][4:]))
if case.get(name) == "dieearly":
    os.kill(os.getpid(), signal.SIGKILL)
def term(*_):
    log("term")
    if case.get(name) != "deaf":
        sys.exit(int(case.get("status", "0")) if name == case.get("who") else 0)
signal.signal(signal.SIGTERM, term)
for sig in signal.SIGHUP, signal.SIGUSR1:
    signal.signal(sig, lambda number, _: log("got " + signal.Signals(number).name))
if case.get(name) != "mute":
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.connect(os.environ["NOTIFY_SOCKET"])
    if case.get(name) == "slow":
        time.sleep(0.3)
    s.send(b"STATUS=fine\nREADY=1\n")
    if name != "capture" and case.get(name) != "alone":
        s.send(b"STATUS=attached")
    log("ready")
if case.get(name) == "dieonce" and starts == 0:
    time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGKILL)
if case.get(name) == "eof":
    time.sleep(0.2)
    log("eof")
    sys.exit(0)
while True:
    time.sleep(0.01)
'''

home = tap.tmpdir()
flowner = os.path.join(home, "flowner")
shutil.copy2(tap.program("flowner"), flowner)
for program in "capture", "enrich", "sink":
    path = os.path.join(home, "flowner-" + program)
    with open(path, "w") as f:
        f.write(STANDIN)
    os.chmod(path, 0o755)
log = os.path.join(home, "log")


def start(case, *args, prefix=(), **kwargs):
    if os.path.exists(log):
        os.unlink(log)
    env = dict(os.environ, CASE=case, STANDIN_LOG=log, FLOWNER_ENRICH__TAP="connect", FLOWNER_HOME="x")
    return tap.spawn([*prefix, flowner, "run", *args], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                     text=True, **kwargs)


def events(word=None):
    lines = open(log).read().splitlines() if os.path.exists(log) else []
    return [line for line in lines if word is None or line.split()[1].startswith(word)]


def finish(p, timeout=30):
    out, err = p.communicate(timeout=timeout)
    return p.returncode, out, err


def pids_below(parent):
    with open(f"/proc/{parent}/task/{parent}/children") as f:
        return [int(pid) for pid in f.read().split()]


def gone(pids):
    return all(not os.path.exists(f"/proc/{pid}") for pid in pids)


# A whole run.
p = start("sink=slow")
tap.ok(tap.wait_for(lambda: len(events("ready")) == 3), "all three start and get ready")
line = p.stderr.readline()
tap.is_(line, "flowner: capturing on any until Ctrl-C\n", "it says that it captures")
runtime = f"/run/flowner/run-{p.pid}"
tap.ok(os.path.isdir(runtime), "the runtime directory has the pid in its name")
starts = events("start")
tap.ok(all("pgrp=1" in s for s in starts), "each program leads a process group", starts)
tap.ok(all("stdin=/dev/null" in s for s in starts), "none reads the terminal", starts)
tap.is_(sorted(events("owner")), ["capture owner 60801", "enrich owner 60802", "sink owner 60803"],
        "each owns its part of the runtime directory")
tap.ok(all("FLOWNER_ENRICH__TAP" not in e and "FLOWNER_HOME" in e for e in events("env")),
       "settings from the environment are merged, not passed on", events("env"))
config = open(os.path.join(runtime, "flowner.yaml")).read()
tap.has(config, "tap: connect", "the merged configuration has the setting of the environment")
tap.has(config, "text:-", "a run prints text by default")
tap.has(config, "first_info: 500ms", "text for people shows connections soon")
children = pids_below(p.pid)
tap.is_(len(children), 3, "three children")
p.send_signal(signal.SIGINT)
status, out, err = finish(p)
tap.is_(status, 0, "an interrupt is a good end")
tap.is_([e for e in events() if e.endswith(" term")], ["capture term", "enrich term", "sink term"],
        "producers end before their consumers")
tap.ok(gone(children), "no child is left")
tap.ok(not os.path.exists(runtime), "no runtime directory is left")

# The command line reaches the right program.
p = start("", "-d", "100ms", "-i", "lo", "-i", "eth9", "-o", "ecs:/dev/null", "--set", "limits.flows=128",
          "tcp", "port", "80")
status, out, err = finish(p)
tap.is_(status, 0, "a duration ends it")
tap.has(err, "capturing on lo, eth9 for 0.1 s", "it says for how long")
capture = [e for e in events("args") if e.startswith("capture")][0]
tap.ok(capture.endswith(" -i lo -i eth9 -f tcp port 80"), "interfaces and filter go to capture", capture)

# Death.
p = start("enrich=dieonce")
tap.ok(tap.wait_for(lambda: "enrich start1" in " ".join(events("start"))), "a killed program is started again")
tap.wait_for(lambda: len(events("ready")) == 4)
p.terminate()
status, out, err = finish(p)
tap.is_(status, 0, "and the run is none the worse")
tap.has(err, "flowner-enrich was killed by signal 9, starting it again", "and it says so")
tap.is_([e for e in events() if e.endswith(" term")], ["capture term", "enrich term", "sink term"],
        "and the end is in order")

for who, word, want in ("capture", "exit78", 78), ("sink", "exit1", 1):
    p = start(f"{who}={word}")
    status, out, err = finish(p)
    tap.is_(status, want, f"exit status {want} of {who} at its start is the run's")
    tap.is_(err, f"flowner-{who}: this is why\n", "its message is all there is to see")

p = start("enrich=dieearly")
status, out, err = finish(p)
tap.is_(status, 70, "a program that always dies before it is ready fails the run")

p = start("")
tap.wait_for(lambda: len(events("ready")) == 3)
children = pids_below(p.pid)
p.kill()
p.wait()
tap.ok(tap.wait_for(lambda: gone(children)), "no program outlives a killed flowner")
left = f"/run/flowner/run-{p.pid}"
finish(start("", "-d", "50ms"))
tap.ok(not os.path.exists(left), "the next run removes the runtime directory it left")

# Commands.
p = start("sink=slow", "--", "sh", "-c", "cut -d ' ' -f 1,2 $STANDIN_LOG; echo $FLOWNER_ENRICH__TAP; exit 7")
status, out, err = finish(p)
tap.is_(status, 7, "the command's exit status is passed on")
tap.is_(out.count(" ready"), 3, "the command starts when all are ready")
tap.ok(out.endswith("connect\n"), "the command has the caller's environment", out)
enrich = [e for e in events("args") if e.startswith("enrich")][0]
tap.ok("--tree " in enrich, "enrich is told the command's pid", enrich)
tap.ok("capturing on" not in err, "nothing is announced", err)

p = start("", "--", "sh", "-c", "kill -USR1 $$")
tap.is_(finish(p)[0], 128 + signal.SIGUSR1, "a command's signal shows in the exit status")
p = start("", "--", "/nonexistent/program")
status, out, err = finish(p)
tap.is_(status, 127, "127: no such command")
tap.has(err, "flowner: cannot run /nonexistent/program: No such file or directory", "and it says why")
p = start("", "--", "/etc/passwd")
tap.is_(finish(p)[0], 126, "126: no permission to execute it")
p = start("capture=exit78", "--", "touch", os.path.join(home, "ran"))
tap.is_(finish(p)[0], 78, "a failure at the start is the exit status")
tap.ok(not os.path.exists(os.path.join(home, "ran")), "and the command does not run")
p = start("", "--", "sh", "-c", "trap 'exit 5' TERM; echo up; while :; do sleep 0.05; done")
p.stdout.readline()
p.terminate()
tap.is_(finish(p)[0], 5, "SIGTERM goes to the command, whose end is ours")
p = start("", "-d", "300ms", "--", "sleep", "60")
tap.is_(finish(p)[0], 143, "-d ends the command too")

# Files.
p = start("capture=eof", "-r", "/dev/null")
status, out, err = finish(p)
tap.is_(status, 0, "a file's end is the run's")
tap.is_([e for e in events() if e.split()[1] in ("eof", "term")], ["capture eof", "enrich term", "sink term"],
        "the others are told when it has been read")
tap.ok([e for e in events("args") if e.endswith("--offline")], "enrich is told that it is a file")

# A reader that goes away.
p = start("")
tap.wait_for(lambda: len(events("ready")) == 3)
p.stdout.close()
p.stdout = None
tap.is_(p.wait(20), 0, "standard output's reader has gone: a good end")
p.stderr.close()

# Signals for the programs.
p = start("sink=slow")
tap.wait_for(lambda: len(events("start")) == 3)
p.send_signal(signal.SIGUSR1)
tap.ok(tap.wait_for(lambda: len(events("got")) == 3), "SIGUSR1 reaches all three, also one that is not ready yet", events())
p.send_signal(signal.SIGHUP)
tap.ok(tap.wait_for(lambda: len(events("got")) == 6), "SIGHUP as well", events())
p.terminate()
tap.is_(finish(p)[0], 0, "the run goes on after both")

# A terminal that goes.
master, slave = os.openpty()
p = start("", prefix=["setsid", "--ctty"], stdin=slave)
os.close(slave)
tap.wait_for(lambda: len(events("ready")) == 3)
p.send_signal(signal.SIGHUP)
tap.ok(tap.wait_for(lambda: len(events("got")) == 3), "on a terminal a SIGHUP that is sent is for the programs", events())
os.close(master)
tap.is_(finish(p)[0], 0, "the terminal's own ends the run")
tap.is_(len(events("term")), 3, "in order")

# Deaf ones.
p = start("sink=deaf")
tap.wait_for(lambda: len(events("ready")) == 3)
p.terminate()
tap.wait_for(lambda: "sink term" in events())
p.terminate()
status, out, err = finish(p)
tap.has(err, "flowner-sink had to be killed, records may be missing", "a second signal kills, and says so")
tap.is_(status, 70, "which is no good end")

tap.done()
