"""The address book is bounded and ranked, and its file may be lost."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from fedcoin.network.peers.connections import address_book
from fedcoin.network.peers.connections.address_book import (
    MAX_ENTRIES,
    MAX_FAILURES,
    MAX_NEW_OF_RANGE,
    AddressBook,
)
from fedcoin.network.peers.connections.endpoints import Endpoint
from fedcoin.network.peers.connections.node_addresses import NodeAddress
from fedcoin.network.peers.protection.bans import Bans
from tests.conftest import ReportAttack


def end(port: int, key: bytes = b"k" * 32) -> NodeAddress:
    return NodeAddress(Endpoint("127.0.0.1", port), key)


ONE, TWO = b"1" * 32, b"2" * 32


def test_the_most_promising_come_first() -> None:
    book = AddressBook()
    book.add(end(1, ONE))
    book.record_success(end(2, TWO), now=50.0)
    book.record_success(end(3), now=60.0)
    book.add(end(4))
    book.record_failure(end(4))
    assert book.candidates(()) == [end(3), end(2, TWO), end(1, ONE), end(4)]
    assert book.candidates({b"k" * 32, ONE}) == [end(2, TWO)]


def test_addresses_from_peers_do_not_overwrite_proved_ones() -> None:
    book = AddressBook()
    book.add(end(1, ONE))
    # Both claims are hearsay: the false one must not keep the true one out.
    book.add(end(1, TWO))
    assert len(book) == 2
    assert book.known_key(end(1).endpoint) is None
    book.record_success(end(1, TWO), now=1.0)
    assert book.candidates(()) == [end(1, TWO)]
    assert book.known_key(end(1).endpoint) == TWO
    book.add(end(1, ONE))
    assert book.candidates(()) == [end(1, TWO)]


def test_addresses_that_never_worked_are_forgotten() -> None:
    book = AddressBook()
    book.add(end(1))
    book.record_success(end(2), now=1.0)
    for _ in range(MAX_FAILURES):
        book.record_failure(end(1))
        book.record_failure(end(2))
    assert end(1) not in book
    assert end(2) in book
    book.record_failure(end(1))
    book.forget(end(2).endpoint)
    assert len(book) == 0


def test_the_book_is_bounded_and_keeps_addresses_that_worked() -> None:
    book = AddressBook()
    for port in range(1, MAX_ENTRIES + 1):
        book.record_success(end(port), now=float(port))
    book.add(end(60_000))
    assert len(book) == MAX_ENTRIES
    assert end(60_000) not in book
    book.record_failure(end(500))
    book.add(end(60_000))
    assert len(book) == MAX_ENTRIES
    assert end(60_000) in book
    assert end(500) not in book


def test_pinned_addresses_stay() -> None:
    book = AddressBook()
    book.record_success(end(1), now=0.5, pin=True)
    for port in range(2, MAX_ENTRIES + 1):
        book.record_success(end(port), now=float(port))
    book.record_success(end(50_000), now=1.0, pin=True)
    for _ in range(2 * MAX_FAILURES):
        book.record_failure(end(1))
        book.record_failure(end(50_000))
    for port in range(60_000, 60_000 + 50):
        book.record_failure(end(port - 59_000))
        book.add(end(port))
    assert book.known_key(end(1).endpoint) == book.known_key(end(50_000).endpoint) == b"k" * 32
    # A later success does not unpin.
    book.record_success(end(1), now=9.0)
    assert json.loads(book.encode(Bans(), 0.0))["peers"][0]["pinned"] is True


def test_saved_and_loaded(tmp_path: Path) -> None:
    path = tmp_path / "peers.json"
    book = AddressBook()
    book.record_success(end(1), now=77.0, pin=True)
    book.add(end(2, TWO))
    bans = Bans()
    bans.add(b"b" * 32, now=50.0, seconds=49.0, host="10.0.0.8")
    bans.add_host("10.0.0.7", now=50.0, seconds=49.0)
    assert book.changed
    address_book.save_address_book(path, book.encode(bans, 60.0))
    assert not book.changed
    loaded, loaded_bans = address_book.load_address_book(path)
    assert loaded.candidates(()) == [end(1), end(2, TWO)]
    assert loaded.candidates({b"k" * 32}) == [end(2, TWO)]
    assert loaded.encode(bans, 60.0) == path.read_bytes()
    assert loaded_bans.encode(60.0) == bans.encode(60.0)
    assert loaded_bans.until(b"b" * 32, 98.0) == 99.0
    assert loaded_bans.host_until("10.0.0.7", 98.0) == 99.0
    assert [found.name for found in tmp_path.iterdir()] == ["peers.json"]


def test_without_a_file_it_is_empty(tmp_path: Path) -> None:
    book, bans = address_book.load_address_book(tmp_path / "peers.json")
    assert len(book) == 0
    assert bans.active(0.0) == {}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"version": 1, "peers": [], "bans": []}',
        b'{"version": 2, "peers": 3, "bans": []}',
        b'{"version": 2, "peers": [{"address": "nonsense"}], "bans": []}',
        b'{"version": 2, "peers": [{"address": "h:1"}], "bans": []}',
        b'{"version": 2, "peers": [{"address": "xyz@h:1"}], "bans": []}',
        b"[" * 100_000,
        b" " * (address_book.MAX_FILE_BYTES + 1),
        json.dumps(
            {"version": 2, "peers": [], "bans": [{"node_key": "00", "until": "soon"}]}
        ).encode(),
    ],
)
def test_a_damaged_file_is_a_warning_and_not_a_stop(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "peers.json"
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        book, _ = address_book.load_address_book(path)
    assert len(book) == 0
    assert "starting with an empty address book" in caplog.text


def far(host: str, number: int = 1) -> NodeAddress:
    return NodeAddress(Endpoint(host, 7050), number.to_bytes(32, "big"))


@pytest.mark.attack
def test_one_range_cannot_fill_the_book(report_attack: ReportAttack) -> None:
    book = AddressBook()
    for number in range(300):
        book.add(far(f"198.51.{number // 250}.{number % 250}", number))
    assert len(book) == MAX_NEW_OF_RANGE
    # What was reached is no hearsay, and other ranges have their own room.
    book.record_success(far("198.51.100.1", 1_000), now=5.0)
    book.add(far("203.0.113.1"))
    assert len(book) == MAX_NEW_OF_RANGE + 2
    report_attack(
        "a peer names thousands of addresses in a range that it owns",
        "they push out all other addresses that were not reached yet",
        f"{MAX_NEW_OF_RANGE} of a range are kept, and ranges take turns when peers are chosen",
    )


def test_ranges_take_turns() -> None:
    book = AddressBook()
    many = [far(f"198.51.100.{number}", number) for number in range(1, 6)]
    for time, address in enumerate(many):
        book.record_success(address, now=float(time + 1))
    other = far("203.0.113.1")
    book.record_success(other, now=0.5)
    new = [far("192.0.2.1"), far("2001:db8::1"), far("192.0.2.2", 2)]
    for address in new:
        book.add(address)
    failing = far("203.0.113.2", 2)
    book.record_success(failing, now=9.0)
    book.record_failure(failing)
    # Of those that were reached, the two ranges; then the others, by ranges, those that fail last.
    assert book.candidates(()) == [
        *[many[4], other],
        *many[3::-1],
        *[new[0], new[1], failing],
        new[2],
    ]


def test_this_machine_has_no_limit_of_new_addresses() -> None:
    book = AddressBook()
    for port in range(1, 2 * MAX_NEW_OF_RANGE):
        book.add(end(port))
    assert len(book) == 2 * MAX_NEW_OF_RANGE - 1
