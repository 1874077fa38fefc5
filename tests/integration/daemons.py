# SPDX-License-Identifier: Apache-2.0
"""The three programs started one by one, as a service manager does: each with a notify socket, its descriptors kept over its
death (FDSTORE=1) or not, started again at once."""
import array
import os
import select
import signal
import socket
import sys
import threading
import time

import pipeline
import tap

USERS = {"capture": 60801, "enrich": 60802, "sink": 60803}
KEYS = {"capture": "capture.user", "enrich": "enrich.user", "sink": "output.user"}
FIRST_FD = 3  # SD_LISTEN_FDS_START


class Supervised:
    """One program."""

    def __init__(self, name, argv, folder, log, keeps):
        self.name, self.argv, self.log, self.keeps = name, argv, log, keeps
        self.path = os.path.join(folder, f"notify-{name}")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.kept = []  # (name, fd)
        self.pid = None
        self.stopping = False

    def start(self):
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self.become()
            finally:
                os._exit(70)

    def become(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("LISTEN_", "NOTIFY_"))}
        env["NOTIFY_SOCKET"] = self.path
        null = os.open("/dev/null", os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)
        os.dup2(self.log, 2)
        # Out of the way first: some of them may be in each other's place.
        high = [os.dup2(fd, 500 + i) for i, (_, fd) in enumerate(self.kept)]
        for i, fd in enumerate(high):
            os.dup2(fd, FIRST_FD + i)
        os.closerange(FIRST_FD + len(high), 1000)
        if high:
            env |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(high)),
                    "LISTEN_FDNAMES": ":".join(name for name, _ in self.kept)}
        os.execve(self.argv[0], self.argv, env)

    def hear(self):
        """What it has said so far."""
        while select.select([self.socket], [], [], 0)[0]:
            data, control, _, _ = self.socket.recvmsg(4096, socket.CMSG_SPACE(16 * 4))
            words = dict(x.split("=", 1) for x in data.decode().split("\n") if "=" in x)
            fds = array.array("i")
            for level, kind, payload in control:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    fds.frombytes(payload[:len(payload) // 4 * 4])
            if self.keeps and "FDSTORE" in words:
                self.kept += [(words["FDNAME"], fd) for fd in fds]
                continue
            for fd in fds:
                os.close(fd)
            if "FDSTOREREMOVE" in words:
                for name, fd in self.kept:
                    if name == words["FDNAME"]:
                        os.close(fd)
                self.kept = [x for x in self.kept if x[0] != words["FDNAME"]]

    def look(self):
        """Starts it again if it has died; False once it has ended as asked."""
        self.hear()
        if self.pid is None:
            return False
        pid, _ = os.waitpid(self.pid, os.WNOHANG)
        if pid == 0:
            return True
        self.hear()
        self.pid = None
        if not self.stopping:
            self.start()
        return self.pid is not None


class Daemons(pipeline.Flowner):
    """Stands in for `flowner run`; @settings: KEY=VALUE. @keeps: the supervisor keeps descriptors. @starts: as pipeline.Flowner's."""

    def __init__(self, output, *settings, keeps=True, starts=pipeline.TWO_RECORDS):
        self.dir = tap.tmpdir()
        self.log_path = os.path.join(self.dir, "stderr")
        self.log_fd = os.open(self.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        out = os.path.join(self.dir, "out")
        os.mkdir(out)
        os.chown(out, USERS["sink"], -1)
        self.out_path = os.path.join(out, f"out.{output}")
        settings = [*(s for s in starts if s != "--set"), f"output.files=[{output}:{self.out_path}]", *settings,
                    *(f"{KEYS[p]}={USERS[p]}" for p in USERS)]
        self.programs = {}
        for p in pipeline.PROGRAMS:
            argv = [tap.program(f"flowner-{p}"), "-c", "/dev/null", "--runtime-dir", self.dir]
            for s in settings:
                argv += ["--set", s]
            self.programs[p] = Supervised(p, argv, self.dir, self.log_fd, keeps)
        self.over = False
        for p in reversed(pipeline.PROGRAMS):
            self.programs[p].start()
        self.thread = threading.Thread(target=self.supervise, daemon=True)
        self.thread.start()
        if not tap.wait_for(self.ready):
            tap.note(self.log())
            tap.bail("the three programs do not get ready")

    def supervise(self):
        while not self.over:
            select.select([p.socket for p in self.programs.values()], [], [], 0.005)
            for p in self.programs.values():
                p.look()

    def runtime(self):
        return self.dir

    def stop(self):
        """In the order of the stream; the number that did not end by themselves."""
        left = 0
        for p in self.programs.values():
            p.stopping = True
            pid = p.pid
            if pid:
                os.kill(pid, signal.SIGTERM)
            if not tap.wait_for(lambda p=p: p.pid is None, 30):
                left += 1
                os.kill(pid, signal.SIGKILL)
                tap.wait_for(lambda p=p: p.pid is None, 10)
        self.over = True
        self.thread.join()
        time.sleep(0)
        return left


if __name__ == "__main__":
    sys.exit("a module of the tests, not a test")
