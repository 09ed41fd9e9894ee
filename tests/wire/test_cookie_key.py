# SPDX-License-Identifier: GPL-2.0
"""The operator's key of the SYN proxy: what directors that share it take of each other."""

import time

import pytest

from abi import COOKIE_KEY, DEL_KEY, GET_CONFIG, GET_INFO, SET_KEY
from lib import lab
from lib.netlink import Refused, attr, number
from lib.packet import TCP
from proxied import Guarded
from world import World

BOTH_FAMILIES = True
AGE = 65                            # FNAT_INFO_ATTR_SYNPROXY_KEY_AGE
ONE, TWO, THREE = (bytes([i] * 16) for i in range(1, 4))
WINDOW = 64                         # s; FNAT_COOKIE_WINDOW
ENABLE, AUTO = 1, 2


@pytest.fixture(autouse=True)
def window_that_begins():
    """A case has all of a window for what has to happen within one."""
    with lab.later(WINDOW - time.time() % WINDOW):
        yield


class Cluster:
    """Two directors that have all addresses in common, each in a namespace of its own."""

    def __init__(self, world):
        self.first, self.second = world, World(world.plan)
        self.sport = 40000

    def close(self):
        self.second.close()

    def key(self, world, key):
        """WORLD is given KEY."""
        with world.namespace.again():
            world.set_key(key)

    def cookie(self, world):
        """A flow that WORLD has given a cookie."""
        self.sport += 1
        with world.namespace.again():
            flow = Guarded(world, TCP, self.sport)
            flow.syn()
        return flow

    def takes(self, world, flow):
        """Whether WORLD takes FLOW's cookie: it dials a server, or drops it and counts that."""
        flow.world = world
        with world.namespace.again():
            before = lab.counters(ns=None)
            world.c.send(flow.from_client("A"))
            after = lab.counters(ns=None)
            good, bad = (after[f"synproxy_{n}_ack"] - before[f"synproxy_{n}_ack"]
                         for n in ("ok", "bad"))
            stray = after["tcp_stray"] - before["tcp_stray"]
            assert good + bad + stray == 1
            if good:
                assert world.s.receive(2 * lab.SLOW).flags == "S"
            return bool(good)

    def share(self):
        """Whether each takes what the other gives."""
        return [self.takes(there, self.cookie(here))
                for here, there in ((self.first, self.second), (self.second, self.first))]


@pytest.fixture
def cluster(world):
    """Two directors with a guarded service, and neither has given a cookie yet."""
    made = Cluster(world)
    try:
        for director in (made.first, made.second):
            with director.namespace.again():
                director.service(synproxy=ENABLE)
        yield made
    finally:
        made.close()


def test_keys_of_their_own(cluster):
    """Nobody else knows them."""
    assert cluster.share() == [False, False]


def test_one_key_for_all(cluster):
    """Set before the first cookie it is used at once."""
    for director in (cluster.first, cluster.second):
        cluster.key(director, ONE)
    assert cluster.share() == [True, True]
    with lab.later(7200):
        assert cluster.share() == [True, True], "it has worn out"
    cluster.key(cluster.first, ONE)
    assert cluster.share() == [True, True]


def test_another_key(cluster):
    """A key is all that they need to have in common."""
    cluster.key(cluster.first, ONE)
    cluster.key(cluster.second, TWO)
    assert cluster.share() == [False, False]


def test_first_key_in_service(cluster):
    """What its own keys have sealed is good still; the given one counts at once, seals later."""
    flow = cluster.cookie(cluster.first)
    cluster.key(cluster.second, ONE)
    cluster.key(cluster.first, ONE)
    assert cluster.takes(cluster.first, flow)
    assert cluster.share() == [False, True]
    with lab.later(3 * WINDOW):
        assert cluster.share() == [True, True]


def test_key_is_rolled(cluster):
    """One director after the other, and no handshake is lost at any time between."""
    directors = (cluster.first, cluster.second)
    for director in directors:
        cluster.key(director, ONE)
    assert cluster.share() == [True, True]
    before = cluster.cookie(cluster.first)
    cluster.key(cluster.first, TWO)
    assert cluster.share() == [True, True], "it was used before all have it"
    with lab.later(WINDOW):
        assert cluster.share() == [True, True]
        cluster.key(cluster.second, TWO)
        assert cluster.takes(cluster.second, before)
        for ahead in (1, 2):
            with lab.later(ahead * WINDOW):
                assert cluster.share() == [True, True]
    with lab.later(5 * WINDOW):
        assert cluster.share() == [True, True]


def test_old_key_is_good_for_a_lifetime(cluster):
    """After the new one has begun to seal, and no longer."""
    for director in (cluster.first, cluster.second):
        cluster.key(director, ONE)
    assert cluster.share() == [True, True]
    cluster.key(cluster.first, TWO)
    with lab.later(4 * WINDOW):
        assert cluster.takes(cluster.first, cluster.cookie(cluster.second))
        assert not cluster.takes(cluster.second, cluster.cookie(cluster.first))
    with lab.later(5 * WINDOW):
        assert not cluster.takes(cluster.first, cluster.cookie(cluster.second))


def test_back_to_keys_of_its_own(cluster):
    """At once, and what the old key has sealed is good still."""
    for director in (cluster.first, cluster.second):
        cluster.key(director, ONE)
    flow = cluster.cookie(cluster.first)
    cluster.key(cluster.first, None)
    assert cluster.takes(cluster.first, flow)
    assert cluster.share() == [False, True]
    with lab.later(2 * WINDOW):
        assert cluster.share() == [False, False]


def test_two_keys_and_no_more(cluster):
    """Cookies of both are good; a third key has to wait, its sentence says so."""
    cluster.key(cluster.first, ONE)
    flows = [cluster.cookie(cluster.first)]
    cluster.key(cluster.second, TWO)
    cluster.key(cluster.first, TWO)
    flows.append(cluster.cookie(cluster.second))
    for ahead in (0, 5):
        with lab.later(ahead * WINDOW):
            for key in (THREE, ONE, None):
                with pytest.raises(Refused, match="under way: try again in seven minutes"):
                    cluster.key(cluster.first, key)
    cluster.key(cluster.first, TWO)
    assert [cluster.takes(cluster.first, flow) for flow in flows] == [True, True]
    with lab.later(6 * WINDOW):
        cluster.key(cluster.first, THREE)


def test_own_key_is_renewed(cluster):
    """Each hour, from a window of its own on; what the old one has sealed is good still."""
    cluster.cookie(cluster.first)
    with lab.later(3600 + 2 * WINDOW):
        old = cluster.cookie(cluster.first)
    with lab.later(3600 + 3 * WINDOW):
        new = cluster.cookie(cluster.first)
        assert [cluster.takes(cluster.first, flow) for flow in (old, new)] == [True, True]
        cluster.key(cluster.first, ONE)


def test_clock_is_set_back(cluster):
    """As a host's may be after boot: what is sealed then is taken."""
    cluster.cookie(cluster.first)
    with lab.later(-7200):
        assert cluster.takes(cluster.first, cluster.cookie(cluster.first))


@pytest.mark.parametrize("length", [0, 1, 15, 17, 32, 400])
def test_bad_lengths(cluster, length):
    """Refused with a sentence, and nothing has changed."""
    cluster.key(cluster.first, ONE)
    cluster.key(cluster.second, ONE)
    with cluster.first.namespace.again():
        with pytest.raises(Refused, match="A key has 16 bytes: 32 hex digits"):
            cluster.first.nl.request(SET_KEY, attr(COOKIE_KEY, b"k" * length))
        with pytest.raises(Refused, match="A key has 16 bytes: 32 hex digits"):
            cluster.first.nl.request(SET_KEY)
        with pytest.raises(Refused, match="a key of zeros"):
            cluster.first.set_key(bytes(16))
    assert cluster.share() == [True, True]


def test_nobody_is_told(world):
    """That there is one, and since when: but not which."""
    key = bytes.fromhex("c0ffee0ddba11feedfacecafe5eaf00d")

    def said():
        return [data for command in (GET_INFO, GET_CONFIG)
                for _, reply in world.nl.request(command) for data in reply.values()]

    assert AGE not in world.nl.request(GET_INFO)[0][1]
    world.set_key(key)
    assert number(world.nl.request(GET_INFO)[0][1][AGE]) <= 5 * lab.SLOW
    assert not [data for data in said() if key in data or key[::-1] in data]
    assert world.nl.request(SET_KEY, attr(COOKIE_KEY, key)) == world.nl.request(DEL_KEY) == []
    assert AGE not in world.nl.request(GET_INFO)[0][1]


def test_automatic_at_rest(cluster):
    """With a common key it takes what the other gives, which may be under attack."""
    for director in (cluster.first, cluster.second):
        cluster.key(director, ONE)
    with cluster.second.namespace.again():
        cluster.second.delete_service()
        cluster.second.service(synproxy=AUTO)
    with lab.later(3 * WINDOW):
        assert cluster.takes(cluster.second, cluster.cookie(cluster.first))
