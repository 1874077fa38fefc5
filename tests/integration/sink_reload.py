# SPDX-License-Identifier: Apache-2.0
"""SIGHUP makes flowner-sink read its configuration again: a good one counts from then on, a bad one changes nothing."""
import json
import os
import signal

import sink_feed
import tap

COUNT, RATE = 12000, 4000

pair = sink_feed.Pair()
del pair.settings[0]  # the outputs are in the file
folder, config = pair.path("out"), pair.path("flowner.yaml")
os.mkdir(folder)
os.chown(folder, sink_feed.USER, -1)
a = os.path.join(folder, "a.ndjson")


def write(rules="", more=""):
    with open(config, "w") as f:
        f.write(f"output:\n  flush: 5ms\n  files:\n    - {{format: ecs, path: {a}{rules}}}\n{more}")
    os.chmod(config, 0o644)


def reload(expected, name):
    before = len(pair.messages())
    pair.sink.send_signal(signal.SIGHUP)
    tap.ok(tap.wait_for(lambda: expected in pair.messages()[before:]), name, pair.messages()[before:])
    return pair.messages()[before:]


def written():
    return pair.ledger()["records_written"]


def files():
    return [os.path.join(folder, x) for x in os.listdir(folder)]


write()
pair.feed("--count", COUNT, "--rate", RATE, "--ring", 1 << 22, "--wait")
pair.start("-c", config, "--exit-at-end")
tap.wait_for(lambda: os.path.exists(pair.path("sink/ledger")) and written() > 500)

write(", rotate_size: large")
said = reload("the one before it stays", "a value that is wrong: nothing changes")
tap.has(said, "flowner.yaml:4:", "it is told with its place")
write(", exclude: ['prot:tcp']")
tap.has(reload("the one before it stays", "a rule that is wrong: nothing changes"), "flowner.yaml:4:", "it is told with its place")
tap.is_(len(files()), 1, "there is one file")

write(", rotate_size: 256KiB", f"    - text:{pair.path('other')}\n")
said = reload("these need a restart: output.files", "an output more needs a restart, it says")
tap.ok(tap.wait_for(lambda: len(files()) > 1), "a limit of an output that was there counts at once")

write(", include: ['pid:4000000']")
reload("the configuration was read again\n", "rules are taken over")
tap.is_(pair.feeder_result(), {"published": COUNT, "lost": 0}, "everything was taken")
pair.sink.wait(20)
tap.is_(pair.sink.returncode, 0, "sink ends well")

numbers = []
for path in files():
    with open(path) as f:
        numbers += [json.loads(line)["event"]["sequence"] for line in f]
numbers.sort()
tap.ok(numbers == list(range(1, len(numbers) + 1)), "up to the new rule every number once, none behind it",
       f"{len(numbers)} numbers, {len(set(numbers))} different, last {numbers[-1:]}")
tap.ok(500 < len(numbers) < COUNT, "the new rule leaves out the rest", str(len(numbers)))
tap.is_(written(), len(numbers), "what is left out is not counted as written")
tap.done()
