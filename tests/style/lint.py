# SPDX-License-Identifier: Apache-2.0
"""clang-tidy finds nothing (.clang-tidy has the list of checks) in the programs and their libraries; its analyzer, which
takes most of the time, only looks with FLOWNER_LONG."""
import concurrent.futures
import json
import os
import shutil
import subprocess

import source
import tap

ERRNO = os.path.join(source.ROOT, "tests", "style", "errno-known.h")

LESS = [] if "FLOWNER_LONG" in os.environ else ["--checks=-clang-analyzer-*"]

program = shutil.which("clang-tidy")
if not program:
    tap.ok(False, "clang-tidy is installed (contrib/packages)")
    tap.done()

with open(os.path.join(tap.BUILD, "compile_commands.json")) as f:
    known = {os.path.relpath(os.path.join(c["directory"], c["file"]), source.ROOT) for c in json.load(f)}
paths = [p for p in source.sources(".c", folders=set(source.FOLDERS)) if p in known]
tap.ok(len(paths) > 10, "there are files to check", len(paths))


def check(path):
    r = subprocess.run([program, *LESS, "--quiet", "-p", tap.BUILD, "--extra-arg=-include" + ERRNO, os.path.join(source.ROOT, path)],
                       capture_output=True, text=True, check=False)
    return path, r.returncode, r.stdout


with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    for path, status, out in pool.map(check, paths):
        tap.ok(status == 0, path, "\n".join(out.splitlines()[:40]))

tap.done()
