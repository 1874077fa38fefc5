# SPDX-License-Identifier: Apache-2.0
"""capture.netns: an interface, and a namespace, that goes away and comes back while capture runs, and while it does not."""
import os
import subprocess

import pipeline
import tap

tap.need_root()
PORT = 13400
HERE, THERE = tap.netns("back"), tap.netns("back")
tap.veth(HERE, THERE)
path = os.path.join(tap.tmpdir(), "out.ndjson")
# A namespace that only its process has, and a cable into it.
alone = tap.spawn(["unshare", "-n", "sleep", "600"])
tap.wait_for(lambda: os.readlink(f"/proc/{alone.pid}/ns/net") != os.readlink("/proc/self/ns/net"))
subprocess.run(tap.inside(HERE, "ip", "link", "add", "w0", "type", "veth", "peer", "name", "w1", "netns", str(alone.pid)), check=True)
f = pipeline.Flowner("-v", "--netns", HERE, "--netns", THERE, "-i", "lo", "-i", "v0", "-o", f"ecs:{path}",
                     "--set", "output.flush=20ms", f"tcp port {PORT}")


def ip(ns, *args):
    subprocess.run(tap.inside(ns, "ip", *args), check=True)


def said(text, times=1):
    return tap.wait_for(lambda: f.log().count(text) >= times)


def seen(source, address, namespaces):
    """A connection from @source has a record of each of these, with both owners."""
    s = pipeline.server("tcp", "0.0.0.0", PORT, prefix=tap.inside(THERE))
    r = tap.run(tap.inside(source, pipeline.TRUTH, "launch", "1", "1", "tcp", address, str(PORT)), text=True)
    _, port, pid = r.stdout.split()[:3]

    def found():
        """As far as written: a line may be on its way."""
        with open(path, "rb") as out:
            if not out.read().endswith(b"\n"):
                return {}
        return {x["flowner"].get("netns"): (x.get("process", {}).get("pid"),
                                            x["flowner"].get("responder", {}).get("process", {}).get("pid"))
                for x in pipeline.connections(pipeline.records(path), "end") if x["source"]["port"] == int(port)}

    wanted = {ns: (int(pid), s.server_pid) for ns in namespaces}
    ok = tap.wait_for(lambda: found() == wanted)
    tap.stop(s)
    return ok or tap.note(f"wanted {wanted}, found {found()}: {f.log()[-2000:]}")


def has(name):
    """Capture's latest life has both interfaces of this name, and is ready."""
    def latest():
        return f.log().rsplit("capturing on ", 1)[1].partition("\n")[0].count(f":{name} ") == 2 and f.ready()
    return tap.wait_for(latest)


def between(what):
    tap.ok(seen(HERE, "10.77.0.2", (HERE, THERE)), what)


between("both ends of a cable between two namespaces are captured")
alone.kill()
alone.wait()
tap.ok(tap.wait_for(lambda: tap.run(tap.inside(HERE, "ip", "link", "show", "w0")).returncode), "a namespace goes with its process")
ip(THERE, "link", "del", "v0")
tap.ok(said(f"{HERE}:v0: The interface disappeared: waiting for it to come back") and
       said(f"{THERE}:v0: The interface disappeared: waiting for it to come back"), "it is gone: the log says so of either end")
tap.ok(seen(THERE, "127.0.0.1", (THERE,)), "what is left there is captured meanwhile")
first = f.pid("capture")
tap.veth(HERE, THERE)
tap.ok(said(f"{HERE}:v0: back again") and said(f"{THERE}:v0: back again"), "another of its name is taken for it")
between("and captured")
tap.is_(f.pid("capture"), first, "by the same process")

ip(THERE, "link", "del", "v0")
tap.ok(said("waiting for it to come back", 4), "it goes once more")
f.kill("capture")
for ns in HERE, THERE:
    tap.ok(said(f"no such interface: {ns}:v0 (`ip link` lists them, \"any\" is all of them), ignoring it until it is there"),
           "the next life of capture starts without it, and says so")
tap.ok(seen(THERE, "127.0.0.1", (THERE,)), "what is left is captured")
tap.veth(HERE, THERE)
tap.ok(said("v0: is there now: starting again to capture on it"), "it sees it come")
tap.ok(has("v0"), "until a life of it has both ends")
between("and captures them")

ip(THERE, "link", "set", "v0", "down")
f.kill("capture")
tap.ok(said(f"interface {THERE}:v0 is down"), "one that is there, but down")
ip(THERE, "link", "set", "v0", "up")
tap.ok(said(f"{THERE}:v0: is there now") and has("v0"), "is captured on once it is up")
between("as before")

subprocess.run(["ip", "netns", "del", THERE], check=True)
tap.ok(said(f"{THERE}:lo: the network namespace is gone"), "a namespace goes")
lives = f.log().count("capturing on ")
subprocess.run(["ip", "netns", "add", THERE], check=True)
ip(THERE, "link", "set", "lo", "up")
tap.ok(said(f"{THERE}: is there now") and tap.wait_for(lambda: f.log().count("capturing on ") > lives) and has("lo"),
       "another of its name is seen to come")
tap.ok(seen(THERE, "127.0.0.1", (THERE,)), "and captured in")
subprocess.run(["ip", "netns", "del", THERE], check=True)
tap.ok(said(f"{THERE}:lo: the network namespace is gone", 2), "it goes, too")
f.kill("capture")
tap.ok(said(f"no network namespace {THERE}, ignoring it until it is there"), "capture starts without it, and says so")
subprocess.run(["ip", "netns", "add", THERE], check=True)
tap.ok(said(f"{THERE}: is there now", 2), "a third is seen to come")
ip(THERE, "link", "set", "lo", "up")
tap.ok(has("lo"), "and opened as soon as anything in it is up")
tap.ok(seen(THERE, "127.0.0.1", (THERE,)), "and captured in")

# A link of a kind that cannot be captured on, as no life has seen before: CAN's, 280.
CAN = """import fcntl, struct
tun = open("/dev/net/tun", "rb+", buffering=0)
fcntl.ioctl(tun, 0x400454ca, struct.pack("16sH22x", b"v0", 1))
fcntl.ioctl(tun, 0x400454cd, 280)
fcntl.ioctl(tun, 0x400454cb, 1)"""
r = tap.run(tap.inside(HERE, "python3", "-c", CAN), text=True)
if r.returncode:
    tap.skip("an interface comes back as a kind that cannot be captured on", r.stderr)
else:
    ip(HERE, "link", "set", "v0", "up")
    tap.ok(said("ignoring it until it is another"), "a kind that cannot be captured on is said to be one")
    tap.ok(has("lo") and seen(THERE, "127.0.0.1", (THERE,)), "what is left is captured")
    lives = f.log().count("capturing on ")
    ip(HERE, "link", "set", "v0", "down")
    ip(HERE, "link", "set", "v0", "up")
    tap.ok(seen(THERE, "127.0.0.1", (THERE,)) and f.log().count("capturing on ") == lives, "nobody starts again for it")
    ip(HERE, "link", "del", "v0")
    tap.veth(HERE, THERE)
    tap.ok(tap.wait_for(lambda: f.log().count("capturing on ") > lives) and has("v0"), "until it is another")
    between("which is captured")
tap.is_(f.stop(), 0, "all ends well")
tap.done()
