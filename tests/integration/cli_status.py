# SPDX-License-Identifier: Apache-2.0
"""`flowner status`: what it finds, what it says if there is nothing, and its exit status."""
import os
import re
import struct
import time

import pipeline
import tap

flowner = tap.program("flowner")
home = tap.tmpdir()


def defined(name):
    """A number that shm/ledger.h defines."""
    with open(os.path.join(tap.SOURCE, "shm/ledger.h")) as f:
        return int(re.search(rf"#define {name}\s+(\d+)", f.read()).group(1))


VERSION, COUNTERS = defined("LEDGER_VERSION"), defined("LEDGER_MAX")


def ledger(program, number, pid, values, magic=0x726567646C776F6C, version=VERSION):
    """Writes a ledger file as shm/ledger.h lays it out; values by place, or by the counter's name."""
    if isinstance(values, dict):
        values = [values.get(name, 0) for name in pipeline.NAMES[program]]
    os.makedirs(os.path.join(home, program), exist_ok=True)
    with open(os.path.join(home, program, "ledger"), "wb") as f:
        f.write(struct.pack(f"<QIIQQQ{COUNTERS}Q", magic, version, number, pid, time.time_ns() - 61 * 10**9, 1,
                            *(values + [0] * (COUNTERS - len(values)))).ljust(4096, b"\0"))


def status(*args, **env):
    r = tap.run([flowner, "status", *args], env=dict(os.environ, **env))
    return r.returncode, r.stdout, r.stderr


def ours():
    return status("--runtime-dir", home)


tap.is_(ours(), (3, "", f"flowner: no flowner is running in {home}\n"), "nothing there")
tap.is_(status("--runtime-dir", "/nonexistent"), (3, "", "flowner: no flowner is running in /nonexistent\n"),
        "no such directory")

live = os.getpid()
ledger("capture", 0, live, [1, 12, 2, 10, 9, 1])
code, out, err = ours()
tap.is_((code, err), (1, ""), "two programs missing: exit status 1")
tap.has(out, "flowner-sink    never started", "and it says which")
ledger("enrich", 1, live, [1, 9, 4, 3, 0, 0, 0, 2])
ledger("sink", 2, live, [1, 4, 4, 0, 0, 4])
code, out, err = ours()
tap.is_((code, err), (0, ""), "all three live: exit status 0")
tap.has(out, f"flowner-capture running, pid {live}, up 1m ", "a program, its pid and its age")
tap.has(out, "12 matched = 4 logged + 3 open + 0 duplicate + 0 late", "the balance")
tap.has(out, "+ 2 other + 0 malformed + 0 filtered + 3 lost: balances\n", "and that it balances")
tap.ok("\033" not in out, "no colours off a terminal")
ledger("enrich", 1, live, {
    "enrich_epoch": 1, "enrich_owners_asked": 20, "enrich_owners_remote": 4, "enrich_owners_tap_connect": 12,
    "enrich_owners_unknown": 4, "enrich_unknown_no_socket": 3, "enrich_unknown_netns": 1, "enrich_owners_exact": 12,
    "enrich_latency_10ms": 12, "enrich_tiers": 1, "enrich_tier_tap": 1, "enrich_tier_procfs": 2})
out = ours()[1]
tap.has(out, "  owners    20 ends of connections: 4 not on this host, 16 to be found\n", "what was asked for")
tap.has(out, "tap_connect         12   75.0 %  seen in connect(2)", "how owners were found, and how many of them")
tap.has(out, "unknown   no_socket            3   18.8 %\n              It was gone when the kernel was asked", "why some are not, in words")
tap.has(out, "packet to owner known: 50 % within 10 ms, 99 % within 10 ms\n", "how long it took")
tap.has(out, "procfs     off in the configuration (enrich.procfs: keep turns it on)\n", "which tier is off, and why")
tap.is_([line for line in out[out.index("  owners"):].splitlines() if len(line) > 100], [],
        "no line about owners is longer than 100 columns")
ledger("enrich", 1, 2**22 + 1, [1])
code, out, err = ours()
tap.ok(code == 1 and "flowner-enrich  not running" in out, "a dead program: exit status 1", out)

for what, wrong in ("another version", {"version": VERSION + 1}), ("another program", {}), ("no ledger", {"magic": 1}):
    ledger("sink", 2 if wrong else 1, live, [], **wrong)
    code, out, err = ours()
    tap.is_((code, out, err), (1, "", f"flowner: {home}: counters of another version of flowner\n"), what)
with open(os.path.join(home, "sink", "ledger"), "wb") as f:
    f.write(b"short")
tap.is_(ours()[0], 1, "a short file")
os.unlink(os.path.join(home, "sink", "ledger"))
os.mkfifo(os.path.join(home, "sink", "ledger"))
tap.is_(ours()[0], 1, "a fifo does not block it")
os.unlink(os.path.join(home, "sink", "ledger"))
os.symlink("/etc/passwd", os.path.join(home, "sink", "ledger"))
tap.is_(ours()[0], 1, "a symbolic link is not followed")

tap.done()
