# SPDX-License-Identifier: Apache-2.0
"""The scenarios: how the server and the clients are started, and what the truth about them is."""
import dataclasses

USER = 23456  # nobody has an account of that number


@dataclasses.dataclass
class Scenario:
    """
    In `client` {client}, {other} (a second program), {addr} and {port} are filled in by the harness, {pid} and {i} by
    the launcher for each process. Expected exe and argv are those of the program started, unless told otherwise.
    """
    name: str
    client: list
    server: tuple | None = ("loop",)  # KIND [WORKERS [DELAY]] of owners-server, or ("uring",)
    proto: str = "tcp"
    address: str = "127.0.0.1"
    bind: str | None = None  # the server's address if another one
    n: int = 100  # connections of an ordinary run
    long: int = 5  # times as many of a long one
    most: int = 0  # never more connections than this, 0 = no limit
    per: int = 1  # connections of one process
    parallel: int = 1
    launchers: int = 1
    sides: tuple = ("client",)
    kind: str = "client"  # what the promises say of it: client, server, other
    how: str = "launch"  # who starts the clients: a function run_HOW or the launcher
    note: bool = False  # foreign program: its pid comes with what it sends, the server tells it
    quiet: bool = False  # its output goes nowhere
    link: bool = False  # every process is a file of its own
    exe: str | None = None  # {client}; "" = not judged
    end_exe: tuple | None = None  # other programs that are right at the end record
    argv: bool = True  # whether the command line is judged
    comm: str | None = None
    uid: int | None = 0
    passed: bool = False  # several processes hold the socket in turn: any that reported is right
    lives: bool = False  # the client lives >= 1 ms
    late: bool = False  # the server starts after the observer
    needs: tuple = ()  # programs without which it is skipped


def c(proto, *steps):
    return ["{client}", proto, "{addr}", "{port}", *steps]


ONCE = ("connect", "report", "send")
READ = (*ONCE, "read")

SCENARIOS = [
    # --- clients that come and go
    Scenario("tcp exit at once", c("tcp", *ONCE), n=400, sides=("client", "server")),
    Scenario("tcp read", c("tcp", *READ), n=200, sides=("client", "server")),
    Scenario("tcp peer answers after 10 ms", c("tcp", *READ), ("threads", 16, 10), n=200, parallel=16, lives=True),
    Scenario("tcp 8 launchers, CPUs full", c("tcp", *ONCE), ("threads", 4), n=800, launchers=8),
    Scenario("tcp6 exit at once", c("tcp", *ONCE), address="::1", n=200),
    Scenario("tcp6 8 launchers", c("tcp", *ONCE), ("threads", 4), address="::1", n=400, launchers=8),
    Scenario("tcp, 500 by each process", ["{client}", "tcp", "127.7.0.{i}", "{port}", "repeat=500", *ONCE],
             ("threads", 4), bind="0.0.0.0", n=2000, long=25, per=500, parallel=2, argv=False),
    Scenario("udp, 500 by each process", ["{client}", "udp", "127.7.0.{i}", "{port}", "repeat=500", "sendto", "report"],
             ("mute",), "udp", bind="0.0.0.0", n=2000, long=25, per=500, parallel=2, argv=False),
    Scenario("udp fire and forget", c("udp", "sendto", "report"), ("mute",), "udp", n=400),
    Scenario("udp connected", c("udp", *ONCE), ("mute",), "udp", n=200),
    Scenario("udp answered", c("udp", "sendto", "report", "read"), ("udp",), "udp", n=200,
             sides=("client", "server")),
    Scenario("udp6 fire and forget", c("udp", "sendto", "report"), ("mute",), "udp", "::1", n=200),
    Scenario("udp6 connected", c("udp", *ONCE), ("mute",), "udp", "::1", n=100),
    Scenario("udp 8 launchers", c("udp", "sendto", "report"), ("mute",), "udp", n=800, launchers=8),
    Scenario("bash /dev/tcp", ["/bin/bash", "-c", "exec 5<>/dev/tcp/{addr}/{port}; echo {pid} >&5"], n=60,
             note=True, needs=("bash",), lives=True),
    Scenario("curl", ["/usr/bin/curl", "-s", "-o", "/dev/null", "http://{addr}:{port}/{pid}"], n=40, note=True,
             quiet=True, needs=("curl",), lives=True),
    Scenario("dig", ["/usr/bin/dig", "+tries=1", "@{addr}", "-p", "{port}", "n{pid}.test"], ("dns",), "udp", n=30,
             note=True, quiet=True, needs=("dig",), lives=True),
    Scenario("tcp v4-mapped", c("tcp", *ONCE), address="::ffff:127.0.0.1", bind="127.0.0.1", n=100),
    Scenario("tcp dual-stack server", c("tcp", *ONCE), bind="::", n=100, sides=("client", "server")),
    Scenario("tcp bound before", c("tcp", "bind", *ONCE), n=100),
    Scenario("tcp refused", c("tcp", "bind", "refused", "report"), None, n=100),
    Scenario("tcp refused, not bound", c("tcp", "refused", "report"), None, n=50),
    Scenario("tcp SIGKILLed", c("tcp", *ONCE, "kill"), n=100),
    Scenario("tcp held open for 300 ms", c("tcp", *READ, "wait=300"), ("threads", 32), n=200, parallel=32, lives=True),
    Scenario("tcp closed, then lives 20 ms", c("tcp", *READ, "close", "wait=20"), n=100, parallel=8, lives=True),

    # --- who the process is
    Scenario("fork then connect", c("tcp", "fork", *ONCE), n=100),
    Scenario("connect by a thread", c("tcp", "thread", *ONCE), n=100),
    Scenario("connect, then fork, child sends", c("tcp", "connect", "report", "fork", "report", "send"), n=100,
             passed=True),
    Scenario("exec after connect", c("tcp", "connect", "report", "exec={other}", "send", "read"), n=100,
             end_exe=("{other}",), argv=False),
    Scenario("setuid without exec", c("tcp", f"setuid={USER}", *ONCE), n=100, uid=USER),
    Scenario("setpriv and exec", ["/usr/bin/setpriv", f"--reuid={USER}", "--clear-groups", "--", *c("tcp", *ONCE)],
             n=100, uid=USER, exe="{client}", needs=("setpriv",)),
    Scenario("renamed", c("tcp", "rename=somebody else", *ONCE), n=100, comm="somebody else"),
    Scenario("deleted executable", c("tcp", "unlink", *ONCE), n=100, link=True),
    Scenario("connected socket passed", c("tcp", "receiver", "connect", "report", "pass", "report", "send"), n=100,
             passed=True),
    Scenario("19,000 descriptors", c("tcp", "fds=19000", "repeat=50", *ONCE), n=200, per=50, most=1000, lives=True),
    Scenario("older than the start", c("tcp", *ONCE, "stdin", "send", "read"), ("threads", 16), n=16, most=16,
             how="older", kind="other", lives=True),
    Scenario("io_uring client", ["{uring}", "client", "{addr}", "{port}"], n=100, kind="other"),
    Scenario("io_uring direct descriptor", ["{uring}", "direct", "{addr}", "{port}"], n=50, kind="other"),

    # --- servers
    Scenario("prefork server", c("tcp", *READ), ("prefork", 4), n=200, parallel=4, sides=("server",), kind="server"),
    Scenario("prefork server, after start", c("tcp", *READ), ("prefork", 4), n=100, parallel=4, sides=("server",),
             kind="server", late=True),
    Scenario("thread-pool server", c("tcp", *READ), ("threads", 4), n=200, parallel=4, sides=("server",),
             kind="server"),
    Scenario("inetd-style server", c("tcp", *READ), ("inetd",), n=100, sides=("server",), kind="server"),
    Scenario("prefork server, IPv6", c("tcp", *READ), ("prefork", 4), address="::1", n=100, parallel=4,
             sides=("server",), kind="server"),
    Scenario("accepted socket passed", c("tcp", *READ), ("pass", 3), n=100, parallel=2, sides=("server",),
             kind="other"),
    Scenario("io_uring server", c("tcp", *READ), ("uring",), n=100, sides=("server",), kind="other"),
    Scenario("reuseport TCP", c("tcp", *READ), ("reuseport", 3), n=100, sides=("server",), kind="other"),
    Scenario("reuseport UDP", c("udp", "sendto", "report", "read"), ("reuseport", 3), "udp", n=100,
             sides=("client", "server"), kind="other"),

    # --- not TCP or UDP from a socket of that kind
    Scenario("ping, raw socket", ["{client}", "rawping", "127.77.0.{i}", "0", "sendto", "report"], None, "icmp", n=30,
             most=200, kind="other"),
    Scenario("traceroute, UDP by TTL", c("udp", "ttl=1", "sendto", "report", "ttl=2", "sendto"), ("mute",), "udp",
             n=50, kind="other"),
    Scenario("raw UDP sender", c("raw", "sendto", "report"), ("mute",), "udp", n=30, most=500, kind="other"),

    # --- namespaces
    Scenario("container client", c("tcp", "foreign", *READ), n=60, how="container", address="{bridge}",
             sides=("client", "server")),
    Scenario("container client that lives", c("tcp", "foreign", *READ, "wait=100"), ("threads", 16), n=60, parallel=16,
             how="container", address="{bridge}", lives=True),
    Scenario("container client, UDP", c("udp", "foreign", "sendto", "report"), ("mute",), "udp", n=60,
             how="container", address="{bridge}"),
    Scenario("pid reuse, seen from outside", c("tcp", "foreign", *ONCE), n=200, how="reused"),
    Scenario("ping, datagram socket", ["{client}", "ping", "{bridge}{i}", "0", "foreign", "sendto", "report"], None,
             "icmp", n=20, most=20, how="container", address="{bridge}", argv=False, kind="other"),
]

# The clients of a namespace where pids come round every 100 processes; flowner runs inside, too.
REUSE = Scenario("pid reuse, pid_max=400", c("tcp", *ONCE), ("threads", 4), n=400, long=250, parallel=4)


def by_name(names):
    """The scenarios whose names contain one of the words of a comma-separated list; all for None."""
    if not names:
        return [*SCENARIOS, REUSE]
    words = [w.strip() for w in names.split(",")]
    return [s for s in [*SCENARIOS, REUSE] if any(w in s.name for w in words)]
