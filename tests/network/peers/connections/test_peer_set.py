"""Which peers may join: validators first, few from one host, and none that is banned or refused."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest

from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import RefusalError
from fedcoin.network.call_limits import CallLimiter, CallLimits
from fedcoin.network.errors import NetworkCode
from fedcoin.network.peer_options import PeerOptions
from fedcoin.network.peers.connections.handshake import Identity
from fedcoin.network.peers.connections.peer import SILENT_S, Peer
from fedcoin.network.peers.connections.peer_set import PeerClocks, PeerSet
from fedcoin.network.peers.protection.bans import MAX_BANNED_KEYS_OF_HOST, Bans
from fedcoin.network.peers.protection.reputation import Offence
from tests.conftest import ReportAttack
from tests.support.keys import MINERS, STRANGER, key_of

OPTIONS = PeerOptions(max_inbound=8, max_inbound_of_host=3)
VALIDATORS = {key.public_key: 1000 * number for number, key in enumerate(MINERS, 1)}


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def peers(clock: Clock) -> PeerSet:
    return make_peers(clock)


def make_peers(clock: Clock, options: PeerOptions = OPTIONS) -> PeerSet:
    return PeerSet(
        options, Bans(), PeerClocks(clock, clock), lambda node_key: VALIDATORS.get(node_key, 0)
    )


def join(peers: PeerSet, key: KeyPair, host: str) -> None:
    identity = Identity(key.public_key, "test/1", None, 0)
    peers.check_admission(key.public_key, host)
    peers.admit(identity, f"ipv4:{host}:5", host)


def peer_of(peers: PeerSet, key: KeyPair) -> Peer:
    peer = peers.get(key.public_key)
    assert peer is not None
    return peer


def refused(peers: PeerSet, key: KeyPair, host: str) -> NetworkCode:
    with pytest.raises(RefusalError) as caught:
        join(peers, key, host)
    assert isinstance(caught.value.code, NetworkCode)
    return caught.value.code


def strangers(number: int, name: str = "stranger") -> list[KeyPair]:
    return [key_of(f"{name} {index}") for index in range(number)]


@pytest.mark.attack
def test_one_host_cannot_take_all_places(peers: PeerSet, report_attack: ReportAttack) -> None:
    *first, fourth = strangers(4)
    for key in first:
        join(peers, key, "10.0.0.1")
    assert refused(peers, fourth, "10.0.0.1") is NetworkCode.NO_ROOM
    join(peers, fourth, "10.0.0.2")
    # A peer that is connected already may connect again.
    join(peers, first[0], "10.0.0.1")
    assert len(peers) == 4
    report_attack(
        "one host connects with fresh keys until no inbound place is left",
        "all inbound places",
        "the places of one host; then `NO_ROOM`",
    )


def test_addresses_of_one_ipv6_network_are_one_host(peers: PeerSet) -> None:
    for number, key in enumerate(strangers(3)):
        join(peers, key, f"2001:db8::{number}")
    assert refused(peers, STRANGER, "2001:db8::ffff:1") is NetworkCode.NO_ROOM
    join(peers, STRANGER, "2001:db8:0:1::1")


@pytest.mark.attack
def test_neighbours_of_a_validator_take_nothing_of_its_own(
    clock: Clock, report_attack: ReportAttack
) -> None:
    peers = make_peers(clock)
    limits = CallLimits(hosts=peers.hosts, calls_per_second=0.001, burst=8)
    limiter = CallLimiter(limits, clock)

    def call(host: str) -> None:
        with limiter.admit(f"ipv6:%5B{host}%5D:5", is_stream=False):
            pass

    join(peers, MINERS[0], "2001:db8::1")
    with suppress(RefusalError):
        for number in range(2, 20):
            call(f"2001:db8::{number:x}")
    call("2001:db8::1")
    with pytest.raises(RefusalError, match="2001:db8::/64"):
        call("2001:db8::abcd")
    # Three places are left to the others of its network; a stranger at its address is like them.
    for key in strangers(3):
        join(peers, key, "2001:db8::5")
    assert refused(peers, STRANGER, "2001:db8::6") is NetworkCode.NO_ROOM
    report_attack(
        "from the same /64 network as a validator, use up what its host may call and connect",
        "the validator is refused, and the kernel drops its connections for 60 s, again and again",
        "the address from which a validator proved its key last is a host of its own",
    )


def test_loopback_is_exempt(peers: PeerSet) -> None:
    for key in strangers(OPTIONS.max_inbound):
        join(peers, key, "127.0.0.1")
    assert refused(peers, STRANGER, "127.0.0.1") is NetworkCode.NO_ROOM


def test_a_name_that_a_peer_claims_does_not_hide_its_host(peers: PeerSet) -> None:
    # `Peer.host` becomes the name under which the peer was dialled; the limit must not follow it.
    for key in strangers(3):
        join(peers, key, "10.0.0.1")
        peer = peer_of(peers, key)
        peer.host = f"{key.address.hex()}.example.org"
    assert refused(peers, STRANGER, "10.0.0.1") is NetworkCode.NO_ROOM


def test_validators_take_the_places_of_strangers(peers: PeerSet) -> None:
    crowd = strangers(OPTIONS.max_inbound)
    for number, key in enumerate(crowd):
        join(peers, key, f"10.0.0.{number}")
    useful = peer_of(peers, crowd[0])
    useful.useful_blocks = 5
    assert refused(peers, STRANGER, "10.0.1.1") is NetworkCode.NO_ROOM
    for key in MINERS:
        join(peers, key, "10.0.1.1" if key is MINERS[0] else "10.0.1.2")
    assert len(peers) == OPTIONS.max_inbound
    assert all(peers.get(key.public_key) for key in MINERS)
    # Of peers without power, the useful ones stay longest.
    assert peers.get(crowd[0].public_key) is useful


def test_a_silent_peer_makes_way_for_anybody(peers: PeerSet, clock: Clock) -> None:
    crowd = [*strangers(OPTIONS.max_inbound - 1), MINERS[0]]
    for number, key in enumerate(crowd):
        join(peers, key, f"10.0.0.{number}")
    clock.now += SILENT_S - 0.1
    silent = [crowd[0], MINERS[0]]
    for key in crowd[1:-1]:
        peer_of(peers, key).last_seen = clock.now
    assert refused(peers, STRANGER, "10.0.1.1") is NetworkCode.NO_ROOM
    clock.now += 0.2
    join(peers, STRANGER, "10.0.1.1")
    # The one with less power; the validator keeps its place while others are silent.
    assert [peers.get(key.public_key) is not None for key in silent] == [False, True]
    assert not peer_of(peers, STRANGER).is_silent(clock.now)


def test_a_validator_displaces_less_power_only(peers: PeerSet) -> None:
    for key in MINERS[1:4]:
        join(peers, key, "10.0.0.1")
    # The weakest of its host has more power.
    assert refused(peers, MINERS[0], "10.0.0.1") is NetworkCode.NO_ROOM
    join(peers, MINERS[0], "10.0.0.2")
    for key in strangers(2):
        join(peers, key, "10.0.0.2")
    peers.drop(peer_of(peers, MINERS[3]), "test")
    join(peers, MINERS[3], "10.0.0.2")
    assert peers.get(MINERS[0].public_key) is not None


@pytest.mark.attack
def test_a_claimed_key_displaces_nobody(peers: PeerSet, report_attack: ReportAttack) -> None:
    crowd = strangers(OPTIONS.max_inbound)
    for number, key in enumerate(crowd):
        join(peers, key, f"10.0.0.{number}")
    # This is what Hello does, before the key is proved.
    peers.check_admission(MINERS[0].public_key, "10.0.1.1")
    assert all(peers.get(key.public_key) for key in crowd)
    report_attack(
        "a stranger claims the key of a validator, to take the place of others",
        "no more than now",
        "no place before the key is proved",
    )


@pytest.mark.attack
def test_a_host_with_three_banned_keys_is_banned(
    peers: PeerSet, clock: Clock, report_attack: ReportAttack
) -> None:
    join(peers, MINERS[0], "10.0.0.2")
    for key in strangers(MAX_BANNED_KEYS_OF_HOST):
        join(peers, key, "10.0.0.1")
        peer = peer_of(peers, key)
        peers.punish(peer, Offence.BAD_BLOCK, "test")
        assert refused(peers, key, "10.0.0.9") is NetworkCode.BANNED
    assert refused(peers, STRANGER, "10.0.0.1") is NetworkCode.BANNED
    assert peers.is_banned(None, "10.0.0.1")
    assert not peers.is_banned(None, "10.0.0.2")
    join(peers, STRANGER, "10.0.0.2")
    clock.now += OPTIONS.ban_s
    join(peers, strangers(1, "new")[0], "10.0.0.1")
    report_attack(
        "a host comes back with a fresh key after each ban",
        "another try for each key",
        "three tries; then the host is banned",
    )


@pytest.mark.attack
def test_strangers_do_not_get_a_validator_banned_at_whose_address_they_are(
    peers: PeerSet, report_attack: ReportAttack
) -> None:
    join(peers, MINERS[0], "10.0.0.1")
    for key in strangers(MAX_BANNED_KEYS_OF_HOST):
        # The validator has one of the host's places.
        peers.drop(peer_of(peers, MINERS[0]), "test")
        join(peers, key, "10.0.0.1")
        join(peers, MINERS[0], "10.0.0.1")
        peers.punish(peer_of(peers, key), Offence.BAD_BLOCK, "test")
    assert refused(peers, STRANGER, "10.0.0.1") is NetworkCode.BANNED
    peer_of(peers, MINERS[0])
    join(peers, MINERS[1], "10.0.0.1")
    assert not peers.is_banned(MINERS[2].public_key, "10.0.0.1")
    report_attack(
        "strangers behind the address of a validator get the address banned",
        "no more than now",
        "the validator stays connected",
    )


def test_an_exempt_host_is_not_banned(peers: PeerSet) -> None:
    for key in strangers(2 * MAX_BANNED_KEYS_OF_HOST):
        join(peers, key, "127.0.0.1")
        peers.punish(peer_of(peers, key), Offence.BAD_BLOCK, "test")
    join(peers, STRANGER, "127.0.0.1")


def test_the_operator_bans_a_host(peers: PeerSet) -> None:
    join(peers, STRANGER, "2001:db8::1")
    join(peers, MINERS[0], "10.0.0.1")
    peers.ban_host("2001:db8::7", 60, "test")
    assert peers.get(STRANGER.public_key) is None
    assert refused(peers, STRANGER, "2001:db8::1") is NetworkCode.BANNED
    assert len(peers) == 1


def test_refused_keys_neither_join_nor_are_dialled(clock: Clock) -> None:
    options = replace(OPTIONS, refused_keys=frozenset({STRANGER.public_key}))
    peers = make_peers(clock, options)
    assert refused(peers, STRANGER, "127.0.0.1") is NetworkCode.KEY_REFUSED
    assert STRANGER.public_key in peers.banned()


def test_a_bad_signature_ends_the_connection_before_it_bans(peers: PeerSet) -> None:
    join(peers, STRANGER, "10.0.0.1")
    peer = peer_of(peers, STRANGER)
    for _ in range(5):
        # What else arrives on the connection that has ended does not count.
        peers.punish(peer, Offence.BAD_SIGNATURE, "test")
    assert peers.get(STRANGER.public_key) is None
    assert not peers.banned()
    # A further one needs another handshake, and the score has not been forgotten.
    join(peers, STRANGER, "10.0.0.1")
    peers.punish(peer_of(peers, STRANGER), Offence.BAD_SIGNATURE, "test")
    assert peers.banned() == {STRANGER.public_key}
