# SPDX-License-Identifier: Apache-2.0
"""What formatting a record costs: instructions by callgrind, each format beside snprintf and json-c making the ecs line.

    tests/bench/format.py [--quick] [--count N]

First that the two peers make the same line as our ecs, snprintf to the byte, json-c the same object. Then one table:
instructions per record, a column each for the format and the two ratios, a line each for a record; then TAP lines for
the two promises, of the mean over all records. ecs is what a line takes of whose process nothing is known; ecs-new,
ecs-known and ecs-mix are what sink does, the check of the record included: with a process it never met, with one it has
met, and with a mix of 4,096, few of which have most of the records. --quick compares the lines alone. Instructions do not depend on the load
of the machine; valgrind has no SHA instructions, so the Community ID costs more in here than where a processor has them.
"""
import argparse
import glob
import json
import os
import re
import statistics
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
import tap  # noqa: E402

COST = tap.program("tests/bench/format/format-cost")
PEERS = ("snprintf", "json-c")
KNOWN = ("ecs-new", "ecs-known", "ecs-mix")  # as sink makes it, with the check of the record


def printed(method, record):
    return subprocess.run([COST, "print", method, record], capture_output=True, check=True).stdout


def check_lines(pairs):
    for record in [r for m, r in pairs if m == "ecs"]:
        ours = printed("ecs", record)
        tap.is_(printed("snprintf", record), ours, f"{record}: snprintf makes the same line")
        tap.is_(json.loads(printed("json-c", record)), json.loads(ours), f"{record}: json-c makes the same object")
        for method in KNOWN:
            tap.is_(printed(method, record), ours, f"{record}: {method} makes the same line")
    tap.is_({m for m, _ in pairs if not printed(m, [r for n, r in pairs if n == m][0])}, set(),
            "every format writes something")


def instructions(pairs, count):
    """Per record, by (method, record)."""
    out = os.path.join(tap.tmpdir(), "callgrind.out")
    subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--dump-before=mark", COST, "run",
                    str(count)], stderr=subprocess.DEVNULL, check=True)
    parts = {}
    for path in glob.glob(out + ".*"):
        with open(path, encoding="utf-8") as f:
            parts[int(path.rsplit(".", 1)[1])] = int(re.search(r"^totals: (\d+)", f.read(), re.M).group(1))
    # A part ends with a mark: every second one is what is counted.
    return {pair: parts[2 * i + 2] / count for i, pair in enumerate(pairs)}


def mean(cost, method, records):
    return statistics.mean(cost[method, r] for r in records)


def table(pairs, cost):
    methods = list(dict.fromkeys(m for m, _ in pairs))
    records = list(dict.fromkeys(r for _, r in pairs))
    tap.note(f"{'instructions':16}" + "".join(f"{m:>11}" for m in methods))
    for r in records:
        tap.note(f"{r:16}" + "".join(f"{cost[m, r]:11.0f}" if (m, r) in cost else f"{'-':>11}" for m in methods))
    shared = {m: [r for n, r in pairs if n == m] for m in methods}
    tap.note(f"{'mean':16}" + "".join(f"{mean(cost, m, shared[m]):11.0f}" for m in methods))
    for peer in PEERS:
        line = ""
        for m in methods:
            both = [r for r in shared[m] if (peer, r) in cost]
            line += f"{mean(cost, m, both) / mean(cost, peer, both):11.3f}" if both else f"{'-':>11}"
        tap.note(f"{'x ' + peer:16}{line}")


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--quick", action="store_true")
    a.add_argument("--count", type=int, default=100)
    a = a.parse_args()
    pairs = [tuple(line.split()) for line in tap.run([COST, "list"], text=True).stdout.splitlines()]
    check_lines(pairs)
    if not a.quick:
        cost = instructions(pairs, a.count)
        table(pairs, cost)
        records = [r for m, r in pairs if m == "ecs"]
        theirs, tree = (mean(cost, m, records) for m in PEERS)
        for method in ("ecs",) + KNOWN:
            ours = mean(cost, method, records)
            tap.ok(ours <= 0.25 * theirs, f"{method} takes at most 0.25 of snprintf's instructions: {ours / theirs:.3f}")
            tap.ok(ours <= 0.08 * tree, f"{method} takes at most 0.08 of json-c's instructions: {ours / tree:.3f}")
    tap.done()


if __name__ == "__main__":
    main()
