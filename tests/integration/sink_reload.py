# SPDX-License-Identifier: Apache-2.0
"""SIGHUP makes flowner-sink read its configuration again: outputs come and go, rules and limits change, and no record is lost
or there twice; a bad configuration changes nothing, and is told with its place."""
import json
import os
import random
import signal

import sink_feed
import tap
import zeek_log

random.seed(os.environ.get("FLOWNER_SEED", "1"))


class Sink(sink_feed.Pair):
    """A sink whose outputs are in a file."""

    def __init__(self, count, rate):
        super().__init__()
        del self.settings[0]
        self.folder, self.config = self.path("out"), self.path("flowner.yaml")
        os.mkdir(self.folder)
        os.chown(self.folder, sink_feed.USER, -1)
        self.count = count
        self.feed("--count", count, "--rate", rate, "--ring", 1 << 22, "--wait", "--late-end")

    def out(self, name):
        return os.path.join(self.folder, name)

    def write(self, *outputs, more=""):
        """Each output a line of YAML; the file is replaced as a whole, as editors do."""
        with open(self.config + ".new", "w") as f:
            f.write(f"output:\n  flush: 5ms\n{more}  files:\n" + "".join(f"    - {o}\n" for o in outputs))
        os.chmod(self.config + ".new", 0o644)
        os.rename(self.config + ".new", self.config)

    def begin(self):
        return self.start("-c", self.config, "--exit-at-end")

    def reload(self, expected, name):
        """What it says until @expected is among it."""
        before = len(self.messages())
        self.sink.send_signal(signal.SIGHUP)
        tap.ok(tap.wait_for(lambda: expected in self.messages()[before:]), name, self.messages()[before:])
        return self.messages()[before:]

    def written(self):
        return self.ledger()["records_written"]

    def more(self, n=50):
        """Waits for some more records."""
        at = self.written()
        tap.wait_for(lambda: self.written() >= min(at + n, self.count) or self.sink.poll() is not None)

    def end(self, name):
        self.let_end()
        tap.is_(self.feeder_result(), {"published": self.count, "lost": 0}, f"{name}: everything was taken")
        self.sink.wait(20)
        tap.is_(self.sink.returncode, 0, f"{name}: sink ends well")


def numbers(*paths):
    found = []
    for path in paths:
        with open(path) as f:
            found += [json.loads(line)["event"]["sequence"] for line in f]
    return sorted(found)


def in_one_piece(found):
    return bool(found) and found == list(range(found[0], found[-1] + 1))


def beyond_the_sandbox():
    """What needs more than a sink keeps: it ends in good order and is started again, nothing is lost."""
    s = Sink(tap.amount(3000, 8000, 3000), 2000)
    a, b = s.out("a"), s.path("elsewhere/b")
    os.mkdir(s.path("elsewhere"))
    os.chown(s.path("elsewhere"), sink_feed.USER, -1)
    s.write(f"ecs:{a}")
    s.begin()
    tap.wait_for(lambda: os.path.exists(s.path("sink/ledger")) and s.written() > 100)
    for outputs, name in ([f"ecs:{a}", f"ecs:{b}"], "another folder"), ([f"{{format: ecs, path: {a}, rotate_size: 64KiB}}", f"ecs:{b}"], "rotation"):
        s.write(*outputs)
        s.reload("ending, to be started again", name)
        s.sink.wait(20)
        tap.is_(s.sink.returncode, 75, f"{name}: it ends to be started again")
        s.begin()
        s.more()
    s.end("again")
    parts = [s.out(x) for x in os.listdir(s.folder)]
    tap.ok(numbers(*parts) == list(range(1, s.count + 1)), "every number once", f"{len(numbers(*parts))} of {s.count}")
    tap.ok(len(parts) > 1, "files were put aside", str(parts))
    tap.ok(in_one_piece(numbers(b)), "the other file has what came behind", "")


AGAIN, KEPT = "the configuration was read again\n", "the one before it stays"


def rules_and_limits():
    s = Sink(tap.amount(8000, 8000, 4000), 4000)
    a = s.out("a.ndjson")
    s.write(f"{{format: ecs, path: {a}, rotate_size: 1GiB}}")  # a sink that never puts files aside gives up how
    s.begin()
    tap.wait_for(lambda: os.path.exists(s.path("sink/ledger")) and s.written() > 200)
    for wrong, place in ((", rotate_size: large", ":4:"), (", exclude: ['prot:tcp']", f":4:{len(a) + 40}: output.files.exclude: unknown key \"prot\""),
                         (", keep_file: 5", f":4:{len(a) + 29}: output.files.keep_file: unknown key")):
        s.write(f"{{format: ecs, path: {a}{wrong}}}")
        tap.has(s.reload(KEPT, f"{wrong}: nothing changes"), f"{s.config}{place}", "it is told with its place")
    os.unlink(s.config)
    tap.has(s.reload(KEPT, "no file: nothing changes"), "No such file", "it is told")
    tap.is_(os.listdir(s.folder), ["a.ndjson"], "there is one file")
    s.write(f"{{format: ecs, path: {a}, rotate_size: 256KiB}}", more="  buffer: 64KiB\n  io_uring: off\n")
    said = s.reload(AGAIN, "limits of an output that was there")
    for key in "output.buffer", "output.io_uring":
        tap.is_(said.count(f"{key} has changed: that counts once flowner-sink is started again, ignoring"), 1, f"{key}: one warning")
    tap.ok(tap.wait_for(lambda: len(os.listdir(s.folder)) > 1), "they count at once")
    s.write(f"{{format: ecs, path: {a}, include: ['pid:4000000']}}")
    tap.has(s.reload(AGAIN, "rules are taken over"), AGAIN, "it is told")
    s.end("rules")
    found = numbers(*[s.out(x) for x in os.listdir(s.folder)])
    tap.ok(found == list(range(1, len(found) + 1)), "up to the new rule every number once, none behind it",
           f"{len(found)} numbers, {len(set(found))} different, last {found[-1:]}")
    tap.ok(200 < len(found) < s.count, "the new rule leaves out the rest", str(len(found)))
    tap.is_(s.written(), len(found), "what is left out is not counted as written")


def come_and_go():
    s = Sink(tap.amount(8000, 8000, 4000), 4000)
    a, b, z = (f"{{format: {f}, path: {s.out(n)}}}" for f, n in (("ecs", "a"), ("ecs", "b"), ("zeek", "z")))
    s.write(a)
    s.begin()
    tap.wait_for(lambda: os.path.exists(s.path("sink/ledger")) and s.written() > 200)
    s.write(a, b, z)
    tap.has(s.reload(AGAIN, "two outputs more"), f"writing zeek to {s.out('z')} with plain writes", "it is told")
    s.more()
    s.write(b, z)
    tap.has(s.reload(AGAIN, "one less"), f"output {s.out('a')}: no longer written", "it is told")
    s.more()

    # What cannot be opened or changed: everything stays.
    s.write(b, z, f"text:{s.path('none')}/c")
    tap.has(s.reload(KEPT, "a folder that is not there"), "none/c: ", "it is told")
    s.write(b, f"text:{s.out('z')}", f"text:{s.out('new')}")
    tap.has(s.reload(KEPT, "another format for an open file"), "its format cannot change while it is open", "it is told")
    with open(s.out("foreign"), "w") as f:
        f.write("something else, without an end")
    os.chown(s.out("foreign"), sink_feed.USER, -1)
    s.write(b, z, f"ecs:{s.out('foreign')}")
    tap.has(s.reload(KEPT, "a file of something else"), "is not a file of this format", "it is told")
    with open(s.out("foreign")) as f:
        tap.is_(f.read(), "something else, without an end", "it is left alone")

    # A kill right behind a change: the successor knows the files.
    s.write(b)
    s.reload(AGAIN, "zeek's goes")
    tap.stop(s.sink, signal.SIGKILL)
    s.write(a, b)
    s.begin()
    s.more()
    s.end("come and go")
    in_a, in_b = numbers(s.out("a")), numbers(s.out("b"))
    tap.ok(len(in_a) == len(set(in_a)) and in_a[0] == 1 and in_a[-1] == s.count, "an output that went and came: nothing twice")
    tap.ok(in_one_piece(in_b) and in_b[-1] == s.count and in_b[0] > 1, "one that came: all from then on", f"{in_b[:1]} {len(in_b)}")
    missing = sorted(set(range(1, s.count + 1)) - set(in_a))
    tap.ok(in_one_piece(missing) and set(missing) <= set(in_b), "while it was away the other had all")
    log = zeek_log.read(s.out("z"))
    tap.ok(log.closed and in_one_piece(sorted(r["seq"] for r in log.rows)) and log.rows[0]["seq"] == in_b[0],
           "the one that went is whole, with its foot")


def under_load():
    """Any outputs at any time beside one that stays, with kills."""
    s = Sink(tap.amount(10000, 200000, 4000), 5000)
    always = f"{{format: ecs, path: {s.out('always')}, rotate_size: 256KiB}}"
    others = [f"{{format: {f}, path: {s.out(n)}{more}}}" for f, n, more in (
        ("ecs", "b", ""), ("zeek", "z", ", rotate_size: 128KiB"), ("text", "t", ", include: ['pid:1-20']"), ("pcapng", "p", ""))]
    s.write(always)
    s.begin()
    while s.feeder.poll() is None:
        if s.sink.poll() is not None:  # a SIGHUP that came before it could listen to it
            s.begin()
        s.write(always, *random.sample(others, random.randrange(5)))
        s.sink.send_signal(signal.SIGHUP)
        sink_feed.sleep(random.uniform(0, 0.1))
        if random.random() < 0.15:
            tap.stop(s.sink, signal.SIGKILL)
            s.begin()
        if os.path.exists(s.path("sink/ledger")) and s.written() == s.count:
            break
    s.end("load")
    names = os.listdir(s.folder)
    tap.ok(numbers(*[s.out(x) for x in names if x.startswith("always")]) == list(range(1, s.count + 1)),
           "load: the output that stays has every number once")
    b = numbers(s.out("b")) if "b" in names else []
    tap.ok(len(b) == len(set(b)), "load: one that comes and goes has none twice")
    seen, wrong = [], []
    for x in names:
        if x.startswith("z"):
            try:
                seen += [r["seq"] for r in zeek_log.read(s.out(x)).rows]
            except ValueError as e:
                wrong.append(f"{x}: {e}: {open(s.out(x)).read()[:300]}")
    tap.ok(not wrong and len(seen) == len(set(seen)), "load: each of zeek's files is valid, none has a line of another", wrong)


rules_and_limits()
come_and_go()
beyond_the_sandbox()
under_load()
tap.done()
