# SPDX-License-Identifier: Apache-2.0
"""Verdicts: what was recorded or seen, held against the truth.

    right     the record names the process
    wrong     it names another one, or says something untrue of the right one (exe, uid, cgroup, ...)
    listener  it names the listening process, and another one has the connection: it says `probable`, or the listener
              did accept and passed the connection on
    unknown   it names none
    missing   there is no record of the connection
"""
import collections
import datetime
import json
import statistics
import time

import truth

VERDICTS = ("right", "wrong", "listener", "unknown", "missing")
DETAILS = ("exe", "args", "uid", "cgroup", "comm", "inner")
_boot_ns = None


def time_ns(text):
    """An ECS time as ns, to the microsecond."""
    t = datetime.datetime.fromisoformat(text)
    return int(t.timestamp()) * 1_000_000_000 + t.microsecond * 1000


class End:
    """One local end of one record."""

    def __init__(self, process, top, owner):
        self.process = process or {}
        self.pid = self.process.get("pid")
        self.user = top.get("user", {}).get("id")
        self.cgroup = owner.get("cgroup", {}).get("path")
        self.owner = owner.get("owner", {})
        self.container = top.get("container", {})


class Flow:
    """All records of one flow, its first and its last."""

    def __init__(self, first):
        self.records = [first]
        self.start = time_ns(first["event"]["start"])

    def close(self):
        """Once all records are there."""
        last = self.records[-1]
        self.end = time_ns(last["event"].get("end") or last["@timestamp"])
        self.first = next((r for r in self.records if "start" in r["event"]["type"]), None)
        self.last = next((r for r in self.records if "end" in r["event"]["type"]), None)


def ends(record):
    """Who is named for the originator and for the responder; (End or None) each."""
    own = record.get("flowner", {})
    top = End(record.get("process"), record, own)
    second = own.get("responder")
    second = End(second.get("process"), second, second) if second is not None else None
    direction = own.get("direction")
    if direction == "ingress":
        return None, top
    if direction == "unknown" and second is None:
        return top, top  # the record does not say which end it means
    return top, second


class Flows:
    """An ECS file by 5-tuple."""

    def __init__(self, path, ports):
        self.by_tuple = {}
        flows = {}
        self.n = 0
        with open(path, "rb") as f:
            for line in f:
                r = json.loads(line)
                if "network" not in r:
                    continue
                src, dst = r["source"], r["destination"]
                if "port" in dst and dst["port"] not in ports and src.get("port") not in ports:
                    continue
                self.n += 1
                key = r["flowner"]["flow_id"]
                if key in flows:
                    flows[key].records.append(r)
                    continue
                flow = flows[key] = Flow(r)
                proto = r["network"].get("transport", r["network"]["iana_number"])
                self.by_tuple.setdefault(
                    (proto, src["ip"], src.get("port", 0), dst["ip"], dst.get("port", 0)), []).append(flow)
        for flow in flows.values():
            flow.close()
        self.by_remote = {}
        for key, list_ in self.by_tuple.items():
            self.by_remote.setdefault((key[0], key[3], key[4]), []).extend(list_)

    def find(self, t):
        """The flow of a truth and whether the truth's end is its originator: (flow, bool) or (None, True)."""
        proto = {"ping": "icmp", "rawping": "icmp", "raw": "udp"}.get(t.proto, t.proto)
        if proto == "icmp":
            if ":" in t.remote[0]:
                proto = "ipv6-icmp"
            found = [f for k, fs in self.by_tuple.items() if k[0] == proto and k[3] == t.remote[0] and
                     (k[1] == t.local[0] or t.local[0] in ("0.0.0.0", "::")) for f in fs]
            return self.nearest(found, t), True
        if t.side == "server":
            orig, resp = t.remote, t.local
        else:
            orig, resp = t.local, t.remote
        if not orig[1]:
            return self.nearest(self.by_remote.get((proto, *resp), []), t), True
        if orig[0] in ("0.0.0.0", "::", "-"):  # an unbound socket's report
            found = [f for f in self.by_remote.get((proto, *resp), []) if f.records[0]["source"]["port"] == orig[1]]
        else:
            found = self.by_tuple.get((proto, *orig, *resp), [])
        flow = self.nearest(found, t)
        if flow:
            return flow, t.side == "client"
        flow = self.nearest(self.by_tuple.get((proto, *resp, *orig), []), t)
        return flow, t.side != "client"

    @staticmethod
    def nearest(found, t):
        """Of several flows of one 5-tuple the one that was there at the truth's time, and began closest to it."""
        near = [(max(f.start - t.t1, t.t0 - f.end, 0), abs(f.start - t.t0), i) for i, f in enumerate(found)]
        near = [n for n in near if n[0] < truth.SLACK_NS]
        return found[min(near)[2]] if near else None


class Verdict:
    """One record's end held against one Expect."""

    def __init__(self, end, expect, listener=0):
        self.details = {}
        self.untrue = []
        self.latency = None
        if end is None or not end.pid:
            self.name = "unknown"
        elif end.pid in expect.pids:
            self.name = "right"
        elif end.pid == listener and (expect.accepted_by_listener or end.owner.get("confidence") == "probable"):
            self.name = "listener"
        else:
            self.name = "wrong"
            self.untrue.append(f"pid {end.pid} is not {sorted(expect.pids)}")
        if end is None or self.name not in ("right", "unknown"):
            return
        self.check("uid", end.user, expect.uid, str)
        self.check("cgroup", end.cgroup, expect.cgroup, str)
        if self.name == "unknown":
            return
        self.latency = end.owner.get("latency_ns")
        p = end.process
        self.check("exe", p.get("executable"), expect.exes)
        self.check("comm", p.get("name"), expect.comm, str)
        if expect.argv is not None:
            got = tuple(p.get("args", ()))
            self.details["args"] = got in expect.argv
            if got and not self.details["args"] and not end.owner.get("args_truncated"):
                self.untrue.append(f"args {got} are not {expect.argv}")
        if expect.inner is not None:
            self.check("inner", p.get("vpid"), expect.inner, int)
        self.check_start(p.get("start"), expect.start_ticks)
        if self.untrue:
            self.name = "wrong"

    def check(self, what, got, want, convert=None):
        if want is None:
            return
        right = got in want if convert is None else got == convert(want)
        self.details[what] = right
        if not right and got is not None:
            self.untrue.append(f"{what} {got} is not {want if convert else sorted(want)}")
            if self.name == "unknown":
                self.name = "wrong"

    def check_start(self, start, ticks):
        if not start or not ticks:
            return
        away = time_ns(start) - (boot_ns() + ticks * truth.TICK_NS)
        if abs(away) > 2 * truth.TICK_NS + truth.SLACK_NS:
            self.untrue.append(f"started {away / 1e6:.0f} ms from the truth")


def boot_ns():
    """CLOCK_REALTIME at boot, taken once."""
    global _boot_ns
    if _boot_ns is None:
        _boot_ns = time.clock_gettime_ns(time.CLOCK_REALTIME) - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return _boot_ns


class Tally:
    """Verdicts of one scenario, side and tier, added up."""

    def __init__(self):
        self.n = 0
        self.end = collections.Counter()
        self.start = collections.Counter()
        self.right = collections.Counter()  # details
        self.judged = collections.Counter()
        self.confidence = collections.Counter()
        self.reasons = collections.Counter()
        self.latencies = []
        self.examples = []
        self.cpu_ns = 0

    def add(self, flow, originator, t):
        self.n += 1
        if flow is None or flow.last is None:
            self.end["missing"] += 1
            self.example("missing", t, flow.records[-1] if flow else None, ["no end record" if flow else "no record"])
            return
        end = ends(flow.last)[0 if originator else 1]
        v = Verdict(end, t.end, t.listener)
        self.end[v.name] += 1
        if v.name == "unknown":
            self.reasons[end.owner.get("reason") or end.owner.get("confidence") if end else "no end"] += 1
            self.confidence[end.owner.get("confidence") if end else "none"] += 1
        else:
            self.confidence[end.owner.get("confidence")] += 1
        for what, right in v.details.items():
            self.judged[what] += 1
            self.right[what] += right
        if v.latency is not None:
            self.latencies.append(v.latency)
        if v.name != "right":
            self.example(v.name, t, flow.last, v.untrue)
        if flow.first is not None:
            first = ends(flow.first)[0 if originator else 1]
            v = Verdict(first, t.start, t.listener)
            self.start[v.name] += 1
            if v.name == "wrong":
                self.example("wrong at start", t, flow.first, v.untrue)

    def example(self, name, t, record, why):
        if sum(e[0] == name for e in self.examples) < 3:
            self.examples.append((name, t, record, why))

    def share(self, what):
        return 100.0 * self.end[what] / self.n if self.n else 0.0

    def start_share(self, what):
        total = sum(self.start.values())
        return 100.0 * self.start[what] / total if total else 0.0

    def detail_share(self, what):
        return 100.0 * self.right[what] / self.judged[what] if self.judged[what] else None

    def wrong(self):
        return self.end["wrong"] + self.start["wrong"]

    def latency_ms(self, part):
        if len(self.latencies) < 2:
            return self.latencies[0] / 1e6 if self.latencies else None
        return statistics.quantiles(self.latencies, n=1000)[int(part * 1000) - 1] / 1e6


def judge_records(truths, path, ports):
    """{side: Tally} of an ECS file."""
    flows = path if isinstance(path, Flows) else Flows(path, ports)
    tallies = {}
    for t in truths:
        tallies.setdefault(t.side, Tally()).add(*flows.find(t), t)
    return tallies


def judge_seen(truths, seen, slack_ns=truth.SLACK_NS):
    """Counter of right, wrong, unknown, missing: for observers that only say (proto, local_port, t_ns, pid or None)."""
    count = collections.Counter()
    by_port = {}
    for s in seen:
        by_port.setdefault((s[0], s[1]), []).append(s)
    for t in truths:
        near = [s for s in by_port.get((t.proto, t.local[1]), ())
                if t.t0 - slack_ns <= s[2] <= max(t.t1, t.t0 + t.lived_ns) + slack_ns]
        named = [s[3] for s in near if s[3]]
        if any(pid in t.end.pids or pid in t.start.pids for pid in named):
            count["right"] += 1
        else:
            count["wrong" if named else "unknown" if near else "missing"] += 1
    return count
