# SPDX-License-Identifier: Apache-2.0
"""Scripted sessions for every conn_state and odd case, over IPv4 and IPv6: each becomes the records its line of
tests/data/flow-states.tsv says; two runs over one file write the same bytes."""
import os
import re

import pipeline
import sessions
import tap

tap.need_root()
START = 1_700_000_000 * 10**9
STATES = set("OTH S0 S1 SF REJ S2 S3 RSTO RSTR RSTOS0 RSTRH SH SHR".split())


def table():
    with open(os.path.join(tap.SOURCE, "tests/data/flow-states.tsv")) as f:
        return [line.rstrip("\n").split("\t") for line in f if not line.startswith("#")]


def word(r):
    """A record in the words of the table."""
    flowner, side = r["flowner"], (r["source"], r["destination"])
    count = ["/".join(str(s.get(k, "-")) for s in side) for k in ("bytes", "packets")]
    return (f"{'*' if flowner.get('midstream') else ''}{flowner['conn_state']}:{r['event']['reason']}:"
            f"{flowner.get('history', '')}:{count[0]}:{count[1]}")


def read(path, *args):
    """The output of flowner run -r."""
    out = os.path.join(tap.tmpdir(), "out.ndjson")
    r = tap.run([tap.program("flowner"), "run", "-r", path, "-o", f"ecs:{out}", "--set", "capture.mode=headers", *args],
                text=True)
    tap.is_(r.returncode, 0, f"{os.path.basename(path)} {' '.join(args)}: read in good order")
    return out


rows, packets, t_ns = table(), [], START
cases = [(row, v6) for row in rows for v6 in (False, True)]
for port, ((proto, _, script, _), v6) in enumerate(cases, 10000):
    part, end = sessions.play(script, proto, port, t_ns, v6)
    packets += part
    t_ns = max(end, t_ns) + 10**9
# What still waits for its timeout sees it pass.
packets.append((t_ns + 4000 * 10**9, sessions.packet(">.0+1", "udp", 9999)))
path = sessions.write(os.path.join(tap.tmpdir(), "states.pcap"), packets)
out = read(path)
found = {}
for r in pipeline.connections(pipeline.records(out), "end"):
    v6 = ":" in r["source"]["ip"]
    ends = (r["source"].get("port"), r["destination"].get("port"))
    key = (r["network"]["transport"].replace("ipv6-icmp", "icmp"), v6, ends[1] if ends[0] == 80 else ends[0])
    found.setdefault(key, []).append(r)

for port, ((proto, what, _, want), v6) in enumerate(cases, 10000):
    if proto == "icmp":
        key = next((k for k in found if k[0].endswith("icmp") and k[1] == v6), None)
    else:
        key = (proto, v6, port)
    rs = found.pop(key, [])
    tap.is_(" ".join(word(r) for r in rs), want, f"{proto}{' over IPv6' if v6 else ''}: {what}")
    tap.ok(all(r["event"]["duration"] >= 0 and r["event"]["start"] <= r["event"]["end"] for r in rs),
           "  and no time is negative")
found.pop(("udp", False, 9999))
tap.is_(found, {}, "nothing else came out")
tap.is_({re.match(r"\*?(\w+)", w).group(1) for row in rows for w in row[3].split()}, STATES, "every state occurs")

with open(out, "rb") as f:
    first = f.read()
with open(read(path), "rb") as f:
    second = f.read()
tap.ok(first == second, "a second run writes the same bytes",
       *[f"{a}\n{b}" for a, b in zip(first.splitlines(), second.splitlines()) if a != b][:2])
tap.done()
