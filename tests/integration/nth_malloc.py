# SPDX-License-Identifier: Apache-2.0
"""The Nth allocation of each program fails, from its start on: it says so and ends, or works; it never crashes."""
import os
import signal
import struct
import subprocess
import time

import tap

tap.need_root()
LIBRARY = tap.program("tests/integration/libnth-malloc.so")
SAMPLE = tap.amount(5, 300, 5)
ARGS = {"capture": ["-i", "lo", "-f", "tcp port 16099"], "enrich": [], "sink": ["--set", "output.files=[ecs:OUT/a]"]}


def life(program, n=0):
    """One start and stop with allocation @n failing: (exit status, allocations, was ready)."""
    home = tap.tmpdir()
    count = os.path.join(home, "count")
    os.chmod(home, 0o777)
    env = dict(os.environ, LD_PRELOAD=LIBRARY, NTH_MALLOC=str(n), NTH_COUNT=count)
    args = [a.replace("OUT", home) for a in ARGS[program]]
    for user, number in ("capture", 60801), ("enrich", 60802), ("output", 60803):
        args += ["--set", f"{user}.user={number}"]
    p = subprocess.Popen([tap.program(f"flowner-{program}"), "-c", "/dev/null", "--runtime-dir", home, *args], env=env,
                         stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    ready = tap.wait_for(lambda: p.poll() is not None or is_ready(f"{home}/{program}/ledger"), 20, step=0.002)
    if p.poll() is None and program == "enrich" and n:
        p.kill()  # it would wait for a sink
        return 0 if p.wait() == -signal.SIGKILL else p.returncode, 0, ready, p.stderr.read()
    if p.poll() is None:
        p.send_signal(signal.SIGTERM)
    try:
        err = p.communicate(timeout=30)[1]
    except subprocess.TimeoutExpired:
        p.kill()
        return None, 0, ready, p.communicate()[1]
    total = int(open(count).read()) if os.path.exists(count) and os.path.getsize(count) else 0
    return p.returncode, total, ready, err


def is_ready(path):
    try:
        with open(path, "rb") as f:
            return struct.unpack_from("<Q", f.read(40), 32)[0]
    except (OSError, struct.error):
        return False


for program in ARGS:
    status, total, _, err = life(program)
    tap.is_(status, 0, f"{program}: starts and stops")
    total = total or 200
    step = max(1, total // SAMPLE)
    wrong, silent, tried = [], [], 0
    began = time.monotonic()
    for n in range(1, total + 1, step):
        tried += 1
        status, _, _, err = life(program, n)
        if status is None or status < 0:
            wrong.append((n, status, err[-300:]))
        elif status and not err:
            silent.append(n)
    tap.is_(wrong, [], f"{program}: no failing allocation of {tried} makes it crash or hang")
    tap.is_(silent, [], f"{program}: and when it ends, it says why")
    tap.note(f"{program}: {total} allocations, {tried} failed, {time.monotonic() - began:.1f} s")
tap.done()
