# SPDX-License-Identifier: Apache-2.0
"""Random records through the formats: jq reads every line, each key is in tests/data/ecs-fields.tsv with its type.

With FLOWNER_ECS_LIST naming a list of ECS fields (name, type, normalization in columns), also that those outside
"flowner." are in there with the same type.
"""
import ipaddress
import json
import os
import re
import subprocess

import tap

COUNT = 3000
PRINT = tap.program("tests/integration/print-records")


def table(path):
    with open(path, encoding="utf-8") as f:
        return [line.rstrip("\n").split("\t") for line in f if line.strip() and not line.startswith("#")]


def flatten(value, prefix=""):
    for key, v in value.items():
        if isinstance(v, dict):
            yield from flatten(v, f"{prefix}{key}.")
        else:
            yield prefix + key, v


def is_ip(v):
    try:
        return isinstance(v, str) and str(ipaddress.ip_address(v)) is not None
    except ValueError:
        return False


TYPES = {
    "long": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "boolean": lambda v: isinstance(v, bool),
    "keyword": lambda v: isinstance(v, str),
    "wildcard": lambda v: isinstance(v, str),
    "ip": is_ip,
    "date": lambda v: isinstance(v, str)
    and re.fullmatch(r"[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]\.[0-9]{9}Z", v),
}


def has_type(v, name):
    if name.endswith("[]"):
        return isinstance(v, list) and all(TYPES[name[:-2]](x) for x in v)
    return TYPES[name](v)


def ecs():
    path = os.path.join(tap.tmpdir(), "random.ndjson")
    with open(path, "wb") as f:
        subprocess.run([PRINT, "ecs", str(COUNT), "1"], stdout=f, check=True)
    r = tap.run(["jq", "-e", "-c", "type", path], text=True)
    tap.ok(r.returncode == 0 and r.stdout == '"object"\n' * COUNT, f"jq -e reads {COUNT} random records", r.stderr)
    with open(path, "rb") as f:
        lines = f.read().split(b"\n")
    tap.is_(lines.pop(), b"", "the last line ends with a newline")
    fields = dict(table(os.path.join(tap.SOURCE, "tests/data/ecs-fields.tsv")))
    unknown, wrong, seen, twice = set(), set(), set(), []

    def unique(pairs):  # a dict alone would hide a key that is there twice
        if len(dict(pairs)) < len(pairs):
            twice.append([key for key, _ in pairs])
        return dict(pairs)

    for line in lines:
        value = json.loads(line.decode("utf-8"), object_pairs_hook=unique)
        for key, v in flatten(value):
            seen.add(key)
            if key not in fields:
                unknown.add(key)
            elif not has_type(v, fields[key]):
                wrong.add(f"{key}: {v!r} is no {fields[key]}")
    tap.is_(twice, [], "no key twice in an object")
    tap.is_(sorted(unknown), [], "every key is in tests/data/ecs-fields.tsv")
    tap.is_(sorted(wrong)[:5], [], "and has the type named there")
    tap.is_(sorted(set(fields) - seen), [], "every field named there occurs")
    compare(fields)


def compare(fields):
    name = "every field outside flowner. is in the full list of ECS fields, with its type"
    full = os.environ.get("FLOWNER_ECS_LIST")
    if not full:
        tap.skip(name, "FLOWNER_ECS_LIST is not set")
        return
    known = {row[0]: row[1] + ("[]" if len(row) > 2 and row[2] == "array" else "") for row in table(full)}
    tap.is_([f"{k} {t} {known.get(k)}" for k, t in fields.items()
             if not k.startswith("flowner.") and known.get(k) != t], [], name)


def text():
    out = tap.run([PRINT, "text", str(COUNT), "2"], text=False, errors=None).stdout
    tap.ok(out.endswith(b"\n") and out.count(b"\n") > COUNT // 2, "text: lines")
    try:
        decoded = out.decode("utf-8")
    except UnicodeDecodeError as e:
        decoded = "\x00"
        tap.note(e)
    tap.ok(not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]", decoded),
           "text: valid UTF-8 and nothing that steers a terminal")


ecs()
text()
tap.done()
