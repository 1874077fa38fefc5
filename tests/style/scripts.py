# SPDX-License-Identifier: Apache-2.0
"""Shell scripts are clean under shellcheck, Python files compile, and what is to be executed can be."""
import os
import shutil
import subprocess

import source
import tap

shellcheck = shutil.which("shellcheck")
tap.ok(shellcheck, "shellcheck is installed (contrib/packages)")
scripts = source.shell_scripts()
tap.ok(len(scripts) >= 4, "there are shell scripts", scripts)
for path in scripts:
    if shellcheck:
        r = subprocess.run([shellcheck, path], cwd=source.ROOT, capture_output=True, text=True, check=False)
        tap.ok(r.returncode == 0, f"{path} is clean", r.stdout)
    tap.ok(os.access(os.path.join(source.ROOT, path), os.X_OK), f"{path} is executable")

for path in source.sources(".py"):
    try:
        compile(source.text(path), path, "exec")
        tap.ok(True, f"{path} compiles")
    except SyntaxError as e:
        tap.ok(False, f"{path} compiles", e)

tap.done()
