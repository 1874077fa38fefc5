# SPDX-License-Identifier: Apache-2.0
"""Who may include whom: shm <- config <- {capture, enrich, sink} <- cli; the three daemons never each other."""
import os
import re

import source
import tap

MAY = {"shm": {"shm"}, "config": {"shm", "config"}, "cli": {"shm", "config", *source.DAEMONS, "cli"}}
for daemon in source.DAEMONS:
    MAY[daemon] = {"shm", "config", daemon}
GENERATED = {"flowner-version.h"}
# The one file that may include a header, for each library whose types must not spread.
ONE_FILE = {"pcap.h": "capture", "pcap/pcap.h": "capture", "yaml.h": "config", "liburing.h": "sink"}

INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.MULTILINE)


def includes(path):
    return INCLUDE.findall(source.text(path))


for folder in source.FOLDERS:
    wrong = []
    order = []
    paths = source.sources(".c", ".h", folders={folder})
    for path in paths:
        found = includes(path)
        wrong += [f"{path} includes {name}" for mark, name in found if mark == '"'
                  and name not in GENERATED and name.split("/")[0] not in MAY[folder]]
        header = path[:-2] + ".h"
        if path.endswith(".c") and os.path.exists(os.path.join(source.ROOT, header)) and \
                found[:1] != [('"', header)]:
            order.append(f"{path}: {header} is not its first include")
        # Its own header is the one it begins with, also where several files implement one header.
        own = path.endswith(".c") and found and found[0][0] == '"'
        ours = False
        for mark, name in found[own:]:
            if mark == "<" and ours:
                order.append(f"{path}: system header {name} after one of ours")
            ours |= mark == '"'
    tap.ok(paths, f"{folder} has sources")
    tap.ok(not wrong, f"{folder} includes only the layers below it", "\n".join(wrong))
    tap.ok(not order, f"{folder}: own header, then the system's, then ours", "\n".join(order))

for library, folder in ONE_FILE.items():
    users = [p for p in source.sources(".c", ".h", folders=set(source.FOLDERS)) if ("<", library) in includes(p)]
    tap.ok(len(users) <= 1 and all(u.startswith(folder + "/") and u.endswith(".c") for u in users),
           f"at most one file, in {folder}, includes {library}", users)

tap.done()
