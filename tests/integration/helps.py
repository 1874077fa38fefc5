# SPDX-License-Identifier: Apache-2.0
"""What the programs' own help says there is: commands and options."""
import os
import re
import sys

import tap

OPTION = re.compile(r"(?<![\w-])(--?[a-z][a-z-]*|-[A-Z])(?![\w-])")
FLOWNER = tap.program("flowner")


def text(*argv):
    r = tap.run([*argv])
    tap.ok(r.returncode == 0 and r.stdout, f"{' '.join(os.path.basename(a) for a in argv)} prints its help", r.stderr)
    return r.stdout


def daemon_options(program):
    """Of flowner-capture and the like."""
    lines = text(tap.program(f"flowner-{program}"), "--help").splitlines()
    return {o for x in lines if x.startswith("  ") for o in OPTION.findall(x[:29])}


def commands():
    return set(re.findall(r"^  flowner ([a-z-]+) ", text(FLOWNER, "help"), re.M))


def options(command):
    """Those with a line of their own, and those in the lines that show how it is called; all have -h."""
    found = {"-h", "--help"}
    for line in text(FLOWNER, command, "--help").splitlines():
        if line.startswith("flowner"):
            found.update(OPTION.findall(line))
        elif line.startswith("  ") and not line.startswith("  flowner"):
            found.update(OPTION.findall(line[:26]))
    return found | ({"--config"} if "-c" in found else set())


if __name__ == "__main__":
    sys.exit("a module of the tests, not a test")
