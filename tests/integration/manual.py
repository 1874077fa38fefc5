# SPDX-License-Identifier: Apache-2.0
"""The manual pages say what the programs do: every option, command, key, field, word and counter, and nothing else."""
import glob
import os
import re
import shutil

import helps
import tap

MAN = os.path.join(os.path.abspath(tap.BUILD), "contrib", "man")
PAGES = {"flowner.1", "flowner.yaml.5", "flowner-records.5", "flowner-capture.8", "flowner-enrich.8", "flowner-sink.8"}
flowner = tap.program("flowner")


def source(page):
    """What scdoc is given: the page with its tables."""
    with open(os.path.join(MAN, f"{page}.filled.scd"), encoding="utf-8") as f:
        return f.read()


def section(text, title):
    """Between this heading and the next of its level or above."""
    level = title.index(" ")
    found = re.search(rf"^{re.escape(title)}\n(.*?)(?=^#{{1,{level}}} |\Z)", text, re.S | re.M)
    return found.group(1) if found else ""


def terms(text):
    """The bold words of lines that have an indented paragraph below."""
    lines = re.findall(r"^([*(].*)\n\t", text, re.M)
    return [t.replace("\\", "") for x in lines for t in re.findall(r"\*((?:\\.|[^*\\])+)\*", x)]


def both(what, said, wanted):
    said, wanted = set(said), set(wanted)
    tap.ok(wanted and said == wanted, what, f"only in the page: {sorted(said - wanted)}",
           f"not in the page: {sorted(wanted - said)}")


tap.is_({os.path.basename(p)[:-len(".filled.scd")] for p in glob.glob(f"{MAN}/*.filled.scd")}, PAGES, "there are the pages")

# ---- options
for program in "capture", "enrich", "sink":
    both(f"options of flowner-{program}", terms(section(source(f"flowner-{program}.8"), "# OPTIONS")),
         helps.daemon_options(program))
page = source("flowner.1")
commands = helps.commands()
both("commands", re.findall(r"^## flowner (\S+)$", page, re.M), commands)
synopsis = re.sub(r"[*\\]", "", section(page, "# SYNOPSIS"))
both("commands of the synopsis", re.findall(r"^flowner ([a-z][a-z-]+)", synopsis, re.M), commands)
for command in sorted(commands):
    both(f"options of flowner {command}", terms(section(page, f"## flowner {command}")), helps.options(command))

# ---- configuration
page = source("flowner.yaml.5")
printed = helps.text(flowner, "print-config", "--set", "capture.mode=headers")
keys, at = [], ""
for line in printed.splitlines():
    if re.match(r"\w+:$", line):
        at = line[:-1]
    elif re.match(r"  \w+:", line):
        keys.append(f"{at}.{line.split(':')[0].strip()}")
said = [f"{s}.{k}" for s in re.findall(r"^## (\w+)$", page, re.M) for k in terms(section(page, f"## {s}"))
        if re.search(rf"^\*{k.replace('_', '.{1,2}')}\* _", section(page, f"## {s}"), re.M)]
both("keys of the configuration", said, keys)
with open(os.path.join(tap.SOURCE, "contrib/flowner.yaml"), encoding="utf-8") as f:
    both("keys of an output", terms(section(page, "# OUTPUTS")), re.findall(r"^  #   (\w+):(?: |$)", f.read(), re.M))
r = tap.run([flowner, "check-config", "/dev/null"])
tap.is_(r.returncode, 0, "an empty configuration is a good one, as it says")
for example in re.findall(r"```\n(.*?)```", page, re.S):
    path = os.path.join(tap.tmpdir(), "flowner.yaml")
    with open(path, "w", encoding="utf-8") as f:
        f.write(example)
    r = tap.run([flowner, "check-config", path])
    tap.is_((r.returncode, r.stderr), (0, ""), "an example is a good configuration")

# ---- records
page = source("flowner-records.5")
fields = re.findall(r"^\[?([a-z0-9_.]+)\]?  ", helps.text(flowner, "fields"), re.M)
both("fields", terms(section(page, "# FIELDS")), fields)
text = helps.text(flowner, "help", "expression")
both("keys of expressions", [t for t in terms(section(page, "# EXPRESSIONS")) if t == t.lower() and " " not in t],
     re.findall(r"^  ([a-z_]+)  +", text, re.M))
r = tap.run([flowner, "check-config", "/dev/null"], env=dict(os.environ, FLOWNER_OUTPUT__FILES="nope:x"))
formats = re.search(r"one of: (.*?)\)?$|\((?:known|there are)[^:]*: (.*)\)", r.stderr, re.M)
tap.ok(r.returncode == 78 and formats, "an unknown format is refused with those there are", r.stderr)
formats = re.findall(r"[a-z-]+", next(g for g in formats.groups() if g)) if formats else []
both("formats", terms(section(page, "# FORMATS")), formats)
both("formats, flowner.yaml(5)",
     re.findall(r"\*(\S+?)\*", re.search(r"^Formats are:\n|Formats are:\n(.*)$", source("flowner.yaml.5"), re.M).group(1) or ""),
     formats)
both("metrics", terms(section(page, "# METRICS")), re.findall(r"^(\S+)\t", helps.text(flowner, "metrics", "--list"), re.M))
tap.ok(not re.search(r"^\*.*\n\t\s*$", page, re.M), "each entry of a table has its words",
       re.findall(r"^\*.*\n\t\s*$", page, re.M))

# ---- all pages
for page in sorted(PAGES):
    text = source(page)
    tap.is_(re.findall(r"^@.*", text, re.M), [], f"{page}: no table is missing")
    for title in "NAME", "SYNOPSIS" if page != "flowner-records.5" else "NAME", "DESCRIPTION", "SEE ALSO":
        tap.ok(section(text, f"# {title}").strip(), f"{page}: {title}")
    refers = {f"{n}.{s}" for n, s in re.findall(r"\*(flowner[\w.-]*)\*\((\d)\)", text)}
    tap.ok(refers and refers <= PAGES - {page}, f"{page}: refers to pages that there are", refers - PAGES, page in refers)

if not shutil.which("mandoc"):
    tap.ok(False, "mandoc is installed (contrib/packages)")
elif not os.path.exists(f"{MAN}/flowner.1"):
    tap.skip("mandoc finds nothing", "built without scdoc: there are no pages")
else:
    for page in sorted(PAGES):
        r = tap.run(["mandoc", "-Tlint", "-Wwarning", f"{MAN}/{page}"])
        # scdoc writes a paragraph's beginning also where a heading has begun it.
        lines = [x for x in r.stdout.splitlines() if "skipping paragraph macro: PP" not in x]
        tap.is_(lines, [], f"{page}: mandoc finds nothing")
        text = tap.run(["mandoc", "-Tascii", f"{MAN}/{page}"]).stdout
        text = re.sub(".\b", "", text)
        tap.ok("NAME" in text and "\\" not in text.replace("\\ takes", ""), f"{page}: no escape is left",
               [x for x in text.splitlines() if "\\" in x])
tap.done()
