# SPDX-License-Identifier: Apache-2.0
"""Format pcapng on real traffic: each packet carries its process, where tshark shows it; of a file the packets come out as
they were; a torn file is mended; SIGKILL of sink leaves every packet there once."""
import http.server
import os
import random
import struct
import subprocess
import threading
import time

import pipeline
import sessions
import tap

tap.need_root()
folder = tap.tmpdir()
FLOWNER = tap.program("flowner")
SHB, IDB, EPB, COMMENT, PID_TID = 0x0A0D0D0A, 1, 6, 1, 8
HEADERS = ["--set", "capture.mode=headers"]
IP_AT = {1: 14, 113: 16, 276: 20}  # of the link types: Ethernet, cooked, cooked2


def blocks(path):
    """[(type, body, end)] of every block; one that is not whole is a failed check, and the last."""
    with open(path, "rb") as f:
        data = f.read()
    at, found = 0, []
    while at < len(data):
        kind, size = struct.unpack_from("<II", data.ljust(at + 8), at)
        if size % 4 or size < 12 or at + size > len(data) or data[at + size - 4:at + size] != data[at + 4:at + 8]:
            tap.ok(False, f"{os.path.basename(path)}: a whole block at {at} of {len(data)}")
            break
        at += size
        found.append((kind, data[at - size + 8:at - 4], at))
    return found


def packets(path):
    """[(time in ns, wire length, bytes, {option: [values]}, link type)]"""
    found, links = [], []
    for kind, body, _ in blocks(path):
        if kind == SHB:
            links = []
        if kind == IDB:
            links.append(struct.unpack_from("<H", body)[0])
        if kind != EPB:
            continue
        link, high, low, caplen, wire = struct.unpack_from("<IIIII", body)
        options, at = {}, 20 + (caplen + 3) // 4 * 4
        while at < len(body):
            code, size = struct.unpack_from("<HH", body, at)
            if code:
                options.setdefault(code, []).append(body[at + 4:at + 4 + size])
            at += 4 + (size + 3) // 4 * 4
        found.append((high << 32 | low, wire, body[20:20 + caplen], options, links[link]))
    return found


def tshark(path, *fields):
    """Rows of the fields named."""
    args = [x for f in fields for x in ("-e", f)]
    r = tap.run(["tshark", "-n", "-r", path, "-T", "fields", *args], text=True, timeout=120)
    return r.returncode, [line.split("\t") for line in r.stdout.splitlines()]


def ports(packet):
    """Source and destination of a packet with an IPv4 header of 20 bytes."""
    return struct.unpack_from(">HH", packet[2], IP_AT[packet[4]] + 20)


def live():
    """curl says its own pid: its packets have it, in option 8 as in the comment, and what is sent to it names it, too."""
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_port
    out, pid_file = os.path.join(folder, "live.pcapng"), os.path.join(folder, "pid")
    r = tap.run([FLOWNER, "run", "--stats", "-o", f"pcapng:{out}", *HEADERS, "--", "sh", "-c",
                 f"echo $$ >{pid_file}; exec curl -s -o /dev/null http://127.0.0.1:{port}/"], text=True)
    server.shutdown()
    tap.is_(r.returncode, 0, "live: curl fetches a page")
    tap.ok(pipeline.balances(r.stderr), "live: the ledger balances", r.stderr)
    with open(pid_file) as f:
        pid = int(f.read())
    found = [p for p in packets(out) if port in ports(p)]
    sent = [p for p in found if ports(p)[1] == port]
    tap.ok(len(sent) >= 4 and len(found) - len(sent) >= 3, f"live: {len(sent)} packets of curl, {len(found)} of both", r.stderr)
    tap.is_({struct.unpack("<II", p[3][PID_TID][0]) for p in sent}, {(pid, 0)}, "live: option 8 has curl's pid")
    texts = {p[3][COMMENT][0].decode().split("\n")[0] for p in sent}
    tap.is_(texts, {f"PID: {pid}"}, "live: so has the comment's first line")
    answers = [p[3][COMMENT][0].decode().split("\n") for p in found if p not in sent]
    tap.is_([a for a in answers if f"PeerPID: {pid}" not in a], [], "live: what was sent to it names it as the peer")
    tap.is_([a for a in answers if a[0] != f"PID: {os.getpid()}"], [], "live: and the server as the sender")

    status, rows = tshark(out, "tcp.dstport", "frame.comment")
    rows = [row for row in rows if row[0] == str(port)]
    tap.is_((status, len(rows)), (0, len(sent)), "live: tshark reads them all")
    tap.ok(all(f"PID: {pid}" in row[1] and "curl" in row[1] and "Owner: exact" in row[1] for row in rows),
           "live: and shows pid, command and verdict", rows[:1])
    r = tap.run(["tcpdump", "-nn", "-r", out], text=True)
    tap.is_((r.returncode, len(r.stdout.splitlines())), (0, len(packets(out))), "live: tcpdump, made with libpcap, does, too")
    r = tap.run([FLOWNER, "run", "-r", out], text=True)
    tap.ok(r.returncode == 0 and f":{port}" in r.stdout, "live: and flowner run -r", r.stdout, r.stderr)
    r = tap.run(["capinfos", "-c", "-M", out], text=True)
    tap.ok(r.returncode == 0 and str(len(packets(out))) in r.stdout, "live: capinfos counts as many", r.stdout, r.stderr)


def offline():
    """In mode headers: packets of connections, in order, with time, length on the wire and bytes; no process is made up."""
    source, out = os.path.join(folder, "in.pcap"), os.path.join(folder, "offline.pcapng")
    want = []
    for n, (proto, script) in enumerate((
            ("tcp", ">S100 <SA500,101 >A101,501 >PA101,501+20 <A501,121 >FA121,501 <FA501,122 >A122,502"),
            ("udp", ">.0+30 <.0+41"), ("icmp", ">.1+8 <.1+8"), ("tcp", ">S100 <SA500,101 >A101,501 >PA101,501+1400"))):
        for v6 in False, True:
            part, _ = sessions.play(script, proto, 2000 + n, 1_700_000_000_123_456_789 + (2 * n + v6) * 10**9, v6)
            want += part
    sessions.write(source, want)
    r = tap.run([FLOWNER, "run", "--stats", "-r", source, "-o", f"pcapng:{out}", *HEADERS], text=True)
    tap.ok(r.returncode == 0 and pipeline.balances(r.stderr), "offline: a file is read, the ledger balances", r.stderr)
    got = packets(out)
    tap.is_([(t, wire) for t, wire, *_ in got], [(t, len(data)) for t, data in want],
            f"offline: its {len(want)} packets, with their times and lengths")
    tap.is_([n for n, (p, (_, data)) in enumerate(zip(got, want)) if data[:len(p[2])] != p[2]], [], "offline: byte by byte")
    tap.is_([n for n, (p, (_, data)) in enumerate(zip(got, want)) if len(p[2]) < min(len(data), 86)], [],
            "offline: whole, or up to their headers")
    tap.is_([p[3] for p in got if p[3]], [], "offline: no process")
    status, rows = tshark(out, "frame.time_epoch")
    tap.is_((status, len(rows)), (0, len(want)), "offline: tshark reads as many")
    return source, out


def torn(source, whole):
    """What a crash left behind is cut before something is added; a file that is not ours stays as it is."""
    with open(whole, "rb") as f:
        data = f.read()
    ends = [end for kind, _, end in blocks(whole) if kind == EPB]
    section, interface = (end for kind, _, end in blocks(whole) if kind != EPB)
    path = os.path.join(folder, "torn.pcapng")
    for cut in (section - 3, interface - 3, ends[-1] - 1):
        kept = max([end for end in [section, interface, *ends] if end <= cut], default=0)
        with open(path, "wb") as f:
            f.write(data[:cut])
        r = tap.run([FLOWNER, "run", "-r", source, "-o", f"pcapng:{path}", *HEADERS], text=True)
        with open(path, "rb") as f:
            now = f.read()
        tap.ok(r.returncode == 0 and now == data[:kept] + data,
               f"torn at {cut} of {len(data)}: kept up to {kept}, then added to as a section", r.stderr, len(now))
    twice = 2 * len(ends) - 1
    status, rows = tshark(path, "frame.number")
    tap.is_((status, len(rows)), (0, twice), "torn: tshark reads the mended file")
    r = tap.run(["tcpdump", "-nn", "-r", path], text=True)
    tap.is_((r.returncode, len(r.stdout.splitlines())), (0, twice), "torn: so does tcpdump")
    other = data.replace(b"flowner", b"another", 1)
    with open(path, "wb") as f:
        f.write(other)
    r = tap.run([FLOWNER, "run", "-r", source, "-o", f"pcapng:{path}", *HEADERS], text=True)
    with open(path, "rb") as f:
        tap.ok(r.returncode != 0 and f.read() == other, "torn: another program's file is refused and left alone", r.stderr)


def killed():
    """SIGKILL of sink under load: whole blocks, every counted packet once."""
    random.seed(os.environ.get("FLOWNER_SEED", "1"))
    server = pipeline.server("tcp", "127.0.0.1", 13107)
    out = os.path.join(folder, "killed.pcapng")
    f = pipeline.Flowner("-i", "lo", "-o", f"pcapng:{out}", "--set", "enrich.ring=16MiB", "tcp port 13107")
    load = tap.spawn([pipeline.TRUTH, "pace", "300", "3600", "127.0.0.1", "13107"], stdout=subprocess.DEVNULL)
    kills = tap.amount(6, 60, 3)
    back = 0
    for _ in range(kills):
        time.sleep(random.uniform(0.05, 0.3))
        back += bool(f.kill("sink"))
    time.sleep(0.2)
    load.kill()
    load.wait()
    tap.ok(f.settle() and back == kills, f"killed: sink is back after each of {kills} kills")
    c = f.ledgers()
    tap.is_(f.stop(), 0, "killed: flowner ends well")
    tap.stop(server)
    spent = ("logged", "open", "duplicate", "late", "fragment", "other", "malformed", "lost", "filtered", "orphaned")
    tap.is_(c["enrich_packets_read"], sum(c[f"enrich_packets_{k}"] for k in spent), "killed: the ledger balances")
    tap.is_((c["capture_packets_dropped"], c["enrich_records_lost"]), (0, 0), "killed: nothing was too fast")
    counted = c["enrich_packets_read"] - sum(c[f"enrich_packets_{k}"] for k in spent[2:7])
    found = packets(out)
    tap.is_((len(found), len({(t, data) for t, _, data, *_ in found})), (counted, counted),
            "killed: every packet of a connection is in the file, once")
    # Two CPUs stamp a packet before they put it into the kernel's ring: neighbours may change places. A batch written
    # late or again would be many.
    back = [n for n, (a, b) in enumerate(zip(found, found[1:])) if a[0] > b[0]]
    tap.ok(len(back) <= len(found) / 100, "killed: in order, but for what two CPUs captured at once", back[:20], len(found))
    status, rows = tshark(out, "frame.number")
    tap.is_((status, len(rows)), (0, counted), "killed: tshark reads as many")


live()
torn(*offline())
killed()
tap.done()
