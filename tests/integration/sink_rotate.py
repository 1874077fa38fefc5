# SPDX-License-Identifier: Apache-2.0
"""Rotation of flowner-sink's files under load: by size, by time, SIGUSR1 and SIGHUP, with kills in between. Nothing is lost,
nothing is there twice, each file is valid by itself."""
import json
import os
import random
import re
import signal
import subprocess

import sink_feed
import tap
import zeek_log

RATE = 10000
KILLS = tap.amount(5, 60, 4)

random.seed(os.environ.get("FLOWNER_SEED", "1"))


def numbers(path):
    """The sequence numbers of one file; None if a line is torn or no JSON."""
    found = []
    with open(path, "rb") as f:
        data = f.read()
    if data and not data.endswith(b"\n"):
        return None
    for line in data.splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            return None
        if "sequence" in record["event"]:
            found.append(record["event"]["sequence"])
    return found


def check(name, folder, count, least):
    """All files of a.ndjson together: 1..count, once each, and in order within a file."""
    files = sorted(x for x in os.listdir(folder) if x.startswith("a") and ".ndjson" in x)
    lists = [numbers(os.path.join(folder, x)) for x in files]
    tap.ok(all(x is not None for x in lists), f"{name}: each of the files is valid by itself")
    tap.ok(all(x == sorted(x) for x in lists if x), f"{name}: each is in order")
    together = sorted(n for x in lists for n in x or [])
    tap.ok(together == list(range(1, count + 1)), f"{name}: the numbers 1 to {count}, each once",
           f"{len(together)} numbers, {len(set(together))} different")
    tap.ok(len(files) >= least, f"{name}: there are {least} files or more", f"{len(files)}")
    lines = 0
    for x in os.listdir(folder):
        if x.startswith("b") and ".txt" in x:
            with open(os.path.join(folder, x), "rb") as f:
                data = f.read()
            lines += data.count(b"\n")
            tap.ok(not data or data.endswith(b"\n"), f"{name}: {x} ends with a line") if not data.endswith(b"\n") else None
    tap.is_(lines, count, f"{name}: as many lines of text")
    return files


def pair_of(rules, text_rules="", settings=()):
    pair = sink_feed.Pair(settings=settings)
    folder = pair.path("out")
    os.mkdir(folder)
    os.chown(folder, sink_feed.USER, -1)
    a, b = os.path.join(folder, "a.ndjson"), os.path.join(folder, "b.txt")
    pair.settings[0] = f"output.files=[{{format: ecs, path: {a}{rules}}}, {{format: text, path: {b}{text_rules}}}]"
    return pair, folder


def end(pair, name, count, written=None):
    """With --late-end the feeder ends the stream when everything is written, so that the last sink sees an end for sure."""
    def all_written():
        return os.path.exists(pair.path("sink/ledger")) and pair.ledger()["records_written"] == (written or count)

    if not tap.wait_for(lambda: all_written() or pair.feeder.poll() is not None or pair.sink.poll() is not None, 60):
        tap.note("neither ends")
    if pair.sink.poll() is not None and pair.sink.returncode:
        tap.bail(f"{name}: sink ended with {pair.sink.returncode}: {pair.messages()}")
    tap.is_(pair.feeder_result(), {"published": count, "lost": 0}, f"{name}: everything was taken")
    pair.sink.wait(20)
    tap.is_(pair.sink.returncode, 0, f"{name}: sink ends well")
    tap.is_(pair.ledger()["records_written"], written or count, f"{name}: counted once each")


def under_load():
    """Size limits, SIGUSR1 after a move, SIGHUP, all at once."""
    seconds = tap.amount(1, 30, 1)
    count = RATE * seconds
    pair, folder = pair_of(", rotate_size: 1MiB", ", rotate_interval: 1s")
    pair.feed("--count", count, "--rate", RATE, "--ring", 1 << 23, "--wait")
    p = pair.start("--exit-at-end")
    tap.wait_for(lambda: os.path.exists(pair.path("sink/ledger")))  # before that a signal would end it
    moved = 0
    while pair.feeder.poll() is None and p.poll() is None:
        sink_feed.sleep(random.uniform(0.02, 0.1))
        if random.random() < 0.5:
            path = os.path.join(folder, "a.ndjson")
            if os.path.exists(path):
                try:
                    os.rename(path, os.path.join(folder, f"a.ndjson.{moved}"))
                    moved += 1
                except FileNotFoundError:
                    pass
        p.send_signal(random.choice([signal.SIGUSR1, signal.SIGHUP]))
    end(pair, "load", count)
    files = check("load", folder, count, seconds)
    pattern = re.compile(r"a-\d{8}T\d{6}\.\d{3}Z\.ndjson$")
    tap.ok(any(pattern.match(x) for x in files), "load: names carry the time")
    tap.ok(moved == 0 or any(re.match(r"a\.ndjson\.\d+$", x) for x in files), "load: moved files stay")
    big = [os.path.getsize(os.path.join(folder, x)) for x in files]
    tap.ok(max(big) < (1 << 20) + 65536, "load: no file is much larger than its limit", str(max(big)))


def files_of(folder, format_name):
    """A format's files in @folder: the current one, those put aside and those moved away."""
    pattern = re.compile(rf"out(-[^.]+\.\d+Z)?\.{sink_feed.FORMATS[format_name]}(\.\d+)?$")
    return [os.path.join(folder, x) for x in sorted(os.listdir(folder)) if pattern.match(x)]


def killed():
    """Every format by size, moved away and with SIGUSR1, over kills: each file is valid by itself, together they are complete."""
    count = tap.amount(4000, 100000, 2500)
    pair = sink_feed.Pair(settings=["output.flush=5ms"])
    folder = pair.path("out")
    os.mkdir(folder)
    os.chown(folder, sink_feed.USER, -1)
    paths = {f: os.path.join(folder, f"out.{x}") for f, x in sink_feed.FORMATS.items()}
    pair.settings[0] = "output.files=[%s]" % ", ".join(
        f"{{format: {f}, path: {p}, rotate_size: {64 if f == 'ecs' else 128}KiB}}" for f, p in paths.items())
    pair.feed("--count", count, "--rate", 4000, "--ring", 1 << 22, "--late-end", "--formats")
    for i in range(KILLS):
        p = pair.start()
        sink_feed.sleep(random.choice([0.02, 0.05, random.uniform(0.05, 0.3)]))
        for path in paths.values():
            if random.random() < 0.3 and os.path.exists(path):
                os.rename(path, f"{path}.{i}")
        p.send_signal(signal.SIGUSR1)
        sink_feed.sleep(random.uniform(0, 0.03))
        tap.stop(p, signal.SIGKILL)
    pair.start("--exit-at-end")
    pair.let_end()
    end(pair, "kills", count, 2 * count)
    for f in paths:
        found = files_of(folder, f)
        sink_feed.check_files("kills", f, found, count)
        tap.ok(len(found) > 2, f"kills: {f}: was followed by others", str(found))
    logs = [zeek_log.read(x) for x in files_of(folder, "zeek") if os.path.getsize(x)]
    without = sum(not log.closed for log in logs)
    tap.ok(without <= KILLS, f"kills: all of zeek's files but {without} have their foot, at most one for each kill has not")


def old_files():
    """Compression and retention, beside files whose names are not ours; a compression cut short by a kill is made up for."""
    count = tap.amount(6000, 10000, 4000)
    pair, folder = pair_of(", rotate_size: 256KiB, compress: zstd", ", rotate_size: 64KiB, keep_files: 3")
    others = ["b.txt.1", "b-20200101.txt", "b-20200101T000000.000Z.log", "bb-20200101T000000.000Z.txt"]
    for x in others + ["b-20200101T000000.000Z.txt", "a-20200101T000000.000Z.ndjson.zst.tmp"]:
        with open(os.path.join(folder, x), "wb"):
            pass
    stuck = "a-20190101T000000.000Z.ndjson"  # what it would be compressed to cannot be made
    with open(os.path.join(folder, stuck), "wb"):
        os.mkdir(os.path.join(folder, stuck + ".zst.tmp"))
    pair.feed("--count", count, "--rate", RATE, "--ring", 1 << 22, "--hold")
    p = pair.start()
    tap.wait_for(lambda: any(x.endswith(".zst") for x in os.listdir(folder)))
    tap.stop(p, signal.SIGKILL)
    p = pair.start()
    tap.wait_for(lambda: pair.ledger()["records_written"] == count)
    tap.ok(tap.wait_for(lambda: sorted(x for x in os.listdir(folder) if x.endswith((".ndjson", ".tmp")))
                        == [stuck, stuck + ".zst.tmp", "a.ndjson"]), "old files: all are compressed but one that cannot be",
           str(sorted(os.listdir(folder))))
    tap.is_(tap.stop(p), 0, "old files: sink ends well")
    found = []
    for x in sorted(os.listdir(folder)):
        if x.endswith(".zst"):
            r = tap.run(["zstd", "-dcq", os.path.join(folder, x)], text=True)
            found += [json.loads(line)["event"]["sequence"] for line in r.stdout.splitlines()] if r.returncode == 0 else [0]
    found += numbers(os.path.join(folder, "a.ndjson"))
    tap.ok(found == list(range(1, count + 1)), "old files: unpacked in the order of their names they are complete",
           f"{len(found)} numbers")
    kept = [x for x in os.listdir(folder) if re.match(r"b-\d{8}T\d{6}\.\d{3}Z\.txt$", x)]
    tap.ok(len(kept) == 3 and "b-20200101T000000.000Z.txt" not in kept, "old files: three are kept, the youngest", str(kept))
    tap.ok(all(os.path.exists(os.path.join(folder, x)) for x in others), "old files: names of others are left alone")


def in_the_way():
    """The folder cannot be written to: the same file goes on, it is told, and nothing is lost."""
    if not sink_feed.ROOT:
        tap.skip("a folder that cannot be written to", "needs root")
        return
    count = 2000
    pair, folder = pair_of(", rotate_size: 64KiB")
    os.chown(folder, 0, 0)
    pair.feed("--count", count, "--rate", RATE, "--ring", 1 << 22)
    pair.start("--exit-at-end")
    end(pair, "no rotation", count)
    check("no rotation", folder, count, 1)
    tap.has(pair.messages(), "cannot be rotated: Permission denied", "no rotation: it is told")


def folder_gone():
    """Whoever removes the folder removes what is in it; the sink says it, waits, and goes on in the next one."""
    count = 3000
    pair, folder = pair_of(", rotate_size: 64KiB")
    pair.feed("--count", count, "--rate", RATE, "--ring", 1 << 22, "--wait", "--late-end")
    p = pair.start("--exit-at-end")
    tap.wait_for(lambda: "writing text" in pair.messages())
    sink_feed.remove_tree(folder)
    p.send_signal(signal.SIGUSR1)
    tap.ok(tap.wait_for(lambda: "cannot be rotated: " in pair.messages()), "no folder: it is told", pair.messages())
    os.mkdir(folder)
    os.chown(folder, sink_feed.USER, -1)
    tap.wait_for(lambda: p.poll() is not None or os.listdir(folder))
    if p.poll() == 75:  # Landlock knows the old folder only: to be started again
        pair.start("--exit-at-end")
    end(pair, "no folder", count)
    lists = [numbers(os.path.join(folder, x)) for x in sorted(os.listdir(folder)) if x.startswith("a")]
    together = sorted(n for x in lists for n in x or [])
    tap.ok(together and together == list(range(together[0], count + 1)), "no folder: the new one has all that came then",
           f"{len(together)} numbers, from {together[:1]}")


def disk_full():
    """A full disk stops rotation and writing; with room again everything is there once."""
    if not sink_feed.ROOT:
        tap.skip("a full disk", "needs root")
        return
    count = 5000
    pair, folder = pair_of(", rotate_size: 64KiB")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=640k,uid={sink_feed.USER}", "flowner-test", folder], check=True)
    try:
        pair.feed("--count", count, "--rate", RATE, "--ring", 1 << 23)
        pair.start("--exit-at-end")
        tap.ok(tap.wait_for(lambda: "No space left on device" in pair.messages()), "full: it is told")
        subprocess.run(["mount", "-o", "remount,size=64m", folder], check=True)
        end(pair, "full", count)
        check("full", folder, count, 2)
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


under_load()
killed()
folder_gone()
disk_full()
old_files()
in_the_way()
tap.done()
