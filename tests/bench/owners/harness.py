# SPDX-License-Identifier: Apache-2.0
"""
Runs scenarios under an observer and gathers the truth.

    with harness.Harness(scenarios.by_name("curl"), n=500) as h:
        results = h.run(observer)        # {scenario name: Result}
        seen = observer.stop()
        for r in results.values():
            print(judge.judge_seen(r.truths, seen))

An observer is what is held against the truth: start(harness), cpu_ns(), settle(), stop().
"""
import dataclasses
import os
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "..", "integration")]
import containers  # noqa: E402
import pipeline  # noqa: E402
import reuse  # noqa: E402
import scenarios  # noqa: E402
import tap  # noqa: E402
import truth  # noqa: E402

PORTS = 16000  # the first scenario's; one each


class Observer:
    """What watches the connections. Each method may be replaced."""

    def start(self, harness):
        """Watches harness.interfaces for harness.ports from now on; returns once it does."""

    def cpu_ns(self):
        """CPU time it has used so far."""
        return 0

    def settle(self):
        """Waits until it has taken in what has happened."""

    def stop(self):
        """Ends; returns a list of (proto, local_port, t_ns, pid or None), one for every end it saw."""
        return []


@dataclasses.dataclass
class Result:
    scenario: scenarios.Scenario
    truths: list
    connections: int  # made by clients
    cpu_ns: int  # of the observer meanwhile
    seconds: float
    failed: int  # clients that ended badly
    skipped: str = ""


class Harness:
    """Programs, ports, report files and cgroups of one run. A context: it ends what it started."""

    def __init__(self, chosen, scale=1.0, n=0, ports=PORTS, long=False):
        self.chosen, self.scale, self.fixed, self.long = chosen, scale, n, long
        self.looked_up = False  # nobody tells what processes run
        self.dir = tap.tmpdir()
        self.port_of = {s.name: ports + i for i, s in enumerate([*scenarios.SCENARIOS, scenarios.REUSE])}
        self.ports = {self.port_of[s.name] for s in chosen}
        self.interfaces = ["lo"]
        self.servers, self.older = {}, {}
        self.programs = {}
        for name in "client", "server", "launch", "uring":
            self.programs[name] = tap.program(f"tests/bench/owners/owners-{name}")
        for name in "client", "other":
            path = os.path.join(self.dir, f"owners-{name}")
            shutil.copy(tap.program("tests/bench/owners/owners-client"), path)
            self.programs[name] = path
        self.secret = f"secret-{os.urandom(12).hex()}"
        self.env = {**os.environ, "FLOWNER_OWNERS_SECRET": self.secret}
        self.cgroups = containers.Cgroups()
        self.container = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # --- what the scenarios need

    def count(self, s):
        n = self.fixed or max(int(s.n * (s.long if self.long else self.scale)), 10)
        n = min(n, s.most) if s.most else n
        return max(n // s.per, 1) * s.per

    def fill(self, s, text):
        """A text of the table with everything but {pid} and {i} filled in."""
        for name, path in self.programs.items():
            text = text.replace("{" + name + "}", path)
        text = text.replace("{addr}", s.address).replace("{port}", str(self.port_of[s.name]))
        if self.container:
            text = text.replace("{bridge}{i}", self.container.prefix + "{i}").replace(
                "{bridge}", self.container.address)
        return text

    def report_path(self, s):
        return os.path.join(self.dir, f"reports-{self.port_of[s.name]}")

    def spawn(self, s, argv, cgroup, **kwargs):
        out = open(self.report_path(s), "ab")
        with self.cgroups.inside(cgroup):
            p = tap.spawn(argv, stdout=out, env=self.env, **kwargs)
        out.close()
        return p

    def serve(self, s):
        if not s.server:
            return
        kind, *numbers = s.server
        port, bind = str(self.port_of[s.name]), self.fill(s, s.bind or s.address)
        if kind == "uring":
            argv = [self.programs["uring"], "server", bind, port]
        else:
            argv = [self.programs["server"], kind, s.proto, bind, port, *map(str, numbers)]
        self.servers[s.name] = self.spawn(s, argv, "servers")
        if not tap.wait_for(lambda: b"ready" in open(self.report_path(s), "rb").read(), 10):
            tap.bail(f"{s.name}: the server does not start")

    @staticmethod
    def missing(s):
        if s.how == "reused" and reuse.unavailable():
            return reuse.unavailable()
        for program in s.needs:
            if not shutil.which(program):
                return f"{program} is not installed"
        return ""

    # --- running

    def prepare(self):
        """What has to be there before the observer."""
        if any(s.how == "container" for s in self.chosen):
            self.container = containers.Container(self.cgroups)
            self.interfaces.append(self.container.bridge)
        for s in self.chosen:
            open(self.report_path(s), "wb").close()
            if not s.late:
                self.serve(s)
            if s.how == "older":
                argv = [self.fill(s, a) for a in s.client]
                self.older[s.name] = [self.spawn(s, argv, self.cgroup_of(s), stdin=subprocess.PIPE)
                                      for _ in range(self.count(s))]
                tap.wait_for(lambda s=s: len(truth.Reports(self.report_path(s)).accepted) == self.count(s), 10)

    def cgroup_of(self, s):
        return f"s{self.port_of[s.name]}"

    def run(self, observer):
        """All scenarios under one observer; it still runs afterwards."""
        self.prepare()
        observer.start(self)
        results = {s.name: self.run_one(s, observer) for s in self.chosen}
        observer.settle()
        for p in self.servers.values():
            tap.stop(p)
        for s in self.chosen:
            r = results[s.name]
            if not r.skipped:
                self.gather(s, r)
        return results

    def run_one(self, s, observer):
        why = self.missing(s)
        if why:
            return Result(s, [], 0, 0, 0.0, 0, why)
        if s.late:
            self.serve(s)
        before, begin = observer.cpu_ns(), time.monotonic()
        getattr(self, f"run_{s.how}")(s)
        seconds = time.monotonic() - begin
        time.sleep(0.15)
        return Result(s, [], 0, observer.cpu_ns() - before, seconds, 0)

    def launcher(self, s, n):
        argv = [self.programs["launch"]]
        argv += ["-q"] if s.quiet else []
        argv += ["-n"] if s.how in ("container", "reused") else []
        argv += ["-l", os.path.join(self.dir, "link")] if s.link else []
        return [*argv, str(n), str(s.parallel), *[self.fill(s, a) for a in s.client]]

    def run_launch(self, s):
        each = max(self.count(s) // s.per // s.launchers, 1)
        running = [self.spawn(s, self.launcher(s, each), self.cgroup_of(s)) for _ in range(s.launchers)]
        for p in running:
            if p.wait(600) != 0:
                tap.note(f"{s.name}: the launcher ended with {p.returncode}")

    def run_older(self, s):
        for p in self.older[s.name]:
            p.stdin.write(b"go\n")
            p.stdin.close()
            p.wait(30)

    def run_container(self, s):
        p = self.spawn(s, self.container.command(self.launcher(s, self.count(s))), self.cgroup_of(s))
        p.wait(600)

    def run_reused(self, s):
        p = self.spawn(s, reuse.command(self.launcher(s, self.count(s))), self.cgroup_of(s))
        p.wait(600)

    # --- the truth

    def gather(self, s, result):
        reports = truth.Reports(self.report_path(s))
        result.connections = len(reports.accepted if s.note else reports.connections)
        result.failed = sum(p.status not in (0, 9) for p in reports.processes)
        if reports.other:
            tap.note(f"{s.name}: said {reports.other[:3]}")
        if "client" in s.sides:
            result.truths += self.client_truths(s, reports)
        if "server" in s.sides:
            result.truths += self.server_truths(s, reports)

    def client_truths(self, s, reports):
        exe = self.fill(s, s.client[0] if s.exe is None else s.exe)
        exe = os.path.realpath(exe) if exe else None
        first = {}
        for r in reports.accepted if s.note else reports.connections:
            if s.note:
                if not r.note:
                    continue
                pid, local, remote = int(r.note), r.remote, r.local
            else:
                pid, local, remote = r.pid, r.local, r.remote
            if s.passed and (local, remote) in first:
                # The same socket, told by a second process.
                t = first[(local, remote)]
                t.start = t.end = dataclasses.replace(t.end, pids=t.end.pids | {pid}, start_ticks=0)
                t.t1 = max(t.t1, r.t1)
                del first[(local, remote)]
                continue
            t = self.client_truth(s, reports, r, pid, exe)
            t.local, t.remote = local, remote
            if s.how == "older":  # its packets are those of now
                t.t1 = time.time_ns()
            if s.passed:
                first[(local, remote)] = t
            yield t

    def client_truth(self, s, reports, r, pid, exe):
        p = reports.process(pid, r.t0) if s.how == "launch" else None
        number = str(p.number) if p else ""
        exes = {exe}
        if self.looked_up:  # a moment after the connection, when it may run the next program
            exes |= {self.fill(s, x) for x in s.end_exe or ()}
        if s.link:
            exes = {os.path.join(self.dir, f"link.{number}")}
        argv = [self.fill(s, a).replace("{pid}", str(pid)) for a in s.client]
        if s.exe:  # a wrapper becomes the program
            argv = argv[argv.index(self.fill(s, s.exe)):]
        argv = [a.replace("{i}", number) for a in argv]
        e = truth.Expect(
            frozenset({pid}), frozenset(exes) if exe else None, (tuple(argv),) if s.argv else None, s.uid,
            self.cgroups.path(self.cgroup_of(s)), s.comm, r.inner if s.how in ("container", "reused") else None,
            p.ticks if p and r.pid == p.pid else 0)
        end = dataclasses.replace(e, exes=frozenset(exes | {self.fill(s, x) for x in s.end_exe or ()}) if exe else None)
        return truth.Truth(s.name, "client", r.proto, r.local, r.remote, r.t0, r.t1, e, end,
                           p.t1 - p.t0 if p else 0)

    def server_truths(self, s, reports):
        exe = frozenset({os.path.realpath(self.programs["uring" if s.server[0] == "uring" else "server"])})
        listener = reports.ready[0]
        for r in reports.accepted:
            end = truth.Expect(frozenset({r.pid}), exe, None, 0, self.cgroups.path("servers"),
                               accepted_by_listener=s.server[0] in ("inetd", "pass"))
            # The listener is right at the start; so is who will accept, should anybody know.
            start = dataclasses.replace(end, pids=frozenset({r.pid, listener}))
            local = r.local
            if local[0] in ("0.0.0.0", "::"):
                local = (self.fill(s, s.address), local[1])
            yield truth.Truth(s.name, "server", r.proto, local, r.remote, r.t0, r.t1, start, end, 0, listener)

    def close(self):
        for p in [*self.servers.values(), *[p for ps in self.older.values() for p in ps]]:
            tap.stop(p)
        if self.container:
            self.container.close()
        self.cgroups.close()


class Flowner(Observer):
    """flowner itself, with settings; `records` is the file it wrote, `log` what it said."""

    def __init__(self, settings=(), outputs=("ecs",)):
        self.settings, self.outputs = settings, outputs

    def start(self, harness):
        self.dir = tap.tmpdir()
        self.records = os.path.join(self.dir, "out.ecs")
        self.ports = harness.ports
        args = []
        for name in harness.interfaces:
            args += ["-i", name]
        for form in self.outputs:
            args += ["-o", f"{form}:{os.path.join(self.dir, 'out.' + form)}"]
        for setting in self.settings:
            args += ["--set", setting]
        low, high = min(harness.ports), max(harness.ports)
        self.f = pipeline.Flowner(*args, f"portrange {low}-{high} or icmp or icmp6")
        # Before it says so, enrich does not read yet; without the tap nothing tells it later who is gone.
        if not tap.wait_for(lambda: "until Ctrl-C" in self.f.log()):
            tap.bail("flowner run does not say that it watches")

    def cpu_ns(self):
        total = 0
        for program in pipeline.PROGRAMS:
            pid = self.f.pid(program)
            for tid in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{tid}/schedstat") as f:
                    total += int(f.read().split()[0])
        return total

    def settle(self):
        self.f.settle(quiet=0.6)

    def stop(self):
        self.ledgers = self.f.ledgers()
        self.status = self.f.stop()
        self.log = self.f.log()
        import judge
        seen = []
        for r in pipeline.connections(pipeline.records(self.records), "end"):
            client, server = judge.ends(r)
            proto = r["network"].get("transport", "")
            for end, where in (client, "source"), (server, "destination"):
                seen.append((proto, r[where].get("port", 0), judge.time_ns(r["event"]["start"]), end and end.pid))
        return seen

    def written(self):
        """Everything it wrote, as bytes."""
        data = self.log.encode()
        for form in self.outputs:
            with open(os.path.join(self.dir, "out." + form), "rb") as f:
                data += f.read()
        return data

