# SPDX-License-Identifier: GPL-2.0
"""Every allocation fails once: a command is then done wholly or not at all.

Only a kernel with fault injection can do this. It counts the allocations of a
thread and makes the one fail whose number is written to the thread's fail-nth;
commands run in the thread that sends them, and so does a packet from a TAP.
"""

import contextlib
import itertools
import os
import pathlib
from errno import EINVAL

import pytest

from abi import (CONN, DEL_DEST, DEL_LADDR, DEL_SERVICE, FIN_TIMEOUT, FLUSH, GET_CONFIG, GET_CONN,
                 GET_DAEMON, GET_DEST, GET_INFO, GET_LADDR, GET_SERVICE, NEW_DEST, NEW_LADDR,
                 NEW_SERVICE, SERVICE, SET_CONFIG, SET_DEST, SET_SERVICE, TCP_TIMEOUT,
                 UDP_TIMEOUT, ZERO, dest, key, laddr, service, strict)
from lib import lab
from lib.netlink import (ACK, DUMP, GENL, Family, Refused, attr, attrs, be16, ip, nest, string,
                         u16, u32)
from lib.packet import TCP, UDP
from world import LIPS, NEIGHBOURS, SERVERS, VIP, Flow, ip as ip_command, sysctl

INJECT = pathlib.Path("/sys/kernel/debug/fail_page_alloc")
if not INJECT.is_dir():
    pytest.skip("this kernel injects no faults", allow_module_level=True)


@pytest.fixture(scope="module", autouse=True)
def tiny(loaded):
    """Tables so small that no second attempt can save them; and afterwards those that the
    other files' cases expect."""
    for name, value in (("failslab/ignore-gfp-wait", "N"), ("failslab/verbose", 0),
                        ("fail_page_alloc/ignore-gfp-wait", "N"), ("fail_page_alloc/verbose", 0),
                        ("fail_page_alloc/ignore-gfp-highmem", "N"),
                        ("fail_page_alloc/min-order", 0)):
        (INJECT.parent / name).write_text(str(value))
    lab.reload(lab.TINY)
    yield
    lab.reload(lab.SMALL)


class Fault:
    """The failure of this thread's N-th allocation within.

    Afterwards, left is how many it still would have taken: 0 if it did happen.
    """

    def __init__(self, n):
        self.file = os.open("/proc/thread-self/fail-nth", os.O_RDWR)
        self.n = b"%d" % n

    def __enter__(self):
        os.pwrite(self.file, self.n, 0)
        return self

    def __exit__(self, *exc):
        self.left = int(os.pread(self.file, 16, 0))
        self.happened = not self.left
        os.pwrite(self.file, b"0", 0)
        os.close(self.file)


# --- commands --------------------------------------------------------------------

@contextlib.contextmanager
def netlink():
    """A socket of its own, for a dump that failed blocks the one it came by."""
    family = Family()
    try:
        yield family
    finally:
        family.close()


def tell(*requests):
    """Send REQUESTS (command, data), which succeed."""
    with netlink() as family:
        for command, data in requests:
            family.request(command, data)


def name_of(body):
    """A service's nest with what names it in BODY, the whole of another."""
    return nest(SERVICE, *(attr(k, v) for k, v in attrs(body).items() if k <= 5))


def state():
    """All that can be asked, sorted: a list of (command, the attributes)."""
    def rows(replies):
        return sorted((command, sorted(found.items())) for command, found in replies)

    with netlink() as family:
        services = rows(family.dump(GET_SERVICE))
        told = [services, rows(family.request(GET_CONFIG)), rows(family.request(GET_INFO)),
                rows(family.dump(GET_LADDR))]
        for _, found in services:
            which = name_of(dict(found)[SERVICE])
            told += [rows(family.dump(GET_DEST, which)),
                     rows(family.dump(GET_LADDR, strict(which)))]
    return told


def attempt(command, data, n):
    """Send a command whose N-th allocation fails: (what came of it, whether it did fail).

    What came of it is "done", an errno, or None if the answer was lost.
    """
    with netlink() as family:
        fault = Fault(n)
        try:
            with fault:
                seq = family.post(GENL.pack(command, 1, 0) + data, ACK)
            family.answer(seq)
            came = "done"
        except Refused as refused:
            came = refused.errno
        except OSError:
            came = None
        return came, fault.happened


def every_fault(command, data, undo):
    """One after the other: nothing in between, and in the end the command is done.

    UNDO are requests that bring back what was there before it.
    """
    before, outcomes, done = state(), [], None
    for n in itertools.count(1):
        came, happened = attempt(command, data, n)
        outcomes.append(came)
        after = state()
        assert came != EINVAL, f"allocation {n}: EINVAL"
        if came == "done" or came is None and after != before:
            done = done or after
            assert after == done, f"allocation {n}: done, but not wholly"
            if not happened:
                break
            tell(*undo)
            assert state() == before, "not undone"
        else:
            assert happened, f"refused for no reason: {came}"
            assert after == before, f"allocation {n}: {came}, but not as it was"
    lab.figure(f"faults: command {command}: {n - 1} allocations,"
               f" {sum(isinstance(o, int) for o in outcomes)} refusals,"
               f" {outcomes.count(None)} answers lost")
    assert n > 1, "no allocation failed"
    return done


RULES = f"""\
-A -t {VIP}:80 -s rr
-P -t {VIP}:80 -z {LIPS[0]}
-a -t {VIP}:80 -r {SERVERS[0]}:80 -b -w 3 -x 200 -y 100
-a -t {VIP}:80 -r {SERVERS[2]}:80 -b -w 5
-A -t {VIP}:443 -s mh
-a -t {VIP}:443 -r {SERVERS[0]}:443 -b
-a -t {VIP}:443 -r {SERVERS[1]}:443 -b -w 2
-A -u {VIP}:53 -s lblcr
-a -u {VIP}:53 -r {SERVERS[0]}:53 -b
-A -f 7 -s wrr -p 60
-a -f 7 -r {SERVERS[0]}:0 -b
-P -z {LIPS[3]}
"""

MH = dict(sched=string("mh"))
HTTPS = dict(port=be16(443))
DNS = dict(proto=u16(17), port=be16(53))
MARK = dict(proto=None, addr=None, port=None)
OTHER = dict(addr=ip("198.51.100.7"))


def rs(number, port=80, **changes):
    """The nest of server NUMBER of SERVERS."""
    return dest(addr=ip(SERVERS[number]), port=be16(port), **changes)


# What removing VIP:80 takes away, and what brings it back.
REBUILD = [(NEW_SERVICE, service()), (NEW_LADDR, strict(key()) + laddr(LIPS[0])),
           (NEW_DEST, key() + rs(0, weight=u32(3), upper=u32(200), lower=u32(100))),
           (NEW_DEST, key() + rs(2, weight=u32(5)))]

# The same of all services.
REBUILD_ALL = [
    *REBUILD,
    (NEW_SERVICE, service(**HTTPS, **MH)), (NEW_DEST, key(**HTTPS) + rs(0, 443)),
    (NEW_DEST, key(**HTTPS) + rs(1, 443, weight=u32(2))),
    (NEW_SERVICE, service(**DNS, sched=string("lblcr"))), (NEW_DEST, key(**DNS) + rs(0, 53)),
    (NEW_SERVICE, service(**MARK, fwmark=u32(7), sched=string("wrr"), timeout=u32(60),
                          flags=u32(1) + u32(-1))),
    (NEW_DEST, key(**MARK, fwmark=u32(7)) + rs(0, 0)),
]

MANY = laddr("10.98.0.1", "10.98.0.40")

# Name: command, request, what undoes it.
COMMANDS = {
    "add a service": (NEW_SERVICE, service(**OTHER), [(DEL_SERVICE, key(**OTHER))]),
    "add a service of a mark": (
        NEW_SERVICE, service(**MARK, fwmark=u32(8), flags=u32(1) + u32(-1), timeout=u32(9)),
        [(DEL_SERVICE, key(**MARK, fwmark=u32(8)))]),
    "add a service that caches": (NEW_SERVICE, service(**OTHER, sched=string("lblc")),
                                  [(DEL_SERVICE, key(**OTHER))]),
    "edit a service": (SET_SERVICE, service(flags=u32(1) + u32(-1), timeout=u32(5)),
                       [(SET_SERVICE, service())]),
    "edit a service to mh": (SET_SERVICE, service(**MH), [(SET_SERVICE, service())]),
    "edit a service to sh": (SET_SERVICE, service(sched=string("sh")),
                             [(SET_SERVICE, service())]),
    "edit a service to lblc": (SET_SERVICE, service(sched=string("lblc")),
                               [(SET_SERVICE, service())]),
    "edit a service from lblcr": (SET_SERVICE, service(**DNS),
                                  [(SET_SERVICE, service(**DNS, sched=string("lblcr")))]),
    "delete a service": (DEL_SERVICE, key(), REBUILD),
    "add a dest": (NEW_DEST, key() + rs(1), [(DEL_DEST, key() + rs(1))]),
    "add a dest of mh": (NEW_DEST, key(**HTTPS) + rs(2, 443),
                         [(DEL_DEST, key(**HTTPS) + rs(2, 443))]),
    "add a dest of both protocols": (NEW_DEST, key(**MARK, fwmark=u32(7)) + rs(1, 0),
                                     [(DEL_DEST, key(**MARK, fwmark=u32(7)) + rs(1, 0))]),
    "edit a dest": (SET_DEST, key() + rs(2, weight=u32(9), upper=u32(7), lower=u32(1)),
                    [(SET_DEST, key() + rs(2, weight=u32(5)))]),
    "edit a dest of mh": (SET_DEST, key(**HTTPS) + rs(1, 443, weight=u32(0)),
                          [(SET_DEST, key(**HTTPS) + rs(1, 443, weight=u32(2)))]),
    "delete a dest": (DEL_DEST, key() + rs(2), [REBUILD[3]]),
    "delete a dest of mh": (DEL_DEST, key(**HTTPS) + rs(1, 443),
                            [(NEW_DEST, key(**HTTPS) + rs(1, 443, weight=u32(2)))]),
    "add LIPs": (NEW_LADDR, strict(key()) + MANY, [(DEL_LADDR, strict(key()) + MANY)]),
    "add LIPs to the pool": (NEW_LADDR, MANY, [(DEL_LADDR, MANY)]),
    "delete a LIP": (DEL_LADDR, strict(key()) + laddr(LIPS[0]), [REBUILD[1]]),
    "delete a LIP of the pool": (DEL_LADDR, laddr(LIPS[3]), [(NEW_LADDR, laddr(LIPS[3]))]),
    "flush": (FLUSH, b"", REBUILD_ALL),
    "set timeouts": (
        SET_CONFIG, attr(TCP_TIMEOUT, 11) + attr(FIN_TIMEOUT, 12) + attr(UDP_TIMEOUT, 13),
        [(SET_CONFIG, attr(TCP_TIMEOUT, 900) + attr(FIN_TIMEOUT, 120) + attr(UDP_TIMEOUT, 300))]),
}


@pytest.fixture
def configured(world):
    """A bit of everything."""
    sysctl("net.ipv4.vs.run_estimation", 0)         # rates change by themselves
    world.ipvsadm("-R", stdin=RULES)
    return world


@pytest.mark.parametrize("name", COMMANDS)
def test_command(configured, name):
    """Done wholly, or refused and everything as it was."""
    command, data, undo = COMMANDS[name]
    before = configured.configuration()
    every_fault(command, data, undo)
    tell(*undo)
    assert sorted(map(str, configured.configuration())) == sorted(map(str, before))


@pytest.mark.parametrize("command, data", [
    (NEW_SERVICE, service()), (NEW_LADDR, laddr())], ids=["service", "LIP"])
def test_first_of_a_namespace(command, data):
    """It makes the tables and the hook; what fails leaves none, or all."""
    for n in itertools.count(1):
        namespace = lab.Namespace()
        namespace.enter()
        ip_command("link set lo up")
        try:
            before = state()
            came, happened = attempt(command, data, n)
            after = state()
            assert came != EINVAL and (happened or came == "done"), came
            if came is not None:
                assert (after == before) == (came != "done"), f"allocation {n}: {came}"
            if after == before:
                tell((command, data))
            whole = state()
            assert whole != before and (after in (before, whole))
        finally:
            namespace.leave()
        if not happened:
            break
    lab.figure(f"faults: the first command {command} of a namespace: {n - 1} allocations")
    assert n > 1


def test_zero(configured):
    """Statistics: all of them, or none."""
    lab.sh("sysctl", "-qw", "net.ipv4.vs.run_estimation=0")
    flow = configured.udp().open()

    def busy():
        flow.up(payload=b"again")
        return state()

    for data in (b"", key(**DNS)):
        for n in itertools.count(1):
            before = busy()
            came, happened = attempt(ZERO, data, n)
            after = state()
            assert came != EINVAL
            assert (after == before) == (came != "done") or came is None
            tell((ZERO, data))
            assert after in (before, state())
            if not happened:
                break
        assert n > 1


@pytest.mark.parametrize("command, data, dumps", [
    (GET_SERVICE, key(), False), (GET_CONFIG, b"", False), (GET_INFO, b"", False),
    (GET_SERVICE, b"", True), (GET_DEST, key(), True), (GET_LADDR, b"", True),
    (GET_LADDR, strict(key()), True), (GET_DAEMON, b"", True), (GET_CONN, b"", True),
], ids=lambda v: str(v) if isinstance(v, (int, bool)) else "of one" if v else "all")
def test_question(configured, command, data, dumps):
    """Answered in full, or refused; and asked again, answered."""
    configured.ipvsadm("-R", stdin="".join(         # more than a message holds
        f"-A -t {VIP}:{port} -s rr\n" for port in range(1000, 1060)))
    for sport in range(40000, 40004):
        configured.udp(sport).open()

    def ask(family):
        return family.request(command, data, DUMP if dumps else ACK)

    def answer():
        """Without what changes by itself: the seconds left of a connection."""
        with netlink() as family:
            return without_seconds(ask(family))

    whole = answer()
    for n in itertools.count(1):
        fault = Fault(n)
        with netlink() as family:
            try:
                with fault:
                    got = without_seconds(ask(family))
                assert got == whole, f"allocation {n}: not all of it"
            except Refused as refused:
                assert fault.happened and refused.errno != EINVAL
            except OSError:
                assert fault.happened
        assert answer() == whole
        if not fault.happened:
            break
    assert n > 1


def without_seconds(replies):
    """REPLIES, of connections only what stays as it is."""

    def stable(found):
        if CONN in found:
            return sorted((k, v) for k, v in attrs(found[CONN]).items() if k != 13)
        return sorted(found.items())
    return sorted((command, stable(found)) for command, found in replies)


# --- packets ---------------------------------------------------------------------

SERVICES = {
    "tcp": (TCP, "-s rr"),
    "udp": (UDP, "-s rr"),
    "one packet": (UDP, "-s rr -o"),
    "persistent": (TCP, "-s rr -p 60"),
    "lblc": (TCP, "-s lblc"),
    "lblcr": (UDP, "-s lblcr"),
}


def trouble(world, frame, n):
    """Send the client's FRAME while the N-th allocation fails: whether it failed, and
    what was counted of it."""
    before = lab.counters(ns=None)
    fault = Fault(n)
    with contextlib.suppress(OSError), fault:       # it may not even get in
        world.c.send(frame)
    after = lab.counters(ns=None)
    return fault.happened, {k: v - before[k] for k, v in after.items() if v != before[k]}


def attempt_flow(world, flow, flags, n):
    """The first packet of FLOW while the N-th allocation fails, and again if it got lost:
    whether it failed, and "up", "refused" (counted, the client told or not) or "lost"."""
    told = {"refused_rst": 1} if flow.proto == TCP else {"sent_icmp": 1}
    sent = flow.from_client(flags, b"" if flags else b"hello")
    happened, counted = trouble(world, sent, n)
    got = world.s.receive(0.02 * lab.SLOW)
    there = flow.state() is not None
    if got or not happened:
        assert got and counted == {}, f"allocation {n}: {got}, {counted}"
        return happened, "up"
    # Routes take memory, too, unless the kernel has one ready.
    assert counted in ({}, {"drop_no_route": 1}, {"drop_memory": 1}, {"drop_memory": 1, **told}), \
        f"allocation {n}: {counted}"
    assert not (there and counted), f"allocation {n}: counted, and yet {flow.state()}"
    if told.keys() & counted:
        assert world.c.receive(), "counted as told, but was not"
    flow.up(flags, sent.payload)
    return happened, "refused" if counted else "lost"


@pytest.mark.parametrize("name", SERVICES)
def test_new_connection(world, name):
    """It comes up, or it is dropped and counted; sent again, it comes up."""
    proto, options = SERVICES[name]
    which = f"{'-t' if proto == TCP else '-u'} {VIP}:{80 if proto == TCP else 53}"
    port = which.split(":")[1]
    world.ipvsadm("-R", stdin=f"-A {which} {options}\n-P {which} -z {LIPS[0]}\n" + "".join(
        f"-a {which} -r {server}:{port} -b\n" for server in SERVERS))
    came = []
    # Later rounds find the maps of ports, and what schedulers remember, made.
    for _ in range(3):
        for n in itertools.count(1):
            client = NEIGHBOURS[len(came) % len(NEIGHBOURS)]
            flow = Flow(world, proto, 40000 + len(came), client=client)
            happened, what = attempt_flow(world, flow, "S" if proto == TCP else "", n)
            came.append(what)
            world.quiet()
            if not happened:
                break
    lab.figure(f"faults: {len(came)} new connections ({name}): {came.count('refused')} refused,"
               f" {came.count('lost')} lost outside of the module, then up")
    assert "refused" in came
    listed = len(world.conns())
    if name != "one packet":
        templates = sum(not c["client"][1] for c in world.conns())
        assert listed - templates == len(came), f"{listed} listed of {len(came)}"
        assert sum(world.lips()[LIPS[0]][1:]) == len(came)
        assert sum(sum(row) for row in world.active().values()) >= len(came)


def test_refusal(world):
    """No server: the client hears so, or a failure keeps it from hearing; never both."""
    world.service(servers={SERVERS[0]: 0})
    told = silent = 0
    for n in itertools.count(1):
        flow = Flow(world, TCP, 40000 + n)
        happened, counted = trouble(world, flow.from_client("S"), n)
        answer = world.c.receive(0.02 * lab.SLOW)
        assert not world.conns()
        if answer is None:
            assert counted in ({}, {"conn_sched_unreach": 1},
                               {"conn_sched_unreach": 1, "refused_rst": 1}), counted
            silent += 1
        else:
            assert answer.flags == "RA"
            assert counted == {"conn_sched_unreach": 1, "refused_rst": 1}
            told += 1
        world.quiet()
        if not happened:
            break
    assert told and silent
