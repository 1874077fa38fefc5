# SPDX-License-Identifier: Apache-2.0
"""C is formatted as .clang-format says (by version 14's rules: other versions lay out some lines otherwise)."""
import re
import shutil
import subprocess

import source
import tap

VERSION = 14

program = shutil.which(f"clang-format-{VERSION}") or shutil.which("clang-format")
if not program:
    tap.ok(False, "clang-format is installed (contrib/packages)")
    tap.done()
found = int(re.search(r"version (\d+)", subprocess.check_output([program, "--version"], text=True)).group(1))
if found != VERSION:
    tap.skip_all(f"needs clang-format {VERSION}, here is {found}")

# All at once: starting the program costs more than most files.
paths = list(source.sources(".c", ".h"))
r = subprocess.run([program, "--dry-run", "--Werror", "--style=file", *paths], cwd=source.ROOT,
                   capture_output=True, text=True, check=False)
told = re.findall(r"^(.*?):\d+:\d+: error:", r.stderr, re.M)
for path in paths:
    tap.ok(str(path) not in told, path, "\n".join(x for x in r.stderr.splitlines() if x.startswith(f"{path}:"))[:2000])
tap.ok(told or r.returncode == 0, "clang-format says nothing else", r.stderr[:2000])

tap.done()
