# SPDX-License-Identifier: Apache-2.0
"""What holds for every file: licence line, length, characters, no leftovers, no trace of the machine it was written on."""
import os
import re

import source
import tap

LINES_MAX = 600
TOP = {"capture", "enrich", "sink", "shm", "config", "cli", "tests", "contrib", ".ci",
       "meson.build", "meson_options.txt", "LICENSE", "README.md", "ARCHITECTURE.md", "SECURITY.md", "CONTRIBUTING.md",
       ".clang-format", ".clang-tidy", ".editorconfig", ".gitignore", ".gitattributes"}
# Written in two parts so that this file does not contain them.
MACHINE = ["/wo" + "rk/", "/tmp" + "/wt", "/ho" + "me/", "/ro" + "ot/"]
LEFTOVER = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
# One of a text of its own, and numbers that s6 reads.
NO_LICENCE = {"LICENSE", *(f"contrib/s6/flowner-{p}/notification-fd" for p in ("capture", "enrich", "sink"))}

paths = [p for p in source.files() if not source.is_data(p)]


def check(what, wrong):
    tap.ok(not wrong, what, "\n".join(wrong))


tap.ok(len(paths) > 50, "the source tree is there", len(paths))
check("only the fixed names at the top level",
      [p for p in os.listdir(source.ROOT) if p not in TOP | {".git"} and not p.startswith("build")])
check("every file names its licence in its first lines",
      [p for p in paths if p not in NO_LICENCE
       and "SPDX-License-Identifier: Apache-2.0" not in "\n".join(source.text(p).splitlines()[:3])])
check(f"no source has more than {LINES_MAX} lines",
      [f"{p}: {n}" for p in source.sources(".c", ".h", ".py", ".sh", ".pml")
       if (n := source.text(p).count("\n")) > LINES_MAX])
check("lines end without blanks, files with a newline", [
    p for p in paths if p not in NO_LICENCE and
    (not source.text(p).endswith("\n") or re.search(r"[ \t\r]$", source.text(p), re.MULTILINE))])
check("no path of a machine", [f"{p}: {m}" for p in paths for m in MACHINE if m in source.text(p)])
# TAP has a directive of that name, which those who read and write it must name.
check("nothing is left to do", [
    f"{p}:{n}" for p in paths if not p.endswith(".md") and "tap" not in p and p != "tests/totals.py"
    for n, line in enumerate(source.text(p).splitlines(), 1) if LEFTOVER.search(line)])
check("every C file starts with its licence and then its job", [
    p for p in source.sources(".c", ".h")
    if not re.match(r"/\* SPDX-License-Identifier: Apache-2\.0 \*/\n/\*", source.text(p))])
check("data files are small", [p for p in source.files() if source.is_data(p)
                               and os.path.getsize(os.path.join(source.ROOT, p)) > 200 * 1024])

tap.done()
