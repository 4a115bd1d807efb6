"""The address book is bounded and ranked, and its file may be lost."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from fedcoin.network.peers.connections import address_book
from fedcoin.network.peers.connections.address_book import MAX_ENTRIES, MAX_FAILURES, AddressBook
from fedcoin.network.peers.connections.endpoints import Endpoint


def end(port: int) -> Endpoint:
    return Endpoint("127.0.0.1", port)


def test_the_most_promising_come_first() -> None:
    book = AddressBook()
    book.add(end(1), b"1")
    book.record_success(end(2), b"2", now=50.0)
    book.record_success(end(3), b"3", now=60.0)
    book.add(end(4), b"4")
    book.record_failure(end(4))
    assert book.candidates(()) == [end(3), end(2), end(1), end(4)]
    assert book.candidates({b"3", b"1"}) == [end(2), end(4)]


def test_addresses_from_peers_do_not_overwrite_known_ones() -> None:
    book = AddressBook()
    book.record_success(end(1), b"right", now=1.0)
    book.add(end(1), b"wrong")
    assert book.candidates({b"right"}) == []


def test_addresses_that_never_worked_are_forgotten() -> None:
    book = AddressBook()
    book.add(end(1), b"1")
    book.record_success(end(2), b"2", now=1.0)
    for _ in range(MAX_FAILURES):
        book.record_failure(end(1))
        book.record_failure(end(2))
    assert end(1) not in book
    assert end(2) in book
    book.record_failure(end(1))
    book.forget(end(2))
    assert len(book) == 0


def test_the_book_is_bounded_and_keeps_addresses_that_worked() -> None:
    book = AddressBook()
    for port in range(1, MAX_ENTRIES + 1):
        book.record_success(end(port), b"k", now=float(port))
    book.add(end(60_000), b"new")
    assert len(book) == MAX_ENTRIES
    assert end(60_000) not in book
    book.record_failure(end(500))
    book.add(end(60_000), b"new")
    assert len(book) == MAX_ENTRIES
    assert end(60_000) in book
    assert end(500) not in book


def test_saved_and_loaded(tmp_path: Path) -> None:
    path = tmp_path / "peers.json"
    book = AddressBook()
    book.record_success(end(1), b"k" * 32, now=77.0)
    book.add(end(2), b"")
    assert book.changed
    address_book.save_address_book(path, book.encode({b"b" * 32: 99.0}))
    assert not book.changed
    loaded, bans = address_book.load_address_book(path)
    assert loaded.candidates(()) == [end(1), end(2)]
    assert loaded.candidates({b"k" * 32}) == [end(2)]
    assert bans.until(b"b" * 32, 98.0) == 99.0
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
        b'{"peers": 3, "bans": []}',
        b'{"peers": [{"address": "nonsense"}], "bans": []}',
        b'{"peers": [{"address": "h:1", "node_key": "xyz"}], "bans": []}',
        b"[" * 100_000,
        b" " * (address_book.MAX_FILE_BYTES + 1),
        json.dumps({"peers": [], "bans": [{"node_key": "00", "until": "soon"}]}).encode(),
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
