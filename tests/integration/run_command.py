# SPDX-License-Identifier: Apache-2.0
"""`flowner run -- COMMAND` shows the command's connections with both processes, on every kind of path."""
import http.server
import os
import subprocess
import threading

import pipeline
import tap

tap.need_root()
CURL = os.path.realpath("/usr/bin/curl")


class V6Server(http.server.ThreadingHTTPServer):
    address_family = 10  # AF_INET6: takes ::1 and, v4-mapped, 127.0.0.1


class Quiet(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *args):
        pass


def serve(cls, address):
    s = cls((address, 0), Quiet)
    threading.Thread(target=s.serve_forever, daemon=True).start()
    return s.server_address[1]


def shows(name, command, parts, prefix=()):
    """Runs the command under flowner and looks for one line that holds all the parts."""
    r = tap.run([*prefix, tap.program("flowner"), "run", "-o", "text:-", "--", *command], text=True)
    tap.ok(r.returncode == 0, f"{name}: exit status of the command is passed on", r.returncode, r.stderr)
    lines = [l for l in r.stdout.splitlines() if all(p in l for p in parts)]
    tap.ok(lines, f"{name}: one line has {', '.join(parts)}", r.stdout, r.stderr)
    return r


python_exe = os.path.realpath("/proc/self/exe")
v4, v6 = serve(http.server.ThreadingHTTPServer, "127.0.0.1"), serve(V6Server, "::")
me = f"[{os.getpid()}]"

for url, port in ((f"http://127.0.0.1:{v4}/", v4), (f"http://[::1]:{v6}/", v6),
                  (f"http://127.0.0.1:{v6}/", v6)):
    shows(url, ["curl", "-s", "-o", "/dev/null", url], ["curl[", CURL, f"curl -s -o /dev/null {url}", me,
                                                       f":{port}"])

# A v4-mapped client socket: the wire says IPv4.
shows("v4-mapped client", [pipeline.TRUTH, "client", "tcp", "::ffff:127.0.0.1", str(v4)],
      ["truth[", pipeline.TRUTH, f":{v4}", me])

# UDP request and reply.
udp = pipeline.server("udp", "127.0.0.1", 9953)
shows("UDP request and reply", [pipeline.TRUTH, "client", "udp", "127.0.0.1", "9953"],
      ["truth[", ":9953", f"[{udp.server_pid}]"])
udp6 = pipeline.server("udp", "::1", 9954)
shows("UDP over IPv6", [pipeline.TRUTH, "client", "udp", "::1", "9954"],
      ["truth[", ":9954", f"[{udp6.server_pid}]"])

# Across a veth pair: the server lives in another network namespace.
ns = tap.netns()
tap.uplink(ns)
far = pipeline.server("tcp", "10.77.200.2", 9955, prefix=tap.inside(ns))
shows("across a veth pair", [pipeline.TRUTH, "client", "tcp", "10.77.200.2", "9955"],
      ["truth[", "10.77.200.2:9955", f"[{far.server_pid}]"])

# Only the command's own tree, and its exit status.
noise = tap.spawn(["sh", "-c", f"while :; do curl -s -o /dev/null http://127.0.0.1:{v4}/noise; done"])
r = shows("only the tree", ["sh", "-c", f"curl -s -o /dev/null http://127.0.0.1:{v4}/child"],
          ["curl[", "/child"])
noise.kill()
noise.wait()
tap.ok("/noise" not in r.stdout, "another process's connections are not shown", r.stdout)
r = tap.run([tap.program("flowner"), "run", "--", "sh", "-c", "exit 7"], text=True)
tap.ok(r.returncode == 7, "the command's own exit status comes through", r.returncode, r.stderr)

# More events than the rings hold, from before enrich reads them: the command starts when there is room again.
SERVERS = tap.program("tests/integration/servers")
flooded = tap.spawn([SERVERS, "threads", "4", "first", "127.0.0.1", "9956"], stdout=subprocess.DEVNULL)
floods = [tap.spawn([SERVERS, "connect", "100000000", "0", "127.0.0.1", "9956"], stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL, env={**os.environ, "HOW": "first"}) for _ in range(2)]
for i in range(tap.amount(2, 10, 1)):
    shows(f"while others flood, {i + 1}", [pipeline.TRUTH, "client", "tcp", "127.0.0.1", str(v4)],
          ["truth[", pipeline.TRUTH, f":{v4}", me])
tap.ok(all(p.poll() is None for p in (flooded, *floods)), "they did")
for p in (*floods, flooded):
    tap.stop(p)
tap.done()
