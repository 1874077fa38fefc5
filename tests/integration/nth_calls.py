# SPDX-License-Identifier: Apache-2.0
"""The Nth system call of a running program fails, for each call it makes: none dies, no descriptor is leaked, the ledger
balances in the end."""
import os
import shutil
import signal
import subprocess

import pipeline
import tap

tap.need_root()
STRACE = shutil.which("strace")
if not STRACE:
    tap.skip_all("no strace here")
PORT = 16300
# What each may do at rest, while peers come and go and under load; the errors that it can meet there.
CALLS = {
    "capture": {"poll": "EINTR ENOMEM", "getsockopt": "ENOMEM", "sendto": "EAGAIN ENOBUFS", "accept4": "EMFILE ECONNABORTED",
                "sendmsg": "EAGAIN ENOMEM", "recvmsg": "ENOMEM"},
    "enrich": {"poll": "EINTR ENOMEM", "sendto": "EAGAIN ENOBUFS", "recvfrom": "EINTR ENOMEM", "recvmsg": "ENOBUFS ENOMEM",
               "accept4": "EMFILE", "socket": "EMFILE", "connect": "EAGAIN", "ioctl": "EINVAL", "openat": "EMFILE",
               "read": "EIO", "mmap": "ENOMEM", "sendmsg": "EAGAIN"},
    "sink": {"poll": "EINTR ENOMEM", "io_uring_enter": "EAGAIN EINTR", "recvfrom": "EINTR", "recvmsg": "ENOMEM",
             "socket": "EMFILE", "connect": "EAGAIN", "mmap": "ENOMEM", "newfstatat": "ENOMEM", "fstat": "EIO"},
}
NTH = tap.amount([2], range(1, 40), [2])
NS = tap.netns("n")


def descriptors(f):
    return {p: len(os.listdir(f"/proc/{f.pid(p)}/fd")) for p in pipeline.PROGRAMS}


def traced(pid):
    with open(f"/proc/{pid}/status") as f:
        return "TracerPid:\t0\n" not in f.read()


def fail(f, program, rules, n):
    """Load, and a neighbour that comes anew, while the Nth of each call fails."""
    pid = f.pid(program)
    calls = ",".join(call for call, _ in rules)
    inject = [x for call, error in rules for x in ("-e", f"inject={call}:error={error}:when={n}")]
    strace = tap.spawn([STRACE, "-f", "-qq", "-o", "/dev/null", "-p", str(pid), "-e", f"trace={calls}", *inject],
                       stderr=subprocess.DEVNULL)
    tap.wait_for(lambda: traced(pid))
    load = subprocess.Popen(tap.inside(NS, pipeline.TRUTH, "pace", "300", "1", "127.0.0.1", str(PORT)),
                            stdout=subprocess.DEVNULL)
    f.kill({"capture": "enrich", "enrich": "sink", "sink": "enrich"}[program])
    load.wait()
    tap.stop(strace, signal.SIGINT)
    return f.pid(program) == pid


pipeline.server("tcp", "127.0.0.1", PORT, prefix=tap.inside(NS))
path = os.path.join(tap.tmpdir(), "out.ndjson")
f = pipeline.Flowner("-v", "-i", "lo", "-o", f"ecs:{path}", f"tcp port {PORT}", prefix=tap.inside(NS))
tap.wait_for(lambda: "until Ctrl-C" in f.log())
before = descriptors(f)
for program, calls in CALLS.items():
    ended = []
    for turn in range(tap.amount(1, 2, 1)):
        rules = [(call, errors.split()[turn % len(errors.split())]) for call, errors in calls.items()]
        for n in NTH:
            if not fail(f, program, rules, n):
                ended.append((n, rules))
    tap.is_(ended, [], f"{program}: goes on whichever of its calls fails once ({', '.join(calls)})")
f.settle()
after = descriptors(f)
tap.ok(all(after[p] <= before[p] + 1 for p in after), "no descriptor is leaked", before, after)
status = tap.run([tap.program("flowner"), "status", "--runtime-dir", f.runtime()], text=True).stdout
tap.ok("balance" in status and "does not balance" not in status, "the ledger balances", status)
tap.is_(f.stop(), 0, "it ends well")
log = f.log()
crashed = [line for line in log.splitlines() if "killed by signal" in line and "signal 9" not in line]
tap.is_(crashed, [], "none crashed")
found = pipeline.records(path)
numbers = [r["event"]["sequence"] for r in found if "sequence" in r["event"]]
tap.is_(len(numbers), len(set(numbers)), "no number is there twice")
tap.note(f"{len(found)} records; descriptors {before}, then {after}")
tap.done()
