# SPDX-License-Identifier: Apache-2.0
"""What `flowner tail --help`, `flowner fields --help`, `flowner help expression` and the manual say of rules and
aggregation, sentence by sentence, over the records of a file. With live processes: tail.py; each key: test-sink-expression."""
import json
import os
import re
import signal
import subprocess

import pipeline
import sessions
import tap

FLOWNER = tap.program("flowner")
NANO = 10**9
TCP = ">S100 <SA500,101 >A101,501 >PA101,501+30 <A501,131 <PA501,131+70 >A131,571 >FA131,571 <FA571,132 >A132,572"
N = 12
folder = tap.tmpdir()
LOSS = {"@timestamp": "2026-01-01T00:00:00.000000000Z", "event": {"action": "loss"}, "flowner": {
    "epoch": 3, "loss": {"stage": "packet_ring", "reason": "full", "count": 17, "packets": 17}}}


def path(name):
    return os.path.join(folder, name)


def records(name):
    with open(path(name), encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def read(*args, file="read.pcap"):
    if not any("start_after" in a for a in args):
        args = (*pipeline.TWO_RECORDS, *args)
    r = tap.run([FLOWNER, "run", "-r", path(file), *args], text=True)
    tap.is_(r.returncode, 0, f"the file is read with {' '.join(args).replace(folder, '')}") or tap.note(r.stderr)
    return r


def tail(*args, env=None, cwd=None, stdin=subprocess.DEVNULL):
    return tap.run([FLOWNER, "tail", *args], text=True, cwd=cwd, stdin=stdin, env={**os.environ, **(env or {})})


def shown(*args, **kwargs):
    """The originators' ports and LOST, in their order."""
    r = tail(*args, **kwargs)
    tap.is_((r.returncode, r.stderr), (0, ""), f"tail {' '.join(args).replace(folder, '')}: good")
    return [int(m[1]) if m else line.split()[1] for line in r.stdout.splitlines()
            for m in [re.search(r":(\d+) .*->", line)]]


def place(pid, file):
    """How far a process has read an open file."""
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            if os.readlink(f"/proc/{pid}/fd/{fd}") == file:
                with open(f"/proc/{pid}/fdinfo/{fd}", encoding="utf-8") as info:
                    return int(re.search(r"pos:\s*(\d+)", info.read())[1])
        except FileNotFoundError:  # closed since
            continue
    return None


def source(r):
    return r.get("source", {}).get("port")


# Twelve alike in eleven seconds, then one to another port at the same time as the first of another window.
packets, t_ns = [], 1_700_000_000 * NANO
for n in range(N):
    part, t_ns = sessions.play(TCP, "tcp", 20000 + n, t_ns)
    packets, t_ns = packets + part, t_ns + NANO
packets += sessions.play(">.0+20 <.0+40", "udp", 20100, t_ns)[0]
sessions.write(path("read.pcap"), packets)
PORTS = [20000 + n for n in range(N)] + [20100]

# ---- include and exclude: each output for itself
with open(path("c.yaml"), "w", encoding="utf-8") as f:
    f.write("output:\n  files:\n" + "".join(f"    - {{format: ecs, path: {path(name)}{rule}}}\n" for name, rule in (
        ("all", ""), ("one", ", include: ['sport:20003']"), ("any", ", include: ['sport:20003', 'proto:udp event:end']"),
        ("not", ", exclude: ['sport:20003-']"), ("both", ", include: ['proto:tcp'], exclude: ['sport:-20009', 'event:start']"),
        ("none", ", include: [], exclude: []"), ("nothing", ", include: ['loopback']"))))
read("-c", path("c.yaml"))
every = records("all")
tap.is_([source(r) for r in every if r["event"]["action"] == "connection_end"], PORTS, "all connections, without rules")
tap.is_([r for r in every if source(r) == 20003], records("one"), "include: only what matches, each record of it")
tap.is_([r for r in every if source(r) == 20003 or (source(r) == 20100 and r["event"]["action"] == "connection_end")],
        records("any"), "include: what one of the expressions matches")
tap.is_([r for r in every if source(r) < 20003], records("not"), "exclude: all but what matches")
tap.is_([(source(r), r["event"]["action"]) for r in records("both")],
        [(20010, "connection_end"), (20011, "connection_end")], "exclude: left out, included or not")
tap.is_(records("none"), every, "lists without an expression are no rules")
tap.is_(records("nothing"), [], "include: nothing matches, nothing is written")

# ---- aggregation
read("-o", f"ecs:{path('sums')}", "--set", "enrich.aggregate=5s")
sums = records("sums")
tap.is_([(r["event"]["action"], r["destination"]["port"], r["flowner"].get("connections", 1)) for r in sums
         if r["network"]["transport"] == "tcp"], [("connection_summary", 80, n) for n in (5, 5, 2)],
        "aggregate: one record for those that end within the time of the first, no start records")
tap.is_([(r["event"]["action"], source(r), r["flowner"].get("connections", 1)) for r in sums
         if r["network"]["transport"] == "udp"], [("connection_end", 20100, 1)], "aggregate: what is not alike stands alone")
for side, key in ("source", "bytes"), ("destination", "bytes"), ("source", "packets"), ("destination", "packets"):
    tap.is_(sum(r[side].get(key, 0) for r in sums),
            sum(r[side].get(key, 0) for r in every if r["event"]["action"] == "connection_end"), f"aggregate: sum of {side}.{key}")
tap.is_((sums[0]["event"]["start"], sums[0]["event"]["end"]), (every[0]["event"]["start"], [
    r for r in every if source(r) == 20004][-1]["event"]["end"]), "aggregate: from the first start to the last end")
LONG = ">S100 <SA500,101 >A101,501 ~12 >PA101,501+30 <A501,131 ~12 >FA131,501 <FA501,132 >A132,502"
long = [p for n in range(2) for p in sessions.play(LONG, "tcp", 21000 + n, 1_700_000_000 * NANO)[0]]
sessions.write(path("long.pcap"), sorted(long, key=lambda p: p[0]))
read("-o", f"ecs:{path('long')}", "--set", "enrich.aggregate=5s", "--set", "enrich.active_timeout=10s",
     "--set", "capture.mode=headers", file="long.pcap")
lasts = records("long")
tap.is_([(r["event"]["action"], r["flowner"].get("connections", 1)) for r in lasts],
        [("connection_info", 1)] * 4 + [("connection_summary", 2)], "aggregate: what lasts is told of each, its end of both")
tap.is_(sum(r["flowner"]["delta"]["packets"] for r in lasts), len(long), "aggregate: each packet stands in one record")
read("-o", f"ecs:{path('each')}", "--set", "enrich.aggregate=0s")
tap.is_(len(records("each")), len(every), "aggregate: 0s means one for each")
for after, told in ("10s", ["connection start"] * 2 + ["connection end"] * 2), ("1m", ["connection start end"] * 2):
    read("-o", f"ecs:{path(after)}", "--set", f"enrich.start_after={after}", "--set", "capture.mode=headers", file="long.pcap")
    late = records(after)
    tap.is_([" ".join(r["event"]["type"]) for r in late], told, f"start_after {after}: what ends before is one record")
    tap.is_(sum(r["flowner"]["delta"]["packets"] for r in late), len(long), f"start_after {after}: each packet stands in one record")
tap.is_(shown("--no-follow", path("sums"), "event:summary connections:3-"), [20004, 20009], "tail finds summaries by their number")

# ---- tail: which file, which format
ecs = f"ecs:{path('all')}"
first = {"FLOWNER_OUTPUT__FILES": f"text:-,{ecs},ecs:{path('sums')}"}
tap.is_(shown("--no-follow", path("all")), PORTS, "tail FILE: its ended connections")
tap.is_(shown("--no-follow", env=first), PORTS, "tail: by default the first file of the configuration")
tap.is_(shown("--no-follow", "sport:20003", env=first), [20003], "what has a colon is no file")
tap.is_(shown("--no-follow", "not", "proto:tcp", env=first), [20100], "nor is not")
tap.is_(shown("--no-follow", "not proto:tcp", env=first), [20100], "nor what begins with it")
tap.is_(shown("--no-follow", "loopback", env=first), [], "nor loopback")
tap.is_(shown("--no-follow", "loopback or proto:udp", env=first), [20100], "nor what begins with it")
os.mkdir(path("a b"))
for name in "a b/c:d", "a b/not", "x y", "loopbacks":
    os.link(path("all"), path(name))
    tap.is_(shown("--no-follow", os.path.join(".", name), "proto:udp", cwd=folder), [20100], f"a file: ./{name}")
    tap.is_(shown("--no-follow", name, "proto:udp", cwd=folder), [20100], f"a file: {name}")
with open(path("all"), encoding="utf-8") as f:
    tap.is_(shown("--no-follow", "-", "sport:20001,20002", stdin=f), [20001, 20002], "- is standard input")
with open(path("all"), encoding="utf-8") as f:
    tap.is_(shown("-", stdin=f), PORTS[-10:], "which ends when it ends")
r = tail("--no-follow", env={"FLOWNER_OUTPUT__FILES": "text:-"})
tap.is_((r.returncode, r.stdout, r.stderr), (64, "", "flowner: the configuration names no file; see flowner tail --help\n"),
        "a configuration without a file")
for name in "text", "pcapng":
    read("-o", f"{name}:{path(name)}")
    r = tail("--no-follow", path(name))
    tap.ok(r.returncode == 71 and r.stdout == "" and r.stderr.count("\n") == 1 and ": not a record of a format that tail reads"
           in r.stderr, f"tail reads no {name}", r.returncode, r.stdout, r.stderr)
with open(path("lossy"), "w", encoding="utf-8") as f:
    f.writelines(json.dumps(r) + "\n" for r in [*every[:4], LOSS, *every[4:]])
tap.is_(shown("--no-follow", path("lossy"), "sport:20000,20011"), [20000, "LOST", 20011], "losses are always shown, in their place")
tap.is_(shown("--no-follow", path("lossy"), "process:nobody"), ["LOST"], "also where nothing else is")

# ---- tail: how many, and going on
tap.is_(shown("--no-follow", "-n", "2", path("all"), "sport:-20005"), [20004, 20005], "-n N: the last that match")
tap.is_(shown("--no-follow", "-n", "0", path("all")), [], "-n 0: none")
tap.is_(shown("--no-follow", "-n", "99", path("all")), PORTS, "-n N: as many as there are")
tap.is_(shown("--no-follow", "-n", "all", path("all")), PORTS, "-n all")
for n in "", "-1", "1x", "100001", "some":
    r = tail("--no-follow", "-n", n, path("all"))
    tap.is_((r.returncode, r.stdout, r.stderr), (64, "", "flowner: -n takes a number up to 100000, or all; see flowner tail --help\n"),
            f"-n {n!r} is refused")
for option in "-n", "--frob", "-x":
    r = tail(option)
    tap.ok(r.returncode == 64 and r.stdout == "" and r.stderr.count("\n") == 1, f"tail {option} is refused", r.stderr)
with open(path("all"), encoding="utf-8") as f:
    LINES = f.readlines()
for i, (options, n) in enumerate((((), 10), (("-n", "all"), len(PORTS)), (("-n", "3"), 3), (("--no-follow", "-f"), 10),
                                  (("--no-follow", "--follow", "-n", "0"), 0))):
    with open(path("grows"), "w", encoding="utf-8") as f:
        f.writelines(LINES)
    with open(path("out"), "w", encoding="utf-8") as f:
        p = tap.spawn([FLOWNER, "tail", *options, path("grows")], stdout=f)

    def ports():
        with open(path("out"), encoding="utf-8") as g:
            return [int(x) for x in re.findall(r"10\.0\.0\.1:(\d+) .*->", g.read())]

    tap.wait_for(lambda: len(ports()) >= n)
    if n == 0:  # nothing else shows that it has come to the end
        tap.wait_for(lambda: place(p.pid, path("grows")) == sum(map(len, LINES)))
    with open(path("grows"), "a", encoding="utf-8") as f:
        f.writelines(LINES[2:4])
    tap.wait_for(lambda: len(ports()) > n)
    tap.is_(ports(), PORTS[len(PORTS) - n:] + [20001], f"tail {' '.join(options)}: the last {n}, then what is written")
    if i == 0:
        os.truncate(path("grows"), 0)
        with open(path("grows"), "a", encoding="utf-8") as f:
            f.writelines(LINES[4:6])
        tap.wait_for(lambda: len(ports()) > n + 1)
        tap.is_(ports()[n + 1:], [20002], "a file that was cut is read from its beginning")
    tap.ok(p.poll() is None, "it goes on")
    tap.is_(tap.stop(p, signal.SIGINT), -signal.SIGINT, "until Ctrl-C")

# ---- tail: the lines themselves
r = tail("--no-follow", "--raw", "-n", "2", path("lossy"), "sport:20000")
tap.is_(r.stdout, "".join(json.dumps(x) + "\n" for x in [every[1], LOSS]), "--raw: byte for byte, also losses and starts")

# ---- fields
rows, names, formats, field = {}, [], {}, None
for line in tap.run([FLOWNER, "fields"], text=True).stdout.splitlines():
    m = re.match(r"(\[?)([a-z0-9_.]+)(\]?)  ([a-z ]+)(?:, (.+))?$", line)
    if m:
        field = (m[1] + m[2] + m[3], m[4], m[5] or "")
        names.append(field[0])
        rows[field[0]] = []
    elif re.match(r"    (ecs|ocsf|zeek|sysmon|text|pcapng) +\S", line) and len(rows[field[0]]) > 0:
        name, where = line.split(None, 1)
        formats.setdefault(name, []).append((where, field[1], field[2], field[0], rows[field[0]][0]))
        rows[field[0]].append(name)
    else:
        rows[field[0]].append(line.strip())
tap.ok(len(names) > 100 and all(v and v[0] and "\t" not in v[0] for v in rows.values()), "fields: each has a type and a meaning")
tap.is_([n for n, v in rows.items() if n[0] == "[" and len(v) < 2], [], "fields: those in brackets are of a format")
formats["zeek-json"] = formats["zeek"]  # the same names
for name in formats:
    lines = tap.run([FLOWNER, "fields", name], text=True).stdout.splitlines()
    tap.ok(lines and [tuple(x.split("\t")) for x in lines] == formats.get(name), f"fields {name}: a line a field, five columns",
           *[x for x in lines if tuple(x.split("\t")) not in formats.get(name, [])][:3])
# responder_pid is pid at the other end; the addresses and ports are of the connection, and have names of their own.
own = {n for n in names if n.startswith("responder_")}
tap.is_(sorted(n for n in own if n[len("responder_"):] not in names), [], "fields: what a responder has, the other end has, too")
cut = subprocess.run(f"{FLOWNER} fields ecs | cut -f 1", shell=True, capture_output=True, text=True, check=True).stdout.split("\n")
tap.ok("process.pid" in cut and "source.ip" in cut and "" not in cut[:-1], "the example of its help", *cut[:3])

# ---- help: each of its examples is one, and both ways to it are the same
for words, other in (("help", "tail"), ("tail", "--help")), (("help", "run"), ("run", "--help")), (("help", "expression"),) * 2:
    a, b = (tap.run([FLOWNER, *w], text=True) for w in (words, other))
    tap.ok(a.returncode == 0 and a.stdout and a.stdout == b.stdout and max(map(len, a.stdout.splitlines())) <= 80,
           f"flowner {' '.join(words)}", a.stdout, b.stdout)
os.rename(path("all"), path("old.ndjson"))
subprocess.run(["zstd", "-q", path("old.ndjson"), "-o", path("old.ndjson.zst")], check=True)
examples = re.findall(r"^  flowner tail (.*?)(?:  +\(.*)?$", tap.run([FLOWNER, "tail", "--help"], text=True).stdout, re.M)
wanted = {"process:curl": 0, "--no-follow": len(PORTS), "old.ndjson.zst": 0}
for line in examples:
    args = line.split() if "old.ndjson" in line else ["--no-follow", *line.split()]
    tap.is_(len(shown(*args, cwd=folder, env={"FLOWNER_OUTPUT__FILES": f"ecs:{path('old.ndjson')}"})),
            wanted.get(line.split()[0]), f"the example flowner tail {line}")
tap.is_(len(examples), 3, "all examples")
tap.done()
