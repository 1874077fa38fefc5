# SPDX-License-Identifier: Apache-2.0
"""flowner-sink alone, fed by tests/integration/ring-feed.c in the place of flowner-enrich."""
import os
import subprocess
import time

import tap

SINK = tap.program("flowner-sink")
FEED = tap.program("tests/integration/ring-feed")
ROOT = os.geteuid() == 0
USER = 65534 if ROOT else os.geteuid()


class Pair:
    """A runtime folder with a feeder and, most of the time, a sink."""

    def __init__(self, *outputs, settings=()):
        self.dir = tap.tmpdir()
        self.log_path = os.path.join(self.dir, "log")
        self.log = open(self.log_path, "ab")
        self.settings = [f"output.files=[{', '.join(outputs)}]", f"output.user={USER}", f"enrich.user={USER}",
                         *settings]
        self.sink = None
        self.feeder = None

    def path(self, name):
        return os.path.join(self.dir, name)

    def feed(self, *args):
        if os.path.exists(self.path("enrich/ring.sock")):
            os.unlink(self.path("enrich/ring.sock"))
        self.feeder = tap.spawn([FEED, "--runtime-dir", self.dir, "--peer", str(USER), *map(str, args)],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self.feeder

    def start(self, *args, wrapper=(), **kwargs):
        argv = [*wrapper, SINK, "--runtime-dir", self.dir, *args]
        for s in self.settings:
            argv += ["--set", s]
        kwargs.setdefault("stdout", subprocess.DEVNULL)
        if wrapper:  # the leak checker of a build with sanitizers cannot work under strace
            kwargs["env"] = {**os.environ, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}
        self.sink = tap.spawn(argv, stderr=self.log, **kwargs)
        return self.sink

    def let_end(self):
        """Lets a feeder with --late-end or --hold come to its end."""
        self.feeder.stdin.close()
        self.feeder.stdin = None

    def feeder_result(self, timeout=60):
        """Its last line once it has ended: {"published": n, "lost": n}."""
        out, _ = self.feeder.communicate(timeout=timeout)
        words = out.split()
        return dict(zip(words[::2], map(int, words[1::2])))

    def messages(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def ledger(self):
        """Counters of sink/ledger by name, in the order of shm/ledger-counters.h."""
        import struct
        names = ["epoch", "records_read", "records_written", "records_lost", "records_invalid", "packets_written",
                 "packets_lost", "bytes_written", "writes", "write_errors", "io_uring"]
        with open(self.path("sink/ledger"), "rb") as f:
            return dict(zip(names, struct.unpack_from(f"<{len(names)}Q", f.read(), 40)))


def jq(path, expression):
    """jq -e on every line: (exit status, lines)."""
    r = tap.run(["jq", "-e", "-c", "-r", expression, path], text=True, timeout=120)
    return r.returncode, r.stdout.splitlines()


def check_complete(name, path, n):
    """Every line parses, and the sequence numbers are 1..n, once each, in order."""
    status, lines = jq(path, ".event.sequence // \"loss\"")
    numbers = [int(x) for x in lines if x != "loss"]
    tap.is_(status, 0, f"{name}: jq -e reads every line")
    return tap.ok(numbers == list(range(1, n + 1)), f"{name}: the numbers 1 to {n}, each once",
                  f"{len(numbers)} numbers, {len(set(numbers))} different, last {numbers[-1:]}")


def wait_size(path, size, timeout=20):
    return tap.wait_for(lambda: os.path.exists(path) and os.path.getsize(path) >= size, timeout)


def sleep(seconds):
    time.sleep(seconds)
