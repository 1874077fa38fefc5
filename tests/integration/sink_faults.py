# SPDX-License-Identifier: Apache-2.0
"""flowner-sink under faults: no io_uring, failing writes, readers that go, a hostile peer, wrong outputs."""
import atexit
import os
import re
import shutil
import signal
import subprocess

import sink_feed
import tap

COUNT = tap.amount(1500, 3000, 1500)
STRACE = shutil.which("strace")


def one(name, wrapper=(), rate=0, settings=(), args=("--ring", 1 << 20)):
    """Feeds COUNT records through a sink; (pair, path of the file)."""
    pair = sink_feed.Pair(settings=settings)
    path = pair.path("a.ndjson")
    pair.settings[0] = f"output.files=[ecs:{path}]"
    pair.feed("--count", COUNT, "--rate", rate, "--wait", *args)
    p = pair.start("--exit-at-end", wrapper=[w.replace("PATH", path) for w in wrapper])
    result = pair.feeder_result()
    p.wait(30)
    tap.is_(p.returncode, 0, f"{name}: ends well")
    tap.is_(result, {"published": COUNT, "lost": 0}, f"{name}: everything was taken")
    return pair, path


def inject(name, rule, expected, settings=(), rate=20000):
    if not STRACE:
        tap.skip(name, "no strace here")
        return
    call = rule.split(":", maxsplit=1)[0]
    pair, path = one(name, wrapper=[STRACE, "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={rule}",
                                  # log lines are written by the same call
                                  *(["-P", "PATH"] if call == "pwritev2" else [])],
                     settings=settings, rate=rate)
    sink_feed.check_complete(name, path, COUNT)
    for text in expected:
        tap.has(pair.messages(), text, f"{name}: says so")


def faults_of_system_calls():
    plain = ["output.io_uring=off"]
    inject("no io_uring", "io_uring_setup:error=EPERM", ["io_uring is not available (Operation not permitted)",
                                                         "with plain writes"])
    inject("an old kernel", "io_uring_setup:error=ENOSYS", ["with plain writes"])
    inject("old flags", "io_uring_setup:error=EINVAL:when=1..2", ["with io_uring"])
    inject("no registration", "io_uring_register:error=ENOMEM", ["with plain writes"])
    inject("EAGAIN of io_uring_enter", "io_uring_enter:error=EAGAIN:when=1+3", ["cannot be written", "again"])
    inject("io_uring forbidden later", "io_uring_enter:error=EPERM:when=3+", [])
    inject("ENOSPC now and then", "pwritev2:error=ENOSPC:when=2+3", ["No space left", "can be written again"], plain)
    inject("EIO once", "pwritev2:error=EIO:when=2", ["Input/output error", "can be written again"], plain)
    inject("EINTR often", "pwritev2:error=EINTR:when=1+2", [], plain)


def full(uring):
    """A file system without room, until it grows."""
    name = f"no space, io_uring {uring}"
    if not sink_feed.ROOT:
        tap.skip(name, "needs root to mount a small file system")
        return
    pair = sink_feed.Pair(settings=[f"output.io_uring={uring}"])
    folder = pair.path("full")
    os.mkdir(folder)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder], check=True)
    atexit.register(subprocess.run, ["umount", "-l", folder], check=False)
    path = os.path.join(folder, "a.ndjson")
    pair.settings[0] = f"output.files=[ecs:{path}]"
    pair.feed("--count", COUNT, "--rate", 20000, "--wait", "--ring", 1 << 22)
    p = pair.start("--exit-at-end")
    tap.ok(tap.wait_for(lambda: "No space left" in pair.messages()), f"{name}: says what is wrong")
    tap.is_(os.path.getsize(path), 1 << 20, f"{name}: written as far as it goes")
    tap.is_(p.poll(), None, f"{name}: goes on trying")
    subprocess.run(["mount", "-o", "remount,size=64m", folder], check=True)
    tap.is_(pair.feeder_result(), {"published": COUNT, "lost": 0}, f"{name}: everything was taken")
    tap.is_(p.wait(20), 0, f"{name}: ends well")
    sink_feed.check_complete(name, path, COUNT)
    tap.has(pair.messages(), "can be written again", f"{name}: says that it is over")
    tap.ok(pair.ledger()["write_errors"] > 0, f"{name}: counts the errors")


def standard_output():
    pair = sink_feed.Pair("text:-")
    pair.feed("--count", COUNT, "--wait")
    p = pair.start("--exit-at-end", stdout=subprocess.PIPE)
    out = p.stdout.read().decode()
    tap.is_(out.count("\n"), COUNT, "standard output, a pipe: every line arrives")
    tap.is_(p.wait(20), 0, "standard output: ends well")
    tap.ok(not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", out), "standard output: nothing steers a terminal")

    pair = sink_feed.Pair("text:-")
    pair.feed("--count", COUNT * 10, "--rate", 5000, "--wait", "--hold")
    p = pair.start(stdout=subprocess.PIPE)
    p.stdout.readline()
    p.stdout.close()
    p.wait(20)
    tap.is_(p.returncode, 74, "a reader that goes: exit status 74")
    tap.has(pair.messages(), "nobody reads it any more", "a reader that goes: says so")

    pair = sink_feed.Pair("text:-")
    pair.feed("--count", COUNT, "--wait", "--hold", "--no-end")
    p = pair.start(stdout=subprocess.PIPE)
    p.stdout.readline()
    p.send_signal(signal.SIGTERM)
    out = p.stdout.read().decode()
    tap.is_(p.wait(20), 0, "SIGTERM: ends well")
    tap.is_(out.count("\n"), pair.ledger()["records_written"] - 1, "SIGTERM: what was counted was written")


def hostile():
    for seed in range(1, 1 + tap.amount(1, 3, 1)):
        pair, path = one(f"hostile {seed}", args=("--hostile", seed, "--ring", 1 << 20))
        status, numbers = sink_feed.jq(path, ".event.sequence // 0")
        tap.is_(status, 0, f"hostile {seed}: every line parses")
        numbers = [int(n) for n in numbers]
        ours = iter(numbers)
        tap.ok(all(n in ours for n in range(1, COUNT + 1)), f"hostile {seed}: the good records, in order")
        tap.ok(pair.ledger()["records_invalid"] > 0, f"hostile {seed}: the bad ones counted")
        tap.is_(pair.messages().count("fails validation"), 1, f"hostile {seed}: one line says so")


def refused():
    for spec, status, text in (
            ("csv:/x", 78, 'unknown format "csv", one of: ecs, '),
            ("ecs:/nowhere/x", 1, "its folder must exist"),
            ("ecs:/etc", 1, "Is a directory")):
        pair = sink_feed.Pair(spec)
        tap.is_(pair.start().wait(20), status, f"{spec}: exit status {status}")
        tap.has(pair.messages(), text, f"{spec}: says what is wrong")
    pair = sink_feed.Pair()
    path = pair.path("a.ndjson")
    pair.settings[0] = f"output.files=[ecs:{path}]"
    pair.start()
    tap.wait_for(lambda: "writing ecs" in pair.messages())
    first = pair.sink
    tap.is_(pair.start().wait(20), 1, "a second sink on the same file: refused")
    tap.has(pair.messages(), "in use by another flowner-sink", "a second sink: says why")
    tap.is_(tap.stop(first), 0, "SIGTERM without a producer: ends well")


def status_of(p, key):
    with open(f"/proc/{p.pid}/status", encoding="ascii") as f:
        return next(line.split(":")[1].split() for line in f if line.startswith(key + ":"))


def at_rest():
    """Privileges are gone; nothing happens while nothing comes; each 1000 records cost few system calls."""
    pair = sink_feed.Pair()
    path = pair.path("a.ndjson")
    pair.settings[0] = f"output.files=[ecs:{path}]"
    pair.feed("--count", 10, "--wait", "--hold", "--no-end")
    p = pair.start()
    tap.wait_for(lambda: os.path.exists(path) and pair.ledger()["records_written"] == 10)
    if sink_feed.ROOT:
        tap.is_(status_of(p, "Uid"), [str(sink_feed.USER)] * 4, "runs as its user")
        tap.is_(status_of(p, "Groups"), [], "without groups")
    for caps in ("CapPrm", "CapEff", "CapBnd", "CapAmb", "CapInh"):
        tap.is_(int(status_of(p, caps)[0], 16), 0, f"{caps} is empty")
    tap.is_(status_of(p, "NoNewPrivs"), ["1"], "no new privileges")
    before = int(status_of(p, "voluntary_ctxt_switches")[0])
    sink_feed.sleep(1)
    tap.is_(int(status_of(p, "voluntary_ctxt_switches")[0]), before, "idle: sleeps through")
    tap.is_(tap.stop(p), 0, "ends well")


def system_calls():
    if not STRACE:
        tap.skip("system calls", "no strace here")
        return
    calls = tap.amount(3000, 12000, 3000)
    for uring in ("auto", "off"):
        for rate in (6000, 0):
            pair = sink_feed.Pair()
            out, path = pair.path("strace"), pair.path("a.ndjson")
            pair.settings[0] = f"output.files=[ecs:{path}]"
            pair.settings.append(f"output.io_uring={uring}")
            pair.feed("--count", calls, "--rate", rate, "--ring", 8 << 20, "--wait")
            pair.start("--exit-at-end", wrapper=[STRACE, "-f", "-c", "-o", out, "-e",
                                                 "trace=io_uring_enter,pwritev2,poll,recvfrom,recvmsg"]).wait(60)
            with open(out, encoding="ascii") as f:
                total = next(line.split() for line in f if line.rstrip().endswith("total"))
            tap.ok(int(total[3] if total[3].isdigit() else total[2]) > 0,
                   f"io_uring {uring}, {rate or 'all the'} records a second: system calls counted")
            tap.note(f"{int(total[3]) * 1000 / calls:.1f} system calls per 1000 records")


faults_of_system_calls()
full("auto")
full("off")
standard_output()
hostile()
refused()
at_rest()
system_calls()
tap.done()
