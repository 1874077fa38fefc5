# SPDX-License-Identifier: Apache-2.0
"""Counted packets at full speed: matched = written + counted losses, exactly, whoever is stopped meanwhile."""
import json
import os
import re
import signal
import subprocess
import time

import pipeline
import tap

tap.need_root()
PACKETS = tap.amount(200_000, 1_000_000, 20_000)

ns = tap.netns()
here, there = tap.uplink(ns)


def measure(stopped):
    name = f"{stopped} stopped" if stopped else "nobody stopped"
    path = os.path.join(tap.tmpdir(), "out.ndjson")
    f = pipeline.Flowner("-i", here, "-o", f"ecs:{path}", "--set", "limits.flows=1000000", "tcp port 80")
    send = tap.spawn(tap.inside(ns, pipeline.TRUTH, "syns", there, str(PACKETS)),
                     stdout=subprocess.PIPE, text=True)
    if stopped:
        time.sleep(0.05)
        pid = f.pid(stopped)
        os.kill(pid, signal.SIGSTOP)
        sent = int(send.communicate()[0])
        time.sleep(0.5)
        os.kill(pid, signal.SIGCONT)
    else:
        sent = int(send.communicate()[0])
    tap.ok(f.settle(timeout=60), f"{name}: the counters come to rest")
    status = tap.run([tap.program("flowner"), "status", "--runtime-dir", f.runtime()], text=True)
    before = f.ledgers()
    runtime = f.runtime()
    f.stop()
    tap.is_(sent, PACKETS, f"{name}: every packet was sent")
    tap.is_(before["capture_packets_matched"], sent, f"{name}: matched = sent")
    tap.is_(before["capture_packets_matched"],
            before["capture_packets_delivered"] + before["capture_packets_dropped"],
            f"{name}: matched = delivered + dropped by the kernel")
    tap.is_(before["capture_packets_delivered"],
            before["capture_packets_published"] + before["capture_packets_ring_full"],
            f"{name}: delivered = published + packet ring full")
    tap.is_(before["capture_packets_published"], before["enrich_packets_read"],
            f"{name}: published = read by enrich")
    spent = sum(before[f"enrich_packets_{k}"] for k in (
        "logged", "open", "duplicate", "late", "fragment", "other", "malformed", "lost", "filtered"))
    tap.is_(before["enrich_packets_read"], spent, f"{name}: every packet read is in one account")
    tap.is_(before["enrich_packets_logged"], before["sink_packets_written"] + before["sink_packets_lost"],
            f"{name}: logged = written")
    tap.ok(pipeline.balances(status.stdout), f"{name}: flowner status shows that it balances", status.stdout)

    # The same from the file alone: each record says how many packets it stands for, each loss how many it cost.
    with open(path, "rb") as fh:
        data = fh.read()
    lines = data.split(b"\n")
    tap.is_(lines.pop(), b"", f"{name}: the file ends with a whole line")
    for line in lines[::997]:
        json.loads(line)
    logged = sum(map(int, re.findall(rb'"delta":{"packets":(\d+)', data)))
    tap.is_(logged, before["sink_packets_written"], f"{name}: the file's records stand for every packet written")
    tap.is_(logged + before["capture_packets_dropped"] + before["capture_packets_ring_full"] +
            before["enrich_packets_lost"] + before["enrich_packets_late"], sent,
            f"{name}: written + counted losses = sent")
    tap.note(f"{name}: {len(lines)} lines, lost: kernel {before['capture_packets_dropped']}, packet ring "
             f"{before['capture_packets_ring_full']}, record ring {before['enrich_packets_lost']}")
    last = [l for l in f.log().splitlines() if "packets seen" in l]
    tap.ok(last and str(sent) in last[-1], f"{name}: the last line names them", f.log())
    tap.ok(not os.path.exists(runtime), f"{name}: the runtime directory is gone")


for program in (None, *pipeline.PROGRAMS):
    measure(program)
tap.done()
