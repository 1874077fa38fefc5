# SPDX-License-Identifier: Apache-2.0
"""Bytes of connections beyond 4 GiB are exact though only SYN, FIN and RST are captured, and also when one end is killed."""
import os
import signal
import socket
import struct
import time

import pipeline
import tap

tap.need_root()
GIB = 1 << 30
MUCH = tap.amount(5 * GIB, 9 * GIB, GIB // 2) + 12345
CUT = MUCH - MUCH // 7  # where one end is killed
PORT = 16100
CHUNK = bytes(1 << 20)


def send_all(s, n):
    while n:
        n -= s.send(CHUNK[:min(n, len(CHUNK))])


def receive(s, n=None):
    """Reads n bytes, or to the end; how many came."""
    buffer, got = bytearray(1 << 20), 0
    while n is None or got < n:
        part = s.recv_into(buffer, min(len(buffer), len(buffer) if n is None else n - got))
        if not part:
            break
        got += part
    return got


def child(work):
    pid = os.fork()
    if not pid:
        try:
            work()
        finally:
            os._exit(0)
    return pid


def counters(s):
    """bytes_acked, bytes_sent without retransmissions: offsets in struct tcp_info of linux/tcp.h."""
    info = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    acked, = struct.unpack_from("=Q", info, 120)
    sent, retrans = struct.unpack_from("=QQ", info, 200)
    return acked, sent - retrans


path = os.path.join(tap.tmpdir(), "out.ndjson")
f = pipeline.Flowner("-i", "lo", "-o", f"ecs:{path}", f"tcp portrange {PORT}-{PORT + 9}")
want = {}


def listen(port):
    s = socket.create_server(("127.0.0.1", port))
    s.settimeout(60)
    return s


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=60)


def whole(port):
    listener = listen(port)

    def work():
        s = connect(port)
        send_all(s, MUCH)
        s.shutdown(socket.SHUT_WR)
        receive(s)

    pid = child(work)
    s = listener.accept()[0]
    got = receive(s)
    s.send(b"abc")
    s.close()
    os.waitpid(pid, 0)
    tap.is_(got, MUCH, "everything arrived")
    want[port] = ("SF", got, 3)


def sender_killed(port):
    listener = listen(port)
    pid = child(lambda: send_all(connect(port), 100 * MUCH))
    s = listener.accept()[0]
    got = receive(s, CUT)
    os.kill(pid, signal.SIGKILL)
    got += receive(s)
    s.close()
    os.waitpid(pid, 0)
    want[port] = ("SF", got, 0)


def receiver_killed(port):
    listener = listen(port)

    def work():
        s = connect(port)
        receive(s, CUT)
        time.sleep(60)

    pid = child(work)
    s = listener.accept()[0]
    s.setblocking(False)
    last, since = 0, time.monotonic()
    while time.monotonic() < since + 1:
        try:
            s.send(CHUNK)
        except BlockingIOError:
            acked = counters(s)[0]
            if acked != last:
                last, since = acked, time.monotonic()
            time.sleep(0.001)
    acked, sent = counters(s)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    tap.ok(acked == sent > CUT, "all that was sent has arrived, not all of it was read", acked, sent)
    want[port] = ("RSTO", 0, acked)


for i, work in enumerate((whole, sender_killed, receiver_killed)):
    start = time.monotonic()
    work(PORT + i)
    tap.note(f"{work.__name__}: {time.monotonic() - start:.1f} s")
f.settle()
ledgers = f.ledgers()
tap.is_(f.stop(), 0, "flowner ends well")
tap.note(f"asked the kernel {ledgers['enrich_figures_asked']} times")
tap.is_(ledgers["enrich_figures_late"], 0, "no end came too late to be sure")
for r in pipeline.connections(pipeline.records(path), "end"):
    port = r["destination"]["port"]
    if port not in want:
        continue
    state, orig, resp = want.pop(port)
    tap.is_((r["flowner"]["conn_state"], r["source"].get("bytes"), r["destination"].get("bytes")), (state, orig, resp),
            f"{('all of it', 'its sender killed', 'its receiver killed')[port - PORT]}: state and exact bytes")
tap.is_(want, {}, "each has its record")
tap.done()
