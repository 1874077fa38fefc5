# SPDX-License-Identifier: Apache-2.0
"""flowner beside other programs, and beside the limit: one table a part, then what is promised, line by line.

    tests/bench/compare.py [--part NAME]... [--rounds N] [--json FILE [--add]] [--quick]

Rounds of all parts; in each round the subjects take turns on the same traffic, in namespaces of their own. Figures are
medians over the rounds, ratios are of one run. --json writes samples, medians and verdicts; with --add the samples of an
earlier run in FILE count, too, so that a long comparison can be made in slices. --quick proves that everything runs
and judges no time. CPU is the scheduler's own count over all tasks of a program. contrib/bench installs what this needs.
"""
import argparse
import os
import signal
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, name) for name in ("compare", "owners", "../integration", "methods")]
import connections  # noqa: E402
import floods  # noqa: E402
import idle  # noqa: E402
import results  # noqa: E402
import ring  # noqa: E402
import scripts  # noqa: E402
import subjects  # noqa: E402
import tap  # noqa: E402
import traffic  # noqa: E402

PARTS = (connections, idle, traffic, floods, ring, scripts)


def interrupted(*_):
    """What is undone at exit is undone then, too, and what was found is shown; timeout(1) tells twice."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(1)


def main():
    names = [p.NAME for p in PARTS]
    a = argparse.ArgumentParser()
    a.add_argument("--part", action="append", choices=names)
    a.add_argument("--rounds", type=int, default=5)
    a.add_argument("--json")
    a.add_argument("--add", action="store_true")
    a.add_argument("--quick", action="store_true")
    a = a.parse_args()
    tap.need_root()
    signal.signal(signal.SIGTERM, interrupted)
    samples = results.Samples()
    if a.add and os.path.exists(a.json):
        samples.load(a.json)
    chosen = [p for p in PARTS if not a.part or p.NAME in a.part]
    world = subjects.World()
    try:
        for n in range(1 if a.quick else a.rounds):
            for part in chosen:
                print(f"round {n + 1}, {part.NAME}", file=sys.stderr, flush=True)
                part.run(samples, world, a.quick)
    finally:  # also what an interrupt leaves
        say = tap.note if a.quick else print
        verdicts = [v for p in PARTS for v in p.judge(samples)]
        for part in PARTS:
            results.table(samples, part, say)
        if not a.quick:
            results.summary(verdicts, say)
        if a.json:
            samples.save(a.json, verdicts)
    for part in chosen:  # what falls short is in the table; here only that all ran
        found = samples.found.get(part.NAME, {})
        if part is scripts:
            continue
        tap.ok(any(s.startswith(results.OURS) for s in found) and all(v >= 0 for s in found.values()
                                                                     for values in s.values() for v in values),
               f"{part.NAME} was measured", found)
        for subject, why in samples.missing.get(part.NAME, {}).items():
            tap.skip(f"{part.NAME}, {subject}", why)
    tap.done()


if __name__ == "__main__":
    main()
