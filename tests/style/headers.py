# SPDX-License-Identifier: Apache-2.0
"""Every header compiles alone: it includes what it needs."""
import os
import subprocess

import source
import tap

CC = os.environ.get("CC", "cc").split()

headers = source.sources(".h", folders={*source.FOLDERS, "tests"})
for path in headers:
    r = subprocess.run([*CC, "-std=gnu17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function",
                        "-Wno-missing-field-initializers", "-fsyntax-only", "-x", "c", "-I", source.ROOT,
                        "-I", os.path.join(source.ROOT, "tests"), "-I", tap.BUILD, "-"],
                       input=f'#include "{path}"\n', capture_output=True, text=True, check=False)
    tap.ok(r.returncode == 0, f"{path} compiles alone", r.stderr)

tap.done()
