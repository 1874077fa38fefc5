# SPDX-License-Identifier: Apache-2.0
"""Which way to find the process behind a connection: what people have tried, what Debian packages, and flowner.

    tests/bench/methods.py [--methods] [--peers] [--quick] [--rounds N] [--scale X] [--load NAME]... [--only TEXT]

Every observer sees every load N times, each time beside the same load without any. Prints one table a load, in
Markdown: percent of the connections it gave to the right process, missed, gave to a wrong one; CPU time of its
processes per connection; connections per second with it as a part of those without (medians). Then TAP lines for
flowner. --quick only proves that all of it runs. --scale: more or fewer connections. --only: observers by name.

Needs `contrib/install-packages bench`. auditd goes last, and not at all with --quick unless --only names it: from its
first use until the next boot the kernel keeps an audit context for every new process.
"""
import argparse
import os
import signal
import statistics
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, name) for name in ("owners", "../integration", "methods")]
import loads  # noqa: E402
import observers  # noqa: E402
import packaged  # noqa: E402
import tap  # noqa: E402

HEAD = """| observer | tells | right % | missed % | wrong % | CPU us/conn | speed |
|---|---|---:|---:|---:|---:|---:|"""


def measure(o, load, alone=None):
    """One run beside one without the observer, which @alone may stand for."""
    alone = alone or load.run(loads.Watch(None))
    o.proto = load.proto
    watch = loads.Watch(o)
    run = load.run(watch)
    sightings = watch.stop()
    n = max(len(run.truths), 1)
    rate = len(alone.truths) / alone.seconds
    return {**loads.verdict(run.truths, sightings), "n": n, "cpu": watch.cpu / n, "alone": rate,
            "speed": n / run.seconds / rate}


def row(o, runs):
    total = sum(r["n"] for r in runs)
    shares = " | ".join(f"{sum(r[k] for r in runs) * 100 / total:.1f}" for k in ("right", "missed", "wrong"))
    cpu = statistics.median(r["cpu"] for r in runs) / 1000
    speed = statistics.median(r["speed"] for r in runs)
    return f"| {o.name} | {o.names} | {shares} | {cpu:.0f} | {speed:.2f} |"


def table(load, results, say):
    rates = [r["alone"] for runs in results.values() if isinstance(runs, list) for r in runs]
    say(f"\n{load.name}: {load.what}; {load.n} a run" +
        (f", without an observer {statistics.median(rates):.0f}/s" if rates else "") + f"\n\n{HEAD}")
    for o, runs in results.items():
        if runs:
            say(row(o, runs) if isinstance(runs, list) else f"| {o.name} | {o.names} | {runs} |||||")
    sys.stdout.flush()


def run_group(group, load, rounds, quick, found):
    """Fills {observer: its runs, or why there are none}; rounds outermost, so that what changes on the machine meets
    all."""
    found.update((o, [] if load.proto in o.protos else "TCP only") for o in group)
    alone = load.run(loads.Watch(None)) if quick and group else None
    for n in range(rounds):
        for o in group:
            if isinstance(found[o], str):
                continue
            try:
                found[o].append(measure(o, load, alone))
                print(f"{load.name} {n + 1}/{rounds} {row(o, found[o][-1:])}", file=sys.stderr, flush=True)
            except observers.Unavailable as e:
                found[o] = str(e)


def compare(kinds, quick=False, rounds=3, scale=1, names=(), only=""):
    """Runs, prints and judges what `kinds` ("methods", "peers") name, and flowner beside them."""
    chosen = [load for load in loads.loads(quick, scale) if not names or load.name in names]
    groups = [(observers.methods() if "methods" in kinds else []) + observers.flowners() +
              (packaged.peers() if "peers" in kinds else []),
              [packaged.Audit()] if "methods" in kinds and (only or not quick) else []]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what is undone at exit is undone then, too
    found = {load: {} for load in chosen}
    try:
        for group in groups:
            for load in chosen:
                run_group([o for o in group if only in o.name], load, rounds, quick, found[load])
    finally:  # also what an interrupt leaves
        for load in chosen:
            table(load, found[load], tap.note if quick else print)
    for load in chosen:
        for o, runs in found[load].items():
            if isinstance(o, observers.Flowner):
                tap.is_(sum(r["wrong"] for r in runs), 0, f"{o.name}, {load.name}: nobody wrong is named")


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--methods", action="store_true")
    a.add_argument("--peers", action="store_true")
    a.add_argument("--quick", action="store_true")
    a.add_argument("--rounds", type=int, default=3)
    a.add_argument("--scale", type=float, default=1)
    a.add_argument("--load", action="append")
    a.add_argument("--only", default="")
    a = a.parse_args()
    kinds = [k for k in ("methods", "peers") if getattr(a, k)] or ["methods", "peers"]
    tap.need_root()
    compare(kinds, a.quick, 1 if a.quick else a.rounds, a.scale, a.load, a.only)
    tap.done()


if __name__ == "__main__":
    main()
