from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nacl import pwhash

from fedcoin.data.crypto.key_files import Argon2Cost, inspect_key, load_key, save_key
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import DataCode, RefusalError

QUICK = Argon2Cost(pwhash.argon2id.OPSLIMIT_MIN, pwhash.argon2id.MEMLIMIT_MIN)


def refused(path: Path, passphrase: str | None = None) -> RefusalError:
    with pytest.raises(RefusalError) as caught:
        load_key(path, passphrase)
    return caught.value


def rewrite(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_bytes())
    change(content)
    path.write_text(json.dumps(content))


def test_a_plain_key(tmp_path: Path, key: KeyPair) -> None:
    path = tmp_path / "key.json"
    save_key(path, key)
    assert load_key(path) == key
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["key.json"]


def test_a_sealed_key(tmp_path: Path, key: KeyPair) -> None:
    path = tmp_path / "key.json"
    save_key(path, key, "correct horse", QUICK)
    assert load_key(path, "correct horse") == key
    assert key.seed.hex() not in path.read_text()
    for passphrase in ("wrong horse", "", None):
        assert refused(path, passphrase).code is DataCode.WRONG_PASSPHRASE


def test_the_usual_cost_is_not_small() -> None:
    assert Argon2Cost().memlimit >= 64 << 20


def test_seals_differ(tmp_path: Path, key: KeyPair) -> None:
    for name in "ab":
        save_key(tmp_path / name, key, "same", QUICK)
    assert (tmp_path / "a").read_bytes() != (tmp_path / "b").read_bytes()


def test_an_encrypted_key_shows_its_address_without_the_passphrase(
    tmp_path: Path, key: KeyPair
) -> None:
    save_key(tmp_path / "plain", key)
    save_key(tmp_path / "sealed", key, "x", QUICK)
    plain, sealed = inspect_key(tmp_path / "plain"), inspect_key(tmp_path / "sealed")
    assert plain.address == sealed.address == key.address
    assert plain.public_key == sealed.public_key == key.public_key
    assert (plain.is_encrypted, sealed.is_encrypted) == (False, True)


def test_a_key_is_never_overwritten(tmp_path: Path, key: KeyPair) -> None:
    path = tmp_path / "key.json"
    save_key(path, key)
    with pytest.raises(RefusalError) as caught:
        save_key(path, KeyPair.generate())
    assert caught.value.code is DataCode.BAD_KEY_FILE
    assert load_key(path) == key
    assert os.listdir(tmp_path) == ["key.json"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o601])
def test_others_must_not_read_it(tmp_path: Path, key: KeyPair, mode: int) -> None:
    path = tmp_path / "key.json"
    save_key(path, key)
    path.chmod(mode)
    refusal = refused(path)
    assert refusal.code is DataCode.BAD_KEY_FILE
    assert f"{mode:04o}" in refusal.message
    assert "chmod 600" in refusal.message


def test_a_missing_file_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_key(tmp_path / "key.json")


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"[]", b"5", b"{}", b'{"version": "1"}', b"[" * 60_000, b" " * 70_000],
    ids=range(8),
)
def test_what_is_no_key_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key.json"
    path.write_bytes(content)
    path.chmod(0o600)
    assert refused(path).code is DataCode.BAD_KEY_FILE


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.update(version=2),
        lambda c: c.update(seed="00"),
        lambda c: c.update(seed="xy"),
        lambda c: c.update(seed=5),
        lambda c: c.pop("seed"),
        lambda c: c.update(seed="11" * 32),
        lambda c: c.pop("public_key"),
        lambda c: c.update(public_key="11" * 32),
        lambda c: c.pop("address"),
        lambda c: c.update(sealed=5),
        lambda c: c.update(sealed={"kdf": "scrypt"}),
    ],
    ids=range(11),
)
def test_damaged_key_files(
    tmp_path: Path, key: KeyPair, change: Callable[[dict[str, Any]], object]
) -> None:
    path = tmp_path / "key.json"
    save_key(path, key)
    rewrite(path, change)
    assert refused(path).code is DataCode.BAD_KEY_FILE


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("kdf", "scrypt", DataCode.BAD_KEY_FILE),
        ("salt", "00", DataCode.BAD_KEY_FILE),
        ("opslimit", 10**9, DataCode.BAD_KEY_FILE),
        ("opslimit", "1", DataCode.BAD_KEY_FILE),
        ("memlimit", 1 << 40, DataCode.BAD_KEY_FILE),
        ("memlimit", 0, DataCode.BAD_KEY_FILE),
        ("box", None, DataCode.BAD_KEY_FILE),
        ("box", "", DataCode.WRONG_PASSPHRASE),
        ("box", "00" * 72, DataCode.WRONG_PASSPHRASE),
    ],
)
def test_damaged_seals(
    tmp_path: Path, key: KeyPair, name: str, value: object, code: DataCode
) -> None:
    path = tmp_path / "key.json"
    save_key(path, key, "x", QUICK)
    rewrite(path, lambda content: content["sealed"].update({name: value}))
    assert refused(path, "x").code is code
