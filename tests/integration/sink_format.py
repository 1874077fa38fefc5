# SPDX-License-Identifier: Apache-2.0
"""Random records through the formats, and each line through its validator.

ecs against tests/data/ecs-fields.tsv, ocsf against tests/data/ocsf-4001.json, sysmon against the keys that Sigma rules
use; `flowner fields FORMAT` against what comes out, both ways. With FLOWNER_ECS_LIST naming a list of ECS fields (name,
type, normalization in columns), also that those outside "flowner." are in there with the same type.
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
    """Paths and their values; objects in lists as path[]."""
    for key, v in value.items():
        if isinstance(v, dict):
            yield from flatten(v, f"{prefix}{key}.")
        elif isinstance(v, list) and v and isinstance(v[0], dict):
            for item in v:
                yield from flatten(item, f"{prefix}{key}[].")
        elif v != []:  # of nothing but separators
            yield prefix + key, v


def is_ip(v):
    try:
        return isinstance(v, str) and str(ipaddress.ip_address(v)) is not None
    except ValueError:
        return False


def is_int(v):
    return isinstance(v, int) and not isinstance(v, bool)


TYPES = {
    "long": is_int,
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


def unique(pairs):
    """A dict; one alone would hide a key that is there twice."""
    if len(dict(pairs)) < len(pairs):
        raise ValueError(f"twice: {[key for key, _ in pairs]}")
    return dict(pairs)


def objects(name, at_least):
    """The objects of random records in a format, after jq has read them, too."""
    path = os.path.join(tap.tmpdir(), f"random.{name}")
    with open(path, "wb") as f:
        subprocess.run([PRINT, name, str(COUNT), "1"], stdout=f, check=True)
    with open(path, "rb") as f:
        lines = f.read().split(b"\n")
    tap.is_(lines.pop(), b"", f"{name}: the last line ends with a newline")
    r = tap.run(["jq", "-e", "-c", "type", path], text=True)
    tap.ok(r.returncode == 0 and r.stdout == '"object"\n' * len(lines) and len(lines) >= at_least,
           f"{name}: jq -e reads {len(lines)} lines of random records", r.stderr)
    try:
        return [json.loads(line.decode("utf-8"), object_pairs_hook=unique) for line in lines]
    except ValueError as e:
        tap.ok(False, f"{name}: no key twice in an object", e)
        return []


def fields(name):
    """What `flowner fields NAME` lists: path to type."""
    r = tap.run([tap.program("flowner"), "fields", name], text=True)
    rows = [line.split("\t") for line in r.stdout.splitlines()]
    tap.ok(r.returncode == 0 and rows and all(len(row) == 5 and row[0] and row[4] for row in rows),
           f"flowner fields {name}: {len(rows)} fields with type and meaning", r.stderr)
    return {row[0]: row[1] for row in rows}


def compare_table(name, values, never=()):
    """The table of fields and the output name the same keys."""
    seen = {key for value in values for key, _ in flatten(value)}
    listed = set(fields(name)) - set(never)
    # written as a list of objects with one key each
    seen = {"dns.answers" if key == "dns.answers[].data" else key for key in seen}
    tap.is_(sorted(seen - listed), [], f"{name}: every key is in flowner fields {name}")
    tap.is_(sorted(listed - seen), [], f"{name}: every field named there occurs")


def ecs():
    values = objects("ecs", COUNT // 2)
    known = dict(table(os.path.join(tap.SOURCE, "tests/data/ecs-fields.tsv")))
    unknown, wrong, seen = set(), set(), set()
    for value in values:
        for key, v in flatten(value):
            seen.add(key)
            if key not in known:
                unknown.add(key)
            elif not has_type(v, known[key]):
                wrong.add(f"{key}: {v!r} is no {known[key]}")
    tap.is_(sorted(unknown), [], "ecs: every key is in tests/data/ecs-fields.tsv")
    tap.is_(sorted(wrong)[:5], [], "ecs: and has the type named there")
    tap.is_(sorted(set(known) - seen), [], "ecs: every field named there occurs")
    compare_table("ecs", values)
    compare_list(known)


def compare_list(known):
    name = "ecs: every field outside flowner. is in the full list of ECS fields, with its type"
    full = os.environ.get("FLOWNER_ECS_LIST")
    if not full:
        tap.skip(name, "FLOWNER_ECS_LIST is not set")
        return
    types = {row[0]: row[1] + ("[]" if len(row) > 2 and row[2] == "array" else "") for row in table(full)}
    tap.is_([f"{k} {t} {types.get(k.replace('[]', ''))}" for k, t in known.items()
             if not k.startswith("flowner.") and types.get(k.replace("[]", "")) != t], [], name)


OCSF_TYPES = {
    "integer_t": is_int,
    "long_t": lambda v: is_int(v) and -2**63 <= v < 2**64,
    "timestamp_t": lambda v: is_int(v) and 0 <= v < 2**63,
    "boolean_t": lambda v: isinstance(v, bool),
    "port_t": lambda v: is_int(v) and 0 <= v < 65536,
    "ip_t": is_ip,
}


def ocsf_value(facts, attribute, v, path):
    if attribute.get("list"):
        if not isinstance(v, list):
            return [f"{path} is no list"]
        one = {k: x for k, x in attribute.items() if k != "list"}
        return [e for item in v for e in ocsf_value(facts, one, item, path + "[]")]
    if attribute.get("object") == "*":
        return [] if isinstance(v, dict) else [f"{path} is no object"]
    if "object" in attribute:
        return ocsf_object(facts, attribute["object"], v, path + ".")
    if not OCSF_TYPES.get(attribute["type"], lambda v: isinstance(v, str))(v):
        return [f"{path}: {v!r} is no {attribute['type']}"]
    if "enum" in attribute and v not in attribute["enum"]:
        return [f"{path}: {v!r} is none of {attribute['enum']}"]
    return []


def ocsf_object(facts, name, value, path=""):
    """What is wrong with an object of that kind."""
    if not isinstance(value, dict):
        return [f"{path} is no object"]
    wrong = [f"{path}{a} is missing" for a, x in facts[name].items() if x.get("required") and a not in value]
    for key, v in value.items():
        if key not in facts[name]:
            wrong.append(f"{path}{key} is unknown")
        else:
            wrong += ocsf_value(facts, facts[name][key], v, path + key)
    return wrong


def ocsf():
    with open(os.path.join(tap.SOURCE, "tests/data/ocsf-4001.json"), encoding="utf-8") as f:
        facts = json.load(f)
    values = objects("ocsf", COUNT // 2)
    wrong = sorted({e for value in values for e in ocsf_object(facts, "network_activity", value)})
    tap.is_(wrong[:5], [], "ocsf: required attributes, types and values are class 4001's")
    tap.is_([v["type_uid"] for v in values if v["type_uid"] != 400100 + v["activity_id"]], [],
            "ocsf: the type is the activity's")
    tap.is_(sorted({v["activity_id"] for v in values}), [1, 2, 3, 4, 5, 6], "ocsf: every activity but listen occurs")
    broken = dict(values[0], type_uid="400101", severity_id=7, colour=1)
    del broken["metadata"]
    tap.is_(len(ocsf_object(facts, "network_activity", broken)), 4, "ocsf: the validator finds what is wrong")
    compare_table("ocsf", values)


SYSMON = {  # and the two behind them that are ours
    "EventID": lambda v: v == 3, "RuleName": lambda v: v == "-",
    "UtcTime": lambda v: re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}", v),
    "ProcessGuid": lambda v: re.fullmatch(r"-|\{[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\}", v),
    "ProcessId": is_int, "Image": lambda v: isinstance(v, str), "User": lambda v: isinstance(v, str),
    "Protocol": lambda v: v in ("tcp", "udp"), "Initiated": lambda v: v in ("true", "false"),
    "SourceIsIpv6": lambda v: v in ("true", "false"), "SourceIp": is_ip, "SourceHostname": lambda v: isinstance(v, str),
    "SourcePort": OCSF_TYPES["port_t"], "DestinationIsIpv6": lambda v: v in ("true", "false"), "DestinationIp": is_ip,
    "DestinationHostname": lambda v: isinstance(v, str), "DestinationPort": OCSF_TYPES["port_t"],
    "EventRecordID": is_int, "FlownerEpoch": is_int,
}


def sysmon():
    values = objects("sysmon", COUNT // 20)
    tap.ok(all(list(v) == list(SYSMON) for v in values), "sysmon: every line has the keys of event 3, in order")
    tap.is_(sorted({f"{k}: {v[k]!r}" for v in values for k, fits in SYSMON.items() if not fits(v[k])})[:5], [],
            "sysmon: each has its type")
    compare_table("sysmon", values)


def zeek_json():
    values = objects("zeek-json", COUNT // 20)
    tap.ok(all(not isinstance(x, dict) for v in values for x in v.values()), "zeek-json: objects are flat")
    tap.is_(sorted({k for v in values for k in ("ts", "uid", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "proto",
                                                "conn_state") if k not in v}), [], "zeek-json: what zeek always has")
    # of zeek's, but nothing of ours can know them
    compare_table("zeek-json", values, never=("missed_bytes", "tunnel_parents"))


def text():
    out = tap.run([PRINT, "text", str(COUNT), "2"], text=False, errors=None).stdout
    tap.ok(out.endswith(b"\n") and out.count(b"\n") > COUNT // 4, "text: lines")
    try:
        decoded = out.decode("utf-8")
    except UnicodeDecodeError as e:
        decoded = "\x00"
        tap.note(e)
    tap.ok(not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]", decoded),
           "text: valid UTF-8 and nothing that steers a terminal")


def words():
    r = tap.run([tap.program("flowner"), "fields"], text=True)
    named = set(re.findall(r"^    ecs +(\S+)$", r.stdout, re.M))
    tap.ok(r.returncode == 0 and named == set(fields("ecs")), "flowner fields names what each format's list names")
    names = re.findall(r"^\[?([a-z_.0-9]+)\]?  ", r.stdout, re.M)
    tap.is_(sorted({n for n in names if names.count(n) > 1}), [], "no name stands for two fields")


ecs()
ocsf()
sysmon()
zeek_json()
text()
words()
tap.done()
