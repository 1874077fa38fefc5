# SPDX-License-Identifier: Apache-2.0
"""flowner-sink alone, fed by tests/integration/ring-feed.c in the place of flowner-enrich."""
import json
import os
import re
import shutil
import struct
import subprocess
import time

import tap
import zeek_log

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
        names = ["epoch", "records_read", "records_written", "records_lost", "records_invalid", "packets_written",
                 "packets_lost", "bytes_written", "writes", "write_errors", "io_uring"]
        with open(self.path("sink/ledger"), "rb") as f:
            return dict(zip(names, struct.unpack_from(f"<{len(names)}Q", f.read(), 40)))


# Formats by the extension their files have in the tests; what ring-feed --formats has each write of a record.
FORMATS = {"ecs": "ecs", "ocsf": "ocsf", "zeek": "zeek", "zeek-json": "zjson", "sysmon": "sysmon", "text": "txt", "pcapng": "pcapng"}
SEQ = {"ecs": lambda x: x["event"]["sequence"], "ocsf": lambda x: x["metadata"]["sequence"], "zeek-json": lambda x: x["seq"],
       "sysmon": lambda x: x["EventRecordID"]}


def packets(path):
    """The numbers in the packets of one pcapng file; ValueError if its blocks do not add up."""
    found, at, interfaces = [], 0, None
    with open(path, "rb") as f:
        data = f.read()
    while at < len(data):
        kind, size = struct.unpack_from("<II", data, at) if at + 12 <= len(data) else (0, 0)
        if size < 12 or size % 4 or at + size > len(data) or struct.unpack_from("<I", data, at + size - 4)[0] != size:
            raise ValueError(f"{path}: a torn block at {at}")
        if kind == 0x0A0D0D0A:
            interfaces = 0
        elif interfaces is None:
            raise ValueError(f"{path}: no section begins at {at}")
        if kind == 1:
            interfaces += 1
        if kind == 6:
            if struct.unpack_from("<I", data, at + 8)[0] >= interfaces:
                raise ValueError(f"{path}: at {at} an interface that its section has not described")
            found.append(struct.unpack_from("<Q", data, at + 28)[0])
        at += size
    return found


def numbers(format_name, path):
    """The records' numbers in one file, in its order (of text: None for each line); ValueError if it is not valid by itself."""
    if os.path.getsize(path) == 0:
        return []  # moved away or left by a kill between its making and its head
    if format_name == "pcapng":
        return packets(path)
    if format_name == "zeek":
        return [row["seq"] for row in zeek_log.read(path).rows]
    with open(path, "rb") as f:
        data = f.read()
    if data and not data.endswith(b"\n"):
        raise ValueError(f"{path}: a torn line")
    if format_name == "text":
        if re.search(b"[\0-\x08\x0b-\x1f]", data):
            raise ValueError(f"{path}: control bytes")
        return [None] * data.count(b"\n")
    return [SEQ[format_name](json.loads(line)) for line in data.splitlines()]


def check_files(name, format_name, paths, count):
    """Files of one format are valid each, in order, and together hold 1..count, once each."""
    try:
        lists = [numbers(format_name, path) for path in paths]
    except (ValueError, KeyError, IndexError) as e:
        return tap.ok(False, f"{name}: {format_name}: each file is valid by itself", repr(e),
                      *[(p, os.path.getsize(p)) for p in paths])
    together = [n for found in lists for n in found]
    if format_name == "text":
        return tap.is_(len(together), count, f"{name}: text: as many lines")
    return tap.ok(sorted(together) == list(range(1, count + 1)) and all(x == sorted(x) for x in lists),
                  f"{name}: {format_name}: the numbers 1 to {count}, each once and in order, in {len(paths)} files",
                  f"{len(together)} numbers, {len(set(together))} different")


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


def remove_tree(folder):
    """rm -rf, again until it is gone: the sink makes new files meanwhile."""
    def gone():
        shutil.rmtree(folder, ignore_errors=True)
        return not os.path.exists(folder)

    tap.wait_for(gone, step=0)


def sleep(seconds):
    time.sleep(seconds)
