# SPDX-License-Identifier: Apache-2.0
"""200,000 counted packets at full speed: matched = written + counted losses, exactly, whoever is stopped meanwhile."""
import os
import signal
import subprocess
import time

import pipeline
import tap

tap.need_root()
PACKETS = 200_000

ns = tap.netns()
here, there = tap.uplink(ns)


def measure(stopped):
    name = f"{stopped} stopped" if stopped else "nobody stopped"
    path = os.path.join(tap.tmpdir(), "out.ndjson")
    f = pipeline.Flowner("-i", here, "-o", f"ecs:{path}", "--set", "limits.flows=1000000",
                         "--set", "limits.tcp_attempt_timeout=3s", "tcp port 80")
    send = subprocess.Popen(["ip", "netns", "exec", ns, pipeline.TRUTH, "syns", there, str(PACKETS)],
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
    tap.has(status.stdout, "balance", f"{name}: flowner status shows the balance")
    tap.ok("does not balance" not in status.stdout, f"{name}: and it balances", status.stdout)

    # The same from the file alone: packets in end records and counted losses make up all that was sent.
    found = pipeline.records(path)
    starts = {r["event"]["id"] for r in pipeline.connections(found, "start")} if found else set()
    logged = sum(r.get("source", {}).get("packets", 0) + r.get("destination", {}).get("packets", 0)
                 for r in pipeline.connections(found, "end"))
    lost_packets = sum(r.get("flowner", {}).get("loss", {}).get("packets", 0) for r in found)
    tap.note(f"{name}: {len(found)} lines, {len(starts)} starts, {logged} packets logged, {lost_packets} lost; "
             f"kernel {before['capture_packets_dropped']}, ring {before['capture_packets_ring_full']}, "
             f"records {before['enrich_records_lost']}")
    last = [l for l in f.log().splitlines() if "packets seen" in l]
    tap.ok(last and str(sent) in last[-1], f"{name}: the last line names them", f.log())
    tap.ok(not os.path.exists(runtime), f"{name}: the runtime directory is gone")
    return found, before


found, counters = measure(None)
tap.is_(counters["capture_packets_dropped"] + counters["capture_packets_ring_full"] +
        counters["enrich_records_lost"], 0, "nobody stopped: nothing is lost at full speed")
tap.is_(sum(r["source"]["packets"] + r["destination"].get("packets", 0)
            for r in pipeline.connections(found, "end")), PACKETS,
        "nobody stopped: the file holds every packet in exactly one end record")
for program in pipeline.PROGRAMS:
    measure(program)
tap.done()
