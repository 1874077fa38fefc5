# SPDX-License-Identifier: Apache-2.0
"""What programs of their own measure: they print their tables, their checks become lines of the summary."""
import os
import re
import subprocess
import sys

from results import Verdict

NAME = "scripts"
TITLE = "Formatting, sink, files, the filter: tests/bench/*.py, tables above"
COLUMNS = {"met": "of what is promised met"}
FIRST = None
SCRIPTS = {7: ("format.py", "stall.py"), 8: ("offline.py",), 9: ("filter.py",), 10: ("scaling.py",)}


def run(samples, world, quick):
    """Once, whatever the rounds: they have rounds of their own. Their --quick is a test of their own."""
    if quick or NAME in samples.found:
        return
    for line, names in SCRIPTS.items():
        for name in names:
            path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", name)
            out = subprocess.run([sys.executable, path], stdout=subprocess.PIPE, text=True).stdout
            print(out, flush=True)
            for word, text in re.findall(r"^(ok|not ok) \d+ - (.*)$", out, re.M):
                samples.add(NAME, f"{line} {name}: {text}", met=int(word == "ok"))


def judge(samples):
    for subject, figures in samples.found.get(NAME, {}).items():
        line, text = subject.split(" ", 1)
        yield Verdict(int(line), text, figures["met"][0], ">=", 1)
