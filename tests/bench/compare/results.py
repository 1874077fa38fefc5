# SPDX-License-Identifier: Apache-2.0
"""What was measured: samples by part, subject and figure; tables, verdicts and JSON from them.

A part is a module with NAME, COLUMNS ({figure: heading}), FIRST (the figure of the ratio column, or None), run(samples,
quick) for one round in which all its subjects take turns, and judge(samples), which yields verdicts.
"""
import collections
import dataclasses
import json
import os
import platform
import statistics

OURS = "flowner"


@dataclasses.dataclass
class Verdict:
    """One clause of what is promised; value None: not measured here."""
    line: int
    text: str
    value: float | None
    relation: str  # "<=" or ">="
    bound: float

    def outcome(self):
        if self.value is None:
            return "not measured"
        met = self.value <= self.bound if self.relation == "<=" else self.value >= self.bound
        return "pass" if met else "falls short"


class Samples:
    """{part: {subject: {figure: [a value a round]}}}, and why a subject has none."""

    def __init__(self):
        self.found = {}
        self.missing = {}

    def add(self, part, subject, **figures):
        for figure, value in figures.items():
            self.found.setdefault(part, {}).setdefault(subject, {}).setdefault(figure, []).append(value)

    def lacks(self, part, subject, why):
        self.missing.setdefault(part, {})[subject] = why

    def values(self, part, subject, figure):
        return self.found.get(part, {}).get(subject, {}).get(figure, [])

    def median(self, part, subject, figure):
        values = self.values(part, subject, figure)
        return statistics.median(values) if values else None

    def best(self, part, subject, figure):
        return max(self.values(part, subject, figure), default=None)

    def total(self, part, subject, figure):
        values = self.values(part, subject, figure)
        return sum(values) if values else None

    def ratio(self, part, subject, peer, figure, of=None):
        """Of two subjects' medians, or of what @of (Samples.best) makes of their values."""
        a, b = ((of or Samples.median)(self, part, s, figure) for s in (subject, peer))
        return None if a is None or not b else a / b

    def load(self, path):
        """Goes on with what an earlier run wrote."""
        with open(path, encoding="utf-8") as f:
            was = json.load(f)
        self.found, self.missing = was["samples"], was["missing"]

    def save(self, path, verdicts):
        with open(path + ".new", "w", encoding="utf-8") as f:
            json.dump({"machine": machine(), "samples": self.found, "missing": self.missing,
                       "verdicts": [{**dataclasses.asdict(v), "outcome": v.outcome()} for v in verdicts]}, f, indent=1)
            f.write("\n")
        os.replace(path + ".new", path)


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        model = next((line.split(":", 1)[1].strip() for line in f if line.startswith("model name")), platform.machine())
    return {"cpu": model, "cpus": os.cpu_count(), "kernel": platform.release()}


def shown(value):
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}" if value else "0"


def table(samples, part, say):
    """In Markdown: medians with their range; the last column is ours as a part of each."""
    subjects = samples.found.get(part.NAME, {})
    missing = samples.missing.get(part.NAME, {})
    if not subjects and not missing:
        return
    rounds = max((len(v) for s in subjects.values() for v in s.values()), default=0)
    ratio = [f"flowner beside it ({part.COLUMNS[part.FIRST]})"] if part.FIRST else []
    say(f"\n{part.TITLE}; medians of {rounds}\n")
    say(f"| | {' | '.join([*part.COLUMNS.values(), *ratio])} |\n|---|{'---:|' * (len(part.COLUMNS) + len(ratio))}")
    for subject, figures in subjects.items():
        cells = []
        for figure in part.COLUMNS:
            values = figures.get(figure, [])
            spread = f" ({shown(min(values))}..{shown(max(values))})" if len(set(map(shown, values))) > 1 else ""
            cells.append(shown(statistics.median(values)) + spread if values else "-")
        if part.FIRST:
            ours = subject.startswith(OURS)
            cells.append("" if ours else shown(samples.ratio(part.NAME, OURS, subject, part.FIRST)))
        say(f"| {subject} | {' | '.join(cells)} |")
    for subject, why in missing.items():
        if subject not in subjects:
            say(f"| {subject} | {why} |")


def summary(verdicts, say):
    say("\nWhat is promised\n\n| line | | measured | promised | |\n|---:|---|---:|---:|---|")
    for v in sorted(verdicts, key=lambda v: v.line):
        say(f"| {v.line} | {v.text} | {shown(v.value)} | {v.relation} {v.bound:g} | {v.outcome()} |")
    count = collections.Counter(v.outcome() for v in verdicts)
    say("\n" + ", ".join(f"{n} {outcome}" for outcome, n in count.items()))
