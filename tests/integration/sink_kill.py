# SPDX-License-Identifier: Apache-2.0
"""SIGKILL and SIGSTOP of flowner-sink while it is fed: nothing torn, nothing twice, nothing missing."""
import os
import random
import signal

import sink_feed
import tap
import zeek_log

KILLS = int(os.environ.get("FLOWNER_KILLS", "30"))
COUNT = 20000

random.seed(os.environ.get("FLOWNER_SEED", "1"))


def check_zeek(name, path, n):
    """One head, then every number once, in order, as a strict reader sees it."""
    try:
        rows = zeek_log.read(path).rows
    except ValueError as e:
        tap.ok(False, f"{name}: the strict reader takes zeek's log", e)
        return
    tap.ok([row["seq"] for row in rows] == list(range(1, n + 1)), f"{name}: as many lines of zeek's, each once", len(rows))
    tap.is_({row["missed_bytes"] for row in rows}, {None}, f"{name}: which leave missed_bytes unset")


def kill_often(name, *settings):
    pair = sink_feed.Pair()
    a, b, z = pair.path("a.ndjson"), pair.path("b.txt"), pair.path("conn.log")
    pair.settings[0] = f"output.files=[ecs:{a}, text:{b}, zeek:{z}]"
    pair.settings += settings
    pair.feed("--count", COUNT, "--rate", 4000, "--ring", 1 << 20)
    for _ in range(KILLS):
        p = pair.start()
        # Right after the start (attaching, cutting), and while writing.
        sink_feed.sleep(random.choice([0.005, 0.02, 0.05, random.uniform(0.05, 0.3)]))
        tap.stop(p, signal.SIGKILL)
    p = pair.start("--exit-at-end")
    tap.is_(pair.feeder_result(), {"published": COUNT, "lost": 0}, f"{name}: {KILLS} kills, everything was taken")
    p.wait(20)
    tap.is_(p.returncode, 0, f"{name}: the last one ends well")
    sink_feed.check_complete(name, a, COUNT)
    with open(b, encoding="utf-8") as f:
        tap.is_(sum(1 for line in f if line.endswith("\n")), COUNT, f"{name}: as many lines of text")
    check_zeek(name, z, COUNT)
    counters = pair.ledger()
    tap.is_(counters["records_written"], COUNT, f"{name}: counted once each")
    tap.is_(counters["packets_written"], 9 * COUNT, f"{name}: with their packets")
    tap.is_(counters["records_read"], COUNT, f"{name}: and none twice")


def wait_text(path, text):
    def there():
        if not os.path.exists(path):
            return False
        with open(path, encoding="utf-8") as f:
            data = f.read()
        return text in data and data.endswith("\n")

    if not tap.wait_for(there):
        tap.ok(False, f"{text!r} is written")


def nothing_but_files():
    """The ring is gone, and with it how far sink was: what the files' last lines name is not written again."""
    pair = sink_feed.Pair()
    a, z = pair.path("a.ndjson"), pair.path("conn.log")
    pair.settings[0] = f"output.files=[ecs:{a}, zeek:{z}]"
    for count in 1000, 1500:
        if count == 1500:
            # A torn line must not hide the one in front.
            with open(z, "ab") as f:
                f.write(b"1767225600.000000\tC1\t")
        f = pair.feed("--count", count, "--wait", "--hold", "--ring", 1 << 22)
        p = pair.start()
        wait_text(a, f'"sequence":{count},')
        wait_text(z, f"\t{count}\t")
        tap.stop(p, signal.SIGKILL)
        tap.stop(f, signal.SIGKILL)
    sink_feed.check_complete("known from the files", a, 1500)
    check_zeek("known from the files", z, 1500)


def stop_and_go():
    """Stopped longer than the ring lasts: what did not fit is a loss record, the rest is complete."""
    pair = sink_feed.Pair()
    a = pair.path("a.ndjson")
    pair.settings[0] = f"output.files=[ecs:{a}]"
    pair.feed("--count", 8000, "--rate", 8000, "--ring", 1 << 16, "--lossy", "--wait")
    p = pair.start("--exit-at-end")
    sink_feed.wait_size(a, 1)
    p.send_signal(signal.SIGSTOP)
    sink_feed.sleep(0.3)
    p.send_signal(signal.SIGCONT)
    result = pair.feeder_result()
    p.wait(20)
    tap.ok(result["lost"] > 0, f"SIGSTOP: {result['lost']} records found the ring full")
    status, numbers = sink_feed.jq(a, ".event.sequence // empty")
    tap.is_(len(set(numbers)), result["published"], "SIGSTOP: every published record is there")
    tap.is_(len(numbers), result["published"], "SIGSTOP: and no second time")
    status, losses = sink_feed.jq(a, "select(.flowner.loss) | [.flowner.loss.count, .flowner.loss.packets] | @tsv")
    losses = [tuple(map(int, line.split())) for line in losses]
    tap.is_(sum(n for n, _ in losses), result["lost"], "SIGSTOP: loss records in the file say how many are missing")
    tap.is_(sum(n for _, n in losses), 9 * result["lost"], "SIGSTOP: and for how many packets they stood")


def producer_dies():
    """Its ring is drained as an orphan, then the next one's is read; one file holds both."""
    pair = sink_feed.Pair()
    a, z = pair.path("a.ndjson"), pair.path("conn.log")
    pair.settings[0] = f"output.files=[ecs:{a}, zeek:{z}]"
    p = pair.start()
    for life in range(5):
        f = pair.feed("--count", 2000, "--first", life * 2000 + 1, "--epoch", life + 1, "--wait", "--hold",
                      "--ring", 1 << 22)
        tap.wait_for(lambda n=life: f"run {n + 1}" in pair.messages())
        p.send_signal(signal.SIGSTOP)  # so that an orphan with something in it is left
        f.stdout.readline()  # everything is published
        tap.stop(f, signal.SIGKILL)
        p.send_signal(signal.SIGCONT)
    tap.wait_for(lambda: pair.ledger()["records_written"] == 10000)
    tap.is_(tap.stop(p), 0, "SIGTERM: ends well")
    sink_feed.check_complete("killed producers", a, 10000)
    check_zeek("killed producers", z, 10000)


kill_often("io_uring")
kill_often("plain writes", "output.io_uring=off")
kill_often("fast flush", "output.flush=1ms", "output.sync=20ms")
stop_and_go()
nothing_but_files()
producer_dies()
tap.done()
