# SPDX-License-Identifier: Apache-2.0
"""One program with calls that fail, between two neighbours that work: started by nth.py in namespaces of its own.

    nth_lane.py PROGRAM

Standard input has a job a line, standard output its result, both JSON: [plan, descriptors at rest]. A job is a life of PROGRAM
with one plan (kind, call, n, lasting, result; nth-server.h): start, 100 connections, rotation, reload, a dump of the ledger, stop. If that life ends before
it should, another one without any plan follows, as a supervisor would have it.
"""
import json
import mmap
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections import Counter

import pipeline
import tap

PORT = 15000
CONNECTIONS = 100
USERS = {"capture": 60801, "enrich": 60802, "sink": 60803}
KINDS = {"none": 0, "malloc": 1, "call": 2, "uring": 3}
QUIET = 0.25  # a program that has stood still so long under a lasting failure does all it can
STOP = 60  # a hang, and no busy machine
PATIENCE = 20  # to do the work; then to recover, or for the next life
FIELDS = ("cured", "fired", "live", "mallocs", "uring", "ended", "last")
N_CALLS = 512

class Shared:
    """struct nth_shared."""

    def __init__(self, path):
        size = 8 * (len(FIELDS) + N_CALLS)
        with open(path, "wb") as f:
            f.truncate(size)
        with open(path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), size)

    def reset(self):
        self.map[:] = bytes(len(self.map))

    def get(self, name):
        return struct.unpack_from("<Q", self.map, 8 * FIELDS.index(name))[0]

    def cure(self):
        struct.pack_into("<Q", self.map, 0, 1)

    def calls(self):
        all_calls = struct.unpack_from(f"<{N_CALLS}Q", self.map, 8 * len(FIELDS))
        return {i: n for i, n in enumerate(all_calls) if n}


class Lane:
    def __init__(self, program):
        self.program = program
        self.dir = tap.tmpdir()
        os.chmod(self.dir, 0o755)
        self.run = os.path.join(self.dir, "run")
        self.out = os.path.join(self.dir, "out")
        os.mkdir(self.run)
        os.mkdir(self.out)
        os.chown(self.out, USERS["sink"], USERS["sink"])
        self.log_path = os.path.join(self.dir, "log")
        self.shared = Shared(os.path.join(self.dir, "shared"))
        self.number = 0
        self.listener = socket.create_server(("127.0.0.1", PORT), backlog=64)
        self.configure("lane", 0)
        self.neighbours = [self.start_neighbour(p) for p in pipeline.PROGRAMS if p != program]
        self.server = self.start_server()

    # --- programs

    def files(self, name, change):
        path = os.path.join(self.out, name)
        files = [f"{{format: ecs, path: {path}.ndjson, rotate_size: 24KiB}}" if self.program == "sink" else f"ecs:{path}.ndjson"]
        if change and self.program == "sink":
            files.append(f"text:{path}.txt")
        return f"[{', '.join(files)}]"

    def configure(self, name, change):
        """The configuration of life @name, before and after its reload."""
        folder = os.path.join(self.dir, name)
        os.makedirs(folder, exist_ok=True)
        with open(f"{folder}/new", "w") as f:
            f.write(f"""capture:
  interfaces: [lo]
  filter: "tcp port {PORT}"
  buffer: 1MiB
  ring: 1MiB
  user: "{USERS['capture']}"
enrich:
  ring: 1MiB
  start_after: 0s
  tap: {"off" if self.program == "sink" else "full"}
  user: "{USERS['enrich']}"
output:
  flush: 2ms
  user: "{USERS['sink']}"
  files: {self.files(name, change)}
limits:
  flows: 4096
  processes: 4096
  udp_timeout: {30 + change}s
""")
        os.chmod(f"{folder}/new", 0o644)
        os.rename(f"{folder}/new", f"{folder}/flowner.yaml")

    def argv(self, program, name):
        return [tap.program(f"flowner-{program}"), "-c", f"{self.dir}/{name}/flowner.yaml", "--runtime-dir", self.run]

    def start_neighbour(self, program):
        log = open(os.path.join(self.dir, f"log-{program}"), "ab")
        return tap.spawn(self.argv(program, "lane"), stderr=log, stdout=log)

    def start_server(self):
        self.control, theirs = socket.socketpair()
        env = {**os.environ, "NTH_SERVER": str(theirs.fileno()), "NTH_SHARED": os.path.join(self.dir, "shared"),
               "LD_PRELOAD": tap.program("tests/integration/libnth.so"),
               "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0:allocator_may_return_null=1"
               # A crash of the life is seen by its status; one of its filter's compiler is none of ours.
               ":handle_segv=0"}
        log = open(self.log_path, "ab")
        p = tap.spawn(self.argv(self.program, "@@@@@@"), stderr=log, stdout=log, env=env, pass_fds=[theirs.fileno()])
        theirs.close()
        return p

    def heard(self):
        """What the server says next, as (word, number)."""
        line = b""
        while not line.endswith(b"\n"):
            c = self.control.recv(1)
            if not c:
                raise RuntimeError("the server has ended")
            line += c
        word, number = line.split()
        return word.decode(), int(number)

    def begin(self, plan):
        self.status = None
        self.shared.reset()
        kind, call, n, lasting, result = plan
        self.control.sendall(f"{self.number} {KINDS[kind]} {call} {n} {int(lasting)} {result}\n".encode())
        self.pid = self.heard()[1]

    def ended(self, timeout=0):
        """Whether this life has ended; its status is in .status then."""
        if self.status is None:
            self.control.settimeout(timeout or 0.000001)
            try:
                self.status = self.heard()[1]
            except (TimeoutError, BlockingIOError):
                return False
            finally:
                self.control.settimeout(None)
        return True

    def tell(self, sig):
        try:
            os.kill(self.pid, sig)
        except ProcessLookupError:
            pass

    # --- what is known of them

    def ledger(self, program):
        try:
            with open(f"{self.run}/{program}/ledger", "rb") as f:
                data = f.read()
        except OSError:
            return {}
        names = pipeline.NAMES[program]
        if len(data) < 40 + 8 * len(names):
            return {}
        return {"pid": struct.unpack_from("<I", data, 16)[0], "ready": struct.unpack_from("<Q", data, 32)[0],
                **dict(zip(names, struct.unpack_from(f"<{len(names)}Q", data, 40)))}

    def counters(self):
        merged = {}
        for p in pipeline.PROGRAMS:
            merged.update(self.ledger(p))
        return merged

    def ready(self):
        """This life, not an earlier one, says so in its ledger, and so do its neighbours: what comes before is nobody's."""
        ledger = self.ledger(self.program)
        return ledger.get("pid") == self.pid and all(self.ledger(p).get("ready") for p in pipeline.PROGRAMS)

    def wait(self, cond):
        """Until the condition holds, this life ends, or all stands still under a lasting failure. Whether it holds."""
        seen, since = None, time.monotonic()
        while time.monotonic() < self.patience:
            if cond():
                return True
            if self.ended():
                return False
            if self.lasting and self.worked:
                now = {k: v for k, v in self.counters().items() if "_packets_" in k or "_records_" in k}
                if now != seen:
                    seen, since = now, time.monotonic()
                elif time.monotonic() - since > QUIET and self.shared.get("fired"):
                    return False
            time.sleep(0.003)
        return False

    def written(self):
        """All that was connected so far has ended, and is in the output."""
        c = self.counters()
        # A program's ledger is read after its successor's has moved on, or before: only a sum at rest is zero.
        return self.settled(c) - self.at_start >= len(self.ports) and not any(self.rest_of(c)) and (
            c["enrich_packets_open"] <= self.open_at_start)

    @staticmethod
    def settled(c):
        """Connections that have ended, and packets that no connection will have."""
        return (c.get("enrich_flows_ended", 0) + c.get("capture_packets_ring_full", 0) + c.get("capture_packets_dropped", 0) +
                c.get("capture_packets_orphaned", 0))

    @staticmethod
    def lost(c):
        return sum(c.get(k, 0) for k in (
            "capture_packets_dropped", "capture_packets_orphaned", "capture_packets_ring_full", "enrich_packets_lost", "enrich_records_lost",
            "enrich_packets_orphaned", "sink_records_lost", "sink_records_invalid"))

    # --- the workload

    def connect(self, n):
        for _ in range(n):
            c = socket.create_connection(("127.0.0.1", PORT))
            s, _ = self.listener.accept()
            self.ports.append(c.getsockname()[1])
            c.close()
            s.close()

    def work(self):
        """True when it got to its end."""
        name = f"{self.number:06}"
        self.worked = False
        self.worked = self.wait(self.ready)
        if not self.worked:
            return False
        self.start = {**{k: self.shared.get(k) for k in ("mallocs", "uring")}, "calls": self.shared.calls()}
        self.connect(1)
        self.wait(self.written)
        self.connect(CONNECTIONS // 2)
        self.wait(self.written)
        if self.program == "sink":
            try:
                os.rename(f"{self.out}/{name}.ndjson", f"{self.out}/{name}.moved.ndjson")
            except FileNotFoundError:
                pass
            self.tell(signal.SIGUSR1)
        self.configure(name, 1)
        self.tell(signal.SIGHUP)
        self.tell(signal.SIGUSR2)
        self.connect(CONNECTIONS // 2 - 1)
        return self.wait(self.written)

    @staticmethod
    def rest_of(c):
        """What `flowner status` would miss of the packets, and of the records' packets."""
        accounts = sum(c[f"enrich_packets_{x}"] for x in ("logged", "open", "duplicate", "late", "fragment", "other", "malformed",
                                                          "filtered", "lost", "orphaned"))
        kernel = c["capture_packets_dropped"] + c["capture_packets_orphaned"]
        lost = kernel + c["capture_packets_ring_full"]
        matched = max(c["capture_packets_matched"], c["capture_packets_delivered"] + kernel)
        written = c["sink_packets_written"] + c["sink_packets_lost"] + c["sink_packets_excluded"]
        return [matched - accounts - lost, c["enrich_packets_logged"] - written]

    def descriptors(self):
        """How many there are while nothing happens: at most as many as usual, or as many as there are after a while."""
        seen, end = None, time.monotonic() + 2
        while time.monotonic() < end:
            try:
                now = len(os.listdir(f"/proc/{self.pid}/fd"))
            except OSError:
                return 0
            if now <= self.usual or (now == seen and not self.usual):
                return now
            seen = now
            time.sleep(0.05)
        return seen

    def job(self, plan, usual):
        self.number += 1
        name = f"{self.number:06}"
        self.configure(name, 0)
        self.lasting, self.usual = plan[3], usual
        self.ports, self.start = [], None
        c = self.counters()
        self.lost_at_start, self.open_at_start = self.lost(c), c.get("enrich_packets_open", 0)
        self.at_start = self.settled(c)
        self.lane_size = os.path.getsize(f"{self.out}/lane.ndjson") if os.path.exists(f"{self.out}/lane.ndjson") else 0
        log_at = os.path.getsize(self.log_path)
        began = time.monotonic()
        self.patience = began + PATIENCE
        self.begin(plan)
        done = self.work()
        fds = 0
        if not self.ended():
            self.shared.cure()
            self.lasting = False
            self.patience = time.monotonic() + PATIENCE
            done = self.wait(self.written)
            fds = self.descriptors()
        early = self.ended()
        self.tell(signal.SIGTERM)
        hung = not self.ended(STOP)
        if hung:
            os.kill(self.pid, signal.SIGKILL)
            self.ended(STOP)
        result = {"plan": plan, "status": self.status, "early": early, "hung": hung, "done": done, "fds": fds,
                  **{k: self.shared.get(k) for k in FIELDS}, "calls": self.shared.calls(), "start": self.start}
        with open(self.log_path, errors="replace") as f:
            f.seek(log_at)
            result["log"] = f.read()[-3000:]
        result["unready"] = early and not self.worked
        if (early or self.status) and self.worked:
            self.lasting = False
            self.patience = time.monotonic() + PATIENCE
            self.begin(("none", 0, 0, False, 0))
            result["again"] = self.wait(self.ready)
            self.connect(1)
            result["done"] = self.wait(self.written)
            self.tell(signal.SIGTERM)
            if not self.ended(STOP):
                os.kill(self.pid, signal.SIGKILL)
                self.ended(STOP)
            result["again"] &= self.status == 0
        result["seconds"] = time.monotonic() - began
        result.update({} if result["unready"] else self.check(name))
        return result

    # --- what is to hold

    def lines(self, name):
        """Whole lines of this job, and whether a line is torn."""
        found, torn = [], 0
        for file in sorted(os.listdir(self.out)):
            if not file.endswith(".ndjson") or not file.startswith(name if self.program == "sink" else "lane"):
                continue
            with open(f"{self.out}/{file}", "rb") as f:
                f.seek(0 if self.program == "sink" else self.lane_size)
                data = f.read()
            for line in data.splitlines(keepends=True):
                try:
                    found.append(json.loads(line))
                    torn += not line.endswith(b"\n")
                except ValueError:
                    torn += 1
        return found, torn

    def check(self, name):
        for _ in range(200):
            found, torn = self.lines(name)
            ends = [r["source"]["port"] for r in found if "end" in r["event"]["type"] and "source" in r]
            if not Counter(self.ports) - Counter(ends):
                break
            if self.program == "sink":
                break
            time.sleep(0.005)
        c = self.counters()
        numbers = {}
        for r in found:
            if "sequence" in r["event"]:
                numbers.setdefault(r.get("flowner", {}).get("epoch"), []).append(r["event"]["sequence"])
        twice = sum(len(x) - len(set(x)) for x in numbers.values())
        gaps = sum(max(x) - min(x) + 1 - len(set(x)) for x in numbers.values())
        out = {"torn": torn, "twice": twice, "gaps": gaps, "missing": (Counter(self.ports) - Counter(ends)).total(),
               "more": (Counter(ends) - Counter(self.ports)).total(), "rest": self.rest_of(c),
               "lost": self.lost(c) - self.lost_at_start, "program": self.program}
        if self.program == "sink":
            for file in os.listdir(self.out):
                os.unlink(f"{self.out}/{file}")
        return out


def main():
    lane = Lane(sys.argv[1])
    for line in sys.stdin:
        plan, usual = json.loads(line)
        print(json.dumps(lane.job(plan, usual)), flush=True)
    for p in [*lane.neighbours, lane.server]:  # they would wait for each other
        tap.stop(p, signal.SIGKILL)


main()
