# SPDX-License-Identifier: Apache-2.0
"""Observers that Debian packages (contrib/packages, group bench)."""
import atexit
import os
import re
import signal
import subprocess
import time

from observers import Observer, Ours, Unavailable, need
import tap


class Audit(Observer):
    """auditd with a rule on connect(2), for UDP on sendto(2), of the load's program only, as the others look at its port
    only. An event has pid and destination but no source port; it is joined with the first packet to that destination
    within WINDOW of it, both in order of time: exact while connections do not overlap."""

    name = "auditd on connect"
    WINDOW = 0.02  # audit's clock is coarse: a tick

    CONFIG = """local_events = yes
write_logs = yes
log_file = {dir}/audit.log
log_group = root
log_format = RAW
flush = NONE
freq = 0
max_log_file = 100
num_logs = 2
priority_boost = 4
name_format = NONE
max_log_file_action = IGNORE
space_left = 2
space_left_action = IGNORE
admin_space_left = 1
admin_space_left_action = IGNORE
disk_full_action = IGNORE
disk_error_action = IGNORE
tcp_listen_queue = 5
tcp_max_per_addr = 1
plugin_dir = {dir}/plugins
"""

    def status(self):
        r = tap.run(["auditctl", "-s"], text=True)
        if r.returncode:
            raise Unavailable(f"not available on this kernel: {' '.join(r.stderr.split())[:120]}")
        return dict(line.split(None, 1) for line in r.stdout.splitlines() if " " in line)

    def rules(self, verb):
        """One rule a program; the first error, or an empty text."""
        errors = ""
        for exe in self.programs:
            r = tap.run(["auditctl", verb, "always,exit", "-F", "arch=b64", "-S", self.calls, "-F", f"exe={exe}",
                         "-k", "flowner-bench"], text=True)
            errors = errors or (" ".join(r.stderr.split())[:120] if r.returncode else "")
        return errors

    def prepare(self):
        need("auditd")
        self.before = self.status()
        if self.before.get("pid") != "0":
            raise Unavailable(f"not run: another audit daemon is there (pid {self.before.get('pid')})")
        if "never,task" in tap.run(["auditctl", "-l"], text=True).stdout:
            raise Unavailable("not run: the rule never,task excludes every process")
        os.mkdir(f"{self.dir}/plugins")
        os.chmod(self.dir, 0o700)
        with open(f"{self.dir}/auditd.conf", "w") as f:
            f.write(self.CONFIG.format(dir=self.dir))
        os.chmod(f"{self.dir}/auditd.conf", 0o640)
        self.calls = "connect" if self.proto == "tcp" else "connect,sendto,sendmsg"
        self.packets = Ours("", "packets")
        self.packets.start(self.port, self.programs)
        atexit.register(self.remove)
        tap.run(["auditctl", "-b", "8192"])
        error = self.rules("-a")
        if error:
            self.remove()
            tap.stop(self.packets.p)
            raise Unavailable(f"not available on this kernel: {error}")

    def argv(self):
        return ["auditd", "-n", "-c", self.dir]

    def attached(self):
        status = self.status()
        return status.get("pid") == str(self.p.pid) and status.get("enabled") == "1"

    def pids(self):
        """With the kernel's own thread, which hands the events over."""
        kauditd = tap.run(["pgrep", "-x", "kauditd"], text=True).stdout.split()
        return [self.p.pid, *map(int, kauditd)]

    def remove(self):
        self.rules("-d")
        tap.run(["auditctl", "-e", self.before["enabled"]])
        tap.run(["auditctl", "-b", self.before["backlog_limit"]])
        atexit.unregister(self.remove)

    def end(self):
        tap.stop(self.p, signal.SIGTERM)
        self.remove()
        tap.stop(self.packets.p, signal.SIGINT)

    def events(self):
        """(time, pid) of every call that names the port."""
        pids = {}
        target = re.compile(rf"saddr=0200{self.port:04X}", re.I)
        with open(f"{self.dir}/audit.log", errors="replace") as f:
            for line in f:
                event = re.search(r"type=(\w+) msg=audit\(([\d.]+):(\d+)\)", line)
                if not event:
                    continue
                key = float(event[2]), int(event[3])
                if event[1] == "SYSCALL":
                    pids[key] = int(re.search(r" pid=(\d+)", line)[1])
                elif event[1] == "SOCKADDR" and target.search(line) and key in pids:
                    yield key[0], pids[key]

    def sightings(self):
        events = sorted(self.events())
        i = 0
        for line in self.packets.read("out").splitlines():
            t_ns, proto, port, _ = line.split()
            t = int(t_ns) / 1e9
            while i < len(events) and events[i][0] < t - self.WINDOW:
                i += 1
            if i < len(events) and events[i][0] <= t:
                yield proto, int(port), events[i][1], int(t_ns)
                i += 1


class Nethogs(Observer):
    """Sums per process and second, no connections: a process that it names is right for all its connections."""

    name = "nethogs -t"
    names = "pid, no connection"
    polls = True

    def argv(self):
        need("nethogs")
        return ["nethogs", "-t", "-a", "-C", "-v", "2", "-f", f"port {self.port}", "lo"]

    def attached(self):
        return "Refreshing" in self.read("out")

    def stop(self):
        time.sleep(1.5)  # its last second
        return super().stop()

    def sightings(self):
        for line in self.read("out").splitlines():
            m = re.match(r"(.*)/(\d+)/(\d+)\t", line)
            if m and m[2] != "0":
                yield "any", None, m[2], None


class Ss(Observer):
    """`ss -tunap` again and again with a pause of 10 ms, as a shell loop. Only lines of the port are kept, and of UDP
    those without a peer."""

    name = "ss -tunap every 10 ms"
    polls = True

    def argv(self):
        loop = f"echo ready >&2; while :; do ss -Htunap | grep -E ':{self.port} |^udp'; sleep 0.01; done"
        return ["sh", "-c", loop]

    def end(self):
        try:
            os.killpg(self.p.pid, signal.SIGTERM)
        except ProcessLookupError:
            pass
        self.p.wait()

    def sightings(self):
        for line in self.read("out").splitlines():
            parts = line.split()
            if len(parts) < 7 or not parts[5].endswith((f":{self.port}", ":*")):
                continue
            for pid in re.findall(r"pid=(\d+)", line):
                yield parts[0], int(parts[4].rpartition(":")[2]), pid, None


class Bpftrace(Observer):
    """The state tracepoint of TCP: the caller is known when it leaves CLOSE, the port at the change after it. UDP has no
    tracepoint of its own that tells ports. tracefs is mounted for it alone where the system has none."""

    name = "bpftrace logger"
    protos = ("tcp",)

    PROGRAM = """
tracepoint:sock:inet_sock_set_state /args->newstate == 2 && args->dport == PORT/ { @pid[args->skaddr] = pid; }
tracepoint:sock:inet_sock_set_state /args->oldstate == 2 && args->dport == PORT && @pid[args->skaddr]/ {
	printf("%llu tcp %d %d\\n", nsecs, args->sport, @pid[args->skaddr]); delete(@pid[args->skaddr]); }
BEGIN { printf("attached\\n"); }
"""
    MOUNTS = """mountpoint -q /sys/kernel/debug || mount -t debugfs none /sys/kernel/debug
[ -e /sys/kernel/debug/tracing/events ] || mount -t tracefs none /sys/kernel/debug/tracing
[ -e /sys/kernel/tracing/events ] || mount -t tracefs none /sys/kernel/tracing
exec bpftrace -e "$1"
"""

    def argv(self):
        need("bpftrace")
        return ["unshare", "-m", "sh", "-c", self.MOUNTS, "sh", self.PROGRAM.replace("PORT", str(self.port))]

    def attached(self):
        return "attached" in self.read("out")

    def sightings(self):
        """Its clock is another one."""
        for proto, port, pid, _ in super().sightings():
            yield proto, port, pid, None


def peers():
    return [Nethogs(), Ss(), Bpftrace()]
