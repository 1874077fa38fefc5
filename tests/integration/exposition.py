# SPDX-License-Identifier: Apache-2.0
"""A strict reader of Prometheus's text format 0.0.4: what a scraper might forgive is an error here."""
import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"')
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? (-?[0-9]+(?:\.[0-9]+)?)$")
TYPES = {"counter", "gauge", "histogram"}


def labels(text):
    found = {}
    at = 0
    while at < len(text):
        m = LABEL.match(text, at)
        if not m or m.group(1) in found:
            raise ValueError(f"labels: {text!r}")
        found[m.group(1)] = m.group(2).replace("\\n", "\n").replace('\\"', '"').replace("\\\\", "\\")
        at = m.end()
        if at < len(text):
            if text[at] != ",":
                raise ValueError(f"labels: {text!r}")
            at += 1
    return found


class Metrics:
    """.types: {metric: type}; .value(name, label=...): a sample; ValueError if the text is wrong."""

    def __init__(self, data):
        text = data.decode("utf-8") if isinstance(data, bytes) else data
        if not text.endswith("\n"):
            raise ValueError("does not end with a line feed")
        self.types, self.samples, helped, closed, current = {}, {}, set(), set(), None
        for line in text.split("\n")[:-1]:
            m = re.match(rf"# (HELP|TYPE) ({NAME}) (.+)$", line)
            if m:
                kind, name, rest = m.groups()
                if kind == "HELP":
                    if name in helped:
                        raise ValueError(f"a second HELP of {name}")
                    helped.add(name)
                    if current:
                        closed.add(current)
                    current = name
                else:
                    if name != current or name in self.types or rest not in TYPES:
                        raise ValueError(f"a TYPE of {name} out of place: {line!r}")
                    self.types[name] = rest
                continue
            m = SAMPLE.match(line)
            if not m:
                raise ValueError(f"neither a comment nor a sample: {line!r}")
            self.add(m.group(1), labels(m.group(2) or ""), float(m.group(3)), current, closed)
        for name, kind in self.types.items():
            if kind == "histogram":
                self.check_histogram(name)
            elif not any(n == name for n, _ in self.samples):
                raise ValueError(f"{name} has no sample")

    def add(self, name, found, value, current, closed):
        base = name
        if self.types.get(current) == "histogram":
            base = re.sub("_(bucket|sum|count)$", "", name)
        if base != current or base in closed or base not in self.types:
            raise ValueError(f"{name} stands among the samples of {current}")
        if self.types[base] == "counter" and not name.endswith("_total"):
            raise ValueError(f"a counter without _total: {name}")
        if self.types[base] != "gauge" and value < 0:
            raise ValueError(f"{name} is {value}")
        key = name, tuple(sorted(found.items()))
        if key in self.samples:
            raise ValueError(f"{key} stands there twice")
        self.samples[key] = value

    def check_histogram(self, name):
        buckets = [(float(dict(found)["le"]), value) for (n, found), value in self.samples.items()
                   if n == f"{name}_bucket"]
        if buckets != sorted(buckets) or [v for _, v in buckets] != sorted(v for _, v in buckets):
            raise ValueError(f"{name} is not cumulative: {buckets}")
        if not buckets or buckets[-1][0] != float("inf") or buckets[-1][1] != self.value(f"{name}_count"):
            raise ValueError(f"{name} ends without +Inf, or it is not the count")
        self.value(f"{name}_sum")

    def value(self, name, **found):
        return self.samples[name, tuple(sorted(found.items()))]

    def counters(self):
        """Every sample that only grows."""
        return {k: v for k, v in self.samples.items()
                if self.types.get(k[0], "histogram") in ("counter", "histogram")}
