# SPDX-License-Identifier: Apache-2.0
"""A few lives of nth.py, one for each way to fail and those that once went wrong: the rest is in the long suite."""
import errno
import os

import nth
import tap

CALLS = {name: nr for nr, name in nth.NAMES.items()}
PLANS = [("malloc", 0, 100, True, 0), ("uring", 0, 2, False, -errno.ENOSPC), ("uring", 0, 3, False, 1),
         ("call", CALLS["signalfd4"], 1, False, -errno.EMFILE), ("call", CALLS["ppoll"], 3, False, -errno.ENOMEM)]

tap.need_root()
if not os.path.exists(os.path.join(tap.BUILD, "tests/integration/libnth.so")):
    tap.skip_all("not for this kind of machine")
nth.SEED = "none"
nth.SAMPLE = len(PLANS)
nth.plans_of = lambda most: list(PLANS)
lives = nth.test("sink")
tap.is_(sorted(tuple(r["plan"]) for r in lives if r["failed"]), sorted(PLANS), "each of them failed once")
tap.is_([r["plan"][1] for r in lives if r["early"] and r["plan"][0] == "call"], [CALLS["signalfd4"]], "which ended one of them")

# Half-way through a start's allocations libpcap compiles the filter: some of them it does not survive.
nth.SAMPLE = 2
nth.plans_of = lambda most: [("malloc", 0, most["mallocs"] // 2 + i, i == 0, 0) for i in range(nth.SAMPLE)]
lives = nth.test("capture")
tap.is_([r["early"] and r["failed"] for r in lives], [True] * nth.SAMPLE, "without memory for a filter, each of them ended")
tap.done()
