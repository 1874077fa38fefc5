# SPDX-License-Identifier: Apache-2.0
"""What a record says of a process that changes before, while or after it connects: another program, name, file, user,
session or terminal; and that no environment is ever kept. Each client tells the truth about itself."""
import json
import os
import pty
import shutil
import socket
import stat
import subprocess
import sys

import pipeline
import tap

tap.need_root()
PORT = 12120
SECRET = "tiger-5f3a9c71e2"
ARGUMENT = "lion-0be15d5a77"
D = tap.tmpdir()
OUT = os.path.join(D, "out.ndjson")


def connect():
    s = socket.create_connection(("127.0.0.1", PORT))
    s.send(b"x")
    return s


def forked(fn):
    """Runs fn in a child that exits at once; returns its pid and what fn returned (a list of plain values)."""
    r, w = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.write(w, json.dumps(fn()).encode())
        finally:
            os._exit(0)
    os.close(w)
    with os.fdopen(r) as f:
        text = f.read()
    os.waitpid(pid, 0)
    return pid, json.loads(text)


def port_of(s):
    return s.getsockname()[1]


def ends():
    return {r["source"]["port"]: r for r in pipeline.connections(pipeline.records(OUT), "end")}


def wait_for_end(port):
    tap.wait_for(lambda: port in ends())
    return ends().get(port, {})


def truth_copy(name):
    path = os.path.join(D, name)
    shutil.copy(pipeline.TRUTH, path)
    return path


def run_truth(path, verb="client", port=PORT, **kwargs):
    r = tap.run([path, verb, "tcp", "127.0.0.1", str(port)], text=True, **kwargs)
    parts = r.stdout.split(None, 5)
    return int(parts[1]), int(parts[2])


def users():
    """setuid() without exec, before and after the connection."""
    def before():
        os.setgid(3001)
        os.setuid(2001)
        return [port_of(connect())]

    def after():
        s = connect()
        os.setgid(3002)
        os.setuid(2002)
        return [port_of(s)]

    def only_effective():
        os.seteuid(2003)
        return [port_of(connect())]

    for fn, uid, real, name in ((before, "2001", None, "setuid, then connect"), (after, "0", None, "connect, then setuid"),
                                (only_effective, "2003", "0", "seteuid, then connect")):
        pid, (port,) = forked(fn)
        r = wait_for_end(port)
        tap.is_(r.get("process", {}).get("pid"), pid, f"{name}: the process")
        tap.is_(r.get("user", {}).get("id"), uid, f"{name}: the user it was then")
        tap.is_(r["process"].get("real_user", {}).get("id"), real, f"{name}: the real user, if another")
    tap.is_(r["flowner"]["owner"].get("ids_unconfirmed"), None, "nothing about that is a guess")


def setuid_program():
    path = truth_copy("setuid-truth")
    os.chown(path, 2004, 0)
    os.chmod(path, 0o755 | stat.S_ISUID)
    port, pid = run_truth(path)
    r = wait_for_end(port)
    tap.is_(r.get("process", {}).get("pid"), pid, "a set-user-id program: the process")
    tap.is_(r.get("user", {}).get("id"), "2004", "a set-user-id program: its file's owner")
    tap.is_(r["process"].get("real_user", {}).get("id"), "0", "a set-user-id program: who started it")


def names():
    """prctl(PR_SET_NAME) before the connection; exec after it."""
    def rename():
        with open("/proc/self/comm", "w") as f:
            f.write("new\x1bname")
        return [port_of(connect())]

    _, (port,) = forked(rename)
    tap.is_(wait_for_end(port).get("process", {}).get("name"), "new\x1bname", "renamed: the new name")
    r, w = os.pipe()
    pid = os.fork()
    if not pid:
        s = connect()
        os.set_inheritable(s.fileno(), True)
        os.write(w, str(port_of(s)).encode())
        os.execv("/bin/sleep", ["/bin/sleep", "1"])
    port = int(os.read(r, 16))
    os.waitpid(pid, 0)
    starts = {x["source"]["port"]: x for x in pipeline.connections(pipeline.records(OUT), "start")}
    end = wait_for_end(port)
    tap.is_(starts[port]["process"]["name"], os.path.basename(sys.executable)[:15], "exec later: who connected at the start")
    tap.is_((end["process"]["pid"], end["process"]["name"]), (pid, "sleep"), "the program that held it at the end")
    tap.is_(end["process"]["args"], ["/bin/sleep", "1"], "with its own arguments")
    tap.is_(os.path.realpath(end["process"]["executable"]), os.path.realpath("/bin/sleep"), "and its own file")


def files():
    """The program's file deleted, or replaced by another, before it connects."""
    for name, change in ("deleted", os.unlink), ("replaced", lambda p: os.replace(truth_copy("other"), p)):
        path = os.path.join(D, name)
        shutil.copy("/bin/bash", path)
        p = subprocess.Popen([path, "-c", f"echo; read x; exec 3<>/dev/tcp/127.0.0.1/{PORT}; echo x >&3"],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        p.stdout.readline()
        change(path)
        p.stdin.write(b"\n")
        p.stdin.close()
        p.wait()
        tap.wait_for(lambda: p.pid in {r.get("process", {}).get("pid") for r in ends().values()})
        mine = [r for r in ends().values() if r.get("process", {}).get("pid") == p.pid]
        tap.is_([r["process"].get("executable") for r in mine], [path], f"{name}: the path it was started from")
        tap.is_([r["process"].get("args", [""])[0] for r in mine], [path], f"{name}: the arguments it was started with")
    # Deleted, and known from /proc alone: a server that runs already when flowner starts.
    r = ends().get(deleted_port[0], {}) or wait_for_end(deleted_port[0])
    responder = r["flowner"]["responder"]
    tap.is_(responder["process"].get("executable"), deleted_path, "a file deleted before the start: its path")
    tap.ok(responder["owner"].get("executable_deleted"), "which is no more", responder)


def surroundings():
    """Directory, session, terminal, login; read while it lives, and passed on where the kernel passes it on."""
    pid, master = pty.fork()
    if not pid:
        os.chdir("/usr")
        os.execv(sys.executable, [sys.executable, "-c", f"""
import os, socket, sys
s = socket.create_connection(("127.0.0.1", {PORT}))
print("A", s.getsockname()[1], os.ttyname(0), os.getsid(0), flush=True)
sys.stdin.readline()
if not os.fork():
    t = socket.create_connection(("127.0.0.1", {PORT}))
    print("B", t.getsockname()[1], flush=True)
    os._exit(0)
os.wait()
if not os.fork():
    os.setsid()
    u = socket.create_connection(("127.0.0.1", {PORT}))
    print("C", u.getsockname()[1], os.getpid(), flush=True)
    os._exit(0)
os.wait()
"""])

    def line():
        text = b""
        while not text.endswith(b"\n") or not text.strip() or text[:1] not in b"ABC":
            text = b"" if text.endswith(b"\n") else text
            text += os.read(master, 1)
        return text.decode().split()[1:]

    port, tty, sid = line()
    starts = {}

    def seen():
        starts.update({r["source"]["port"]: r for r in pipeline.connections(pipeline.records(OUT), "start")})
        return int(port) in starts

    tap.wait_for(seen)
    os.write(master, b"\n")
    child_port, = line()
    leader_port, leader = line()
    os.waitpid(pid, 0)
    os.close(master)
    r = wait_for_end(int(port))
    tap.is_(r["process"]["session_leader"]["pid"], int(sid), "the session's leader")
    tap.is_(r["flowner"].get("tty"), tty.removeprefix("/dev/"), "the terminal")
    number = int(tty.rsplit("/", 1)[1])
    tap.is_(r["process"].get("tty"), {"char_device": {"major": 136, "minor": number}}, "the terminal's device")
    child = wait_for_end(int(child_port))
    tap.is_((child["process"].get("session_leader", {}).get("pid"), child["flowner"].get("tty")),
            (int(sid), tty.removeprefix("/dev/")), "a child that exits at once: its parent's")
    tap.is_(child["process"]["parent"], {"pid": pid, "name": os.path.basename(sys.executable)[:15]}, "its parent")
    ancestors = child["flowner"]["ancestors"]
    tap.is_(ancestors["pid"][:2], [pid, os.getpid()], "its ancestors, the parent first")
    tap.ok(len(ancestors["pid"]) == len(ancestors["name"]) <= 8, "each with a name, a few of them", ancestors)
    alone = wait_for_end(int(leader_port))
    tap.is_((alone["process"].get("session_leader", {}).get("pid"), alone["flowner"].get("tty")),
            (int(leader), None), "one that leads a session of its own, without a terminal")


def directories():
    """A directory is told only of a process that could be looked at; this flowner keeps what it takes to look."""
    def here():
        os.chdir("/var")
        s = connect()
        tap.wait_for(lambda: port_of(s) in {x["source"]["port"] for x in pipeline.connections(pipeline.records(OUT), "start")})
        return [port_of(s)]

    _, (port,) = forked(here)
    tap.is_(wait_for_end(port)["process"].get("working_directory"), "/var", "working directory")


def environment():
    """
    A secret in the environment, of programs with few and with many arguments. One in eight has the command line beyond
    what the kernel's event holds, so that it is looked at in /proc: each lives long enough for that.
    """
    env = dict(os.environ, SECRET=SECRET, **{f"FILL{i}": SECRET * 20 for i in range(20)})
    ports = [run_truth(pipeline.TRUTH, "asker", PORT + 1, env=env)[0] for _ in range(20)]
    for n in 0, 50, 3000:
        r = tap.run([sys.executable, "-c", f"import socket\ns = socket.create_connection(('127.0.0.1', {PORT}))\n"
                     "print(s.getsockname()[1])\nimport time\ntime.sleep(0.1)", *[ARGUMENT] * n], env=env, text=True)
        ports.append(int(r.stdout))
    for port in ports:
        wait_for_end(port)
    found = ends()
    missing = [(i, found.get(p)) for i, p in enumerate(ports) if not found.get(p, {}).get("process", {}).get("args")]
    tap.ok(not missing, "every command line is known", missing)
    with open(f"/proc/{os.getpid()}/environ", "rb") as f:
        tap.ok(SECRET.encode() not in f.read(), "the secret is in no environment but the clients'")


def holders(text):
    """Which outputs, logs, files of the runtime directory and pieces of the programs' shared memory hold a text."""
    paths = [os.path.join(folder, name) for place in (D, f.dir, f.runtime()) for folder, _, names_ in os.walk(place)
             for name in names_]
    for program in pipeline.PROGRAMS:
        fds = f"/proc/{f.pid(program)}/fd"
        paths += [os.path.join(fds, fd) for fd in os.listdir(fds)
                  if os.readlink(os.path.join(fds, fd)).startswith("/memfd:")]
    found = []
    for path in paths:
        if os.path.isfile(path):
            with open(path, "rb") as x:
                found += [path] if text.encode() in x.read() else []
    return found


def grep():
    """Where the secret may not be, although what stood beside it is there."""
    found = holders(ARGUMENT)
    tap.ok(OUT in found and any(path.startswith("/proc/") for path in found),
           "arguments are found in the output and in shared memory", found)
    tap.is_(holders(SECRET), [], "no environment in outputs, logs, ledgers and segments")


def heard(step):
    """Runs a step; again, if the kernel had no room for events of the tap meanwhile: what those told is then counted as lost."""
    def lost():
        return f.ledger("enrich")["enrich_tap_lost"]

    for last in False, False, False, False, True:
        checks, before, wrong, ok = [], lost(), None, tap.ok
        tap.ok = lambda cond, name, *notes: checks.append((cond, name, *notes)) or bool(cond)
        try:
            step()
        except (KeyError, IndexError) as e:  # of a record that lacks something
            wrong = e
        finally:
            tap.ok = ok
        if last or lost() == before:
            break
        tap.note(f"{step.__name__}: {lost() - before} events of the tap were lost, once more")
    for check in checks:
        tap.ok(*check)
    if wrong:
        tap.ok(False, f"{step.__name__}: comes to its end", repr(wrong))


deleted_path = truth_copy("deleted-server")
srv = tap.spawn([deleted_path, "server", "tcp", "127.0.0.1", str(PORT)], stdout=subprocess.PIPE)
srv.stdout.readline()
os.unlink(deleted_path)
slow = tap.spawn([pipeline.TRUTH, "answer", "50", "127.0.0.1", str(PORT + 1)], stdout=subprocess.PIPE)
slow.stdout.readline()
CONFIG = os.path.join(D, "flowner.yaml")
with open(CONFIG, "w") as c:
    c.write("enrich:\n  procfs: keep\n")
f = pipeline.Flowner("-c", CONFIG, "-i", "lo", "-o", f"ecs:{OUT}", f"port {PORT} or port {PORT + 1}")
first = connect()
deleted_port = [port_of(first)]
first.close()
for one in users, setuid_program, names, files, surroundings, directories, environment:
    heard(one)
f.settle()
grep()
tap.is_(f.stop(), 0, "flowner ends well")
tap.done()
