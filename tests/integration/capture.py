# SPDX-License-Identifier: Apache-2.0
"""flowner-capture by itself for the tests: started in a namespace, its ring read by read-ring as another user."""
import os
import re
import struct
import subprocess

import pipeline
import tap

NOBODY = 65534
LEDGER = [re.sub("^capture_(packets_)?", "", name) for name in pipeline.NAMES["capture"]]


class Capture:
    """One runtime folder; start() may be called again after stop()."""

    def __init__(self, ns=None):
        self.dir = tap.tmpdir()
        self.ns = ns
        self.log = os.path.join(self.dir, "log")
        self.process = None

    def command(self, *args):
        argv = [tap.program("flowner-capture"), "-c", "/dev/null", "--runtime-dir", self.dir,
                "--set", f"capture.user={NOBODY - 1}", "--set", f"enrich.user={NOBODY}", *args]
        # Not `ip netns exec`: that hides tracefs and cgroups.
        return ["nsenter", f"--net=/run/netns/{self.ns}", *argv] if self.ns else argv

    def start(self, *args, before=()):
        """@before: a program that executes this one, such as setpriv."""
        argv = self.command(*args)
        at = 2 if self.ns else 0
        with open(self.log, "ab") as log:
            self.process = tap.spawn([*argv[:at], *before, *argv[at:]], stderr=log)
        if not tap.wait_for(lambda: self.process.poll() is not None or self.is_ready()):
            tap.bail("flowner-capture does not get ready: " + self.text())
        return self

    def is_ready_of(self, process):
        """The same for a process started by the test itself."""
        self.process = process
        return self.is_ready

    def is_ready(self):
        try:
            with open(os.path.join(self.dir, "capture/ledger"), "rb") as f:
                _, _, _, pid, _, ready = struct.unpack("=QIIQQQ", f.read(40))
        except (FileNotFoundError, struct.error):
            return False
        # nsenter executes the program in its own place: same pid.
        return ready and pid == self.process.pid

    def text(self):
        with open(self.log, errors="replace") as f:
            return f.read()

    def ledger(self):
        with open(os.path.join(self.dir, "capture/ledger"), "rb") as f:
            data = f.read()
        return dict(zip(LEDGER, struct.unpack_from(f"={len(LEDGER)}Q", data, 40)))

    def stop(self, sig=None):
        return tap.stop(self.process, sig) if sig else tap.stop(self.process)

    def reader(self, *args):
        """read-ring as the user capture hands the ring to; waits until it has it."""
        argv = ["setpriv", f"--reuid={NOBODY}", "--clear-groups", tap.program("tests/integration/read-ring"),
                *args, os.path.join(self.dir, "capture/ring.sock")]
        p = tap.spawn(argv, stdout=subprocess.PIPE, text=True)
        attached, _, p.taps = p.stdout.readline().partition(" tap=")
        if attached != "attached":
            tap.bail("read-ring does not get the ring: " + self.text()[-500:])
        return p


def parse(reader):
    """All packets and the totals a reader printed."""
    packets, totals = [], {}
    # Not communicate(): it would miss what readline() has buffered.
    for line in reader.stdout:
        kind, *fields = line.split()
        if kind == "packet":
            packet = {k: int(v) for k, v in (f.split("=") for f in fields if "=" in f)}
            packet["bytes"] = bytes.fromhex(fields[-1]) if "=" not in fields[-1] else b""
            packets.append(packet)
        else:
            totals = {k: int(v) for k, v in (f.split("=") for f in fields)}
    reader.wait(20)
    return packets, totals
