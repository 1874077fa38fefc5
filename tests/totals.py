# SPDX-License-Identifier: Apache-2.0
"""Adds up the TAP checks in meson's testlog.json files; lists the slowest tests, what was skipped and what failed, with
its notes; the last line is the sum.

A test that crashed, hung or broke its plan counts as one failed check even if every line it printed was ok.
"""
import json
import re
import sys

LINE = re.compile(r"(not )?ok\b(?:\s+\d+)?\s*(?:-\s*)?(.*)")
SKIP = re.compile(r"\s*#\s*SKIP\S*\s*(.*)", re.IGNORECASE)
TODO = re.compile(r"#\s*TODO\b", re.IGNORECASE)


def count(test):
    """passed, failed, list of (what, why) skipped of one test."""
    passed = failed = 0
    skipped = []
    name = test["name"].partition(":")[2] or test["name"]
    for line in test.get("stdout", "").splitlines():
        if line.startswith("1..0"):
            why = SKIP.search(line)
            skipped.append((name, why.group(1) if why else "no reason given"))
            continue
        check = LINE.match(line)
        if not check:
            continue
        skip = SKIP.search(check.group(2))
        if skip:
            skipped.append((f"{name}: {check.group(2)[:skip.start()]}", skip.group(1) or "no reason given"))
        elif check.group(1) and not TODO.search(line):
            failed += 1
        else:
            passed += 1
    if test["result"] == "SKIP" and not skipped:
        skipped.append((name, "no reason given"))
    if test["result"] not in ("OK", "SKIP", "EXPECTEDFAIL") and not failed:
        failed = 1
    return passed, failed, skipped


def failures(test):
    """The failed checks with the notes below them; what it wrote to stderr if it broke off."""
    shown = []
    showing = False
    for line in test.get("stdout", "").splitlines():
        if not line.startswith("#"):
            showing = line.startswith(("not ok", "Bail out!"))
        if showing:
            shown.append(line)
    if not shown:
        shown = test.get("stderr", "").splitlines()[-5:]
    return [line[:500] for line in shown[:20]]


def main(paths):
    passed = failed = 0
    skipped = []
    broken = []
    took = []
    for path in paths:
        with open(path, encoding="utf-8", errors="replace") as log:
            for line in log:
                test = json.loads(line)
                p, f, s = count(test)
                passed += p
                failed += f
                skipped += [(path.split("/")[0], *one) for one in s]
                took.append((test["duration"], path.split("/")[0], test["name"]))
                if f:
                    broken.append(f"{path.split('/')[0]}: {test['name']}: {f} failed ({test['result']})")
                    broken += [f"    {line}" for line in failures(test)]
    for duration, build, name in sorted(took, reverse=True)[:10]:
        print(f"{duration:6.1f} s  {build}: {name}")
    for build, what, why in skipped:
        print(f"skipped in {build}: {what}: {why}")
    for line in broken:
        print(line if line.startswith(" ") else f"FAILED in {line}")
    print(f"{passed} passed, {failed} failed, {len(skipped)} skipped")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
