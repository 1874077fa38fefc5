# SPDX-License-Identifier: Apache-2.0
"""A running `flowner run` for the integration tests: start, ledgers, records, stop."""
import json
import os
import re
import signal
import struct
import subprocess
import sys
import time

import tap

PROGRAMS = ("capture", "enrich", "sink")
TRUTH = tap.program("tests/integration/truth")


def counter_names():
    """Names of each program's counters in the ledger's order, from the header that defines it."""
    with open(os.path.join(tap.SOURCE, "shm/ledger-counters.h")) as f:
        text = f.read()
    names = {}
    for p in PROGRAMS:
        table = re.search(rf"#define LEDGER_{p.upper()}\(X\)(.*?)(?:\n\n|\Z)", text, re.S).group(1)
        outputs = "".join(rf"X(sink_output_\1_{x}," for x in ("records", "bytes", "errors"))
        names[p] = re.findall(r"X\((\w+),", re.sub(r"LEDGER_OUTPUT\(X, (\d+)\)", outputs, table))
    return names


NAMES = counter_names()


def balances(text):
    """Whether `flowner status` or `run --stats` says so of the packets and of the output."""
    return text.count(": balances\n") == 2


def cpu_ns(pid):
    """CPU time of a process's threads so far, by the scheduler's own count (not sampled at ticks); threads that have
    ended, as io_uring's workers do, are in it."""
    try:
        return time.clock_gettime_ns((~pid << 3) | 2)  # what clock_getcpuclockid(3) makes
    except OSError:
        return 0


# A start record for every connection, however short: what a test says of starts it says of all. What it costs, not.
TWO_RECORDS = ("--set", "enrich.start_after=0s")


class Flowner:
    """`flowner run ARGS`; stderr is kept in .log (a file), standard output in .out_path."""

    def __init__(self, *args, ready=True, env=None, prefix=(), starts=TWO_RECORDS):
        if not any("start_after" in str(a) for a in args):
            args = (*starts, *args)
        self.dir = tap.tmpdir()
        self.log_path = os.path.join(self.dir, "stderr")
        self.out_path = os.path.join(self.dir, "stdout")
        self.p = tap.spawn(
            [*prefix, tap.program("flowner"), "run", *args],
            stdout=open(self.out_path, "wb"), stderr=open(self.log_path, "wb"), env=env)
        if ready and not tap.wait_for(self.ready):
            tap.note(self.log())
            tap.bail("flowner run did not become ready")

    def runtime(self):
        return f"/run/flowner/run-{self.p.pid}"

    def ledger(self, program):
        """{"pid": ..., "ready": ..., counter: value}, {} while there is none."""
        try:
            with open(f"{self.runtime()}/{program}/ledger", "rb") as f:
                data = f.read()
        except OSError:
            return {}
        n = len(NAMES[program])
        if len(data) < 40 + 8 * n:
            return {}
        _, _, _, pid, _, ready = struct.unpack_from("<QIIQQQ", data)
        values = struct.unpack_from(f"<{n}Q", data, 40)
        return {"pid": pid, "ready": ready, **dict(zip(NAMES[program], values))}

    def ledgers(self):
        merged = {}
        for p in PROGRAMS:
            merged.update(self.ledger(p))
        return merged

    def ready(self):
        return all(self.ledger(p).get("ready") for p in PROGRAMS)

    def pid(self, program):
        return self.ledger(program)["pid"]

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def out(self):
        with open(self.out_path, errors="replace") as f:
            return f.read()

    def kill(self, program, sig=signal.SIGKILL):
        """Signals one program and, for SIGKILL, waits for its successor."""
        pid = self.pid(program)
        os.kill(pid, sig)
        if sig != signal.SIGKILL:
            return True

        def successor():
            ledger = self.ledger(program)
            return ledger.get("pid") not in (None, 0, pid) and ledger["ready"]

        return tap.wait_for(successor)

    def settle(self, quiet=1.0, timeout=30):
        """Waits until no packet and no record has moved for a while."""
        seen, since = None, time.monotonic()
        end = since + timeout
        while time.monotonic() < end:
            now = {k: v for k, v in self.ledgers().items() if "_packets_" in k or "_records_" in k}
            if now != seen:
                seen, since = now, time.monotonic()
            elif time.monotonic() - since >= quiet:
                return True
            time.sleep(0.05)
        return False

    def stop(self):
        return tap.stop(self.p, signal.SIGINT, timeout=60)

    def wait(self, timeout=60):
        try:
            return self.p.wait(timeout)
        except subprocess.TimeoutExpired:
            tap.note(self.log())
            return None


def records(path):
    """Every line of an ECS file as an object; a line that does not parse is a failed check."""
    found = []
    data = b""

    def is_whole():
        # The kernel lets a reader see the first pages of a write(2) that is not over.
        nonlocal data
        with open(path, "rb") as f:
            data = f.read()
        return not data or data.endswith(b"\n")

    if not tap.wait_for(is_whole, timeout=10):
        tap.ok(False, f"{os.path.basename(path)} ends with a whole line", data[-200:])
    for n, line in enumerate(data.split(b"\n")[:-1], 1):
        try:
            found.append(json.loads(line.decode("utf-8")))
        except ValueError as e:
            tap.ok(False, f"line {n} parses: {e}", line[:300])
    return found


def connections(found, event=None):
    """Connection records, optionally only "start", "info" or "end"."""
    return [r for r in found if "network" in r and (event is None or event in r["event"]["type"])]


def truth(*args, timeout=120):
    """Runs truth(1) to its end and returns its reports as dictionaries."""
    r = tap.run([TRUTH, *map(str, args)], timeout=timeout, text=True)
    if r.returncode != 0:
        tap.ok(False, f"truth {' '.join(map(str, args))} works", r.stderr)
    reports = []
    for line in r.stdout.splitlines():
        parts = line.split(None, 5)
        if len(parts) == 6:
            reports.append({
                "proto": parts[0], "port": int(parts[1]), "pid": int(parts[2]), "uid": parts[3],
                "exe": parts[5]})
    return reports


def server(proto, address, port, prefix=()):
    """A truth server; returns it once it listens, .pid is its own pid."""
    p = tap.spawn([*prefix, TRUTH, "server", proto, address, str(port)], stdout=subprocess.PIPE)
    line = p.stdout.readline()
    if not line.startswith(b"ready"):
        tap.bail(f"truth server {proto} {address} {port} does not start")
    p.server_pid = int(line.split()[1])
    return p


if __name__ == "__main__":
    sys.exit("a module of the tests, not a test")
