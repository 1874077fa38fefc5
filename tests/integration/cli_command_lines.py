# SPDX-License-Identifier: Apache-2.0
"""Wrong command lines: the right message, one line of it, and exit status 64."""
import os
import re
import subprocess

import tap

flowner = tap.program("flowner")
SEE_RUN = "; see flowner run --help"

WRONG = [
    # command line, message
    ("", "no command given, try \"flowner run\"; see flowner --help"),
    ("runn", "unknown command runn; see flowner --help"),
    ("--frobnicate", "unknown option --frobnicate; see flowner --help"),
    ("run --frobnicate", "unknown option --frobnicate" + SEE_RUN),
    ("run -x", "unknown option -x" + SEE_RUN),
    ("run -o", "option -o needs a value" + SEE_RUN),
    ("run --set", "option --set needs a value" + SEE_RUN),
    ("run -o text", "-o text: an output is FORMAT:PATH, like text:- or ecs:FILE" + SEE_RUN),
    ("run -o :-", "-o :-: an output is FORMAT:PATH, like text:- or ecs:FILE" + SEE_RUN),
    ("run -o text:", "-o text:: an output is FORMAT:PATH, like text:- or ecs:FILE" + SEE_RUN),
    ("run -o text:- -o ecs:-", "-o ecs:-: another output goes to the same place" + SEE_RUN),
    ("run -d soon", "-d soon: not a duration; write 10, 500ms, 5m or 1h" + SEE_RUN),
    ("run -d 0", "-d 0: not a duration; write 10, 500ms, 5m or 1h" + SEE_RUN),
    ("run -d -5", "-d -5: not a duration; write 10, 500ms, 5m or 1h" + SEE_RUN),
    ("run -d 1e3", "-d 1e3: not a duration; write 10, 500ms, 5m or 1h" + SEE_RUN),
    ("run -d inf", "-d inf: not a duration; write 10, 500ms, 5m or 1h" + SEE_RUN),
    ("run --set limits.flows", "--set limits.flows: a setting is KEY=VALUE" + SEE_RUN),
    ("run -r a.pcap -i eth0", "-r and -i exclude each other: a file or an interface" + SEE_RUN),
    ("run -r a.pcap -- true", "-r and a command exclude each other: a file shows the past" + SEE_RUN),
    ("run -r a.pcap -r b.pcap", "-r can be given only once" + SEE_RUN),
    ("run -c a.yaml -c b.yaml", "-c can be given only once" + SEE_RUN),
    ("run --", "no command after --" + SEE_RUN),
    ("status --all", "unknown option --all; see flowner status --help"),
    ("status here", "unexpected argument here; see flowner status --help"),
    ("check-config a b", "check-config takes one file; see flowner check-config --help"),
    ("print-config a", "unexpected argument a; see flowner print-config --help"),
    ("fields ecs ocsf", "one FORMAT at most; see flowner fields --help"),
    ("fields csv", "unknown format \"csv\"; see flowner fields --help"),
    ("--version now", "--version takes no argument; see flowner --help"),
]

for line, message in WRONG:
    r = tap.run([flowner, *line.split()])
    tap.is_((r.returncode, r.stdout, r.stderr), (64, "", f"flowner: {message}\n"), f"flowner {line}")

r = tap.run([flowner, "run", "-o", "te\033[31mxt\n"])
tap.ok("\033" not in r.stderr and r.stderr.count("\n") == 1, "a message shows control characters escaped", r.stderr)

r = tap.run([flowner, "run", "-c", "/nonexistent.yaml"])
tap.is_((r.returncode, r.stderr), (78, "flowner: /nonexistent.yaml: cannot be opened: No such file or directory\n"),
        "a configuration file that is not there")
r = tap.run([flowner, "run", "--set", "limits.flow=5"])
tap.is_((r.returncode, r.stderr),
        (78, "flowner: --set: limits.flow: unknown key (did you mean \"limits.flows\"?)\n"), "a wrong setting")

# Help fits a terminal, and goes to standard output.
for words in ("help",), ("--help",), ("-h",), ("help", "run"), ("help", "status"), ("run", "--help"), \
        ("status", "--help"), \
        ("check-config", "--help"), ("print-config", "--help"), ("fields", "--help"), ("filter", "--help"), ("tail", "--help"), \
        ("doctor", "--help"), ("metrics", "--help"):
    r = tap.run([flowner, *words])
    lines = r.stdout.splitlines()
    tap.ok(r.returncode == 0 and r.stderr == "" and 3 < len(lines) <= 24 and max(map(len, lines)) <= 80,
           f"flowner {' '.join(words)} fits 80 x 24", f"{len(lines)} x {max(map(len, lines), default=0)}", r.stderr)
r = tap.run([flowner, "help", "nosuch"])
tap.is_((r.returncode, r.stderr), (64, "flowner: no such topic; see flowner --help\n"), "help on what is not there")
r = tap.run([flowner, "--version"])
tap.ok(re.fullmatch(r"flowner \d+\.\d+\.\d+\n", r.stdout) and r.returncode == 0, "flowner --version", r.stdout)

with open("/dev/full", "w") as full:
    for words in ("help", "print-config"):
        r = subprocess.run([flowner, words], stdout=full, stderr=subprocess.PIPE, text=True)
        tap.is_((r.returncode, r.stderr), (71, "flowner: cannot write to standard output\n"), f"{words}: a full disk is an error")

# Without privileges.
if os.geteuid() == 0:
    def nobody():
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    copy = tap.tmpdir() + "/flowner"
    with open(flowner, "rb") as a, open(copy, "wb") as b:
        b.write(a.read())
    os.chmod(copy, 0o755)
    r = tap.run([copy, "run"], preexec_fn=nobody)
    tap.is_((r.returncode, r.stderr), (77, "flowner: capturing needs root: try \"sudo flowner run ...\", "
            "or read a capture file with -r FILE\n"), "not root")
else:
    tap.skip("not root", "run as root, which can become nobody")

tap.done()
