# SPDX-License-Identifier: Apache-2.0
"""The filter in the kernel takes the frames the table says, with the snap length of their class, on a veth and on any."""
import capture
import tap

tap.need_root()


def number(packet):
    """Which frame of the table a packet is: its source address ends in c0 ff ee NUMBER."""
    at = packet["bytes"].find(b"\xc0\xff\xee")
    return packet["bytes"][at + 3] if at >= 0 else None


MODES = ["handshake", "handshake+tls", "headers"]


def send(ns, tags, mode):
    out = tap.run(["nsenter", f"--net=/run/netns/{ns}", tap.program("tests/integration/send-frames"), "v0", str(tags),
                   str(MODES.index(mode))])
    if out.returncode:
        tap.bail(out.stderr)
    frames = {}
    for line in out.stdout.splitlines():
        _, n, keep, data, name = line.split(" ", 4)
        frames[int(n)] = {"keep": int(keep), "len": len(data) // 2, "name": name}
    return frames


def check(interface, tags, extra, mode="handshake"):
    """@extra: bytes a captured packet may have beyond its class's snap length (put back or cooked header)."""
    a, b = tap.netns("cf"), tap.netns("cf")
    tap.veth(a, b)
    c = capture.Capture(b).start("-i", interface, "--set", "enrich.tap=off", "--set", f"capture.mode={mode}")
    reader = c.reader("-v")
    frames = send(a, tags, mode)
    tap.is_(c.stop(), 0, f"{mode} on {interface}, {tags} tags: stops in good order")
    packets, totals = capture.parse(reader)
    tap.is_(totals["end"], 1, "the end mark came")
    got = {}
    for p in packets:
        if number(p) is not None:
            got.setdefault(number(p), []).append(p)
    wrong = []
    for n, f in frames.items():
        seen = got.get(n, [])
        if len(seen) != (1 if f["keep"] else 0):
            wrong.append(f"{f['name']}: seen {len(seen)} times, keep {f['keep']}")
        for p in seen:
            if not min(f["len"], f["keep"]) <= p["caplen"] <= f["keep"] + extra:
                wrong.append(f"{f['name']}: {p['caplen']} bytes kept, class keeps {f['keep']} of {f['len']}")
    tap.ok(not wrong, f"{mode} on {interface}, {tags} tags: {len(frames)} frames, each as its class says", *wrong)
    ledger = c.ledger()
    tap.is_(ledger["matched"], ledger["delivered"] + ledger["dropped"], "matched = delivered + dropped")
    tap.is_(ledger["published"], totals["packets"], "published = read")


check("v0", 0, 4)
check("v0", 1, 4)
check("v0", 2, 4)
check("any", 0, 20)
check("any", 1, 20)
check("any", 2, 20)
for m in MODES[1:]:
    check("v0", 0, 4, m)
    check("any", 1, 20, m)
tap.done()
