"""Genesis: a network's id, parameters, first balances and first validators, in one JSON file.

The genesis hash is SHA-256 of the file's exact bytes: two files that differ in one space describe
two networks.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Final

from google.protobuf import json_format

from fedcoin.data.crypto.addresses import parse_address
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.crypto.keys import PUBLIC_KEY_BYTES
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages.amounts import MAX_AMOUNT
from fedcoin.data.messages.chain_identity import ChainIdentity
from fedcoin.data.messages.parameters import Parameters, parse_parameters
from fedcoin.v1 import genesis_pb2

MAX_GENESIS_BYTES: Final = 16 << 20
"""The largest size of a genesis file, in bytes."""

_CHAIN_ID = re.compile(r"[a-z0-9-]{1,64}", re.ASCII)
_HEX_KEY = re.compile(r"[0-9a-f]{64}", re.ASCII)
_MAX_TIME_MS: Final = 253_402_300_799_999  # the end of the year 9999


@dataclass(frozen=True, slots=True)
class Genesis:
    """A genesis file that was checked."""

    chain_id: str
    """1 to 64 lower-case letters, digits and hyphens."""
    time_ms: int
    """Unix time in ms. Every block has a later time."""
    hash: bytes
    """SHA-256 of `raw`, 32 bytes."""
    parameters: Parameters
    """The network's parameters, defaults filled in."""
    accounts: tuple[tuple[bytes, int], ...] = field(repr=False)
    """Addresses (20 bytes) and balances in sap, in the order of the file."""
    validators: tuple[tuple[bytes, int], ...] = field(repr=False)
    """Ed25519 public keys (32 bytes) and bonds in sap, in the order of the file."""
    raw: bytes = field(repr=False)
    """The content of the file."""

    @property
    def identity(self) -> ChainIdentity:
        """The network's name and genesis hash."""
        return ChainIdentity(self.chain_id, self.hash)

    @property
    def supply(self) -> int:
        """All coins that will ever exist, in sap: the sum of all balances and bonds."""
        return sum(balance for _, balance in self.accounts) + sum(b for _, b in self.validators)


def is_chain_id(text: str) -> bool:
    """Tell whether a network can have a name.

    Args:
        text: The name.

    Returns:
        True for 1 to 64 lower-case letters, digits and hyphens.
    """
    return _CHAIN_ID.fullmatch(text) is not None


def parse_genesis(raw: bytes) -> Genesis:
    """Read and check a genesis file.

    Args:
        raw: The content of the file.

    Returns:
        The checked genesis, with defaults filled in.

    Raises:
        RefusalError: BAD_GENESIS when the file has more than `MAX_GENESIS_BYTES` or is no JSON of a
            genesis, or a value in it is missing, out of range or listed twice; `field` names the
            value, such as `accounts[3].address`.
    """
    message = _read(raw)
    if not is_chain_id(message.chain_id):
        raise _refused(
            "chain_id",
            f"is {message.chain_id[:80]!r}; it must be 1 to 64 lower-case letters, digits "
            "and hyphens",
        )
    if not 1 <= message.time_ms <= _MAX_TIME_MS:
        raise _refused("time_ms", f"is {message.time_ms}; it must be a Unix time in milliseconds")
    parameters = parse_parameters(message.parameters)
    genesis = Genesis(
        chain_id=message.chain_id,
        time_ms=message.time_ms,
        hash=sha256(raw),
        parameters=parameters,
        accounts=_accounts(message),
        validators=_validators(message, parameters),
        raw=raw,
    )
    if genesis.supply > MAX_AMOUNT:
        raise _refused(
            "accounts",
            f"and validators hold {genesis.supply} sap together; at most {MAX_AMOUNT} can exist",
            str(MAX_AMOUNT),
        )
    return genesis


def render_genesis(message: genesis_pb2.Genesis) -> bytes:
    """Encode a genesis as the JSON of a genesis file.

    Args:
        message: A genesis, which is not checked.

    Returns:
        Indented JSON with the field names of `genesis.proto`, ending in a line feed.
    """
    content = json_format.MessageToDict(message, preserving_proto_field_name=True)
    return (json.dumps(content, indent=2) + "\n").encode()


def _read(raw: bytes) -> genesis_pb2.Genesis:
    if len(raw) > MAX_GENESIS_BYTES:
        raise _refused(
            "genesis",
            f"has {len(raw)} bytes; at most {MAX_GENESIS_BYTES} are allowed",
            str(MAX_GENESIS_BYTES),
        )
    try:
        content = json.loads(raw.decode(), object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        raise _refused("genesis", f"is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise _refused("genesis", f"is a JSON {type(content).__name__}; it must be an object")
    try:
        return json_format.ParseDict(content, genesis_pb2.Genesis())
    except json_format.ParseError as error:
        raise _refused("genesis", f"does not have the fields of a genesis: {error}") from None


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    # Protobuf's JSON parser takes chain_id and chainId for the same field and uses the last one.
    seen: set[str] = set()
    for name, _ in pairs:
        snake_case = re.sub("[A-Z]", lambda match: "_" + match.group().lower(), name)
        if snake_case in seen:
            raise ValueError(f"the field {name!r} is given twice")
        seen.add(snake_case)
    return dict(pairs)


def _accounts(message: genesis_pb2.Genesis) -> tuple[tuple[bytes, int], ...]:
    accounts: dict[bytes, int] = {}
    for i, account in enumerate(message.accounts):
        where = f"accounts[{i}]"
        try:
            address = parse_address(account.address)
        except RefusalError as refusal:
            raise _refused(f"{where}.address", f"is wrong: {refusal}") from None
        if address in accounts:
            raise _refused(f"{where}.address", f"is {account.address}, which is listed before")
        _check_amount(account.balance, f"{where}.balance")
        accounts[address] = account.balance
    return tuple(accounts.items())


def _validators(
    message: genesis_pb2.Genesis, parameters: Parameters
) -> tuple[tuple[bytes, int], ...]:
    maximum = parameters.max_validators
    if not 1 <= len(message.validators) <= maximum:
        raise _refused(
            "validators",
            f"are {len(message.validators)}; there must be 1 to {maximum} (max_validators)",
            f"1 to {maximum}",
        )
    validators: dict[bytes, int] = {}
    for i, validator in enumerate(message.validators):
        where = f"validators[{i}]"
        if not _HEX_KEY.fullmatch(validator.public_key):
            raise _refused(
                f"{where}.public_key",
                f"is {validator.public_key[:80]!r}; it must be {2 * PUBLIC_KEY_BYTES} lower-case "
                "hex digits",
            )
        key = bytes.fromhex(validator.public_key)
        if key in validators:
            raise _refused(f"{where}.public_key", "is listed before")
        if validator.bond < parameters.min_bond:
            raise _refused(
                f"{where}.bond",
                f"is {validator.bond} sap; it must be at least {parameters.min_bond} (min_bond)",
                str(parameters.min_bond),
            )
        _check_amount(validator.bond, f"{where}.bond")
        validators[key] = validator.bond
    return tuple(validators.items())


def _check_amount(sap: int, field: str) -> None:
    if sap > MAX_AMOUNT:
        raise _refused(field, f"is {sap} sap; at most {MAX_AMOUNT} can exist", str(MAX_AMOUNT))


def _refused(field: str, fault: str, limit: str = "") -> RefusalError:
    return RefusalError(DataCode.BAD_GENESIS, f"{field} {fault}", field=field, limit=limit)
