# SPDX-License-Identifier: Apache-2.0
"""Every packet is counted exactly once: matched = delivered + dropped, delivered = published + lost, losses told in-band."""
import os
import signal
import time

import capture
import pipeline
import tap

tap.need_root()
COUNT = 50000
OPTIONS = ["--set", "enrich.tap=off"]
ONLY = "net 192.255.238.0/24"  # the sender's frames, not what the kernel says about a new interface


def flood(ns, count=COUNT, interface="v0"):
    out = tap.run(["nsenter", f"--net=/run/netns/{ns}", tap.program("tests/integration/send-frames"), interface, "flood",
                   str(count)])
    tap.is_(out.stdout.strip(), f"sent {count}", f"{count} packets sent on {interface}")


def balance(c, totals, sent, name):
    x = c.ledger()
    tap.is_(x["matched"], sent, f"{name}: matched = sent")
    tap.is_(x["delivered"] + x["dropped"], x["matched"], f"{name}: delivered + dropped = matched")
    tap.is_(x["published"] + x["ring_full"], x["delivered"], f"{name}: published + lost = delivered")
    tap.is_(totals["packets"], x["published"], f"{name}: read = published")
    tap.is_(totals["kernel"], x["dropped"], f"{name}: kernel drops told in-band")
    tap.is_(totals["ring"], x["ring_full"], f"{name}: losses of the full ring told in-band")
    tap.is_(totals["end"], 1, f"{name}: end mark")
    return x


def pair():
    a, b = tap.netns("cc"), tap.netns("cc")
    tap.veth(a, b)
    return a, b


a, b = pair()

# Nothing in the way.
c = capture.Capture(b).start("-i", "v0", "-f", ONLY, *OPTIONS)
reader = c.reader()
flood(a)
tap.is_(c.stop(), 0, "stopped in good order")
x = balance(c, capture.parse(reader)[1], COUNT, "veth")
tap.is_(x["dropped"] + x["ring_full"], 0, "nothing was lost")

# A last block that is closed late, by time only: nothing of it is forgotten.
c = capture.Capture(b).start("-i", "v0", "-f", ONLY, "--set", "capture.batch_timeout=400ms", *OPTIONS)
reader = c.reader()
flood(a, 10)
tap.is_(c.stop(), 0, "stopped in good order")
balance(c, capture.parse(reader)[1], 10, "long batches")

# Frames that are under way while it starts, and while it stops: whatever was matched is accounted for.
for i in range(3):
    c = capture.Capture(b)
    sender = tap.spawn(["nsenter", f"--net=/run/netns/{a}", tap.program("tests/integration/send-frames"), "v0", "flood",
                        "100000000"])
    c.start("-i", "v0", "-f", ONLY, "--set", "capture.ring=64MiB", *OPTIONS)
    reader = c.reader()
    time.sleep(0.2)
    tap.is_(c.stop(signal.SIGINT), 0, "stopped under traffic")
    totals = capture.parse(reader)[1]
    tap.stop(sender)
    tap.ok(c.ledger()["matched"] > 0, "there was traffic")
    balance(c, totals, c.ledger()["matched"], f"start and stop under traffic {i}")

# The consumer sleeps: the ring is full, then the losses are told.
c = capture.Capture(b).start("-i", "v0", "-f", ONLY, "--set", "capture.ring=64KiB", *OPTIONS)
reader = c.reader("-s", "1")
flood(a, 20000)
time.sleep(1.2)
tap.is_(c.stop(), 0, "stopped in good order")
x = balance(c, capture.parse(reader)[1], 20000, "full ring")
tap.ok(x["ring_full"] > 0, "the ring was full")
tap.has(c.text(), "the ring to enrich was full", "the log says so")

# Capture itself sleeps: the kernel's buffer is full.
c = capture.Capture(b).start("-i", "v0", "-f", ONLY, "--set", "capture.buffer=512KiB", *OPTIONS)
reader = c.reader()
c.process.send_signal(signal.SIGSTOP)
flood(a)
c.process.send_signal(signal.SIGCONT)
tap.is_(c.stop(), 0, "stopped in good order")
x = balance(c, capture.parse(reader)[1], COUNT, "sleeping capture")
tap.ok(x["dropped"] > 0, "the kernel dropped some")
tap.has(c.text(), "the kernel's buffer was full", "the log says so")

# Loopback shows a packet twice to a packet socket; here it is seen and counted once.
for interface in "lo", "any":
    c = capture.Capture(b).start("-i", interface, "-f", ONLY, *OPTIONS)
    reader = c.reader()
    flood(b, 5000, "lo")
    tap.is_(c.stop(), 0, "stopped in good order")
    balance(c, capture.parse(reader)[1], 5000, f"loopback by {interface}")

# A consumer that is replaced and one that comes again: the ring goes on where the last one stopped.
c = capture.Capture(b).start("-i", "v0", "-f", ONLY, *OPTIONS)
first = c.reader("-n", "1000")
flood(a, 3000)
first_totals = capture.parse(first)[1]
second = c.reader()
tap.is_(c.stop(), 0, "stopped in good order")
second_totals = capture.parse(second)[1]
tap.is_(first_totals["packets"] + second_totals["packets"], 3000, "two consumers in turn read everything once")

# Killed: what it had in hand is counted by its next life.
c = capture.Capture(b).start("-i", "v0", "-f", ONLY, "--set", "metrics.losses=100ms", *OPTIONS)
flood(a, 2000)
c.stop(signal.SIGKILL)
before = c.ledger()
c.start("-i", "v0", "-f", ONLY, *OPTIONS)
reader = c.reader()
flood(a, 1000)
tap.is_(c.stop(), 0, "stopped in good order")
capture.parse(reader)
x = c.ledger()
tap.is_(x["epoch"], before["epoch"] + 1, "its second life")
tap.is_(x["delivered"] + x["dropped"] + x["orphaned"], x["matched"], "after a kill: delivered + lost by the kernel = matched")
tap.is_(x["published"] + x["ring_full"], x["delivered"], "after a kill: published + lost = delivered")

# Killed with packets that the kernel has counted and not handed over yet: no buffer was too small for them.
LATE = ("metrics.losses=100ms", "capture.batch_timeout=1s", "enrich.sock_diag=false")
c = capture.Capture(b).start("-i", "v0", "-f", ONLY, *OPTIONS, *(arg for s in LATE for arg in ("--set", s)))
flood(a, 700)
tap.ok(tap.wait_for(lambda: c.ledger()["matched"] == 700, timeout=5), "the kernel's count is known before the packets are")
c.stop(signal.SIGKILL)
before = c.ledger()
c.start("-i", "v0", "-f", ONLY, *OPTIONS)
reader = c.reader()
tap.is_(c.stop(), 0, "stopped in good order")
totals = capture.parse(reader)[1]
x = c.ledger()
tap.is_((before["delivered"], x["orphaned"], x["dropped"]), (0, 700, 0), "the kernel's packets of a killed capture are a loss of their own")
tap.is_((totals["killed"], totals["kernel"]), (700, 0), "and told in-band as such")
tap.has(c.text(), "lost 700 packets: the kernel had them for a capture that was killed", "the log says so")

# Its socket outlives it where a supervisor keeps that: also what came while nobody was there is counted, to the packet.
out = os.path.join(tap.tmpdir(), "out.ndjson")
f = pipeline.Flowner("-i", "v0", "-o", f"ecs:{out}", "--set", "enrich.tap=off", ONLY, prefix=tap.inside(b))
for life in range(1, 4):
    flood(a, 100)
    tap.ok(f.settle(), "what came is read")
    os.kill(f.pid("capture"), signal.SIGSTOP)
    flood(a, 500)
    os.kill(f.p.pid, signal.SIGSTOP)  # the supervisor: the next life begins later
    os.kill(f.pid("capture"), signal.SIGKILL)
    flood(a, 300)
    pid = f.pid("capture")
    os.kill(f.p.pid, signal.SIGCONT)
    tap.ok(tap.wait_for(lambda: f.ledger("capture").get("pid") != pid and f.ready()), "killed: the next life is ready")
    x = f.ledger("capture")
    tap.is_((x["capture_packets_matched"], x["capture_packets_delivered"], x["capture_packets_orphaned"], x["capture_packets_dropped"]),
            (900 * life, 100 * life, 800 * life, 0), "each packet is in a count")
flood(a, 100)
tap.ok(f.settle(), "what came is read")
with open(f"/proc/{f.p.pid}/net/packet") as sockets:
    tap.is_(len(sockets.readlines()) - 1, 1, "no socket is left of a former life")
tap.is_(f.stop(), 0, "stopped in good order")
tap.is_([r["flowner"]["loss"]["count"] for r in pipeline.records(out) if r["flowner"].get("loss", {}).get("stage") == "capture"],
        [800] * 3, "and in the file")
tap.has(f.log(), "packets of a killed capture 2400", "and in the last line")
tap.done()
