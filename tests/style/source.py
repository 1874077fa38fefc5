# SPDX-License-Identifier: Apache-2.0
"""The files of the source tree, for the style tests."""
import os
import sys

ROOT = os.environ.get("FLOWNER_SOURCE", ".")
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))

DAEMONS = "capture", "enrich", "sink"
FOLDERS = ("shm", "config", *DAEMONS, "cli")


def files():
    """Paths below the root, without build folders and what version control keeps."""
    found = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = sorted(f for f in folders if f not in (".git", "__pycache__")
                            and not os.path.exists(os.path.join(folder, f, "meson-info"))
                            and not (folder == ROOT and f.startswith("build")))
        found += [os.path.relpath(os.path.join(folder, n), ROOT) for n in sorted(names)]
    return [f for f in found if not f.endswith(".pyc") and f != ".git"]


def text(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="surrogateescape") as f:
        return f.read()


def is_data(path):
    """Inputs of tests, made by programs: no comments in them."""
    parts = path.split("/")
    return parts[0] == "tests" and ("corpus" in parts or "data" in parts[:-1]) and \
        not path.endswith((".py", ".c", ".h", ".sh", ".build"))


def sources(*endings, folders=None):
    return [f for f in files() if f.endswith(endings) and not is_data(f)
            and (folders is None or f.split("/")[0] in folders)]


def shell_scripts():
    return [f for f in files() if not is_data(f) and
            (f.endswith(".sh") or "." not in os.path.basename(f) and text(f).startswith(("#!/bin/sh", "#!/bin/bash")))
            or f == ".ci/run"]
