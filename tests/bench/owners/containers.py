# SPDX-License-Identifier: Apache-2.0
"""Control groups for the scenarios, and something like a container: its own network and pid namespace behind a bridge."""
import contextlib
import os
import subprocess
import time

import tap


def cgroup2_root():
    """Where cgroup v2 is mounted, or None."""
    with open("/proc/self/mounts") as f:
        for line in f:
            words = line.split()
            if words[2] == "cgroup2":
                return words[1]
    return None


class Cgroups:
    """Groups below one of our own; everything is gone after close()."""

    def __init__(self):
        self.root = cgroup2_root()
        self.name = f"flowner-owners-{os.getpid()}-{time.monotonic_ns() % 1000000}"
        self.made = []
        if self.root:
            with open("/proc/self/cgroup") as f:
                self.own = next(line.split(":", 2)[2].strip() for line in f if line.startswith("0::"))
            self.make(self.name)

    def make(self, path):
        full = os.path.join(self.root, path)
        if full not in self.made:
            os.mkdir(full)
            self.made.append(full)
        return full

    def path(self, name):
        """The group's path as a record shows it; None without cgroup v2."""
        return f"/{self.name}/{name}" if self.root else None

    @contextlib.contextmanager
    def inside(self, name):
        """What is started meanwhile is in the group: this process is, too."""
        if not self.root:
            yield
            return
        full = self.make(f"{self.name}/{name}")
        self.move(full)
        try:
            yield
        finally:
            self.move(os.path.join(self.root, self.own.lstrip("/")))

    @staticmethod
    def move(full):
        with open(os.path.join(full, "cgroup.procs"), "w") as f:
            f.write(str(os.getpid()))

    def close(self):
        for full in reversed(self.made):
            tap.wait_for(lambda full=full: self.removed(full), 5)
        self.made = []

    @staticmethod
    def removed(full):
        try:
            os.rmdir(full)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True


class Container:
    """A bridge on the host with an address, and a network namespace behind it."""

    def __init__(self, cgroups):
        self.cgroups = cgroups
        self.ns = tap.netns("owners")
        self.bridge = f"flo{os.getpid()}"
        net = os.getpid() % 200 + 20
        self.prefix = f"10.79.{net}."
        self.address = self.prefix + "250"
        outer, inner = f"flo{os.getpid()}a", f"flo{os.getpid()}b"
        for line in (
                f"link add {self.bridge} type bridge", f"link add {outer} type veth peer name {inner} netns {self.ns}",
                f"link set {outer} master {self.bridge}", f"addr add {self.address}/24 dev {self.bridge}",
                f"link set {self.bridge} up", f"link set {outer} up"):
            subprocess.run(["ip", *line.split()], check=True)
        for i in range(20):
            subprocess.run(["ip", "addr", "add", f"{self.prefix}{i}/32", "dev", self.bridge], check=True)
        for argv in (["ip", "addr", "add", f"{self.prefix}251/24", "dev", inner], ["ip", "link", "set", inner, "up"],
                     ["sysctl", "-qw", "net.ipv4.ping_group_range=0 0"]):
            subprocess.run(tap.inside(self.ns, *argv), check=True)

    def command(self, argv):
        """The command line that runs argv inside; /proc stays the host's, so that it can tell its pid there."""
        return tap.inside(self.ns, "unshare", "--pid", "--fork", "--kill-child", *argv)

    def close(self):
        subprocess.run(["ip", "link", "del", self.bridge], stderr=subprocess.DEVNULL, check=False)
        subprocess.run(["ip", "link", "del", f"flo{os.getpid()}a"], stderr=subprocess.DEVNULL, check=False)
