# SPDX-License-Identifier: Apache-2.0
"""`flowner tail` over real records: every format, its options, a rotation while it follows; rules of outputs and
aggregation on the same traffic: 500 connections of one process."""
import json
import os
import re
import socket
import subprocess
import threading

import tap
import zeek_log

tap.need_root()
FLOWNER = tap.program("flowner")
N = 500
CLIENT = ("import socket,sys\nfor _ in range(%d):\n s=socket.create_connection(('127.0.0.1',int(sys.argv[1])))\n"
          " s.sendall(b'x'*100)\n s.recv(10)\n s.close()\n")


def serve():
    server = socket.create_server(("127.0.0.1", 0), backlog=128)

    def loop():
        while True:
            try:
                c, _ = server.accept()
            except OSError:
                return
            c.recv(100)
            c.sendall(b"y")
            c.close()

    threading.Thread(target=loop, daemon=True).start()
    return server, server.getsockname()[1]


def tail(*args, **kwargs):
    return subprocess.run([FLOWNER, "tail", *args], capture_output=True, text=True, timeout=60, check=False, **kwargs)


def records(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


folder = tap.tmpdir()
server, port = serve()
config = os.path.join(folder, "c.yaml")
with open(config, "w", encoding="utf-8") as f:
    f.write(f"enrich: {{start_after: 0s}}\noutput:\n  files:\n    - ecs:{folder}/all\n    - ocsf:{folder}/ocsf\n    - zeek-json:{folder}/zeek\n"
            f"    - sysmon:{folder}/sysmon\n    - zeek:{folder}/conn.log\n"
            f"    - {{format: ecs, path: {folder}/in, include: ['process:python* dport:{port}']}}\n"
            f"    - {{format: ecs, path: {folder}/out, exclude: ['port:{port} event:end']}}\n")
few = ["python3", "-c", CLIENT % 3, str(port)]
tap.run([FLOWNER, "run", "-c", config, "--", *few], timeout=60)
every = records(f"{folder}/all")
ends = [r for r in every if r["event"]["action"] == "connection_end"]
tap.is_(len(ends), 3, "three connections are in the output without rules")
tap.is_(len(records(f"{folder}/in")), len(every), "include keeps what matches")
tap.is_(len(records(f"{folder}/out")), len(every) - 3, "exclude leaves out what matches")

for name in ("all", "ocsf", "zeek", "conn.log", "sysmon"):
    shown = tail("--no-follow", f"{folder}/{name}", f"dport:{port}", "proto:tcp", "host:127.0.0.0/8")
    lines = shown.stdout.splitlines()
    tap.is_(len(lines), 3, f"{name}: a line for each")
    tap.ok(all(f"-> 127.0.0.1:{port}" in line and "python" in line for line in lines),
           f"{name}: with its ends and its process")
    pid = re.search(r"python[^\[]*\[(\d+)\]", lines[0])
    tap.ok(pid and tail("--no-follow", f"{folder}/{name}", f"pid:{pid[1]} process:python*").stdout == shown.stdout,
           f"{name}: found by its pid and name")
    tap.is_(tail("--no-follow", f"{folder}/{name}", f"not port:{port}").stdout, "", f"{name}: none by not")
    # Sysmon's event has no ancestors: what a record does not have matches nothing.
    found = [tail("--no-follow", f"{folder}/{name}", f"ancestor:{x}", f"port:{port}").stdout for x in ("flowner", "no-such")]
    tap.is_(found, ["" if name == "sysmon" else shown.stdout, ""], f"{name}: by an ancestor")

path = f"{folder}/all"
tap.is_(len(tail("--no-follow", "-n", "2", path).stdout.splitlines()), 2, "-n: the last ones that match")
raw = tail("--no-follow", "--raw", path, "event:end").stdout.splitlines()
tap.is_([json.loads(line)["event"]["sequence"] for line in raw], [r["event"]["sequence"] for r in ends],
        "--raw: the lines themselves")
starts = sum(r["event"]["action"] == "connection_start" for r in every)
tap.ok(0 < starts == len(tail("--no-follow", path, "event:start").stdout.splitlines()), "event:start: they are shown when asked for")
with open(f"{folder}/long", "w", encoding="utf-8") as f:
    f.write("x" * 3000000 + "\n" + raw[0] + "\nnonsense\n")
r = tail("--no-follow", "--raw", f"{folder}/long")
tap.is_((r.stdout, [line.split(": ")[1] for line in r.stderr.splitlines()]),
        (raw[0] + "\n", [f"{folder}/long:{n}" for n in (1, 3)]), "a line too long is one, is told once, and the next is read")
wrong = tail("--no-follow", path, "prot:tcp")
tap.is_(wrong.returncode, 64, "a wrong expression is a usage error")
tap.has(wrong.stderr, 'column 1: unknown key "prot" (did you mean "proto"?)', "that says where")
tap.has(tail("--no-follow", f"{folder}/none").stderr, "No such file", "a file that is missing")
tap.has(tail("--no-follow", config).stderr, f"{config}:1: not a record", "a file of no known format, and the line")
hostile = dict(ends[0], process=dict(ends[0]["process"], name="\x1b[2J\n\u202e"))
with open(f"{folder}/hostile", "w", encoding="utf-8") as f:
    f.write(json.dumps(hostile) + "\n")
out = tail("--no-follow", f"{folder}/hostile").stdout
tap.ok("\x1b" not in out and out.count("\n") == 1 and "\u202e" not in out, "nothing that steers a terminal comes out")

ours, theirs = os.openpty()
with open(f"{folder}/steers", "w", encoding="utf-8") as f:
    f.write(json.dumps(dict(hostile, host={"x": "C1 \x9b bidi \u202e e\u0301"}), ensure_ascii=False) + "\n")
subprocess.run([FLOWNER, "tail", "--no-follow", "--raw", f"{folder}/steers"], stdout=theirs, timeout=60, check=True)
os.close(theirs)
seen = b""
while not seen.endswith(b"\n"):
    seen += os.read(ours, 65536)
os.close(ours)
tap.has(seen.decode(), "C1 ?? bidi ??? e\u0301", "--raw: nor do C1 and bidi reach a terminal, other characters do")

subprocess.run(["zstd", "-q", path, "-o", f"{folder}/all.zst"], check=True)
tap.is_(tail(f"{folder}/all.zst").stdout, tail("--no-follow", path).stdout, "a file packed by zstd, which is not followed")
with open(f"{folder}/all.zst", "rb") as f:
    packed = f.read()
with open(f"{folder}/torn.zst", "wb") as f:
    f.write(packed[:len(packed) // 2])
torn = tail(f"{folder}/torn.zst")
tap.ok(torn.returncode == 71 and "zstd failed" in torn.stderr, "a torn one is an error", torn.stderr)

log = zeek_log.read(f"{folder}/conn.log")
mine = [row for row in log.rows if row["id.resp_p"] == port]
tap.is_([row["missed_bytes"] for row in mine], [None] * 3, "conn.log: a strict reader finds them, missed_bytes unset")
with open(f"{folder}/conn.log", encoding="utf-8") as f:
    rows = f.read().split("\n")
place = log.fields.index("process")
at = next(i for i, row in enumerate(rows) if not row.startswith("#") and row.split("\t")[place].startswith("python"))
cells = rows[at].split("\t")
cells[place] = r"a\x09b\x1b[2J\\c\x5cx41"
rows[at] = "\t".join(cells)
with open(f"{folder}/escapes", "w", encoding="utf-8") as f:
    f.write("\n".join(rows))
tap.has(tail("--no-follow", f"{folder}/escapes", f"pid:{cells[log.fields.index('pid')]}").stdout, r"a\tb\e[2J\\c\\x41[",
        "conn.log: escapes are undone, and made anew for the terminal")
with open(f"{folder}/headless", "w", encoding="utf-8") as f:
    f.write(rows[at] + "\n")
tap.has(tail("--no-follow", f"{folder}/headless").stderr, "headless:1: not a record", "conn.log: columns need their names")

with open(path, encoding="utf-8") as f:
    line = [x for x in f if '"connection_end"' in x][0]
live = f"{folder}/live"
with open(live, "w", encoding="utf-8") as f:
    f.write(line)
shown = open(f"{folder}/shown", "w", encoding="utf-8")
p = tap.spawn([FLOWNER, "tail", live], stdout=shown)


def count():
    with open(f"{folder}/shown", encoding="utf-8") as g:
        return len(g.readlines())


tap.ok(tap.wait_for(lambda: count() == 1), "follow: what there is")
with open(live, "a", encoding="utf-8") as f:
    f.write(line + line[:50])
tap.ok(tap.wait_for(lambda: count() == 2), "follow: what is added, but no torn line")
with open(live, "a", encoding="utf-8") as f:
    f.write(line[50:])
tap.ok(tap.wait_for(lambda: count() == 3), "follow: that line once it is whole")
os.rename(live, live + ".1")
with open(live, "w", encoding="utf-8") as f:
    f.write(line)
tap.ok(tap.wait_for(lambda: count() == 4), "follow: the new file after a rotation")
os.truncate(live, 0)
tap.stop(p)

agg = f"{folder}/agg"
r = tap.run([FLOWNER, "run", "--set", "enrich.aggregate=1m", "--stats", "-o", f"ecs:{agg}", "-o", f"text:{agg}.text",
             "-o", f"sysmon:{agg}.sysmon", "--", "python3", "-c",
             CLIENT % N, str(port)], timeout=120)
found = [x for x in records(agg) if x.get("destination", {}).get("port") == port]
tap.ok(0 < len(found) < 20, "500 connections give few records", str(len(found)))
tap.is_(sum(x["flowner"].get("connections", 1) for x in found), N, "which stand for all of them")
with open(f"{agg}.text", encoding="utf-8") as f:
    told = [re.search(r" x(\d+) ", line) for line in f if f"-> 127.0.0.1:{port} " in line]
tap.is_(sum(int(m[1]) if m else 1 for m in told), N, "text: so do its lines, by their xN")
tap.is_(len([x for x in records(f"{agg}.sysmon") if x["DestinationPort"] == port]), len(found),
        "sysmon: one line for each, alone or not")
tap.is_(sum(x["source"].get("bytes", 0) for x in found), N * 100, "with all their bytes")
server.close()
tap.done()
