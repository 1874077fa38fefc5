# SPDX-License-Identifier: Apache-2.0
"""Pids that come round again within a second: a pid namespace with a small pid_max, its own since Linux 6.14."""
import os
import pickle
import subprocess
import sys
import tempfile

import tap

PID_MAX = 400  # the lowest third is not used again: about 100 pids in turn
_FILE = "/proc/sys/kernel/pid_max"


def host_pid_max():
    with open(_FILE) as f:
        return int(f.read())


def unavailable():
    """Why it cannot be done here, or "". Tries it with a value that would harm nobody."""
    before = host_pid_max()
    r = tap.run(["unshare", "--pid", "--fork", "sh", "-c", f"echo {before - 1} >{_FILE}"])
    if host_pid_max() != before:
        with open(_FILE, "w") as f:
            f.write(str(before))
        return "pid_max is not a namespace's own"
    return "" if r.returncode == 0 else "no pid namespaces"


def command(argv, *options):
    """The command line that runs argv as the first process of such a namespace."""
    setup = "mount -t tmpfs none /run/flowner && " if "--mount-proc" in options else ""
    return ["unshare", "--pid", "--fork", "--kill-child", *options, "sh", "-c",
            f'{setup}echo {PID_MAX} >{_FILE} && exec "$@"', "sh", *argv]


def measure(script, tier, n):
    """Runs the whole harness inside, flowner included, with one scenario: its rows."""
    os.makedirs("/run/flowner", exist_ok=True)
    with tempfile.NamedTemporaryFile() as f:
        r = subprocess.run(command([sys.executable, script, "--inside", f.name, "--tier", tier, "--n", str(n)],
                                   "--mount-proc"), stdout=subprocess.PIPE, text=True, timeout=3600, check=False)
        if r.returncode != 0:
            tap.note(r.stdout[-2000:])
            return []
        return pickle.load(f)
