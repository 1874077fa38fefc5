# SPDX-License-Identifier: Apache-2.0
"""Processes named to break a log: each connection is one valid line in every format, and no control byte gets out."""
import os
import shutil
import subprocess

import pipeline
import tap

tap.need_root()
NAMES = [
    b"new\nline",
    b'quo"te\'s\\',
    b"\x1b[31mred\x1b[0m",
    b"bad\xff\xc3utf8",
    b"\xc2\x9bc1\x7f",
    "\u202eltr\u2028sep".encode(),
    b"tab\tcr\rnul-free",
    b"{\"a\":1}",
]

d = tap.tmpdir()
srv = pipeline.server("tcp", "127.0.0.1", 9985)
ecs, text = os.path.join(d, "out.ndjson"), os.path.join(d, "out.txt")
f = pipeline.Flowner("-i", "lo", "-o", f"ecs:{ecs}", "-o", f"text:{text}", "tcp port 9985")
pids = {}
for name in NAMES:
    path = os.path.join(os.fsencode(d), name)
    shutil.copy(pipeline.TRUTH, path)
    p = subprocess.run([path, b"client", b"tcp", b"127.0.0.1", b"9985"], stdout=subprocess.PIPE, check=False)
    tap.is_(p.returncode, 0, f"client {name!r} ran")
    pids[int(p.stdout.split()[2])] = name
f.settle()
tap.is_(f.stop(), 0, "flowner ends well")

found = pipeline.records(ecs)
ends = {r["process"]["pid"]: r for r in pipeline.connections(found, "end") if "pid" in r.get("process", {})}
tap.is_(tap.run(["jq", "-e", ".", ecs], text=True).returncode, 0, "jq -e reads the whole file")
for pid, name in pids.items():
    r = ends.get(pid)
    if not tap.ok(r, f"{name!r} has its end record"):
        continue
    for key in ("name", "executable", "command_line"):
        value = r["process"].get(key, "")
        # The command line of a process that is gone at once is known for most, not for all.
        tap.ok(value or key == "command_line", f"{name!r}: process.{key} is there")
        bad = [c for c in value if not c.isprintable() and c not in "\n\t\r\x1b\x7f\x9b\u202e\u2028"]
        tap.ok(not bad, f"{name!r}: process.{key} holds nothing that was not in the name", bad)
with open(ecs, "rb") as fh:
    raw = fh.read()
tap.ok(all(b >= 0x20 or b == 0x0A for b in raw) and b"\x7f" not in raw, "the ECS file has no control byte but newlines")
lines = raw.decode("utf-8").splitlines()
tap.is_(len(lines), len(found), "one record, one line")
with open(text, "rb") as fh:
    raw = fh.read()
tap.ok(raw, "the text output has lines")
shown = raw.decode("utf-8")
tap.ok(all(c.isprintable() or c == "\n" for c in shown), "the text output holds printable characters only",
       [c for c in shown if not c.isprintable() and c != "\n"])
tap.ok(len(shown.split("\n")) - 1 >= len(NAMES), "and a line for each connection")
tap.done()
