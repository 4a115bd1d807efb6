"""The genesis hash that a home's signatures cover: which network its owner trusts.

Every signature covers the genesis hash, so a program that signs must not learn the hash from the
server that asks for the signature. It comes from the home's genesis.json, from `--genesis`, or from
the file `pinned_genesis`, which holds what an earlier command used.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from fedcoin.application.configuration.home import Home
from fedcoin.application.configuration.private_folders import make_folder
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.atomic_files import replace_file
from fedcoin.data.crypto.hashing import HASH_BYTES
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.genesis import parse_genesis


class NetworkStatus(Protocol):
    """What a node or a coordinator says about its network."""

    @property
    def chain_id(self) -> str:
        """The network's name."""

    @property
    def genesis_hash(self) -> str:
        """The network's genesis hash, 64 hex digits."""


def parse_genesis_argument(value: str) -> bytes:
    """Read the value of `--genesis`.

    Args:
        value: The path of a genesis.json, or a genesis hash of 64 hex digits.

    Returns:
        The genesis hash, 32 bytes.

    Raises:
        RefusalError: BAD_GENESIS when the file is malformed.
        ValueError: The value is neither a file nor a hash.
    """
    path = Path(value).expanduser()
    if path.is_file():
        return parse_genesis(path.read_bytes()).hash
    genesis_hash = _parse_hash(value)
    if genesis_hash is None:
        raise ValueError("must be the path of a genesis.json, or a genesis hash of 64 hex digits")
    return genesis_hash


def find_genesis_hash(home: Home, given: bytes | None) -> bytes | None:
    """Find the genesis hash that a home's signatures must cover.

    Args:
        home: The home whose keys sign.
        given: The value of `--genesis`, 32 bytes; None when it was not given.

    Returns:
        The hash, 32 bytes: that of the home's genesis.json, else `given`, else the pinned one; None
        when there is none of them.

    Raises:
        RefusalError: WRONG_NETWORK when `given` differs from what the home holds, BAD_GENESIS when
            its genesis.json is malformed, BAD_STATE when its pin is.
    """
    known = home.genesis().hash if home.is_initialised else _read_pin(home)
    if known is not None and given is not None and known != given:
        holder, advice = home.genesis_path, "give another --home"
        if not home.is_initialised:
            holder = home.pinned_genesis_path
            advice += ", or delete that file if the --genesis that this home first got was mistyped"
        raise RefusalError(
            ApplicationCode.WRONG_NETWORK,
            f"--genesis is {given.hex()}, but {holder} holds {known.hex()}: {advice}",
            field="genesis",
            limit=known.hex(),
        )
    return known if known is not None else given


def pin_genesis(home: Home, genesis_hash: bytes) -> None:
    """Keep a genesis hash for later commands, unless the home has a genesis.json.

    Args:
        home: The home whose keys sign.
        genesis_hash: The genesis hash to keep, 32 bytes.
    """
    if home.is_initialised or home.pinned_genesis_path.exists():
        return
    make_folder(home.root)
    replace_file(home.pinned_genesis_path, f"{genesis_hash.hex()}\n".encode())


def check_network(genesis_hash: bytes, status: NetworkStatus, server: str) -> None:
    """Check that a server belongs to the network that signatures are made for.

    Args:
        genesis_hash: The genesis hash that signatures cover, 32 bytes.
        status: What the server says about its network.
        server: The server's name or address, for the error.

    Raises:
        RefusalError: WRONG_NETWORK when it names another genesis hash.
    """
    if status.genesis_hash != genesis_hash.hex():
        raise RefusalError(
            ApplicationCode.WRONG_NETWORK,
            f"{server} is on {status.chain_id[:64]!r} with genesis {status.genesis_hash[:64]!r}; "
            f"signatures of this home are for genesis {genesis_hash.hex()}: use a server of that "
            "network, or another --home",
            field="genesis_hash",
            limit=genesis_hash.hex(),
        )


def _read_pin(home: Home) -> bytes | None:
    path = home.pinned_genesis_path
    try:
        text = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    genesis_hash = _parse_hash(text)
    if genesis_hash is None:
        raise RefusalError(
            ApplicationCode.BAD_STATE,
            f"{path} does not hold a genesis hash of 64 hex digits; write it there again",
            field="genesis",
        )
    return genesis_hash


def _parse_hash(text: str) -> bytes | None:
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        return None
    return raw if len(raw) == HASH_BYTES and len(text) == 2 * HASH_BYTES else None
