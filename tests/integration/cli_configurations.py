# SPDX-License-Identifier: Apache-2.0
"""`flowner check-config` and `print-config`: wrong configurations get the place, the key, what is wrong, and exit status 78."""
import os

import tap

flowner = tap.program("flowner")
home = tap.tmpdir()
path = os.path.join(home, "flowner.yaml")

WRONG = [
    # file, message after the file's name
    ("capture:\n    interfce: [lo]\n", ":2:5: capture.interfce: unknown key (did you mean \"capture.interfaces\"?)"),
    ("captur:\n    ring: 1MiB\n", ":1:1: captur: unknown section (did you mean \"capture\"?)"),
    ("capture:\n    buffer: 64MB\n", ":2:13: capture.buffer: "),
    ("capture:\n    buffer: 1KiB\n", ":2:13: capture.buffer: "),
    ("capture:\n    ring: 3MiB\n", ":2:11: capture.ring: "),
    ("capture:\n    ring: 2GiB\n", ":2:11: capture.ring: "),
    ("capture:\n    batch_timeout: 10\n", ":2:20: capture.batch_timeout: "),
    ("capture:\n    batch_timeout: 0s\n", ":2:20: capture.batch_timeout: "),
    ("capture:\n    interfaces: [lo]\n    interfaces: [eth0]\n", ":3:5: capture.interfaces: "),
    ("capture:\n    interfaces: {lo: 1}\n", ":2:17: capture.interfaces: "),
    ("capture:\n    interfaces: [any, lo]\n", ":2:17: capture.interfaces: "),
    ("capture:\n    user: root\n", ":2:11: capture.user: "),
    ("capture:\n    user: 0\n", ":2:11: capture.user: "),
    ("capture: 5\n", ":1:10: capture: "),
    ("- capture\n", ":1:1: "),
    ("enrich:\n    tap: yes\n", ":2:10: enrich.tap: "),
    ("enrich:\n    tap: ful\n", ":2:10: enrich.tap: "),
    ("enrich:\n    sock_diag: 1\n", ":2:16: enrich.sock_diag: "),
    ("enrich:\n    active_timeout: -5s\n", ":2:21: enrich.active_timeout: "),
    ("output:\n    files: [ecs]\n", ":2:13: output.files: "),
    ("output:\n    files:\n        - ecs:/var/log/x\n        - [1]\n", ":4:11: output.files: "),
    ("output:\n    files: [esc:/a]\n", ":2:13: output.files: entry 1: unknown format \"esc\", one of: ecs, "),
    ("output:\n    files:\n        - path: /a\n          format: esc\n", ":4:19: output.files.format: unknown format \"esc\", "),
    ("output:\n    files:\n        - {format: ecs, path: /a, exclude: ['pid:1', \"é port:1\"]}\n",
     ":3:55: output.files.exclude: \"é\" is not KEY:VALUE"),
    ("output:\n    files:\n        - format: ecs\n          path: /a\n          include:\n            - port:80 prot:tcp\n",
     ":6:23: output.files.include: unknown key \"prot\" (did you mean \"proto\"?)"),
    ("output:\n    files:\n        - {format: ecs, path: /a, include: ['command:\"it''s', \"port:80-\\x31-\"]}\n",
     ":3:45: output.files.include: \"command:"),
    ("output:\n    files:\n        - {format: ecs, path: /a, include: [\"port:80-\\x31-\"]}\n",
     ":3:45: output.files.include: \"port:80-1-\": column 6: "),
    ("output:\n    files:\n        - {format: ecs, path: /a}\n        - text:/a\n",
     ":4:11: output.files: entry 2 has the path of entry 1"),
    ("output:\n    files: [ecs:/b/a, text:/c/a, zeek:/b/.//./a]\n", ":2:34: output.files: entry 3 has the path of entry 1"),
    ("output:\n    files:\n        - {format: ecs, path: /b/a, rotate_size: 1MiB, compress: zstd}\n"
     "        - {format: text, path: /b/a.zst, rotate_size: 1MiB}\n", ":4:11: output.files: entry 2: its rotated files and "),
    ("output:\n    files:\n        - {format: ecs, path: /b/a.x, rotate_interval: 1h}\n"
     "        - text:/b/a-20260101T000000.000Z.x\n", ":4:11: output.files: entry 2: its rotated files and "),
    ("limits:\n    flows: many\n", ":2:12: limits.flows: "),
    ("limits:\n    flows: 99999999999999999999999\n", ":2:12: limits.flows: "),
    ("limits: &a\n    flows: 100\nmetrics: *a\n", ":1:9: "),
    ("limits:\n  flows: 100\n processes: 5\n", ":3:"),
    ("limits:\n\tflows: 100\n", ":2:1: "),
    ("limits: {flows: 100\n", ":2:1: "),
    ("a: " + "[" * 100 + "]" * 100 + "\n", ":1:"),
    ("limits:\n    flows: \"1\x0200\"\n", ":2:"),
    ("limits: {}\n---\nlimits: {}\n", ":2:1: "),
    ("# " + "x" * (1 << 20) + "\n", ":1:1: is larger than 1048576 bytes"),
]

for text, message in WRONG:
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    r = tap.run([flowner, "check-config", path])
    shown = text if len(text) < 60 else text[:40] + "..."
    want = f"flowner: {path}{message}"
    if not tap.ok(r.returncode == 78 and r.stdout == "" and r.stderr.startswith(want) and r.stderr.count("\n") == 1
                  and (not message.endswith(": ") or len(r.stderr) > len(want) + 8), f"wrong: {shown!r}"):
        tap.note(f"got {r.returncode}: {r.stdout}{r.stderr}want {want}")

for path_given, error in (os.path.join(home, "none.yaml"), "No such file or directory"), (home, "Is a directory"):
    r = tap.run([flowner, "check-config", path_given])
    tap.ok(r.returncode == 78 and r.stderr.startswith(f"flowner: {path_given}: ") and error in r.stderr,
           f"no file: {error}", r.stderr)

# What needs no complaint: the same names elsewhere, or never put aside.
with open(path, "w", encoding="utf-8") as f:
    f.write("output:\n  files:\n    - {format: ecs, path: /b/a, rotate_size: 1MiB, compress: zstd}\n"
            "    - {format: text, path: /c/a.zst, rotate_size: 1MiB}\n    - {format: text, path: /b/a-1, rotate_size: 1MiB}\n"
            "    - text:/d/a\n    - text:/d/a-20260101T000000.000Z\n    - {format: text, path: '-', include: ['port:80 or port:443']}\n")
r = tap.run([flowner, "check-config", path])
tap.is_((r.returncode, r.stderr), (0, ""), "names that cannot meet")
for how in ["--set", "output.files=[{format: ecs, path: x, exclude: ['prot:tcp']}]"], ["--set", "output.files=esc:x"]:
    r = tap.run([flowner, "print-config", *how])
    tap.ok(r.returncode == 78 and r.stderr.startswith("flowner: --set: output.files") and r.stdout == "", f"wrong: {how[1]}",
           r.stderr)
r = tap.run([tap.program("flowner-sink"), "--check-config", "--set", "output.files=[{format: ecs, path: x, exclude: ['prot:tcp']}]"])
tap.ok(r.returncode == 78 and "column 1: unknown key" in r.stderr, "wrong: flowner-sink --check-config", r.stderr)

# A filter is compiled for whatever kind of interface takes it.
for expression, status, said in (("tcp port", 78, 'flowner: capture.filter: "tcp port": '), ("tcp port 80 or inbound", 0, "")):
    with open(path, "w", encoding="utf-8") as f:
        f.write(f"capture: {{filter: {expression}}}\n")
    r = tap.run([flowner, "check-config", path], text=True)
    tap.ok(r.returncode == status and r.stderr.startswith(said) and bool(r.stderr) == bool(said), f"filter: {expression}", r.stderr)

# conf.d, the environment and --set, later ones winning.
os.unlink(path)
os.mkdir(os.path.join(home, "conf.d"))
for name, text in (("flowner.yaml", "limits: {flows: 1000, processes: 1000}\noutput: {flush: 1s}\n"),
                   ("conf.d/10-a.yaml", "limits: {flows: 2000}\n"), ("conf.d/9-b.yaml", "limits: {flows: 3000}\n")):
    with open(os.path.join(home, name), "w", encoding="utf-8") as f:
        f.write(text)
r = tap.run([flowner, "check-config", path])
tap.is_((r.returncode, r.stdout, r.stderr), (0, f"{path}: good\n", ""), "a good configuration")


def printed(*args, **env):
    run = tap.run([flowner, "print-config", "-c", path, *args], env=dict(os.environ, **env))
    return run.returncode, run.stdout


tap.has(printed()[1], "flows: 3000", "conf.d wins over the file, in the order of the names")
tap.has(printed()[1], "processes: 1000", "the file wins over the default")
tap.has(printed(FLOWNER_LIMITS__FLOWS="4000")[1], "flows: 4000", "the environment wins over conf.d")
tap.has(printed("--set", "limits.flows=5000", FLOWNER_LIMITS__FLOWS="4000")[1], "flows: 5000",
        "the command line wins over all")
r = tap.run([flowner, "check-config", path], env=dict(os.environ, FLOWNER_LIMITS__FLOWS="x"))
tap.ok(r.returncode == 78 and "environment: limits.flows: " in r.stderr, "a wrong environment", r.stderr)
status, text = printed("--set", "capture.interfaces=lo,eth0")
again = os.path.join(home, "again.yaml")
with open(again, "w", encoding="utf-8") as f:
    f.write(text)
os.rename(os.path.join(home, "conf.d"), os.path.join(home, "no.d"))
r = tap.run([flowner, "print-config", "-c", again])
tap.is_(r.stdout, text, "what is printed reads back the same")

tap.done()
