# SPDX-License-Identifier: Apache-2.0
"""The faults of a disk, one by one: flowner-sink goes on, nothing is lost, and it is back within a second of the cure."""
import atexit
import json
import os
import shutil
import subprocess
import time

import sink_feed
import tap

RATE = 4000
STRACE = shutil.which("strace")
tap.need_root()


class Case:
    """A sink with a file in a folder of its own, fed for a while."""

    def __init__(self, number, name, count=6000, settings=(), wrapper=()):
        self.name = f"F{number} {name}"
        self.count = count
        self.pair = sink_feed.Pair(settings=["output.flush=20ms", *settings])
        self.folder = self.pair.path("out")
        os.mkdir(self.folder)
        self.wrapper = wrapper

    def start(self):
        self.path = os.path.join(self.folder, "a.ndjson")
        os.chown(self.folder, sink_feed.USER, -1)
        self.pair.settings[0] = f"output.files=[ecs:{self.path}]"
        self.pair.feed("--count", self.count, "--rate", RATE, "--wait", "--ring", 1 << 24)
        self.sink = self.pair.start("--exit-at-end", wrapper=[w.replace("PATH", self.path) for w in self.wrapper])
        tap.wait_for(lambda: self.size() > 0)

    def size(self):
        return os.path.getsize(self.path) if os.path.exists(self.path) else 0

    def says(self, text):
        tap.ok(tap.wait_for(lambda: text in self.pair.messages()), f"{self.name}: it says \"{text}\"", self.pair.messages())

    def cured(self, since):
        """Waits until it writes again; the time that took."""
        before = self.size()
        tap.ok(tap.wait_for(lambda: self.size() > before or self.sink.poll() == 0, step=0.002), f"{self.name}: it writes again", self.pair.messages())
        return (time.monotonic() - since) * 1000

    def numbers(self, path):
        with open(path, "rb") as f:
            return [json.loads(line)["event"].get("sequence") for line in f]

    def end(self, ms, *, first=1, lost=0, what="back after"):
        """Everything from @first on is in the file, once."""
        tap.is_(self.pair.feeder_result(), {"published": self.count, "lost": lost}, f"{self.name}: everything was taken")
        tap.is_(self.pair.sink.wait(20), 0, f"{self.name}: and the sink ends well")
        found = self.numbers(self.path)
        tap.ok(found == list(range(first, self.count + 1)), f"{self.name}: {len(found)} records, each once",
               f"{found[:1]} to {found[-1:]}, {len(set(found))} different")
        tap.note(f"{self.name}: {what} {ms:.0f} ms, records lost = counted: {lost}; with the removed file: {first - 1}")


def mount(folder, *options):
    subprocess.run(["mount", *options, folder], check=True)
    atexit.register(subprocess.run, ["umount", "-l", folder], check=False, stderr=subprocess.DEVNULL)


def rests(case):
    """It takes in what it has room for; then it tries again now and then, for half a per cent of a CPU at most. That is the
    least of several windows: in the first ones it still formats, and a busy machine makes each step dearer."""
    took = []
    while not took or (took[-1] > 0.5 and len(took) < 10):
        begin, cpu = time.monotonic(), cpu_ms(case.sink.pid)
        sink_feed.sleep(0.5)
        took.append((cpu_ms(case.sink.pid) - cpu) / (time.monotonic() - begin) / 10)
    tap.ok(took[-1] <= 0.5, f"{case.name}: meanwhile it rests", f"per cent of a CPU: {took}")


def full():
    c = Case(3, "disk full")
    mount(c.folder, "-t", "tmpfs", "-o", "size=1m", "none")
    c.start()
    c.says("No space left")
    rests(c)
    subprocess.run(["mount", "-o", "remount,size=64m", c.folder], check=True)
    c.end(c.cured(time.monotonic()))
    c.says("can be written again")


def cpu_ms(pid):
    with open(f"/proc/{pid}/schedstat") as f:
        return int(f.read().split()[0]) / 1e6


def read_only():
    """A file system that has become read-only by itself, as ext4 does after an error; another is mounted in its place."""
    c = Case(4, "read-only remount")
    image = c.pair.path("image")
    with open(image, "wb") as f:
        f.truncate(16 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    if tap.run(["mount", "-o", "loop", image, c.folder]).returncode:
        tap.skip(c.name, "no loop device here")
        return
    atexit.register(subprocess.run, ["umount", "-l", c.folder], check=False, stderr=subprocess.DEVNULL)
    c.start()
    r = tap.run(["mount", "-o", "remount,abort", c.folder], text=True)
    tap.is_(r.returncode, 0, f"{c.name}: the file system is shut", r.stderr) if r.returncode else None
    c.says("cannot be written: ")
    tap.is_(c.sink.poll(), None, f"{c.name}: it goes on trying")
    subprocess.run(["umount", "-l", c.folder], check=True)
    os.chown(c.folder, sink_feed.USER, -1)
    since = time.monotonic()
    tap.is_(c.sink.wait(20), 75, f"{c.name}: it ends to be started again")
    c.sink = c.pair.start("--exit-at-end")
    ms = c.cured(since)
    tap.is_(c.pair.feeder_result(), {"published": c.count, "lost": 0}, f"{c.name}: everything was taken")
    tap.is_(c.pair.sink.wait(20), 0, f"{c.name}: and the sink ends well")
    found = c.numbers(c.path)
    tap.ok(found == list(range(found[0], c.count + 1)), f"{c.name}: the new file goes on without a gap", f"from {found[0]}")
    tap.note(f"{c.name}: back after {ms:.0f} ms, {c.count - found[0] + 1} records in the new file, the rest in the old one")


def folder_removed():
    c = Case(13, "log directory removed")
    c.start()
    sink_feed.remove_tree(c.folder)
    c.says("cannot be rotated: ")
    rests(c)
    os.mkdir(c.folder)
    os.chown(c.folder, sink_feed.USER, -1)
    since, before = time.monotonic(), c.size()
    tap.wait_for(lambda: c.sink.poll() is not None or c.size() > before, step=0.005)
    if c.sink.poll() == 75:  # Landlock knows the old folder only
        c.sink = c.pair.start("--exit-at-end")
    ms = c.cured(since)
    tap.wait_for(lambda: c.sink.poll() is not None)
    c.end(ms, first=c.numbers(c.path)[0])


def file_removed():
    c = Case(13, "log file removed")
    c.start()
    os.unlink(c.path)
    ms = c.cured(time.monotonic())
    tap.wait_for(lambda: c.sink.poll() is not None)
    c.end(ms, first=c.numbers(c.path)[0])


def errors(number, name, rule, said):
    if not STRACE:
        tap.skip(name, "no strace here")
        return
    call = rule.split(":", maxsplit=1)[0]
    c = Case(number, name, settings=["output.io_uring=off"],
             wrapper=[STRACE, "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={rule}",
                      "-P", "PATH"])  # log lines are written by the same call
    c.start()
    c.says(said)
    since = time.monotonic()
    c.says("can be written again")
    c.end((time.monotonic() - since) * 1000, what="eight errors are over after")


full()
read_only()
errors(5, "EIO, eight times", "pwritev2:error=EIO:when=3..10", "Input/output error")
errors(5, "EROFS, eight times", "pwritev2:error=EROFS:when=3..10", "Read-only file system")
folder_removed()
file_removed()
tap.done()
