# SPDX-License-Identifier: Apache-2.0
"""Names in records: what an address was resolved from on this host, DNS's own flows, TLS's server name by the capture
mode; hostile names come out escaped; nobody can plant a name with answers that were not asked for; a file gives the same."""
import os
import subprocess
import sys

import pipeline
import tap

tap.need_root()
HERE = os.path.dirname(os.path.abspath(__file__))
PORT, TLS_PORT = 17001, 17443
SERVER = "10.77.0.2"
D = tap.tmpdir()
a, b = tap.netns("na"), tap.netns("na")
tap.veth(a, b)


def write(name, text):
    path = os.path.join(D, name)
    with open(path, "w") as f:
        f.write(text)
    return path


resolv = write("resolv.conf", f"nameserver {SERVER}\noptions timeout:5 attempts:2\n")
nsswitch = write("nsswitch.conf", "hosts: dns\n")


def getent(name):
    """The machine's own resolver, with its configuration replaced for this one process."""
    script = f"mount --bind {resolv} /etc/resolv.conf && mount --bind {nsswitch} /etc/nsswitch.conf && " \
             f"exec getent ahostsv4 {name}"
    return tap.run(tap.inside(a, "unshare", "-m", "sh", "-c", script), text=True).stdout


ASK = """
import socket, struct, sys
name = bytes.fromhex(sys.argv[1])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(10)
s.sendto(struct.pack("!HHHHHH", 4711, 0x0100, 1, 0, 0, 0) + name + struct.pack("!HH", 1, 1), (sys.argv[2], 53))
s.recv(2048)
"""


def ask(labels):
    """A question that no resolver library would ask."""
    name = b"".join(bytes([len(x)]) + x for x in labels) + b"\0"
    r = tap.run(tap.inside(a, sys.executable, "-c", ASK, name.hex(), SERVER), text=True)
    tap.is_(r.returncode, 0, f"the name of {len(name)} bytes is asked for and answered")


def connect(address):
    r = tap.run(tap.inside(a, pipeline.TRUTH, "client", "tcp", address, str(PORT)), text=True)
    tap.is_(r.returncode, 0, f"a connection to {address}")


def tls(name):
    argv = ["openssl", "s_client", "-connect", f"{SERVER}:{TLS_PORT}", "-servername", name, "-alpn", "h2,http/1.1"]
    r = tap.run(tap.inside(a, *argv), text=True)
    tap.has(r.stdout, "CONNECTED", f"openssl connects with server name {name}")


def serve():
    for n in (10, 11, 12, 13, 250):
        subprocess.run(tap.inside(b, "ip", "addr", "add", f"10.77.0.{n}/24", "dev", "v0"), check=True)
    dns = tap.spawn(tap.inside(b, sys.executable, os.path.join(HERE, "dns_server.py"), SERVER), stdout=subprocess.PIPE)
    if dns.stdout.readline() != b"ready\n":
        tap.bail("the DNS server does not start")
    pipeline.server("tcp", "0.0.0.0", PORT, prefix=tap.inside(b))
    key, cert = os.path.join(D, "key.pem"), os.path.join(D, "cert.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-subj", "/CN=test", "-keyout", key, "-out", cert], check=True, stderr=subprocess.DEVNULL)
    tap.spawn(tap.inside(b, "openssl", "s_server", "-accept", str(TLS_PORT), "-key", key, "-cert", cert, "-alpn", "h2",
                         "-quiet"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    listening = tap.inside(b, "ss", "-Hltn", f"sport = :{TLS_PORT}")
    if not tap.wait_for(lambda: tap.run(listening, text=True).stdout):
        tap.bail("openssl s_server does not start")


LONG = [b"l" * 63, b"o" * 63, b"n" * 63, b"g" * 61]  # 255 bytes in a message
HOSTILE = [b"a14\"\n", b"\x1b[31m", "naïve".encode(), b"\xff\xfe", b"do.t,\\", b"\x00\x7f"]
serve()
pcap = os.path.join(D, "file.pcap")
dump = tap.spawn(tap.inside(a, "tcpdump", "-i", "v0", "-U", "-w", pcap), stderr=subprocess.PIPE)
dump.stderr.readline()
outputs, running = {}, {}
for mode in ("handshake", "handshake+tls"):
    outputs[mode] = [os.path.join(D, f"{mode}.{kind}") for kind in ("ndjson", "txt")]
    running[mode] = pipeline.Flowner(
        "-i", "v0", "-o", "ecs:" + outputs[mode][0], "-o", "text:" + outputs[mode][1], "--set", f"capture.mode={mode}",
        "--set", "enrich.tap=off", prefix=tap.inside(a))

connect("10.77.0.10")
tap.has(getent("a10.example.test"), "10.77.0.10", "getent resolves a name")
connect("10.77.0.10")
tap.has(getent("c11.example.test"), "10.77.0.11", "getent resolves an alias")
connect("10.77.0.11")
tap.has(getent("s12.example.test"), "10.77.0.12", "getent resolves a name that others answer, too")
connect("10.77.0.12")
connect("10.77.0.13")
tap.is_(getent("n1.example.test"), "", "getent does not find what is not there")
for hostile in LONG, HOSTILE:
    ask(hostile)
    connect("10.77.0.250")
tls("sni.example.test")
tls("\u00fcml.example.test")
for mode, f in running.items():
    f.settle()
    tap.is_(f.stop(), 0, f"{mode}: flowner ends well")
tap.stop(dump)


def ends(path, port):
    found = [r for r in pipeline.connections(pipeline.records(path), "end") if r["destination"].get("port") == port]
    return sorted(found, key=lambda r: r["event"]["start"])


def names_of(path):
    return [(r["destination"]["ip"], r["destination"].get("domain")) for r in ends(path, PORT)]


def shown(labels):
    return b".".join(x.replace(b"\\", b"\\\\").replace(b".", b"\\.").replace(b",", b"\\,") for x in labels)


WANT = [("10.77.0.10", None), ("10.77.0.10", "a10.example.test"), ("10.77.0.11", "c11.example.test"),
        ("10.77.0.12", "s12.example.test"), ("10.77.0.13", None)]


def check(what, path, sni):
    got = names_of(path)
    tap.is_(got[:5], WANT, f"{what}: connections have the names they were resolved by, and no planted one")
    tap.is_([x[1] for x in got[5:6]], [shown(LONG).decode()], f"{what}: a name of 255 bytes is whole")
    hostile = got[6][1] if len(got) > 6 and got[6][1] else ""
    tap.ok(hostile.startswith("a14\"\n.\x1b[31m.na\u00efve.") and "\\." in hostile and "\\,\\\\" in hostile,
           f"{what}: a hostile name is whole JSON", hostile)
    ages = [r["flowner"].get("name_age_ns") for r in ends(path, PORT)]
    tap.ok(ages[0] is None and all(x and x < 60e9 for x in ages[1:4]), f"{what}: names have an age", ages)
    servers = [(r.get("tls", {}).get("client", {}).get("server_name"), r["network"].get("protocol"))
               for r in ends(path, TLS_PORT)]
    want = [("sni.example.test", "tls"), ("\u00fcml.example.test", "tls")] if sni else [(None, None)] * 2
    tap.is_(servers, want, f"{what}: {'TLS has' if sni else 'as documented, TLS has no'} server names")
    questions = {r["dns"]["question"]["name"]: r["dns"] for r in ends(path, 53) if "dns" in r}
    first = questions.get("a10.example.test", {})
    tap.is_((first.get("response_code"), first.get("question", {}).get("type"), first.get("resolved_ip")),
            ("NOERROR", "A", ["10.77.0.10"]), f"{what}: DNS's own record has question and answer")
    tap.is_(questions.get("n1.example.test", {}).get("response_code"), "NXDOMAIN", f"{what}: and its return code")
    tap.is_(tap.run(["jq", "-e", ".", path], text=True).returncode, 0, f"{what}: jq reads every line")
    with open(path, "rb") as fh:
        raw = fh.read()
    tap.ok(all(c >= 0x20 or c == 0x0A for c in raw) and b"\x7f" not in raw, f"{what}: no control byte but newlines")


for mode, (ecs, text) in outputs.items():
    check(mode, ecs, mode != "handshake")
    with open(text, "rb") as fh:
        lines = fh.read().decode()
    tap.ok(lines and all(c.isprintable() or c == "\n" for c in lines), f"{mode}: the text output is printable")
file_out = os.path.join(D, "file.ndjson")
r = tap.run([tap.program("flowner"), "run", "-r", pcap, "-o", "ecs:" + file_out, "--set", "capture.mode=handshake+tls"],
            text=True)
tap.is_(r.returncode, 0, "the same packets from a file")
check("file", file_out, True)
tap.done()
