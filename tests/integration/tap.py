# SPDX-License-Identifier: Apache-2.0
"""A TAP producer like tests/tap.h, and what every integration test needs: programs, temporary folders, namespaces.

    import tap
    tap.ok(1 + 1 == 2, "addition works")
    tap.is_(got, want, "they agree")
    tap.done()                      # prints the plan; exit status 1 if a check failed or none ran

A check that cannot be done here is tap.skip(name, why): it is counted and shown, never silent.
"""
import atexit
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

BUILD = os.environ.get("FLOWNER_BUILD", "build")
SOURCE = os.environ.get("FLOWNER_SOURCE", ".")

_count = 0
_failed = 0
_netns = 0


def _printable(text):
    return "".join(c if c.isprintable() and c != "#" else f"\\x{ord(c):02x}" for c in str(text))


def ok(cond, name, *notes):
    """One check. Notes are shown when it fails."""
    global _count, _failed
    _count += 1
    print(f"{'' if cond else 'not '}ok {_count} - {_printable(name)}", flush=True)
    if not cond:
        _failed += 1
        caller = sys._getframe(1)
        while caller.f_back and caller.f_code.co_filename == __file__:
            caller = caller.f_back
        print(f"# failed at {os.path.basename(caller.f_code.co_filename)}:{caller.f_lineno}")
        for n in notes:
            note(n)
    return bool(cond)


def is_(got, want, name):
    return ok(got == want, name, f"     got: {got!r}", f"expected: {want!r}")


def has(text, part, name):
    """The text contains the part."""
    return ok(part in text, name, f"     got: {text!r}", f"expected in it: {part!r}")


def note(text):
    for line in str(text).splitlines() or [""]:
        print(f"# {line}", flush=True)


def skip(name, why):
    global _count
    _count += 1
    print(f"ok {_count} - {_printable(name)} # SKIP {_printable(why)}", flush=True)


def skip_all(why):
    """Nothing of this test can be done here."""
    print(f"1..0 # SKIP {_printable(why)}", flush=True)
    sys.exit(0)


def bail(why):
    print(f"Bail out! {_printable(why)}", flush=True)
    sys.exit(1)


def done():
    print(f"1..{_count}", flush=True)
    sys.exit(1 if _failed or not _count else 0)


def amount(usual, long, brief):
    """How much of something: by hand with FLOWNER_LONG more, under the sanitizers (FLOWNER_BRIEF) less."""
    return long if "FLOWNER_LONG" in os.environ else brief if "FLOWNER_BRIEF" in os.environ else usual


def need_root():
    if os.geteuid() != 0:
        skip_all("needs root")


def program(name):
    """Path of a program in the build folder."""
    path = os.path.join(os.path.abspath(BUILD), name)
    if not os.access(path, os.X_OK):
        bail(f"{path} is not built")
    return path


def tmpdir():
    """A folder other users can pass through, removed at exit."""
    path = tempfile.mkdtemp(prefix="flowner-test-")
    os.chmod(path, 0o755)
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


def run(argv, timeout=60, **kwargs):
    """Runs to the end; .returncode, .stdout, .stderr as text. A hang is killed and fails the test's caller."""
    kwargs.setdefault("stdin", subprocess.DEVNULL)
    kwargs.setdefault("errors", "surrogateescape")
    return subprocess.run(argv, capture_output=True, timeout=timeout, **kwargs)


def _die_with_parent():
    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def spawn(argv, **kwargs):
    """Starts a program that is ended at exit if it still runs."""
    kwargs.setdefault("stdin", subprocess.DEVNULL)
    p = subprocess.Popen(argv, preexec_fn=_die_with_parent, **kwargs)
    atexit.register(stop, p)
    return p


def stop(p, sig=signal.SIGTERM, timeout=60):
    """Ends a process made by spawn(); returns its exit status."""
    if p.poll() is None:
        p.send_signal(sig)
        try:
            p.wait(timeout)
        except subprocess.TimeoutExpired:
            p.kill()
            p.wait()
    return p.returncode


def wait_for(cond, timeout=60, step=0.02):
    """Polls until cond() is true; its last value otherwise. A bound against hangs, not a measurement."""
    end = time.monotonic() + timeout
    while True:
        value = cond()
        if value or time.monotonic() >= end:
            return value
        time.sleep(step)


def netns(prefix="t"):
    """A new network namespace with loopback up, removed at exit; returns its name."""
    global _netns
    _netns += 1
    name = f"flowner-{prefix}-{os.getpid()}-{_netns}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    atexit.register(subprocess.run, ["ip", "netns", "del", name], stderr=subprocess.DEVNULL)
    subprocess.run(inside(name, "ip", "link", "set", "lo", "up"), check=True)
    return name


def inside(ns, *argv):
    """The command line that runs argv inside a namespace made by netns(). Not by `ip netns exec` or `ip -n`: they mount
    another /sys, without tracefs and cgroups, and cannot do that in a plain chroot."""
    return ["nsenter", f"--net=/run/netns/{ns}", "--", *argv]


def veth(ns_a, ns_b, net=0):
    """Joins two namespaces: 10.77.NET.1 / fd77:NET::1 in the first, .2 in the second, interfaces v0 in both."""
    subprocess.run(inside(ns_a, "ip", "link", "add", "v0", "type", "veth", "peer", "name", "v0",
                          "netns", ns_b), check=True)
    for ns, host in (ns_a, 1), (ns_b, 2):
        subprocess.run(inside(ns, "ip", "addr", "add", f"10.77.{net}.{host}/24", "dev", "v0"), check=True)
        subprocess.run(inside(ns, "ip", "addr", "add", f"fd77:{net}::{host}/64", "dev", "v0", "nodad"),
                       check=True)
        subprocess.run(inside(ns, "ip", "link", "set", "v0", "up"), check=True)


def uplink(ns, net=200):
    """Joins our own namespace to another: returns the two interfaces' names, 10.77.NET.1 here and .2 there, no IPv6."""
    here, there = f"flw{os.getpid()}a", f"flw{os.getpid()}b"
    subprocess.run(["ip", "link", "add", here, "type", "veth", "peer", "name", there, "netns", ns], check=True)
    atexit.register(subprocess.run, ["ip", "link", "del", here], stderr=subprocess.DEVNULL)
    for prefix, dev, host in ([], here, 1), (inside(ns), there, 2):
        subprocess.run([*prefix, "sysctl", "-qw", f"net.ipv6.conf.{dev}.disable_ipv6=1"], check=True)
        subprocess.run([*prefix, "ip", "addr", "add", f"10.77.{net}.{host}/24", "dev", dev], check=True)
        subprocess.run([*prefix, "ip", "link", "set", dev, "up"], check=True)
    return here, there
