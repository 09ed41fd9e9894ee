# SPDX-License-Identifier: GPL-2.0
"""What every case in the VM uses: commands, namespaces, polling, counters."""

import contextlib
import ctypes
import os
import pathlib
import socket
import subprocess
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
RELEASE = os.uname().release
MODULE = TOP / "build" / RELEASE / "ip_vs_fullnat.ko"
IPVSADM = TOP / "build" / "tools" / "ipvsadm"
STOCK_IPVSADM = "/sbin/ipvsadm"
OUT = pathlib.Path("/out")

# Everything takes several times as long with KASAN and lockdep.
SLOW = 4 if pathlib.Path("/sys/kernel/debug/kmemleak").exists() else 1


NEWNET = 0x40000000                             # CLONE_NEWNET
libc = ctypes.CDLL(None, use_errno=True)


class CommandFailed(AssertionError):
    """A command that should have succeeded did not; carries what it said."""


def _must(status):
    if status:
        raise OSError(ctypes.get_errno(), "unshare or setns")


class Namespace:
    """A network namespace that this process is in between enter() and leave()."""

    def __init__(self, name=None):
        """That of ip netns NAME, or a new one that goes when it is left."""
        self.name = name

    def enter(self):
        self.before = os.open("/proc/self/ns/net", os.O_RDONLY)
        if self.name:
            with open(f"/run/netns/{self.name}", "rb") as f:
                _must(libc.setns(f.fileno(), NEWNET))
        else:
            _must(libc.unshare(NEWNET))
        self.here = os.open("/proc/self/ns/net", os.O_RDONLY)

    @contextlib.contextmanager
    def again(self):
        """Within, this process is in it, which it has entered before and not left."""
        was = os.open("/proc/self/ns/net", os.O_RDONLY)
        _must(libc.setns(self.here, NEWNET))
        try:
            yield
        finally:
            _must(libc.setns(was, NEWNET))
            os.close(was)

    def leave(self):
        _must(libc.setns(self.before, NEWNET))
        os.close(self.before)
        os.close(self.here)


@contextlib.contextmanager
def inside(ns):
    """Within, this process and those it starts are in namespace NS (None: where it was).

    ip netns exec does more (it mounts a sysfs), which nobody here needs and which
    takes longer, on a debug kernel, than most commands.
    """
    if not ns:
        yield
        return
    there = Namespace(ns)
    there.enter()
    try:
        yield
    finally:
        there.leave()


def sh(*cmd, ns=None, check=True, stdin=None, timeout=60):
    """Run CMD (words, or one string for a shell) in namespace NS.

    Returns the completed process with text output. Raises CommandFailed with
    everything it printed unless it succeeded or CHECK is false.
    """
    words = ["sh", "-c", cmd[0]] if len(cmd) == 1 and " " in str(cmd[0]) else list(map(str, cmd))
    with inside(ns):
        done = subprocess.run(words, input=stdin, capture_output=True, text=True,
                              timeout=timeout * SLOW, check=False)
    if check and done.returncode:
        raise CommandFailed(f"{' '.join(words)}: status {done.returncode}\n"
                            f"{done.stdout}{done.stderr}")
    return done


def out(*cmd, **kw):
    """What CMD prints."""
    return sh(*cmd, **kw).stdout


def read(path, ns=None):
    """What is in PATH, as seen from namespace NS (None: this process's)."""
    with inside(ns):
        return pathlib.Path(path).read_text()


def write(path, what):
    """Writes WHAT to PATH, a file of the kernel's, in one go."""
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, str(what).encode())
    finally:
        os.close(fd)


@contextlib.contextmanager
def sysctls(values):
    """Within, the sysctls of VALUES have these; afterwards what they had."""
    paths = {f"/proc/sys/{name.replace('.', '/')}": value for name, value in values.items()}
    before = {path: read(path) for path in paths}
    for path, value in paths.items():
        write(path, value)
    try:
        yield
    finally:
        for path, value in before.items():
            write(path, value)


def spawn(*cmd, ns=None, **kw):
    """Start CMD in NS in the background; the caller ends it."""
    kw.setdefault("stdout", subprocess.DEVNULL)
    kw.setdefault("stderr", subprocess.DEVNULL)
    with inside(ns):
        return subprocess.Popen(list(map(str, cmd)), **kw)


def wait_until(what, predicate, seconds=10, every=0.05):
    """Poll PREDICATE until it holds and return what it gave.

    Fails with WHAT, and what the predicate gave last, after SECONDS (longer on
    a debug kernel).
    """
    deadline = time.monotonic() + seconds * SLOW
    while True:
        got = predicate()
        if got:
            return got
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds * SLOW} s: {what}; last saw {got!r}")
        time.sleep(every)


@contextlib.contextmanager
def later(seconds):
    """Within, the VM's clock of the day is SECONDS ahead."""
    time.clock_settime(time.CLOCK_REALTIME, time.time() + seconds)
    try:
        yield
    finally:
        time.clock_settime(time.CLOCK_REALTIME, time.time() - seconds)


def figure(sentence):
    """Note a SENTENCE that the run prints at its end, whether or not the case passes."""
    with (OUT / "figures").open("a") as f:
        f.write(f"{sentence}\n")


def load(**params):
    """Insert the module, if it is not there."""
    if not pathlib.Path("/sys/module/ip_vs_fullnat").exists():
        sh("modprobe", "-d", os.environ.get("FNAT_MODULES", "/"), "nf_defrag_ipv6")
        sh("insmod", MODULE, *(f"{k}={v}" for k, v in params.items()))


def hold_hooks():
    """Keep netfilter's static keys on, whatever hooks come and go, by a namespace that has all.

    Each would otherwise be patched into the code of the kernel for every case, which takes
    time; and now and then a qemu before 8.1 goes on with what it has translated of such code.
    """
    if pathlib.Path("/run/netns/hooks").exists():
        return
    chains = "\n".join(f"chain {hook} {{ type filter hook {hook} priority 0; }}" for hook in
                       ("prerouting", "input", "forward", "output", "postrouting"))
    sh("ip", "netns", "add", "hooks")
    sh("nft", "-f", "-", stdin=f"table inet held {{\n{chains}\n}}", ns="hooks")
    sh("ip", "-n", "hooks", "link", "add", "held", "type", "veth", "peer", "name", "peer")


def hold_lookahead():
    """The same of looking ahead, whose keys are the module's: hold_hooks() once it is loaded."""
    with inside("hooks"):
        write("/proc/sys/net/ipv4/vs/fullnat_lookahead", 1)


SMALL, TINY = 14, 8         # bits of tables: each namespace gets its own; where all is crowded


def reload(bits):
    """The module anew, with tables of 2^BITS buckets."""
    unload()
    load(conn_tab_bits=bits)
    hold_lookahead()


def unload():
    """Remove the module, if it is there."""
    if pathlib.Path("/sys/module/ip_vs_fullnat").exists():
        sh("rmmod", "ip_vs_fullnat")


def ipvsadm(*args, ns="director", stock=False, check=True, stdin=None):
    """Run our ipvsadm (or Debian's, STOCK) in NS; the completed process."""
    return sh(STOCK_IPVSADM if stock else IPVSADM, *args, ns=ns, check=check, stdin=stdin)


def counters(ns="director"):
    """The events of /proc/net/ip_vs_ext_stats, summed over CPUs, by name."""
    rows = read("/proc/net/ip_vs_ext_stats", ns).splitlines()[1:]
    return {name.strip(): sum(map(int, values.split()))
            for name, values in (row.split(":") for row in rows)}


def conns(ns="director"):
    """/proc/net/ip_vs_conn as a list of dicts, addresses as people write them, ports numbers."""
    def ip(word):
        if ":" in word:
            return socket.inet_ntop(socket.AF_INET6, bytes.fromhex(word.replace(":", "")))
        return ".".join(str(b) for b in bytes.fromhex(word))
    rows = [r.split() for r in read("/proc/net/ip_vs_conn", ns).splitlines()[1:]]
    return [dict(proto=r[0], client=(ip(r[1]), int(r[2], 16)), vip=(ip(r[3]), int(r[4], 16)),
                 rs=(ip(r[5]), int(r[6], 16)), state=r[7], left=int(r[8])) for r in rows]


def dests(ns="director"):
    """ipvsadm -Ln as {(service, real server): (weight, active, inactive)}."""
    found, service = {}, None
    for line in ipvsadm("-Ln", ns=ns).stdout.splitlines()[3:]:
        words = line.split()
        if words[0] == "->":
            found[service, words[1]] = tuple(map(int, words[3:6]))
        else:
            service = words[1]
    return found


def laddrs(ns="director"):
    """ipvsadm -G as {service: {LIP: (conflicts, conns)}}."""
    found, service = {}, None
    for line in ipvsadm("-G", ns=ns).stdout.splitlines()[1:]:
        words = line.split()
        if line[0] != " ":
            service = words[0]
            found[service] = {}
        else:
            found[service][words[0]] = tuple(map(int, words[1:3]))
    return found


def nic(dev, ns):
    """The counters of DEV in NS: a dict of the kernel's statistics."""
    [row] = [row.split(":")[1].split() for row in read("/proc/net/dev", ns).splitlines()
             if row.strip().startswith(f"{dev}:")]
    return dict(zip(("rx_bytes", "rx_packets", "rx_errors", "rx_dropped", "rx_fifo", "rx_frame",
                     "rx_compressed", "multicast", "tx_bytes", "tx_packets", "tx_errors",
                     "tx_dropped"), map(int, row)))
