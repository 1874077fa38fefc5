# SPDX-License-Identifier: Apache-2.0
"""What keeps the sink from reading while it writes, and what a record costs it, beside the usual ways to write lines.

    tests/bench/stall.py [--quick] [--rounds N] [--rate N] [--seconds N]

Records at an exact rate go to flowner-sink (io_uring, a sync each second) and lines of the same length, as many, to a
program that writes 256 KiB at a time and calls fdatasync(2) each second, and to one that flushes each line. A stall is the
longest system call of a run but for waits for events. The table has the medians of the rounds, which are interleaved; CPU
is that of all threads, the kernel's workers for io_uring among them, and of sink it is that of formatting as well.
"""
import argparse
import os
import statistics
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
import pipeline  # noqa: E402
import sink_feed  # noqa: E402
import tap  # noqa: E402

PLAIN = tap.program("tests/bench/sink/plain-writer")
LONGEST = tap.program("tests/bench/sink/longest-call")


class Watch:
    """The calls and the CPU of a process from now on."""

    def __init__(self, pid):
        self.pid, self.before = pid, pipeline.cpu_ns(pid)
        self.p = tap.spawn([LONGEST, "3600", str(pid)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.p.stdout.readline() != "ready\n":
            tap.bail("system calls cannot be watched: perf_event_open or tracefs is not allowed")

    def end(self):
        cpu = pipeline.cpu_ns(self.pid) - self.before
        count, longest, _ = map(int, self.p.communicate()[0].split())
        return {"stall": longest / 1e6, "cpu": cpu, "calls": count}


def run_sink(count, rate, folder):
    out = os.path.join(folder, "sink.ndjson")
    pair = sink_feed.Pair(f"ecs:{out}", settings=("output.sync=1s",))
    os.chmod(folder, 0o777)
    pair.feed("--count", count, "--rate", rate, "--wait", "--hold", "--ring", 8 << 20)
    pair.start()
    ledger = pair.path("sink/ledger")
    if not tap.wait_for(lambda: os.path.exists(ledger) and os.path.getsize(ledger) and pair.ledger()["records_read"] > 0, step=0.001):
        tap.bail("sink reads nothing", pair.messages())
    watch = Watch(pair.sink.pid)
    first = pair.ledger()["records_written"]
    tap.wait_for(lambda: pair.ledger()["records_written"] == count)
    result = watch.end()
    written = count - first
    tap.ok(pair.ledger()["io_uring"] == 1, "sink writes with io_uring")
    pair.let_end()
    tap.stop(pair.sink)
    return {**result, "cpu": result["cpu"] / written / 1000, "calls": result["calls"] / written * 1000}, out


def run_plain(way, lines, count, rate, folder):
    out = os.path.join(folder, way)
    p = tap.spawn([PLAIN, way, lines, str(count), str(rate), out], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    watch = Watch(p.pid)
    p.stdin.write("!")
    p.stdin.flush()
    p.stdout.readline()
    result = watch.end()
    p.communicate()
    os.unlink(out)
    return {**result, "cpu": result["cpu"] / count / 1000, "calls": result["calls"] / count * 1000}


def head(path, to, lines):
    with open(path, "rb") as f, open(to, "wb") as g:
        g.writelines(f.readline() for _ in range(lines))


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--quick", action="store_true")
    a.add_argument("--rounds", type=int, default=5)
    a.add_argument("--rate", type=int, default=10000)
    a.add_argument("--seconds", type=int, default=5)
    a = a.parse_args()
    tap.need_root()
    if a.quick:
        a.rounds, a.seconds = 1, 2
    folder, found = tap.tmpdir(), {"sink": [], "sync": [], "line": []}
    for _ in range(a.rounds):
        result, out = run_sink(a.rate * a.seconds, a.rate, folder)
        found["sink"].append(result)
        head(out, os.path.join(folder, "lines"), 1000)
        os.unlink(out)
        for way in ("sync", "line"):
            found[way].append(run_plain(way, os.path.join(folder, "lines"), a.rate * a.seconds, a.rate, folder))
    names = {"sink": "flowner-sink, sync each second", "sync": "write + fdatasync each second", "line": "fflush each line"}
    table = {w: {k: statistics.median(r[k] for r in rs) for k in rs[0]} for w, rs in found.items()}
    tap.note(f"{a.rate} records/s, {a.rounds} rounds of {a.seconds} s" + " " * 8 + "stall ms   CPU us/record   calls/1000")
    for way, row in table.items():
        tap.note(f"{names[way]:32}{row['stall']:14.3f}{row['cpu']:16.2f}{row['calls']:13.1f}")
    stall = statistics.median(s["stall"] / p["stall"] for s, p in zip(found["sink"], found["sync"]))
    tap.note(f"x write + fdatasync: {stall:.3f} (median of the rounds' ratios), CPU x fflush each line: "
             f"{table['sink']['cpu'] / table['line']['cpu']:.2f}")
    if a.quick:
        tap.ok(all(row["calls"] > 0 for row in table.values()), "everybody was watched")
    else:
        tap.ok(stall <= 0.05, f"sink's longest stall is at most 0.05 of write + fdatasync's: {stall:.3f}")
        tap.ok(table["sink"]["calls"] <= 5, f"at most 5 system calls per 1,000 records: {table['sink']['calls']:.1f}")
    tap.done()


if __name__ == "__main__":
    main()
