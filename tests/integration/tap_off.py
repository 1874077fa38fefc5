# SPDX-License-Identifier: Apache-2.0
"""Without the tap owners come from sock_diag, the sweep and /proc: fewer, but none is wrong."""
import os
import subprocess

import pipeline
import tap

tap.need_root()
PORT = 9987

for procfs in "keep", "seed", "off":
    path = os.path.join(tap.tmpdir(), "out.ndjson")
    # At the sweep it is a shell; the program it will be has to be named by then.
    late = tap.spawn(["sh", "-c", f"read go; exec {pipeline.TRUTH} server tcp 127.0.0.1 {PORT}"],
                     stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    f = pipeline.Flowner("-i", "lo", "-o", f"ecs:{path}", "--set", "enrich.tap=off",
                         "--set", f"enrich.procfs={procfs}", f"tcp port {PORT}")
    late.stdin.write(b"go\n")
    late.stdin.flush()
    tap.has(late.stdout.readline(), b"ready", f"procfs {procfs}: the server listens")
    reports = {r["port"]: r for r in pipeline.truth("launch", 50, 1, "tcp", "127.0.0.1", PORT)}
    f.settle()
    tap.is_(f.stop(), 0, f"procfs {procfs}: flowner ends well")
    tap.stop(late)
    ends = pipeline.connections(pipeline.records(path), "end")
    tap.is_(len(ends), 50, f"procfs {procfs}: every connection is logged")
    clients = servers = wrong = 0
    for r in ends:
        client = r.get("process", {})
        server = r["flowner"].get("responder", {}).get("process", {})
        if r["destination"]["port"] == PORT and client.get("pid") == late.pid and not server:
            client, server = {}, client  # the only end that is known
        truth = reports[r["source"]["port"]]
        if "pid" in client:
            clients += 1
            wrong += client["pid"] != truth["pid"] or client.get("executable", truth["exe"]) != truth["exe"]
        if "pid" in server:
            servers += 1
            wrong += server["pid"] != late.pid or server["name"] != "truth"
            wrong += server.get("executable", pipeline.TRUTH) != pipeline.TRUTH
    tap.note(f"procfs {procfs}: of 50, clients named {clients}, servers named {servers}")
    tap.is_(wrong, 0, f"procfs {procfs}: nobody wrong is named")
    if procfs == "keep":
        tap.ok(servers, "procfs keep: the server is named")
tap.done()
