# SPDX-License-Identifier: Apache-2.0
"""Reading capture files: every packet of the right class arrives with its own time, however small the ring; then it ends."""
import os
import signal
import struct

import capture
import tap

tap.need_root()
EN10MB, NULL, RAW_FILE, RAW, SLL, SLL2, PPP = 1, 0, 101, 12, 113, 276, 9
IP = bytes.fromhex("4500001c12340000401100000a0000010a000002" "0fa0270f00080000")  # an empty UDP datagram
IP6 = bytes.fromhex("6000000000081140" + "fd" + "00" * 14 + "01" + "fd" + "00" * 14 + "02" + "0fa0270f00080000")
FRAME = {
    EN10MB: bytes(12) + b"\x08\0" + IP,
    NULL: b"\x1e\0\0\0" + IP6,  # as macOS numbers AF_INET6
    RAW_FILE: IP6,
    SLL: bytes(14) + b"\x08\0" + IP,
    SLL2: b"\x08\0" + bytes(18) + IP,
    PPP: b"\xff\x03\0\x21" + IP,
}


def pcap(path, dlt, packets, nano=True):
    """@packets: (seconds, fraction, bytes), and their length on the wire if they are cut."""
    with open(path, "wb") as f:
        f.write(struct.pack("<IHHiIII", 0xA1B23C4D if nano else 0xA1B2C3D4, 2, 4, 0, 0, 262144, dlt))
        for sec, frac, data, *wire in packets:
            f.write(struct.pack("<IIII", sec, frac, len(data), *(wire or [len(data)])) + data)
    os.chmod(path, 0o644)
    return path


def block(kind, body):
    body += bytes(-len(body) % 4)
    return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)


def pcapng(path, dlt, packets):
    """@packets: (microseconds, bytes)."""
    with open(path, "wb") as f:
        f.write(block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)))
        f.write(block(1, struct.pack("<HHI", dlt, 0, 262144)))
        for us, data in packets:
            f.write(block(6, struct.pack("<IIIII", 0, us >> 32, us & 0xFFFFFFFF, len(data), len(data)) + data))
    os.chmod(path, 0o644)
    return path


def read(path, *args, reader_args=("-v",)):
    c = capture.Capture().start("-r", path, *args)
    reader = c.reader(*reader_args)
    packets, totals = capture.parse(reader)
    tap.is_(c.process.wait(20), 0, f"{os.path.basename(path)}: ends by itself, in good order")
    tap.is_(totals["end"], 1, "end mark")
    return c, packets, totals


folder = tap.tmpdir()
for dlt, shown in (EN10MB, EN10MB), (NULL, NULL), (RAW_FILE, RAW), (SLL, SLL), (SLL2, SLL2):
    path = pcap(f"{folder}/{dlt}.pcap", dlt, [(1700000000, 123456789, FRAME[dlt])])
    _, packets, _ = read(path)
    tap.is_([(p["t"], p["dlt"], p["bytes"]) for p in packets], [(1700000000123456789, shown, FRAME[dlt])],
            f"link type {dlt}: the packet, and its time in ns")

_, packets, _ = read(pcap(f"{folder}/micro.pcap", EN10MB, [(5, 7, FRAME[EN10MB])], nano=False))
tap.is_([p["t"] for p in packets], [5000007000], "microseconds become nanoseconds")
_, packets, _ = read(pcap(f"{folder}/odd.pcap", EN10MB, [(0xFFFFFFFF, 0xFFFFFFFF, FRAME[EN10MB])]))
tap.is_(len(packets), 1, "an impossible time is no reason to lose a packet")
_, packets, _ = read(pcapng(f"{folder}/x.pcapng", EN10MB, [(1700000000123456, FRAME[EN10MB])]))
tap.is_([p["t"] for p in packets], [1700000000123456000], "pcapng")
_, packets, _ = read(pcap(f"{folder}/empty.pcap", EN10MB, []))
tap.is_(packets, [], "an empty file")

# Cut right behind the headers, before what tells a ClientHello and QUIC: they are taken as they are in the kernel.
segment = bytes(12) + b"\x08\0" + bytes.fromhex("450005dc12340000400600000a0000010a000002" "0fa001bb0000000100000001501000ff00000000")
datagram = bytes(12) + b"\x08\0" + bytes.fromhex("450005dc12340000401100000a0000010a000002" "0fa001bb05c80000")
path = pcap(f"{folder}/short.pcap", EN10MB, [(1, 0, segment, 1514), (2, 0, datagram, 1514)])
for mode, want in ("handshake", [datagram]), ("headers", [segment, datagram]):
    _, packets, _ = read(path, "--set", f"capture.mode={mode}")
    tap.is_([p["bytes"] for p in packets], want, f"packets cut behind their headers, {mode}")

# Far more than the ring holds, and every second one not wanted.
big = pcap(f"{folder}/big.pcap", EN10MB,
           [(i, 0, FRAME[EN10MB] if i % 2 else bytes(12) + b"\x08\x06" + bytes(28)) for i in range(60000)])
c, _, totals = read(big, "--set", "capture.ring=64KiB", reader_args=("-s", "1"))
x = c.ledger()
tap.is_(totals["packets"], 30000, "a small ring and a late reader lose nothing")
tap.is_(totals["ring"] + totals["kernel"] + x["ring_full"], 0, "no loss is told")
tap.is_((x["matched"], x["delivered"], x["published"]), (30000, 30000, 30000), "the ledger agrees")
tap.is_((x["file_bytes"], x["file_offset"]), (os.path.getsize(big),) * 2, "progress has come to the end")
_, _, totals = read(big, "-f", "port 1")
tap.is_(totals["packets"], 0, "a filter expression narrows a file, too")

# Cut in the middle of a packet: what is whole is read, and the log says that there was more.
with open(big, "rb") as f:
    head = f.read(24 + 2 * (16 + 42) + 20)
with open(f"{folder}/cut.pcap", "wb") as f:
    f.write(head)
c, _, totals = read(f"{folder}/cut.pcap")
tap.is_(totals["packets"], 1, "the whole packets of a cut file")
tap.has(c.text(), "ignoring the rest of it", "a warning about the cut")

# Standard input.
c = capture.Capture()
with open(big, "rb") as f:
    p = tap.spawn(c.command("-r", "-"), stdin=f)
tap.wait_for(c.is_ready_of(p))
totals = capture.parse(c.reader())[1]
tap.is_((p.wait(20), totals["packets"]), (0, 30000), "- is standard input")

# Nobody reads: it waits, and ends when told to.
c = capture.Capture().start("-r", big, "--set", "capture.ring=64KiB")
tap.ok(tap.wait_for(lambda: c.ledger()["published"] > 100) and c.process.poll() is None, "it waits for a reader")
tap.is_(c.stop(signal.SIGTERM), 0, "SIGTERM ends it all the same")
tap.done()
