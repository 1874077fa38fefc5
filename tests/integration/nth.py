# SPDX-License-Identifier: Apache-2.0
"""Each allocation and each system call of a program fails, the first, the second and so on, once and from then on: it does not
crash or hang, tears no line, leaks nothing, and loses nothing that is not counted.

    nth.py PROGRAM

A life without a failure tells how many calls of each kind there are. Each job is then a life with one plan (nth_lane.py); lanes
work side by side, each in namespaces of its own. With FLOWNER_LONG all plans are tried, otherwise a sample that changes.
"""
import errno
import json
import os
import queue
import random
import re
import signal
import subprocess
import sys
import threading
import time

import tap

HERE = os.path.dirname(os.path.abspath(__file__))
# Each tap hears all of the machine: many of them only hold each other up.
LANES = {"capture": tap.amount(1, 3, 1), "enrich": tap.amount(1, 3, 1), "sink": tap.amount(2, 8, 2)}
SAMPLE = tap.amount(3, 200 if "FLOWNER_BRIEF" in os.environ else 0, 3)
SECONDS = float(os.environ.get("NTH_SECONDS", "inf"))  # then no new life begins
DONE = os.environ.get("NTH_DONE", "")  # lives that were tried before, to go on behind them; one JSON object a line
ONLY = os.environ.get("NTH_ONLY", "")  # "malloc", "uring", or the name of a call
BASELINES = 3

# Calls that cannot fail, or whose failure nobody could tell from a bug of the kernel's.
NEVER = {"exit_group", "exit", "rt_sigreturn", "brk", "getpid", "gettid", "getppid", "getuid", "geteuid", "getgid", "getegid",
         "getresuid", "getresgid", "clock_gettime", "clock_nanosleep", "rt_sigaction", "rt_sigprocmask", "futex", "umask", "uname",
         "sysinfo", "set_robust_list", "rseq", "set_tid_address", "sched_getaffinity", "madvise", "mprotect", "exit", "munmap"}
# What each can say; the first one also for good.
ERRORS = {
    "accept4": "EMFILE ECONNABORTED ENOMEM", "access": "EACCES", "bind": "ENOMEM", "bpf": "ENOMEM", "capget": "EPERM", "capset": "EPERM",
    "chmod": "EPERM", "clone3": "EAGAIN", "close": "EIO EINTR", "connect": "EAGAIN ECONNREFUSED", "fchmod": "EIO",
    "fchown": "EPERM", "fchownat": "EIO", "fcntl": "EMFILE ENOLCK", "flock": "ENOLCK", "fstat": "EIO", "fsync": "EIO ENOSPC",
    "ftruncate": "EIO ENOSPC", "getdents64": "EIO", "getrandom": "EAGAIN", "getsockname": "ENOMEM", "getsockopt": "ENOMEM",
    "io_uring_enter": "EAGAIN EINTR EBUSY ENOMEM EBADFD", "io_uring_register": "ENOMEM EINVAL", "io_uring_setup": "ENOMEM EPERM",
    "ioctl": "ENOMEM EINVAL", "kill": "EPERM", "landlock_add_rule": "ENOMEM", "landlock_create_ruleset": "EMFILE",
    "landlock_restrict_self": "E2BIG", "listen": "ENOMEM", "lseek": "EIO", "memfd_create": "EMFILE ENOMEM", "mkdir": "ENOSPC",
    "mmap": "ENOMEM", "mremap": "ENOMEM", "newfstatat": "EIO ENOMEM", "open": "EMFILE", "openat": "EMFILE EIO ENOSPC",
    "perf_event_open": "EMFILE ENOMEM", "poll": "EINTR ENOMEM", "ppoll": "ENOMEM EINTR", "prctl": "EPERM", "pread64": "EIO",
    "preadv2": "EIO EINTR", "prlimit64": "EPERM", "pwritev2": "EIO ENOSPC EAGAIN EINTR", "read": "EIO EINTR", "readlink": "EIO",
    "readlinkat": "EIO", "recvfrom": "ENOMEM EINTR", "recvmmsg": "ENOBUFS EINTR", "recvmsg": "ENOBUFS ENOMEM EINTR",
    "renameat2": "EIO ENOSPC", "rename": "EIO", "seccomp": "ENOMEM", "sendmsg": "EAGAIN ENOBUFS ENOMEM", "sendto": "ENOBUFS EAGAIN",
    "setgid": "EPERM", "setgroups": "EPERM", "setns": "EPERM", "setresgid": "EPERM", "setresuid": "EAGAIN", "setsockopt": "ENOMEM",
    "signalfd4": "EMFILE", "socket": "EMFILE ENOBUFS", "socketpair": "EMFILE", "unlink": "EIO", "unlinkat": "EIO EROFS",
    "write": "EIO", "writev": "EIO ENOSPC",
}
# The sanitizer ends a program when it gets no memory to look at a new thread's stack; nothing of ours has run there yet.
OF_SANITIZER = ("CHECK failed: sanitizer_", "pthread_getattr_np", "AsanThread::ThreadStart")
URING = "EIO ENOSPC EINTR EAGAIN ENOMEM"


def call_names():
    path = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"
    if not os.path.exists(path):
        path = "/usr/include/asm/unistd_64.h"
    with open(path) as f:
        return {int(n): name for name, n in re.findall(r"#define __NR_(\w+) (\d+)", f.read())}


NAMES = call_names()


class Lanes:
    """Lives of one program, as many at a time as there are lanes."""

    def __init__(self, program):
        self.program = program
        self.end = time.monotonic() + SECONDS
        self.fds = 0  # at rest, once that is known

    def lane(self):
        script = f"mount -t tmpfs tmpfs /run; ip link set lo up; exec {sys.executable} {HERE}/nth_lane.py {self.program}"
        p = None
        while (plan := self.jobs.get()) is not None and time.monotonic() < self.end:
            if p is None:
                p = subprocess.Popen(
                    ["unshare", "--net", "--pid", "--mount-proc", "--fork", "--kill-child=KILL", "sh", "-c", script],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            try:
                p.stdin.write(json.dumps([plan, self.fds]) + "\n")
                p.stdin.flush()
                life = json.loads(p.stdout.readline())
            except (BrokenPipeError, ValueError):
                p.kill()
                life = {"plan": plan, "broken": p.communicate()[1][-1500:]}
                p = None
            with self.lock:
                self.take(life)
        if p:
            p.stdin.close()
            p.wait()

    def run(self, plans, take):
        """Each plan's life goes to take(), in the order in which they end."""
        self.take, self.lock = take, threading.Lock()
        self.jobs = queue.Queue()
        for plan in plans:
            self.jobs.put(plan)
        threads = [threading.Thread(target=self.lane) for _ in range(min(LANES[self.program], len(plans)))]
        for t in threads:
            self.jobs.put(None)
            t.start()
        for t in threads:
            t.join()


def of_start(plan, base):
    """How many such calls the start takes, at least."""
    kind, nr = plan[:2]
    return min(b["start"]["calls"].get(str(nr), 0) if kind == "call" else b["start"]["mallocs" if kind == "malloc" else kind]
               for b in base)


def number(name):
    return getattr(errno, name)


def plans_of(most):
    """Every plan there is, from the highest counts of lives without a failure."""
    plans = []
    for lasting in False, True:
        plans += [("malloc", 0, n, lasting, 0) for n in range(1, most["mallocs"] + 1)]
        for error in URING.split()[:1 if lasting else None]:
            plans += [("uring", 0, n, lasting, -number(error)) for n in range(1, most["uring"] + 1)]
    plans += [("uring", 0, n, False, 1) for n in range(1, most["uring"] + 1)]
    for nr, count in sorted(most["calls"].items()):
        name = NAMES[nr]
        if name in NEVER:
            continue
        errors = [-number(e) for e in ERRORS.get(name, "EIO").split()]
        for n in range(1, count + 1):
            plans += [("call", nr, n, False, e) for e in errors] + [("call", nr, n, True, errors[0])]
    plans.sort()
    if ONLY:
        plans = [p for p in plans if p[0] == ONLY or (p[0] == "call" and NAMES[p[1]] == ONLY)]
    return plans


def text(plan):
    kind, nr, n, lasting, result = plan
    what = NAMES[nr] if kind == "call" else kind
    error = "" if kind == "malloc" else " half" if result > 0 else f" {errno.errorcode[-result]}"
    return f"{what} {n}{error}{' and on' if lasting else ''}"


def faults(r, most):
    """What is wrong with a life."""
    wrong = []
    if "broken" in r:
        return [f"the lane broke: {r['broken']}"]
    plan = r["plan"]
    log_fails = plan[0] == "call" and NAMES[plan[1]] in ("pwritev2", "write", "writev")
    code = r["status"] >> 8
    if r["hung"]:
        wrong.append("hangs")
    elif r["status"] & 0x7f:
        by = signal.Signals(r["status"] & 0x7f)
        wrong.append(f"killed by {by.name}{' in ' + NAMES[r['last']] if by == signal.SIGSYS else ''}")
    if re.search("Sanitizer|runtime error", r["log"]) and not all(w in r["log"] for w in OF_SANITIZER):
        wrong.append("a sanitizer's report")
    if code and not r["log"] and not log_fails:
        wrong.append(f"ends with {code} and says nothing")
    if r["early"] and not code and not r["status"]:
        wrong.append("ends with 0 on its own")
    if not r["early"] and code:
        wrong.append(f"ends with {code} in the end")
    if "again" in r and not r["again"]:
        wrong.append("cannot be started again")
    if r["unready"]:
        return wrong
    if not r["done"] and not r["lost"]:
        wrong.append("not all is written")
    for key in "torn", "twice", "more":
        if r[key]:
            wrong.append(f"{key}: {r[key]}")
    if r["missing"] > 0 and not r["lost"] and not (plan and r["early"] and r["program"] == "capture"):
        wrong.append(f"{r['missing']} connections are lost silently")
    if any(r["rest"]):
        wrong.append(f"the ledger does not balance: {r['rest']} are missing")
    if r["fds"] > most["fds"]:
        wrong.append(f"{r['fds']} descriptors, not {most['fds']}")
    if r["ended"] and r["live"] > most["live"] and r["live"] < 1 << 63:
        wrong.append(f"{r['live']} allocations are left, not {most['live']}")
    return wrong


def test(program):
    lanes = Lanes(program)
    began = time.monotonic()
    base = []
    lanes.run([("none", 0, 0, False, 0)] * (BASELINES if not SAMPLE else 1), base.append)
    broken = [b for b in base if "broken" in b]
    if broken:
        tap.ok(False, f"{program}: a life without a failure", broken[0]["broken"])
        return []
    most = {k: max(b[k] for b in base) for k in ("mallocs", "uring", "fds", "live")}
    most["calls"] = {}
    for b in base:
        for nr, n in b["calls"].items():
            most["calls"][int(nr)] = max(n, most["calls"].get(int(nr), 0))
    wrong = [(b, faults(b, most)) for b in base]
    for b, w in wrong:
        tap.ok(not w, f"{program}: a life without a failure", w, b)
    plans = plans_of(most)
    total = len(plans)
    random.shuffle(plans)
    plans.sort(key=lambda p: p[2] <= of_start(p, base))  # what happens at rest and under load first
    steady = sum(p[2] > of_start(p, base) for p in plans)
    before = earlier(program)
    tried = {tuple(b["plan"]) for b in before}
    plans = [p for p in plans if p not in tried][:SAMPLE or None]
    lanes.fds = most["fds"]
    results = []

    def take(r):
        results.append(summary(r, most, base))
        if DONE:
            with open(DONE, "a") as f:
                f.write(json.dumps({"program": program, **results[-1]}) + "\n")

    lanes.run(plans, take)
    bad = [r for r in results if r["wrong"]]
    tap.ok(not bad, f"{program}: whichever call fails, nothing breaks")
    for r in bad[:40]:
        tap.note(f"{text(r['plan'])}: {'; '.join(r['wrong'])}")
        tap.note(r["life"])
    report(program, before + results, total, steady, time.monotonic() - began)
    return results


def earlier(program):
    if not os.path.exists(DONE):
        return []
    with open(DONE) as f:
        return [r for r in map(json.loads, f) if r["program"] == program]


def summary(r, most, base):
    """What is kept of a life."""
    wrong = faults(r, most)
    kept = {k: v for k, v in r.items() if k not in ("plan", "calls")} if wrong else {}
    return {"plan": r["plan"], "start": r["plan"][2] <= of_start(r["plan"], base), "wrong": wrong, "failed": bool(r.get("fired")), "early": bool(r.get("early")),
            "life": kept}


def report(program, lives, total, steady, seconds):
    """How many lives of each kind there were."""
    tap.note(f"{program}: {len(lives)} lives of {total} that are possible ({steady} not of the start), {seconds:.0f} s, seed {SEED}")
    tap.note("  kind: the highest N, lives, those with a call of the start, those in which it failed, those it ended, wrong ones")
    kinds = {}
    for r in lives:
        kind, nr, n, _, _ = r["plan"]
        k = kinds.setdefault(NAMES[nr] if kind == "call" else kind, [0] * 6)
        k[0] = max(k[0], n)
        for i, one in enumerate((True, r["start"], r["failed"], r["early"], r["wrong"]), 1):
            k[i] += bool(one)
    for k in sorted(kinds):
        tap.note(f"  {k}: {', '.join(map(str, kinds[k]))}")
    tap.note(f"  together: {', '.join(str(sum(k[i] for k in kinds.values())) for i in range(1, 6))}")


if __name__ == "__main__":
    SEED = os.environ.get("FLOWNER_SEED", str(int(time.time())))
    random.seed(SEED)
    tap.need_root()
    if not os.path.exists(os.path.join(tap.BUILD, "tests/integration/libnth.so")):
        tap.skip_all("not for this kind of machine")
    for one in sys.argv[1:] or ("capture", "enrich", "sink"):
        test(one)
    tap.done()
