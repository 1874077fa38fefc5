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

for path in source.sources(".c", ".h"):
    r = subprocess.run([program, "--dry-run", "--Werror", "--style=file", path], cwd=source.ROOT,
                       capture_output=True, text=True, check=False)
    tap.ok(r.returncode == 0, path, "\n".join(r.stderr.splitlines()[:12]))

tap.done()
