# SPDX-License-Identifier: Apache-2.0
"""What the whole pipeline costs beside `tcpdump -l -n` with the same filter, and what it costs when nothing happens.

    tests/bench/cost.py [--quick] [--rate N] [--seconds N] [--rounds N]

Prints one table: CPU time of all processes per connection, median over interleaved rounds, their ratio, and the
share of a core when idle; then TAP lines for the two promises. --quick only proves that it runs.
CPU time is the scheduler's own (/proc/PID/task/*/schedstat): tick-sampled times say nothing at this scale.
"""
import argparse
import os
import signal
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
import pipeline  # noqa: E402
import tap  # noqa: E402

PORT = 9981
FLAGS = "tcp[tcpflags] & (tcp-syn|tcp-fin|tcp-rst) != 0"


def load(rate, seconds):
    out = tap.run([pipeline.TRUTH, "pace", str(rate), str(seconds), "127.0.0.1", str(PORT)], text=True,
                  timeout=seconds * 10 + 30).stdout.split()
    return int(out[0])


def spent(pids, rate, seconds):
    """CPU per connection, ns, over one load; the settle time belongs to it."""
    before = sum(map(pipeline.cpu_ns, pids))
    begin = time.monotonic()
    done = load(rate, seconds)
    took = time.monotonic() - begin
    time.sleep(0.5)
    return (sum(map(pipeline.cpu_ns, pids)) - before) / max(done, 1), done / took


def with_flowner(rate, seconds):
    path = os.path.join(tap.tmpdir(), "out.ndjson")
    f = pipeline.Flowner("-i", "lo", "-o", f"ecs:{path}", f"tcp port {PORT}")
    pids = [f.p.pid] + [f.pid(p) for p in pipeline.PROGRAMS]
    cost, reached = spent(pids, rate, seconds)
    lost = sum(v for k, v in f.ledgers().items() if k.endswith(("_lost", "_dropped", "ring_full")))
    f.stop()
    return cost, reached, lost


def with_tcpdump(rate, seconds):
    out = os.path.join(tap.tmpdir(), "out.txt")
    with open(out, "wb") as f:
        p = tap.spawn(["tcpdump", "-l", "-n", "-i", "lo", f"port {PORT} and {FLAGS}"], stdout=f,
                      stderr=subprocess.PIPE)
        p.stderr.readline()
        time.sleep(0.3)
        cost, reached = spent([p.pid], rate, seconds)
        tap.stop(p, signal.SIGINT)
    return cost, reached


def idle(seconds):
    f = pipeline.Flowner("-i", "lo", "-o", f"ecs:{os.path.join(tap.tmpdir(), 'out.ndjson')}", f"tcp port {PORT}")
    time.sleep(1)
    pids = [f.p.pid] + [f.pid(p) for p in pipeline.PROGRAMS]
    before = sum(map(pipeline.cpu_ns, pids))
    time.sleep(seconds)
    share = (sum(map(pipeline.cpu_ns, pids)) - before) / (seconds * 1e9)
    f.stop()
    return share


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--quick", action="store_true")
    a.add_argument("--rate", type=int, default=6000)
    a.add_argument("--seconds", type=int, default=5)
    a.add_argument("--rounds", type=int, default=5)
    a = a.parse_args()
    if a.quick:
        a.rate, a.seconds, a.rounds = 500, 1, 1
    tap.need_root()
    srv = pipeline.server("tcp", "127.0.0.1", PORT)
    ours, theirs, reached, lost = [], [], [], 0
    for _ in range(a.rounds):
        cost, r, n = with_flowner(a.rate, a.seconds)
        ours.append(cost)
        reached.append(r)
        lost += n
        cost, r = with_tcpdump(a.rate, a.seconds)
        theirs.append(cost)
        reached.append(r)
    at_rest = idle(2 if a.quick else 10)
    tap.stop(srv)
    mine, other = statistics.median(ours), statistics.median(theirs)
    tap.note(f"{'':24}us CPU/connection   ({min(reached):.0f}..{max(reached):.0f} connections/s reached)")
    tap.note(f"{'flowner, ECS to a file':24}{mine / 1000:8.2f}   {min(ours) / 1000:.2f}..{max(ours) / 1000:.2f}")
    tap.note(f"{'tcpdump -l -n to a file':24}{other / 1000:8.2f}   {min(theirs) / 1000:.2f}..{max(theirs) / 1000:.2f}")
    tap.note(f"{'ratio':24}{mine / other:8.2f}")
    tap.note(f"idle: {at_rest * 100:.3f} % of a core")
    tap.is_(lost, 0, "nothing was lost")
    if a.quick:
        tap.ok(mine > 0 and other > 0, "both were measured")
    else:
        tap.ok(mine < other, "the whole pipeline costs less than tcpdump -l -n with the same filter")
        tap.ok(at_rest < 0.005, "idle it costs less than 0.5 % of a core")
    tap.done()


if __name__ == "__main__":
    main()
