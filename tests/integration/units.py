# SPDX-License-Identifier: Apache-2.0
"""The systemd units are valid, and exposed no more than promised, by `systemd-analyze`."""
import json
import os
import shutil

import tap

# Tenths, as systemd-analyze counts: what a program of its kind cannot do without is most of it.
EXPOSURE = {"capture": 4, "enrich": 4, "sink": 4, "metrics": 11}
STARTS = {"metrics": ("bin/flowner", " metrics --serve")}  # the others: sbin/flowner-NAME

if not shutil.which("systemd-analyze"):
    tap.skip_all("no systemd-analyze: install the package systemd (contrib/packages)")

# They name the installed programs; here those of the build stand for them.
folder = tap.tmpdir()
sources = os.path.abspath(os.path.join(tap.SOURCE, "contrib", "systemd"))
built = os.path.join(tap.BUILD, "contrib", "systemd")
for name in EXPOSURE:
    with open(os.path.join(built, f"flowner-{name}.service"), encoding="utf-8") as f:
        lines = f.read().split("\n")
    where, options = STARTS.get(name, (f"sbin/flowner-{name}", ""))
    program = tap.program(os.path.basename(where)) + options
    at = [i for i, line in enumerate(lines) if line.startswith("ExecStart=")]
    tap.ok(len(at) == 1 and lines[at[0]].endswith(f"/{where}{options}"), f"{name}: starts the installed program", lines)
    lines[at[0]] = f"ExecStart={program}"
    lines = [f"ExecStartPre=-+{program} --open /proc/1/ns/net" if line.startswith("ExecStartPre=") else line for line in lines]
    with open(os.path.join(folder, f"flowner-{name}.service"), "w", encoding="utf-8") as f:
        f.write("\n".join(lines))
shutil.copy(os.path.join(sources, "flowner.target"), folder)
units = sorted(os.path.join(folder, f) for f in os.listdir(folder))

r = tap.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *units])
tap.is_(r.stdout + r.stderr, "", "nothing is wrong with the units")
tap.is_(r.returncode, 0, "verify says so")

for name, limit in EXPOSURE.items():
    unit = os.path.join(folder, f"flowner-{name}.service")
    r = tap.run(["systemd-analyze", "security", "--offline=true", f"--threshold={limit}", "--no-pager", unit])
    last = (r.stdout.strip().splitlines() or [r.stderr])[-1]
    tap.ok(r.returncode == 0, f"{name}: exposure at most {limit / 10}", last)
    tap.note(last)
    r = tap.run(["systemd-analyze", "security", "--offline=true", "--json=short", unit])
    for item in json.loads(r.stdout) if r.returncode == 0 else []:
        if item["exposure"]:
            tap.note(f"  {item['exposure']} {item['name']}")

# systemd accepts the users and folders.
r = tap.run(["systemd-sysusers", "--dry-run", os.path.join(sources, "flowner.sysusers")])
tap.ok(r.returncode == 0, "the users can be made", r.stderr)
made = os.path.join(tap.tmpdir(), "root")
os.makedirs(os.path.join(made, "etc"))
with open(os.path.join(made, "etc", "passwd"), "w", encoding="utf-8") as p, \
        open(os.path.join(made, "etc", "group"), "w", encoding="utf-8") as g:
    p.write("root:x:0:0:root:/root:/bin/sh\n")
    g.write("root:x:0:\n")
    for i, name in enumerate(EXPOSURE):
        p.write(f"flowner-{name}:x:{900 + i}:{900 + i}::/:/bin/false\n")
        g.write(f"flowner-{name}:x:{900 + i}:\n")
r = tap.run(["systemd-tmpfiles", "--create", f"--root={made}",
             os.path.join(sources, "flowner.tmpfiles")])
tap.ok(r.returncode == 0, "the folders can be made", r.stderr)
if os.geteuid() == 0:
    st = {f: os.stat(os.path.join(made, "run/flowner", f)) for f in ("", "capture", "enrich", "sink", "metrics")}
    tap.is_({f: (oct(s.st_mode & 0o7777), s.st_uid, s.st_gid) for f, s in st.items()},
            {"": ("0o755", 0, 0), "capture": ("0o2755", 900, 901), "enrich": ("0o2755", 901, 902),
             "sink": ("0o755", 902, 902), "metrics": ("0o755", 903, 903)}, "each is its program's, its socket the group's of who reads the ring")
else:
    tap.skip("whose the folders are", "needs root")

# A threshold that fails is seen to fail.
r = tap.run(["systemd-analyze", "security", "--offline=true", "--threshold=1", units[1]])
tap.ok(r.returncode != 0, "a stricter limit would be missed")

tap.done()
