# SPDX-License-Identifier: Apache-2.0
"""How long Ctrl-C takes when nothing is left to do, beside a stop that has to wait for a consumer that does not read.

    tests/bench/stop.py [--quick] [--rounds N]

Prints the medians of the rounds, which are interleaved; --quick judges nothing.
"""
import argparse
import os
import signal
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
import pipeline  # noqa: E402
import tap  # noqa: E402


def seconds(stopped):
    """What `flowner run` takes to end, its enrich stopped by a signal or not; the supervisor wakes that in its turn."""
    f = pipeline.Flowner("-i", "lo", "-o", "ecs:/dev/null", "tcp port 1")
    f.settle(quiet=0.2)
    if stopped:
        os.kill(f.pid("enrich"), signal.SIGSTOP)
    since = time.monotonic()
    tap.is_(f.stop(), 0, "enrich stopped: ends well" if stopped else "idle: ends well")
    return time.monotonic() - since


parser = argparse.ArgumentParser()
parser.add_argument("--quick", action="store_true")
parser.add_argument("--rounds", type=int, default=5)
options = parser.parse_args()
tap.need_root()
found = {False: [], True: []}
for _ in range(1 if options.quick else options.rounds):
    for stopped, times in found.items():
        times.append(seconds(stopped))
idle, waits = (statistics.median(found[x]) for x in (False, True))
tap.note(f"idle {idle * 1000:.0f} ms, with enrich stopped {waits * 1000:.0f} ms")
if not options.quick:
    tap.ok(idle <= 0.6 * waits, f"an idle stop waits for nobody: {idle / waits:.2f} of one that has to, promised at most 0.6")
tap.done()
