# SPDX-License-Identifier: Apache-2.0
"""SIGKILL and SIGSTOP of flowner-sink while it is fed: in no format anything is torn, there twice or missing."""
import os
import random
import signal

import sink_feed
import tap

KILLS = int(os.environ.get("FLOWNER_KILLS", tap.amount(10, 60, 6)))
COUNT = tap.amount(4000, 20000, 2000)

random.seed(os.environ.get("FLOWNER_SEED", "1"))


def pair_of(*formats, settings=()):
    """A sink that writes these formats, and their files."""
    pair = sink_feed.Pair(settings=settings)
    files = {f: pair.path("out." + sink_feed.FORMATS[f]) for f in formats}
    pair.settings[0] = f"output.files=[{', '.join(f'{f}:{path}' for f, path in files.items())}]"
    return pair, files


def kill_often(name, *settings):
    pair, files = pair_of(*sink_feed.FORMATS, settings=settings)
    pair.feed("--count", COUNT, "--rate", 4000, "--ring", 1 << 20, "--formats", "--late-end")
    for _ in range(KILLS):
        p = pair.start()
        # Right after the start (attaching, cutting), and while writing.
        sink_feed.sleep(random.choice([0.005, 0.02, 0.05, random.uniform(0.05, 0.2)]))
        tap.stop(p, signal.SIGKILL)
    p = pair.start("--exit-at-end")
    pair.let_end()
    tap.is_(pair.feeder_result(), {"published": COUNT, "lost": 0}, f"{name}: {KILLS} kills, everything was taken")
    p.wait(20)
    tap.is_(p.returncode, 0, f"{name}: the last one ends well")
    for f, path in files.items():
        sink_feed.check_files(name, f, [path], COUNT)
    counters = pair.ledger()
    tap.is_(counters["records_written"], 2 * COUNT, f"{name}: records and packets counted once each")
    tap.is_(counters["packets_written"], 9 * COUNT, f"{name}: with what they stand for")
    tap.is_(counters["records_read"], 2 * COUNT, f"{name}: and none twice")


def nothing_but_files():
    """The ring is gone, and with it how far sink was: what the files' last lines name is not written again."""
    pair, files = pair_of("ecs", "ocsf", "zeek", "zeek-json", "sysmon")
    for count in 1000, 1500:
        if count == 1500:
            # A torn line must not hide the one in front.
            with open(files["zeek"], "ab") as f:
                f.write(b"1767225600.000000\tC1\t")
            with open(files["sysmon"], "ab") as f:
                f.write(b'{"EventID":3,"RuleName":"-","EventRecordID":9999,"FlownerEpoch":1')
        f = pair.feed("--count", count, "--wait", "--hold", "--ring", 1 << 22, "--formats")
        p = pair.start()
        tap.wait_for(lambda n=2 * count: os.path.exists(pair.path("sink/ledger")) and pair.ledger()["records_written"] == n)
        tap.stop(p, signal.SIGKILL)
        tap.stop(f, signal.SIGKILL)
        os.unlink(pair.path("sink/ledger"))
    for f, path in files.items():
        sink_feed.check_files("known from the files", f, [path], 1500)


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
    pair, files = pair_of("ecs", "zeek", "sysmon", "pcapng")
    p = pair.start()
    for life in range(4):
        f = pair.feed("--count", 1000, "--first", life * 1000 + 1, "--epoch", life + 1, "--wait", "--hold",
                      "--ring", 1 << 22, "--formats")
        tap.wait_for(lambda n=life: f"run {n + 1}" in pair.messages())
        p.send_signal(signal.SIGSTOP)  # so that an orphan with something in it is left
        f.stdout.readline()  # everything is published
        tap.stop(f, signal.SIGKILL)
        p.send_signal(signal.SIGCONT)
    tap.wait_for(lambda: pair.ledger()["records_written"] == 8000)
    tap.is_(tap.stop(p), 0, "SIGTERM: ends well")
    for f, path in files.items():
        sink_feed.check_files("killed producers", f, [path], 4000)


kill_often("io_uring")
kill_often("plain writes", "output.io_uring=off")
kill_often("fast flush", "output.flush=1ms", "output.sync=20ms")
stop_and_go()
nothing_but_files()
producer_dies()
tap.done()
