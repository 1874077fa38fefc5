# SPDX-License-Identifier: Apache-2.0
"""SIGKILL of each program, again and again under load: no torn line, no number twice, nothing published missing."""
import os
import random
import subprocess
import time

import pipeline
import tap

tap.need_root()
KILLS = tap.amount(12, 200, 3)
RATE = 2000

random.seed(os.environ.get("FLOWNER_SEED", "1"))
srv = pipeline.server("tcp", "127.0.0.1", 9971)

for program in pipeline.PROGRAMS:
    path = os.path.join(tap.tmpdir(), "out.ndjson")
    f = pipeline.Flowner("-i", "lo", "-o", f"ecs:{path}", "tcp port 9971")
    load = subprocess.Popen([pipeline.TRUTH, "pace", str(RATE), str(3600), "127.0.0.1", "9971"],
                            stdout=subprocess.DEVNULL)
    back = 0
    for _ in range(KILLS):
        time.sleep(random.uniform(0.1, 0.4))
        back += bool(f.kill(program))
    time.sleep(0.5)
    load.kill()
    load.wait()
    tap.ok(f.settle(), f"{program}: the counters come to rest")
    counters = f.ledgers()
    tap.is_(f.stop(), 0, f"{program}: flowner ends well")
    tap.is_(back, KILLS, f"{program}: restarted after each of {KILLS} kills")
    jq = tap.run(["jq", "-e", "-c", ".event.sequence // 0", path], text=True, timeout=300)
    tap.is_(jq.returncode, 0, f"{program}: jq -e reads every line")
    numbers = [int(x) for x in jq.stdout.split() if int(x)]
    tap.is_(len(numbers), len(set(numbers)), f"{program}: no sequence number twice")
    # What was published before the stop; the stop itself publishes the ends of open flows.
    published = counters["enrich_records_published"]
    missing = 0
    if program != "enrich":
        # One life of enrich: its numbers run without a gap but for records counted as lost.
        missing = max(numbers) - len(numbers) - counters["enrich_records_lost"]
    tap.is_(missing, 0, f"{program}: every published record is there")
    tap.ok(len(numbers) >= published, f"{program}: at least the {published} published ones ({len(numbers)})")
    tap.note(f"{program}: {len(numbers)} records, {counters}")
tap.done()
