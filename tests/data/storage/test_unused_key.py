"""The note of a key that has signed nothing holds for one file and one start of the machine."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from fedcoin.data.crypto.key_files import save_key
from fedcoin.data.storage.unused_key import UnusedKeyFile, read_boot_id
from tests.support.keys import ALICE


@pytest.fixture
def note(tmp_path: Path) -> UnusedKeyFile:
    key = tmp_path / "keys" / "node.key"
    key.parent.mkdir()
    save_key(key, ALICE)
    made = UnusedKeyFile(key, "start 1")
    made.write()
    return made


def test_it_holds_until_it_is_consumed(note: UnusedKeyFile) -> None:
    assert note.holds()
    note.consume()
    assert not note.holds()
    note.consume()


def test_it_does_not_outlive_the_machines_start(note: UnusedKeyFile) -> None:
    """An image of the disk, with its inodes, runs after a start of its own."""
    assert not UnusedKeyFile(note.key_path, "start 2").holds()


def test_a_copy_does_not_hold(note: UnusedKeyFile) -> None:
    copy = note.key_path.parents[1] / "copy"
    shutil.copytree(note.key_path.parent, copy)
    assert not UnusedKeyFile(copy / "node.key", "start 1").holds()
    assert note.holds()


def test_a_note_that_a_backup_brings_back_does_not_hold(note: UnusedKeyFile) -> None:
    """`rsync -a --delete` restores the note and deletes the record, and leaves the key in place."""
    before = note.path.read_bytes()
    note.consume()
    note.path.write_bytes(before)
    assert not note.holds()


def test_a_note_that_was_not_there_does_not_come_either(note: UnusedKeyFile) -> None:
    before = note.path.read_bytes()
    note.path.unlink()
    note.consume()
    note.path.write_bytes(before)
    assert not note.holds()


def test_a_note_without_its_key_is_deleted(note: UnusedKeyFile) -> None:
    note.key_path.unlink()
    note.consume()
    assert not note.path.exists()


def test_a_hard_link_to_the_key_ends_it(note: UnusedKeyFile) -> None:
    os.link(note.key_path, note.key_path.with_name("other.key"))
    assert not note.holds()


def test_another_key_of_that_name_does_not_have_it(note: UnusedKeyFile) -> None:
    note.key_path.unlink()
    assert not note.holds()
    save_key(note.key_path, ALICE)
    assert not note.holds()


def test_nothing_is_noted_without_a_number_of_the_start(note: UnusedKeyFile) -> None:
    note.consume()
    nameless = UnusedKeyFile(note.key_path, "")
    nameless.write()
    assert not nameless.path.exists()
    note.write()
    assert not nameless.holds()


@pytest.mark.skipif(not Path("/proc/sys/kernel/random").exists(), reason="Linux alone has it")
def test_the_systems_number_stays_while_it_runs() -> None:
    assert read_boot_id() == read_boot_id() != ""
