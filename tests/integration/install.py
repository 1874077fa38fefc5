# SPDX-License-Identifier: Apache-2.0
"""`meson install` puts each file where it belongs, and what it installed runs from there."""
import os
import stat

import tap

NAMES = ["flowner-capture", "flowner-enrich", "flowner-sink"]
prefix = None
for line in tap.run(["meson", "introspect", "--buildoptions", "--indent", tap.BUILD]).stdout.split("{"):
    if '"name": "prefix"' in line:
        prefix = line.split('"value": "')[1].split('"')[0]
tap.ok(prefix, "the build knows its prefix")
if not prefix:
    tap.done()

EXPECTED = {
    "/etc/flowner/flowner.yaml": 0o644,
    f"{prefix}/bin/flowner": 0o755,
    **{f"{prefix}/sbin/{n}": 0o755 for n in NAMES},
    **{f"{prefix}/lib/systemd/system/{n}.service": 0o644 for n in NAMES},
    f"{prefix}/lib/systemd/system/flowner-metrics.service": 0o644,
    f"{prefix}/lib/systemd/system/flowner.target": 0o644,
    f"{prefix}/lib/sysusers.d/flowner.conf": 0o644,
    f"{prefix}/lib/tmpfiles.d/flowner.conf": 0o644,
    f"{prefix}/share/doc/flowner/LICENSE": 0o644,
    f"{prefix}/share/doc/flowner/examples/flowner.yaml": 0o644,
    f"{prefix}/share/doc/flowner/examples/flowner.logrotate": 0o644,
}
for name in NAMES:
    EXPECTED |= {f"{prefix}/share/doc/flowner/examples/{f}": 0o755 for f in (
        f"openrc/{name}", *(f"{k}/{name}/{f}" for k in ("runit", "s6") for f in ("run", "finish")))}
    EXPECTED[f"{prefix}/share/doc/flowner/examples/s6/{name}/notification-fd"] = 0o644
for f in ("bash-completion/completions/flowner", "fish/vendor_completions.d/flowner.fish", "zsh/vendor-completions/_flowner"):
    EXPECTED[f"{prefix}/share/{f}"] = 0o644
PAGES = ["flowner.1", "flowner.yaml.5", "flowner-records.5", *(f"{n}.8" for n in NAMES)]
if os.path.exists(os.path.join(tap.BUILD, "contrib", "man", "flowner.1")):
    EXPECTED |= {f"{prefix}/share/man/man{page[-1]}/{page}": 0o644 for page in PAGES}
else:
    tap.skip("the manual pages are installed", "no scdoc: contrib/install-packages build")

dest = os.path.join(tap.tmpdir(), "dest")


def install():
    return tap.run(["meson", "install", "-C", tap.BUILD, "--no-rebuild", "--destdir", dest], umask=0o077)


r = install()
tap.is_(r.returncode, 0, "meson install --destdir")
if r.returncode:
    tap.note(r.stdout + r.stderr)
found = {}
for top, _, files in os.walk(dest):
    for name in files:
        path = os.path.join(top, name)
        found[path[len(dest):]] = stat.S_IMODE(os.lstat(path).st_mode)
tap.is_(sorted(set(EXPECTED) - set(found)), [], "everything is installed")
tap.is_(sorted(set(found) - set(EXPECTED)), [], "and nothing else")
tap.is_({p: oct(m) for p, m in found.items() if m != EXPECTED.get(p, m)}, {}, "with the right modes")

flowner = f"{dest}{prefix}/bin/flowner"
r = tap.run([flowner, "--version"])
tap.is_(r.returncode, 0, "the installed flowner starts")
r = tap.run([flowner, "check-config", f"{dest}/etc/flowner/flowner.yaml"])
tap.is_(r.returncode, 0, "the installed configuration is valid")
for name in NAMES:
    with open(f"{dest}{prefix}/lib/systemd/system/{name}.service", encoding="utf-8") as f:
        tap.has(f.read(), f"ExecStart={prefix}/sbin/{name}\n", f"the unit starts the installed {name}")

# It finds its own daemons, not those of the build.
if os.geteuid() == 0:
    out = os.path.join(tap.tmpdir(), "out")
    r = tap.run([flowner, "run", "-i", "lo", "-o", f"text:{out}", "--", "python3", "-c",
                 "import os;[print(os.readlink(f'/proc/{p}/exe')) for p in os.listdir('/proc')"
                 " if p.isdigit() and os.path.exists(f'/proc/{p}/exe')]"])
    tap.is_(r.returncode, 0, "flowner run works where it is installed")
    for name in NAMES:
        tap.has(r.stdout, f"{dest}{prefix}/sbin/{name}\n", f"it starts the installed {name}")
else:
    tap.skip("flowner run where it is installed", "needs root")

# What an administrator has written stays.
with open(f"{dest}/etc/flowner/flowner.yaml", "w", encoding="utf-8") as f:
    f.write("# mine\n")
tap.is_(install().returncode, 0, "meson install once more")
with open(f"{dest}/etc/flowner/flowner.yaml", encoding="utf-8") as f:
    tap.is_(f.read(), "# mine\n", "leaves the configuration alone")

tap.done()
