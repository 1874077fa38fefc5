# SPDX-License-Identifier: Apache-2.0
"""Every loss is a record in the log: the sums are those of the ledger, and not more records than allowed."""
import json
import os
import re
import signal
import subprocess

import exposition
import pipeline
import sink_feed
import tap

tap.need_root()
PACKETS = tap.amount(20_000, 400_000, 10_000)
FLOWNER = tap.program("flowner")

ns = tap.netns()
here, there = tap.uplink(ns)


def syns(count):
    return tap.spawn(tap.inside(ns, pipeline.TRUTH, "syns", there, str(count)), stdout=subprocess.PIPE, text=True)


def of_stage(path):
    """{stage: [flowner.loss objects with their first and last time]} of an ECS file."""
    found = {}
    for r in pipeline.records(path):
        loss = r["flowner"].get("loss")
        if loss:
            found.setdefault(loss["stage"], []).append({**loss, "first": r["event"]["start"], "last": r["event"]["end"]})
    return found


def losses_of_status(runtime):
    r = tap.run([FLOWNER, "status", "--json", "--runtime-dir", runtime], text=True)
    return {l["stage"]: l for l in json.loads(r.stdout)["instances"][0]["losses"]}


def check(name, path, counted, want):
    """The file's sums are what status says, and these are what `want` expects to be lost."""
    told = of_stage(path)
    sums = {stage: sum(l["count"] for l in losses) for stage, losses in told.items()}
    tap.is_(sums, {stage: l["count"] for stage, l in counted.items() if l["count"]},
            f"{name}: the records' sums are the ledger's, stage by stage")
    for stage in want:
        tap.ok(sums.get(stage, 0) > 0, f"{name}: {stage} has lost something", sums)
    for stage, losses in told.items():
        tap.is_({l["reason"] for l in losses}, {counted[stage]["reason"]}, f"{name}: {stage}: why")
        tap.ok(all(l["first"] <= l["last"] for l in losses), f"{name}: {stage}: from when to when")
        tap.ok(all(a["first"] <= b["last"] for a, b in zip(losses, losses[1:])), f"{name}: {stage}: in order")
    return told


def stopped(program, want, *settings):
    """A program that stands still while its small ring fills."""
    name = f"{program} stopped"
    folder = tap.tmpdir()
    path, zeek, text = (os.path.join(folder, n) for n in ("a.ndjson", "conn.log", "a.txt"))
    sets = [arg for s in settings for arg in ("--set", s)]
    f = pipeline.Flowner("-i", here, "-o", f"ecs:{path}", "-o", f"zeek:{zeek}", "-o", f"text:{text}", *sets, "tcp port 80")
    p = syns(PACKETS)
    tap.wait_for(lambda: f.ledger("capture")["capture_packets_published"] > 0)
    pid = f.pid(program)
    os.kill(pid, signal.SIGSTOP)
    p.wait()
    os.kill(pid, signal.SIGCONT)
    tap.ok(f.settle(quiet=0.5, timeout=60), f"{name}: the counters come to rest")
    prometheus = exposition.Metrics(tap.run([FLOWNER, "metrics", "--runtime-dir", f.runtime()]).stdout)
    counted = losses_of_status(f.runtime())
    f.stop()
    told = check(name, path, counted, want)
    for stage, losses in told.items():
        tap.note(f"{name}: {stage}: {len(losses)} records for {counted[stage]['count']}")
        # One a second, by default: a full ring makes a loss of every few frames.
        tap.ok(len(losses) <= 100, f"{name}: {stage}: a handful of records", len(losses))
    for stage in ("kernel", "packet_ring"):
        labels = {"stage": stage, "reason": counted[stage]["reason"]}
        tap.is_(prometheus.value("flowner_dropped_total", **labels), counted[stage]["count"], f"{name}: {stage}: the metric")
    with open(zeek) as fh:
        comments = [line.split("\t") for line in fh if line.startswith("#flowner_loss\t")]
    with open(text) as fh:
        lost = [line for line in fh if " LOST " in line]
    for stage, losses in told.items():
        tap.is_([(c[1], c[2], int(c[3])) for c in comments if c[1] == stage],
                [(stage, l["reason"], l["count"]) for l in losses], f"{name}: {stage}: the same in zeek's log")
    tap.is_(sorted(int(re.search(r"LOST (\d+)", line).group(1)) for line in lost),
            sorted(l["count"] for losses in told.values() for l in losses), f"{name}: the same as text")
    r = tap.run([FLOWNER, "tail", "--no-follow", path, "port:1"], text=True)
    shown = [line for line in r.stdout.splitlines() if " LOST " in line]
    tap.is_([l[l.index("LOST"):] for l in shown], [l.rstrip("\n")[l.index("LOST"):] for l in lost],
            f"{name}: flowner tail shows them, whatever it is asked for")


def table_full():
    """More connections than the flow table holds, and a sink that is killed meanwhile."""
    path = os.path.join(tap.tmpdir(), "a.ndjson")
    f = pipeline.Flowner("-i", here, "-o", f"ecs:{path}", "--set", "limits.flows=64", "--set", "metrics.losses=1h",
                         "tcp port 80")
    for n in range(3):
        syns(500).wait()
        tap.ok(f.settle(quiet=0.5), f"flow table full: at rest {n + 1}")
        if n < 2:
            f.kill(("sink", "enrich")[n])
    counted = losses_of_status(f.runtime())
    tap.ok(counted["flow_table"]["count"] > 1000, "flow table full: connections are ended early", counted["flow_table"])
    f.stop()
    check("flow table full, sink and enrich killed", path, counted, ["flow_table"])


def sink_alone():
    """What only the sink loses: records that another output refused, records that make no sense."""
    pair = sink_feed.Pair()
    path = pair.path("a.ndjson")
    pair.settings[0] = f"output.files=[text:-, ecs:{path}]"
    pair.feed("--count", 4000, "--rate", 4000)
    p = pair.start("--exit-at-end", stdout=subprocess.PIPE)
    p.stdout.readline()
    p.stdout.close()
    pair.feeder_result()
    tap.is_(p.wait(20), 0, "a reader that goes: the other output goes on to the end")
    told = of_stage(path)
    lost = pair.ledger()["records_lost"]
    tap.ok(lost > 0, f"a reader that goes: {lost} records it did not get")
    tap.is_(sum(l["count"] for l in told["output"]), lost, "a reader that goes: the other output's file says how many")
    tap.is_({l["reason"] for l in told["output"]}, {"refused"}, "a reader that goes: and why")

    pair = sink_feed.Pair()
    path = pair.path("a.ndjson")
    pair.settings[0] = f"output.files=[ecs:{path}]"
    pair.feed("--count", 1000, "--hostile", 5)
    p = pair.start("--exit-at-end")
    pair.feeder_result()
    tap.is_(p.wait(20), 0, "records that make no sense: ends well")
    invalid = pair.ledger()["records_invalid"]
    tap.ok(invalid > 0, f"records that make no sense: {invalid}")
    tap.is_(sum(l["count"] for l in of_stage(path)["records"]), invalid, "records that make no sense: the file says how many")


stopped("enrich", ["packet_ring"], "capture.ring=64KiB", "limits.flows=1000000")
stopped("sink", ["record_ring"], "enrich.ring=64KiB", "limits.flows=64")
table_full()
sink_alone()
tap.done()
