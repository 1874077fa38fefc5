# SPDX-License-Identifier: Apache-2.0
"""
The truth harness: are owners right? Clients and servers tell who they are, flowner's records are held against it.

    tests/bench/owners.py [--quick] [--tier full|connect|notap|zero|all] [--scenario WORD,...] [--n N] [--scale X]
                          [--long] [--json FILE] [--show] [--peers] [--methods]

Prints a table, scenario x tier, then TAP lines for what is promised. Scenarios: tests/bench/owners/scenarios.py, a name
matches if it contains one of the words. --n: connections of every scenario; --scale: of an ordinary run's; --long: more
than 100,000 in total and the thresholds as promised; --quick: few of all, lower thresholds. --show: examples of
everything that is not right. --peers and --methods run other tools and other ways on the same load (tests/bench/methods).
"""
import argparse
import json
import os
import pickle
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "owners"))
import harness  # noqa: E402
import judge  # noqa: E402
import reuse  # noqa: E402
import scenarios  # noqa: E402
import tap  # noqa: E402

TIERS = {
    "full": (),
    "connect": ("enrich.tap=connect",),
    "notap": ("enrich.tap=off", "enrich.procfs=keep"),
    "zero": ("enrich.tap=off", "enrich.procfs=seed"),
}
HEAD = (f"{'scenario':34} {'tier':8}{'n':>6} {'right':>7} {'wrong':>6} {'listen':>6} {'unkn':>6} {'miss':>5}  "
        f"{'start':>6} {'exe':>6} {'args':>6} {'uid':>6} {'cgroup':>6} {'inner':>6} {'p50 ms':>7} {'p99 ms':>7} {'us/conn':>8}")


def percent(x):
    return "-" if x is None else f"{x:.1f}"


def line(name, tier, t):
    p50, p99 = t.latency_ms(0.5), t.latency_ms(0.99)
    start = t.start_share("right") if t.start else None
    return (f"{name:34.34} {tier:8}{t.n:6} {t.share('right'):6.2f}% {t.wrong():6} {t.end['listener']:6} "
            f"{t.end['unknown']:6} {t.end['missing']:5}  {percent(start):>6} "
            + " ".join(f"{percent(t.detail_share(d)):>6}" for d in ("exe", "args", "uid", "cgroup", "inner"))
            + f" {percent(p50):>7} {percent(p99):>7} {t.cpu_ns / max(t.n, 1) / 1000:8.1f}")


class Row:
    """One scenario, one side, one tier."""

    def __init__(self, scenario, tier, side, tally):
        self.scenario, self.tier, self.side, self.tally = scenario, tier, side, tally

    def name(self):
        return self.scenario.name if self.scenario.sides == ("client",) else f"{self.scenario.name}, {self.side}"

    def as_json(self):
        t = self.tally
        return {"scenario": self.scenario.name, "tier": self.tier, "side": self.side, "n": t.n, "end": dict(t.end),
                "start": dict(t.start), "details": {d: [t.right[d], t.judged[d]] for d in judge.DETAILS},
                "confidence": dict(t.confidence), "reasons": dict(t.reasons), "cpu_ns": t.cpu_ns,
                "latency_ms": [t.latency_ms(0.5), t.latency_ms(0.99)]}


def show(row):
    for name, t, record, why in row.tally.examples:
        tap.note(f"    {name}: {'; '.join(why)}")
        tap.note(f"        truth: {t.proto} {t.local} -> {t.remote} pid {sorted(t.end.pids)}")
        if record:
            own = record["flowner"]
            second = own.get("responder") or {}
            tap.note(f"        record: {record['event']['start']} {own.get('direction')} "
                     f"{json.dumps(record.get('process', {}))[:100]} {json.dumps(own.get('owner'))}, responder "
                     f"{json.dumps(second.get('process'))[:100]} {json.dumps(second.get('owner'))}")


def measure(tier, chosen, options):
    """Rows of one tier."""
    observer = harness.Flowner(TIERS[tier], ("ecs", "text"))
    rows = []
    with harness.Harness(chosen, options.scale, options.n, options.ports, options.long) as h:
        h.looked_up = "enrich.tap=off" in TIERS[tier]
        results = h.run(observer)
        observer.stop()
        tap.is_(observer.status, 0, f"{tier}: flowner ends well")
        tap.ok(h.secret.encode() not in observer.written(), f"{tier}: nothing written holds the clients' environment")
        flows = judge.Flows(observer.records, h.ports)
        lost = {k: v for k, v in observer.ledgers.items() if k.endswith(("_lost", "_dropped")) and v}
        if lost:
            tap.note(f"{tier}: lost {lost}")
        for r in results.values():
            if r.skipped:
                tap.skip(f"{tier}: {r.scenario.name}", r.skipped)
                continue
            tallies = judge.judge_records(r.truths, flows, h.ports)
            if not tallies:
                tap.ok(False, f"{tier}: {r.scenario.name}: somebody reported")
            for side, t in tallies.items():
                t.cpu_ns = r.cpu_ns
                rows.append(Row(r.scenario, tier, side, t))
    return rows


def measure_reuse(tier, options):
    why = reuse.unavailable()
    if why:
        tap.skip(f"{tier}: {scenarios.REUSE.name}", why)
        return []
    n = options.n or int(scenarios.REUSE.n * (scenarios.REUSE.long if options.long else options.scale))
    rows = reuse.measure(os.path.abspath(__file__), tier, max(n, 200))
    tap.ok(rows, f"{tier}: {scenarios.REUSE.name} could be measured")
    return rows


def report(rows, options):
    tap.note(HEAD)
    order = {s.name: i for i, s in enumerate([*scenarios.SCENARIOS, scenarios.REUSE])}
    for row in sorted(rows, key=lambda r: (order[r.scenario.name], r.side, list(TIERS).index(r.tier))):
        tap.note(line(row.name(), row.tier, row.tally))
        if options.show or row.tally.wrong():
            show(row)


def part(tallies, what):
    judged = sum(t.judged[what] for t in tallies)
    return 100.0 * sum(t.right[what] for t in tallies) / judged if judged else 100.0


def promises(rows, options):
    """TAP lines. A short run's numbers are too small for the promised shares: one miss in 100 must not fail it."""
    least = 99.0 if options.loose else 99.9
    for tier in dict.fromkeys(r.tier for r in rows):
        mine = [r for r in rows if r.tier == tier]
        total = sum(r.tally.n for r in mine)
        wrong = sum(r.tally.wrong() for r in mine)
        tap.is_(wrong, 0, f"{tier}: nobody wrong is named, of {total} connections' ends")
        tap.is_(sum(r.tally.end["missing"] for r in mine), 0, f"{tier}: every connection has its record")
        if tier in ("full", "connect"):
            clients = [r for r in mine if r.scenario.kind == "client" and r.side == "client"]
            for r in clients:
                tap.ok(enough(r.tally.end, least, options),
                       f"{tier}: {r.name()}: right for {least} % ({r.tally.share('right'):.2f})")
            right = sum(r.tally.end["right"] for r in clients)
            tap.ok(right >= least / 100.0 * sum(r.tally.n for r in clients), f"{tier}: right for {least} % of all clients")
            details([r.tally for r in clients if not r.scenario.lives], tier, options, 93.0, "clients that exit at once")
            details([r.tally for r in clients if r.scenario.lives], tier, options, 99.0, "clients that live >= 1 ms")
        if tier == "full":
            for r in mine:
                if r.scenario.kind == "server" and r.side == "server":
                    tap.ok(enough(r.tally.end, 99.0, options), f"{tier}: {r.name()}: who accepted for 99 % at the end")
                    tap.ok(enough(r.tally.start, 99.0, options), f"{tier}: {r.name()}: the listener at the start")
            lasting = [r.tally for r in mine if r.scenario.name == "container client that lives"]
            if lasting:
                tap.ok(part(lasting, "inner") >= 99.0, f"{tier}: the pid inside of 99 % of a container's lasting clients")
        without_tap(mine, tier, options)


def enough(verdicts, least, options):
    """Whether a share is right; in a short run one miss is no share."""
    total, right = sum(verdicts.values()), verdicts["right"]
    return right >= least / 100.0 * total or (options.loose and right >= total - 1)


def details(tallies, tier, options, args_least, who):
    if not tallies:
        return
    for what, least in ("exe", 99.9), ("cgroup", 99.9), ("uid", 99.0), ("args", args_least):
        if what == "args" and tier != "full":
            continue  # no event of `connect` holds them
        least -= 1.0 if options.loose else 0.0
        tap.ok(part(tallies, what) >= least, f"{tier}: {what} right for {least} % of {who} "
               f"({part(tallies, what):.2f})")


def without_tap(rows, tier, options):
    by_name = {(r.scenario.name, r.side): r.tally for r in rows}
    if tier == "notap":
        for name, least in ("tcp exit at once", 90.0), ("tcp peer answers after 10 ms", 99.0):
            t = by_name.get((name, "client"))
            if t and not options.loose:
                tap.ok(t.share("right") >= least, f"{tier}: {name}: right for {least} % ({t.share('right'):.2f})")
    if tier == "zero":
        t = by_name.get(("tcp peer answers after 10 ms", "client"))
        if t and not options.loose:
            for what in "uid", "cgroup":
                tap.is_(t.right[what], t.n, f"{tier}: {what} of every connection whose socket still exists")


def arguments():
    a = argparse.ArgumentParser()
    a.add_argument("--quick", action="store_true")
    a.add_argument("--long", action="store_true")
    a.add_argument("--tier", default="full", choices=[*TIERS, "all"])
    a.add_argument("--scenario")
    a.add_argument("--n", type=int, default=0)
    a.add_argument("--scale", type=float, default=1.0, help="connections of an ordinary run, times this")
    a.add_argument("--ports", type=int, default=harness.PORTS, help="the first of about 70")
    a.add_argument("--json")
    a.add_argument("--inside", help=argparse.SUPPRESS)  # the process that measures pid reuse: where rows go
    a.add_argument("--show", action="store_true")
    a.add_argument("--peers", action="store_true")
    a.add_argument("--methods", action="store_true")
    a = a.parse_args()
    a.scale = 0.1 if a.quick else a.scale
    a.loose = a.quick or not a.long
    return a


def main():
    options = arguments()
    tap.need_root()
    chosen = scenarios.by_name(options.scenario)
    if not chosen:
        tap.bail("no such scenario")
    rows = []
    if options.inside:
        rows = measure(options.tier, [scenarios.REUSE], options)
        with open(options.inside, "wb") as f:
            pickle.dump(rows, f)
        return
    for tier in TIERS if options.tier == "all" else [options.tier]:
        outside = [s for s in chosen if s is not scenarios.REUSE]
        rows += measure(tier, outside, options) if outside else []
        if scenarios.REUSE in chosen:
            rows += measure_reuse(tier, options)
    report(rows, options)
    promises(rows, options)
    if options.json:
        with open(options.json, "w") as f:
            json.dump([r.as_json() for r in rows], f, indent=1)
    if options.peers or options.methods:
        import methods
        methods.compare([k for k in ("methods", "peers") if getattr(options, k)], options.quick,
                        1 if options.quick else 3)
    tap.done()


if __name__ == "__main__":
    main()
