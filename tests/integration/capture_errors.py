# SPDX-License-Identifier: Apache-2.0
"""What cannot work is said in one line, with what to do, and by an exit status; a wrong peer gets nothing."""
import os
import signal
import socket

import capture
import tap

tap.need_root()
folder = tap.tmpdir()
with open(f"{folder}/text", "w") as f:
    f.write("this is no capture file\n" * 10)
with open(f"{folder}/ppp.pcap", "wb") as f:
    f.write(bytes.fromhex("d4c3b2a1020004000000000000000000ffff000009000000"))
ns = tap.netns("ce")

# arguments, exit status, what the line says
ROWS = [
    (["-i", "nosuch0"], 66, "no such interface: nosuch0"),
    (["-i", "lo", "-f", "tcp prot 80"], 64, 'bad filter expression "tcp prot 80"'),
    (["-i", "lo", "-f", "host nosuch.invalid"], 64, "bad filter expression"),
    (["-i", "any", "-f", "vlan 5"], 64, "no VLAN support"),
    (["-r", f"{folder}/nosuch"], 66, "No such file or directory"),
    (["-r", folder], 66, "it is a directory"),
    (["-r", f"{folder}/text"], 65, "not a pcap or pcapng file"),
    (["-r", f"{folder}/ppp.pcap"], 65, "link type PPP"),
    (["-r", "/dev/null"], 65, "not a pcap or pcapng file"),
    (["-r", f"{folder}/text", "-i", "lo"], 64, "exclude each other"),
    (["-i", "lo", "--set", "capture.user=nosuchuser"], 78, "capture.user: no such user: nosuchuser"),
    (["-i", "lo", "--set", "enrich.user=nosuchuser"], 78, "enrich.user: no such user: nosuchuser"),
    (["--set", "capture.ring=100000"], 78, "capture.ring"),
    (["--nosuch"], 64, "nosuch"),
]
for args, status, text in ROWS:
    p = tap.run(capture.Capture(ns).command(*args))
    lines = p.stderr.splitlines()
    tap.is_((p.returncode, len(lines)), (status, 1), f"{' '.join(args)}: status and one line")
    tap.has(p.stderr, text, "the line says what is wrong")

# Without any privilege: its own folder, its own user.
os.chown(folder, capture.NOBODY, capture.NOBODY)
p = tap.run(["setpriv", f"--reuid={capture.NOBODY}", "--clear-groups", tap.program("flowner-capture"), "-c", "/dev/null",
             "--runtime-dir", f"{folder}/run", "-i", "lo"])
tap.is_((p.returncode, len(p.stderr.splitlines())), (77, 1), "not root: status and one line")
tap.has(p.stderr, "CAP_NET_RAW", "the line says what is needed")

# After start-up: no user but its own, no capability, a locked filter, no way back.
c = capture.Capture(ns).start("-i", "lo")
with open(f"/proc/{c.process.pid}/status") as f:
    status = dict(line.rstrip("\n").split(":\t", 1) for line in f)
tap.is_(status["Uid"].split(), [str(capture.NOBODY - 1)] * 4, "it runs as its own user")
tap.is_({status[k] for k in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}, {"0" * 16}, "no capability is left")
tap.is_(status["NoNewPrivs"], "1", "and none can come")
tap.is_(status["Groups"].strip(), "", "no group is left")
start = [line for line in c.text().splitlines() if "capturing on" in line]
tap.is_(len(start), 1, "one line says what it opened")
tap.has(start[0] if start else "", f"uid {capture.NOBODY - 1}", "and as whom it runs")

# A peer of another user (root passes the socket's mode) is refused; one that talks is thrown out.
path = os.path.join(c.dir, "capture/ring.sock")
tap.is_((os.stat(path).st_uid, os.stat(path).st_mode & 0o777), (capture.NOBODY, 0o600), "the socket is the consumer's alone")
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect(path)
tap.is_(s.recv(100), b"", "a peer of another user gets nothing")
tap.ok(tap.wait_for(lambda: "refused a consumer" in c.text()), "the log says so")
talker = tap.run(["setpriv", f"--reuid={capture.NOBODY}", "--clear-groups", "python3", "-c", f"""
import socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect({path!r})
s.send(b"hello")
while s.recv(10000):
    pass
"""], timeout=20)
tap.is_(talker.returncode, 0, "a consumer that talks is disconnected")
tap.ok(tap.wait_for(lambda: "sent something" in c.text()), "the log says so")
asker = tap.run(["setpriv", f"--reuid={capture.NOBODY}", "--clear-groups", "python3", "-c", f"""
import socket, struct
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect({path!r})
ask = lambda senders, closers: s.send(struct.pack("=II4H32H", 0x31764f48, 5, senders, 0, closers, 0, *[53] * 32))
ask(1, 1)
s.settimeout(1)
try:
    while s.recv(10000):
        pass
    print("thrown out for a filter")
except TimeoutError:
    ask(17, 0)
    s.settimeout(10)
    print("stays,", "then goes" if s.recv(10000) == b"" else "and stays")
"""], timeout=20)
tap.is_(asker.stdout.strip(), "stays, then goes", "it may ask for a filter, not for more ports than there is room for")
reader = c.reader()
tap.is_(int(reader.taps), len(os.sched_getaffinity(0)), "the right one gets the ring, and a perf ring of each CPU")
tap.is_(c.stop(signal.SIGTERM), 0, "it still stops in good order")
reader.wait(20)

# No root, only the one capability: everything works, except that owners have no tap.
c = capture.Capture(ns)
os.chown(c.dir, capture.NOBODY, capture.NOBODY)
c.start("-i", "lo", before=["setpriv", f"--reuid={capture.NOBODY}", "--clear-groups", "--inh-caps=-all,+net_raw",
                            "--ambient-caps=-all,+net_raw"])
with open(f"/proc/{c.process.pid}/status") as f:
    tap.ok("CapEff:\t0000000000000000\n" in f.read(), "CAP_NET_RAW alone is enough to start, and is dropped, too")
reader = c.reader("-u", str(capture.NOBODY))
tap.is_(int(reader.taps), 0, "no tap without CAP_PERFMON")
tap.has(c.text(), "needs root or CAP_PERFMON", "the log says why")
tap.is_(c.stop(), 0, "it stops in good order")
tap.is_(capture.parse(reader)[1]["end"], 1, "with the end mark")

# A consumer that writes nonsense into its side of the ring stops the flow, and nothing else.
c = capture.Capture(ns).start("-i", "lo", "--set", "enrich.tap=off", "--set", "capture.ring=64KiB")
reader = c.reader("-x")
tap.run(["nsenter", f"--net=/run/netns/{ns}", "python3", "-c",
         "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM);"
         "[s.sendto(b'x', ('127.0.0.1', 9)) for i in range(2000)]"])
tap.is_(c.process.wait(20), 1, "an impossible index: it gives up this ring")
tap.has(c.text(), "impossible index", "and says so")
reader.wait(20)

# Its interface goes away.
run_ip = tap.inside(ns, "ip", "link")
tap.run([*run_ip, "add", "d0", "type", "veth", "peer", "name", "d1"])
tap.run([*run_ip, "set", "d0", "up"])
c = capture.Capture(ns).start("-i", "d0")
tap.run([*run_ip, "set", "d0", "down"])
tap.run([*run_ip, "set", "d0", "up"])
tap.is_(c.process.poll(), None, "an interface that goes down and up again is waited for")
tap.run([*run_ip, "del", "d0"])
tap.ok(tap.wait_for(lambda: "d0: The interface disappeared: waiting for it to come back" in c.text()), "the log says when it is gone")
tap.run([*run_ip, "add", "d0", "type", "veth", "peer", "name", "d1"])
tap.ok(tap.wait_for(lambda: "d0: back again" in c.text()), "and back")
tap.run([*run_ip, "del", "d0"])
tap.ok(tap.wait_for(lambda: c.text().count("waiting for it") == 2), "as often as it likes")
tap.is_(c.process.poll(), None, "all in one process")
r = tap.run(tap.inside(ns, "ip", "tuntap", "add", "d0", "mode", "tun"), text=True)
if r.returncode:
    tap.skip("an interface comes back as another kind of link", r.stderr)
else:
    tap.is_(c.process.wait(20), 1, "with another kind of link it ends to be started again")
    tap.has(c.text(), "but of another kind", "and says so")
tap.done()
