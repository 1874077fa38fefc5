# SPDX-License-Identifier: Apache-2.0
"""Clients that exit at once: the right pid, exe and uid for nearly all, a wrong one for none."""
import os

import pipeline
import tap

tap.need_root()
CLIENTS = tap.amount(500, 20000, 200)
FEWER = tap.amount(300, 500, 100)


def verdicts(reports, ends, want_exe=True):
    """Counts over the clients' own reports: right pid, exe, uid; wrong; missing."""
    by_port = {}
    for r in ends:
        by_port.setdefault((r["network"]["transport"], r["source"]["port"]), []).append(r)
    count = {"right": 0, "exe": 0, "uid": 0, "wrong": 0, "missing": 0, "unknown": 0}
    for t in reports:
        found = by_port.get((t["proto"], t["port"]), [])
        if not found:
            count["missing"] += 1
            continue
        # The port may have served several clients: one record must name this one.
        mine = [r for r in found if r.get("process", {}).get("pid") == t["pid"]]
        if not mine:
            named = [r for r in found if "pid" in r.get("process", {})]
            verdict = "wrong" if len(named) == len(found) else "unknown"
            count[verdict] += 1
            if count[verdict] <= 3:
                tap.note(f"{verdict}: {t}")
                for r in found:
                    tap.note(f"    {r['@timestamp']} {r.get('process')} {r.get('flowner')}")
            continue
        count["right"] += 1
        exe = mine[0]["process"].get("executable")
        uid = mine[0].get("user", {}).get("id")
        count["exe"] += exe == t["exe"]
        count["uid"] += uid == t["uid"]
        if (exe and exe != t["exe"]) or (uid and uid != t["uid"]):
            tap.note(f"wrong detail: {t} -> {exe} {uid}")
            count["wrong"] += 1
    return count


def check(name, reports, path, n):
    ends = pipeline.connections(pipeline.records(path), "end")
    c = verdicts(reports, ends)
    tap.note(f"{name}: {c} of {len(reports)}")
    tap.is_(len(reports), n, f"{name}: every client reported")
    for what in ("right", "exe", "uid"):
        tap.ok(c[what] >= 0.995 * n, f"{name}: {what} for at least 99.5 % ({c[what]} of {n})")
    tap.is_(c["wrong"], 0, f"{name}: none wrong")


def scenario(name, n, proto, address, port, *verb):
    d = tap.tmpdir()
    path = os.path.join(d, "out.ndjson")
    srv = pipeline.server(proto, address, port)
    f = pipeline.Flowner("-i", "lo", "-o", f"ecs:{path}", f"port {port}")
    reports = pipeline.truth(*verb, proto, address, port)
    f.settle()
    tap.is_(f.stop(), 0, f"{name}: flowner ends well")
    tap.stop(srv)
    check(name, reports, path, n)
    return path


scenario("TCP, fork + exec", CLIENTS, "tcp", "127.0.0.1", 9961, "launch", CLIENTS, 1)
scenario("TCP, 8 at a time", CLIENTS, "tcp", "127.0.0.1", 9962, "launch", CLIENTS, 8)
scenario("TCP over IPv6", FEWER, "tcp", "::1", 9963, "launch", FEWER, 2)
scenario("TCP, forked children without exec", FEWER, "tcp", "127.0.0.1", 9964, "forks", FEWER)
scenario("UDP, one datagram", FEWER, "udp", "127.0.0.1", 9965, "launch", FEWER, 2)
scenario("UDP over IPv6", FEWER, "udp", "::1", 9966, "launch", FEWER, 2)
tap.done()
