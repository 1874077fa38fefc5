# SPDX-License-Identifier: Apache-2.0
"""Counters to the outside: Prometheus text in a file and over HTTP, status --json, SIGUSR2."""
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

import exposition
import pipeline
import tap

tap.need_root()
PORT, TARGET = 15013, 15014
FLOWNER = tap.program("flowner")
CONNECTIONS = tap.amount(100, 2000, 50)

folder = tap.tmpdir()
os.chmod(folder, 0o777)
textfile = os.path.join(folder, "flowner.prom")
ecs, zeek = os.path.join(folder, "a.ndjson"), os.path.join(folder, "conn.log")

listener = socket.create_server(("127.0.0.1", TARGET), backlog=128)


def accept():
    while True:
        try:
            listener.accept()[0].close()
        except OSError:
            return


threading.Thread(target=accept, daemon=True).start()


def connect(n):
    for _ in range(n):
        with socket.create_connection(("127.0.0.1", TARGET)) as s:
            while s.recv(100):
                pass


def ask(request, address=("127.0.0.1", PORT)):
    """(status, headers, body); (0, "", b"") if nothing came."""
    s = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    with s:
        try:
            s.settimeout(20)
            s.connect(address)
            s.sendall(request)
            data = b""
            while chunk := s.recv(65536):
                data += chunk
        except OSError:
            return 0, "", b""
    head, _, body = data.partition(b"\r\n\r\n")
    m = re.match(rb"HTTP/1\.1 (\d+) ", head)
    return (int(m.group(1)), head.decode(), body) if m else (0, "", data)


def get(address=("127.0.0.1", PORT)):
    return ask(b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n", address)


def scrape(address=("127.0.0.1", PORT)):
    status, _, body = get(address)
    return exposition.Metrics(body) if status == 200 else None


def status_json(f):
    r = tap.run([FLOWNER, "status", "--json", "--runtime-dir", f.runtime()], text=True)
    return r.returncode, r.stdout


def jq(text, expression):
    return tap.run(["jq", "-e", expression], input=text, text=True, stdin=None).returncode == 0


f = pipeline.Flowner("-i", "lo", "-o", f"ecs:{ecs}", "-o", f"zeek:{zeek}", "--set", f"metrics.textfile={textfile}",
                     "--set", "metrics.interval=100ms", "--set", f"metrics.listen=127.0.0.1:{PORT}",
                     "--set", "metrics.losses=100ms", "tcp", "port", str(TARGET))
tap.ok(tap.wait_for(scrape), "GET /metrics is answered", f.log())
connect(CONNECTIONS)
tap.ok(f.settle(quiet=0.5), "the counters come to rest")


def http():
    status, head, body = get()
    tap.is_(status, 200, "status 200")
    tap.has(head, "Content-Type: text/plain; version=0.0.4", "the content type of the text format")
    tap.is_(int(re.search(r"Content-Length: (\d+)", head).group(1)), len(body), "as long as it says")
    m = exposition.Metrics(body)
    counted = f.ledgers()
    tap.is_(m.value("flowner_written_records_total"), counted["sink_records_written"], "the ledger's counters")
    tap.is_(m.value("flowner_enrich_accounted_packets_total", account="logged"), counted["enrich_packets_logged"],
            "with labels")
    tap.is_(m.value("flowner_under_way_packets"), 0, "nothing is under way")
    for program in pipeline.PROGRAMS:
        tap.is_(m.value("flowner_up", program=program), 1, f"{program} is up")
        age = time.time() - m.value("flowner_start_time_seconds", program=program)
        tap.ok(0 <= age < 300, f"{program}: since when", age)
    known = sum(v for (n, l), v in m.samples.items() if n == "flowner_owners_total")
    tap.is_(known, m.value("flowner_ends_total") - m.value("flowner_remote_ends_total"),
            "every local end has a method, or is unknown")
    tap.ok(m.value("flowner_resolve_seconds_count") > 0 and m.value("flowner_resolve_seconds_sum") > 0,
           "how long it took")
    tap.is_([m.value("flowner_ring_size_bytes", ring=ring) for ring in ("packets", "records")], [4 << 20, 8 << 20],
            "the sizes of the rings")
    tap.is_(m.value("flowner_capture_buffer_size_bytes"), 32 << 20, "and of the kernel's")
    for i, (kind, path) in enumerate((("ecs", ecs), ("zeek", zeek))):
        where = {"output": str(i), "format": kind, "path": path}
        with open(path, "rb") as fh:
            data = fh.read()
        lines = [line for line in data.split(b"\n")[:-1] if not line.startswith(b"#")]
        tap.is_(m.value("flowner_output_records_total", **where), len(lines), f"{kind}: lines of the file")
        tap.is_(m.value("flowner_output_bytes_total", **where),
                len(data) - (data.index(b"\n#types") + len(data[data.index(b"\n#types"):].split(b"\n")[1]) + 2
                             if kind == "zeek" else 0), f"{kind}: bytes behind its head")


def http_refusals():
    for what, request, want in (
            ("another path", b"GET / HTTP/1.1\r\n\r\n", 404),
            ("another method", b"POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", 405),
            ("no HTTP", b"\x16\x03\x01\x02\r\n\r\n", 400),
            ("another version", b"GET /metrics HTTP/3.0\r\n\r\n", 505),
            ("a head without an end", b"GET /metrics HTTP/1.1\r\n" + b"x" * 5000, 431)):
        status, head, body = ask(request)
        tap.is_(status, want, f"{what}: {want}")
    tap.has(ask(b"PUT / HTTP/1.1\r\n\r\n")[1], "Allow: GET", "405 says what is allowed")
    idle = [socket.create_connection(("127.0.0.1", PORT)) for _ in range(3)]
    idle[0].sendall(b"GET /met")
    tap.is_(get()[0], 200, "three who say nothing keep nobody from asking")
    more = [socket.create_connection(("127.0.0.1", PORT)) for _ in range(2)]
    tap.is_(get()[0], 200, "nor do five, for long")
    for s in idle + more:
        s.close()


def file():
    found = set()
    for _ in range(100):
        with open(textfile, "rb") as fh:
            found.add(os.fstat(fh.fileno()).st_ino)
            exposition.Metrics(fh.read())  # ValueError ends the test
        time.sleep(0.01)
    tap.ok(len(found) > 1, f"always a whole file, {len(found)} different ones")
    tap.is_(os.stat(textfile).st_mode & 0o777, 0o644, "which everybody may read")
    tap.is_(sorted(os.listdir(folder)), sorted(map(os.path.basename, (ecs, zeek, textfile))), "and nothing beside it")


def exporter_pid():
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as fh:
                parent = fh.read().rpartition(")")[2].split()[1]
            with open(f"/proc/{pid}/cmdline") as fh:
                if parent == str(f.p.pid) and fh.read().split("\0")[1:3] == ["metrics", "--serve"]:
                    return int(pid)
        except (OSError, IndexError):
            pass
    return None


def exporter():
    pid = exporter_pid()
    with open(f"/proc/{pid}/status") as fh:
        state = dict(line.split(":\t", 1) for line in fh.read().splitlines())
    tap.ok("0" not in state["Uid"].split() and "0" not in state["Gid"].split(), "it is not root", state["Uid"])
    tap.is_({state[k] for k in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}, {"0" * 16}, "it has no capability")
    tap.is_(state["NoNewPrivs"], "1", "and gets none")
    with open(f"/proc/{f.pid('sink')}/status") as fh:
        tap.has(fh.read(), f"Seccomp:\t{state['Seccomp']}\n", "its system calls are filtered as sink's are")
    os.kill(pid, signal.SIGKILL)
    tap.ok(tap.wait_for(lambda: exporter_pid() not in (None, pid) and scrape()), "killed, it comes back")


def by_hand():
    """Beside a run, or one of its own as a service has it."""
    r = tap.run([FLOWNER, "metrics", "--runtime-dir", f.runtime()])
    tap.is_(r.returncode, 0, "flowner metrics prints them once")
    tap.ok(set(exposition.Metrics(r.stdout).types) == set(scrape().types), "the same")
    path = os.path.join(folder, "metrics.sock")
    serve = [FLOWNER, "metrics", "--serve", "-c", "/dev/null", "--runtime-dir", f.runtime(), "--set", "metrics.user=65534"]
    p = tap.spawn([*serve, "--set", f"metrics.listen={path}"], stderr=subprocess.DEVNULL)
    tap.ok(tap.wait_for(lambda: os.path.exists(path) and scrape(path)), "a unix socket")
    tap.stop(p, signal.SIGKILL)
    p = tap.spawn([*serve, "--set", f"metrics.listen={path}"], stderr=subprocess.DEVNULL)
    tap.ok(tap.wait_for(lambda: scrape(path)), "in place of the one of a killed predecessor")
    tap.is_(tap.stop(p), 0, "SIGTERM: ends well")
    os.unlink(path)
    with open(path, "w") as fh:
        fh.write("mine")
    for what, setting, status in (("a file in place of the socket", f"metrics.listen={path}", 71),
                                  ("a port that is taken", f"metrics.listen=127.0.0.1:{PORT}", 71),
                                  ("a folder without permission", "metrics.textfile=/etc/flowner.prom", 71),
                                  ("others could ask", "metrics.listen=0.0.0.0:15015", 78),
                                  ("nothing to do", "metrics.interval=1s", 78)):
        r = tap.run([*serve, "--set", setting], text=True)
        tap.ok(r.returncode == status and r.stderr.count("\n") == 1, f"{what}: status {status} and a line", r)
    with open(path) as fh:
        tap.is_(fh.read(), "mine", "the file is still there")
    os.unlink(path)
    tap.is_(tap.run([FLOWNER, "metrics", "--runtime-dir", folder]).returncode, 3, "nobody runs: status 3")
    listed = {line.split("\t")[0] for line in tap.run([FLOWNER, "metrics", "--list"], text=True).stdout.splitlines()}
    tap.ok(set(scrape().types) <= listed, "--list has them all", set(scrape().types) - listed)


def status():
    code, text = status_json(f)
    tap.is_(code, 0, "status --json: status 0")
    for what, expression in (
            ("one object, one instance", '.version and (.instances|length) == 1'),
            ("programs", '[.instances[0].programs[]|.state == "running" and .pid > 1 and .uptime_seconds > 0 '
                         'and .starts == 1]|length == 3 and all'),
            ("it balances", '.instances[0]|.balance.balanced and .balance.under_way == 0 and '
                            '.output_balance.balanced and .output_balance.under_way == 0'),
            ("the sum", '.instances[0].balance|.matched == .logged + .open + .duplicate + .late + .fragment + .other '
                        '+ .malformed + .filtered + .lost'),
            ("losses by stage and reason", '.instances[0].losses|length == 13 and '
                                           'all(.stage != "invalid" and .reason != "invalid" or .stage == "records")'),
            ("rings", '.instances[0].rings|.packets.size_bytes == 4194304 and .records.size_bytes > 0 and .kernel.size_bytes == 33554432'),
            ("tiers", '.instances[0].tiers|keys == ["connector","procfs","seed","sock_diag","tap"]'),
            ("outputs", f'.instances[0].outputs|map(.path) == ["{ecs}","{zeek}"]'),
            ("counters", '.instances[0].counters|.sink.records_written > 0 and .capture.epoch == 1')):
        tap.ok(jq(text, expression), f"status --json: {what}", text)


def never_false():
    """Read at any moment of a busy run, nothing is missing."""
    stop = threading.Event()

    def traffic():
        while not stop.is_set():
            connect(20)

    threads = [threading.Thread(target=traffic) for _ in range(3)]
    for t in threads:
        t.start()
    # Each a single look, without the patience of status: the scraper's view.
    seen = [m.value("flowner_under_way_packets") for _ in range(tap.amount(150, 3000, 50)) if (m := scrape())]
    false = [j["balance"] for _ in range(5) for j in json.loads(status_json(f)[1])["instances"]
             if not j["balance"]["balanced"] or not j["output_balance"]["balanced"]]
    stop.set()
    for t in threads:
        t.join()
    tap.ok(seen and min(seen) >= 0, f"under way is never negative in {len(seen)} looks, at most {max(seen)}", min(seen))
    tap.is_(false, [], "and status says that it balances")


def ledger_lines(program):
    return re.findall(rf"^flowner-{program}: ledger: (.*)$", f.log(), re.M)


def dump():
    f.settle(quiet=0.5)
    f.p.send_signal(signal.SIGUSR2)
    tap.ok(tap.wait_for(lambda: all(map(ledger_lines, pipeline.PROGRAMS))), "SIGUSR2: each program logs its ledger", f.log())
    for program in pipeline.PROGRAMS:
        told = dict(pair.split("=") for line in ledger_lines(program) for pair in line.split())
        real = {k.partition("_")[2]: v for k, v in f.ledger(program).items() if k not in ("pid", "ready")}
        told = {k: int(v) for k, v in told.items() if not k.startswith("output_")}
        # How full a ring was at the last look may be nothing by the next one.
        tap.ok({k for k, v in real.items() if v} >= set(told) - {"ring_used"} and told["epoch"] == 1 and
               all(told[k] == real[k] for k in told if k.startswith(("packets_", "records_"))),
               f"{program}: all that is not zero", told, real)
    before = len(ledger_lines("enrich"))
    os.kill(f.pid("enrich"), signal.SIGUSR2)
    tap.ok(tap.wait_for(lambda: len(ledger_lines("enrich")) > before), "also for one program alone")
    tap.ok(f.ready() and f.p.poll() is None, "which goes on")


def restart():
    """Counters survive a kill: none goes back."""
    before = scrape().counters()
    f.kill("sink")
    connect(20)
    f.settle(quiet=0.5)
    after = scrape().counters()
    back = {k: (v, after.get(k)) for k, v in before.items()
            if after.get(k, -1) < v and not k[0].startswith("flowner_output_")}
    tap.is_(back, {}, "after a kill of sink no counter is smaller")
    tap.is_(after["flowner_starts_total", (("program", "sink"),)], 2, "which has started twice")


for test in http, http_refusals, file, exporter, by_hand, status, never_false, dump, restart:
    test()
f.stop()
with open(textfile, "rb") as fh:
    last = exposition.Metrics(fh.read())
tap.is_([last.value("flowner_up", program=p) for p in pipeline.PROGRAMS], [0, 0, 0], "the file's last word: all has ended")
tap.is_(exporter_pid(), None, "and nobody is left")
tap.done()
