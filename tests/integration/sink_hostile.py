# SPDX-License-Identifier: Apache-2.0
"""Names chosen to break lines, formats and terminals, through every format: each line is valid, nothing steers."""
import os
import re
import subprocess

import tap
import zeek_log

PRINT = tap.program("tests/integration/print-records")
COUNT = tap.amount(20000, 1000000, 4000)
SEED = os.environ.get("FLOWNER_SEED", "1")
folder = tap.tmpdir()


def written(name):
    path = os.path.join(folder, name)
    with open(path, "wb") as f:
        subprocess.run([PRINT, name, str(COUNT), SEED, "names"], stdout=f, check=True)
    return path


def steers(path, name):
    """No byte below blank but the line's end (and the tab between columns), no other control character."""
    with open(path, encoding="utf-8", errors="strict", newline="") as f:
        try:
            bad = next((line for line in f if zeek_log.UNSAFE.search(line)
                        or ("\t" in line and name != "zeek")), None)
        except UnicodeDecodeError as e:
            bad = repr(e)
    tap.is_(bad, None, f"{name}: valid UTF-8, no control character, nothing that steers a terminal")


def json_lines(path, name):
    with open(path, "rb") as f:
        lines = sum(1 for _ in f)
    tap.ok(lines > COUNT // 8, f"{name}: {lines} lines")
    p = subprocess.run(f"jq -e -c type {path} | sort | uniq -c", shell=True, capture_output=True, text=True)
    tap.is_(p.stdout.split(), [str(lines), '"object"'], f"{name}: jq reads every line, each is an object")


def zeek(path):
    try:
        log = zeek_log.read(path)
        tap.ok(len(log.rows) > COUNT // 8, f"zeek: the strict reader takes {len(log.rows)} lines")
        tap.ok(log.closed and any("\n" in (r["process"] or "") for r in log.rows), "zeek: names come back unescaped")
    except ValueError as e:
        tap.ok(False, "zeek: the strict reader takes every line", e)


def pcapng(path):
    """In Wireshark's own words: every packet is there, with one comment of the lines we wrote."""
    r = tap.run(["tshark", "-n", "-r", path, "-T", "fields", "-e", "frame.number", "-e", "frame.comment"], 600)
    lines = r.stdout.splitlines()
    tap.is_((r.returncode, len(lines)), (0, COUNT), "pcapng: tshark reads every packet")
    shape = re.compile(r"[0-9]+\t(PID: [0-9]+|Cmd: |Args:|Owner: |ParentPID: )")
    tap.is_([l for l in lines if not shape.match(l)][:3], [], "pcapng: each has its comment")
    with open(path, "rb") as f:
        data = f.read()
    comments, at = 0, 0
    bad = []
    while at < len(data):
        kind, size = (int.from_bytes(data[at + i:at + i + 4], "little") for i in (0, 4))
        if kind == 6:
            caplen = int.from_bytes(data[at + 20:at + 24], "little")
            o = at + 28 + (caplen + 3) // 4 * 4
            while (code := int.from_bytes(data[o:o + 2], "little")) != 0:
                n = int.from_bytes(data[o + 2:o + 4], "little")
                if code == 1:
                    comments += 1
                    text = data[o + 4:o + 4 + n].decode("utf-8", "surrogateescape")
                    if re.search("[\ud800-\udfff]", text) or zeek_log.UNSAFE.search(text.replace("\n", "")):
                        bad.append(text)
                    if any(not re.match(r"[A-Za-z]+: ?", line) for line in text.split("\n")):
                        bad.append(text)
                o += 4 + (n + 3) // 4 * 4
        at += size
    tap.is_((comments, bad[:2]), (COUNT, []), "pcapng: comments are valid UTF-8, a key a line, nothing that steers")


for name in subprocess.run([PRINT, "list"], capture_output=True, text=True, check=True).stdout.split():
    path = written(name)
    if name == "pcapng":
        pcapng(path)
        continue
    steers(path, name)
    if name == "zeek":
        zeek(path)
    elif name != "text":
        json_lines(path, name)
    os.unlink(path)
tap.done()
