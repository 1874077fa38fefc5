# SPDX-License-Identifier: Apache-2.0
"""The shells complete every command and option of flowner, and what its options take."""
import os
import re
import shutil

import helps
import tap

HERE = os.path.join(os.path.abspath(tap.SOURCE), "contrib", "completions")
ENV = dict(os.environ, PATH=f"{os.path.abspath(tap.BUILD)}:{os.environ['PATH']}", HOME=tap.tmpdir())
FORMATS = {"ecs", "ocsf", "pcapng", "sysmon", "text", "zeek", "zeek-json"}
files = tap.tmpdir()
for name in "one.ndjson", "two.ndjson":
    open(f"{files}/{name}", "w", encoding="utf-8").close()
os.mkdir(f"{files}/folder")

r = tap.run([helps.FLOWNER, "check-config", "/dev/null"], env=dict(ENV, FLOWNER_OUTPUT__FILES="nope:x"))
tap.is_(set(re.findall(r"[a-z-]+", r.stderr.split("one of", 1)[-1])) & FORMATS, FORMATS, "there are these formats")
commands = helps.commands()
options = {c: helps.options(c) for c in commands}
r = tap.run([helps.FLOWNER, "print-config"])
keys, section = set(), ""
for line in r.stdout.splitlines():
    m = re.match(r"(\w+):$|  (\w+):", line)
    section = m.group(1) or section if m else section
    keys |= {f"{section}.{m.group(2)}="} if m and m.group(2) else set()


def bash(lines):
    """What bash offers at the end of each line, as it would replace the word behind the last : or =."""
    script = f"source {HERE}/flowner.bash\n"
    for line in lines:
        script += "COMP_LINE=$(cat <<'END'\n" + line + "|\nEND\n)\nCOMP_LINE=${COMP_LINE%|}\n" \
                  "COMP_POINT=${#COMP_LINE}; _flowner; printf '%s\\n' \"${COMPREPLY[@]}\"; echo ==\n"
    r = tap.run(["bash", "--norc", "-c", script], env=ENV, cwd=files)
    tap.is_(r.stderr, "", "bash completes without a complaint")
    return dict(zip(lines, (set(x.split()) for x in r.stdout.split("==\n"))))


def fish(lines):
    script = f"source {HERE}/flowner.fish\n" + "".join(f"complete -C '{x}'\necho ==\n" for x in lines)
    r = tap.run(["fish", "--no-config", "-c", script], env=ENV, cwd=files)
    tap.is_(r.stderr, "", "fish completes without a complaint")
    offers = [{y.split("\t")[0] for y in x.splitlines()} for x in r.stdout.split("==\n")]
    return dict(zip(lines, offers))


LINES = ["flowner ", "flowner st", "flowner run -o e", "flowner run --output ecs:one", "flowner doctor --set capture.",
         "flowner run -i ", "flowner run -c o", "flowner tail ser", "flowner tail tw", "flowner fields ", "flowner help ",
         "flowner check-config t", "flowner status --runtime-dir f", "flowner run -- tru"]
LINES += [f"flowner {c} -" for c in sorted(commands)]

# ---- bash
got = bash(LINES)
tap.ok(commands <= got["flowner "], "bash: every command", commands - got["flowner "])
tap.is_(got["flowner st"], {"status"}, "bash: a command")
for c in sorted(commands):
    tap.is_(sorted(got[f"flowner {c} -"] - {"--"}), sorted(options[c]), f"bash: the options of {c}, and no other")
tap.is_(got["flowner run -o e"], {"ecs:"}, "bash: a format")
tap.is_(got["flowner run --output ecs:one"], {"one.ndjson"}, "bash: its file")
tap.is_({f"capture.{k}" for k in (x.split(".", 1)[1] for x in got["flowner doctor --set capture."])},
        {k for k in keys if k.startswith("capture.")}, "bash: the keys of a section")
tap.ok({"any", "lo"} <= got["flowner run -i "], "bash: interfaces", got["flowner run -i "])
tap.is_(got["flowner run -c o"], {"one.ndjson"}, "bash: a file")
tap.is_(got["flowner tail ser"], {"service:", "server_name:"}, "bash: keys of expressions")
tap.is_(got["flowner tail tw"], {"two.ndjson"}, "bash: a file of records")
tap.is_(got["flowner fields "], FORMATS | {"-h", "--help"}, "bash: formats")
tap.is_(got["flowner help "], {"run", "tail", "expression"}, "bash: topics of help")
tap.is_(got["flowner check-config t"], {"two.ndjson"}, "bash: a configuration")
tap.is_(got["flowner status --runtime-dir f"], {"folder"}, "bash: a folder")
tap.ok("true" in got["flowner run -- tru"], "bash: a command of one's own", got["flowner run -- tru"])

# ---- fish
if shutil.which("fish"):
    r = tap.run(["fish", "--no-config", "-n", f"{HERE}/flowner.fish"], env=ENV)
    tap.is_((r.returncode, r.stderr), (0, ""), "fish parses its file")
    lines = [x for x in LINES if " -- " not in x and not x.endswith("-")] + \
            [x + y for x in LINES if x.endswith(" -") for y in ("", "-")]
    got = fish(lines)
    tap.ok(commands <= got["flowner "], "fish: every command", commands - got["flowner "])
    for c in sorted(commands):
        offered = got[f"flowner {c} -"] | got[f"flowner {c} --"]
        tap.is_(sorted(offered), sorted(options[c]), f"fish: the options of {c}, and no other")
    tap.ok("ecs:" in got["flowner run -o e"], "fish: a format", got["flowner run -o e"])
    tap.is_(got["flowner run --output ecs:one"], {"ecs:one.ndjson"}, "fish: its file")
    tap.is_(got["flowner doctor --set capture."], {k for k in keys if k.startswith("capture.")},
            "fish: the keys of a section")
    tap.ok({"service:", "server_name:"} <= got["flowner tail ser"], "fish: keys of expressions", got["flowner tail ser"])
    tap.ok("two.ndjson" in got["flowner tail tw"], "fish: a file of records", got["flowner tail tw"])
    tap.is_(got["flowner fields "], FORMATS, "fish: formats")
else:
    tap.ok(False, "fish is installed (contrib/packages)")

# ---- zsh: what it offers needs a terminal; here that it loads, and what it says
if shutil.which("zsh"):
    r = tap.run(["zsh", "-f", "-n", f"{HERE}/_flowner"], env=ENV)
    tap.is_((r.returncode, r.stderr), (0, ""), "zsh parses its file")
    # Of zsh's own only what it needs: looking through all of them takes seconds.
    own = tap.tmpdir()
    for folder in tap.run(["zsh", "-f", "-c", "print -l $fpath"]).stdout.split():
        for name in "compinit", "compaudit", "compdump", "compinstall":
            if os.path.exists(f"{folder}/{name}"):
                shutil.copy(f"{folder}/{name}", own)
    r = tap.run(["zsh", "-f", "-c", f"fpath=({HERE} {own}); autoload -U compinit; compinit -u -D; print $_comps[flowner]; "
                 "autoload -U +X _flowner && whence -w _flowner"], env=ENV)
    tap.is_((r.stdout.split(), r.stderr), (["_flowner", "_flowner:", "function"], ""), "zsh finds and loads it for flowner")
    with open(f"{HERE}/_flowner", encoding="utf-8") as f:
        text = f.read()
    tap.is_(set(re.findall(r"^\t\t'([a-z-]+):", text, re.M)), commands | {"help", "version"}, "zsh: every command, no other")
    for c in sorted(commands):
        block = re.search(rf"^\t\t{c}\)\n(.*?);;", text, re.S | re.M).group(1)
        said = set()
        for both, one in re.findall(r"\{([^}]*)\}'\[|'[*]?(?:\([^)]*\))?(--?[a-z-]+)\[", block):
            said.update(both.split(",") if both else [one])
        tap.is_(sorted(said), sorted(options[c]), f"zsh: the options of {c}, and no other")
    for name in FORMATS:
        tap.ok(re.search(rf"compadd -S : --.* {name}\b", text), f"zsh: format {name}")
else:
    tap.ok(False, "zsh is installed (contrib/packages)")

r = tap.run(["bash", "-n", f"{HERE}/flowner.bash"])
tap.is_((r.returncode, r.stderr), (0, ""), "bash parses its file")
tap.done()
