"""Genesis: what a network is, its first state and its rules, in one JSON file.

The genesis hash is SHA-256 of the file's exact bytes, so that two files which differ in a
blank are two networks.
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
from fedcoin.data.messages.parameters import Parameters, parse_parameters
from fedcoin.v1 import genesis_pb2

MAX_GENESIS_BYTES: Final = 16 << 20
"""The most bytes of a genesis file."""

_CHAIN_ID = re.compile(r"[a-z0-9-]{1,64}", re.ASCII)
_HEX_KEY = re.compile(r"[0-9a-f]{64}", re.ASCII)
_LAST_MS: Final = 253_402_300_799_999  # the end of the year 9999


@dataclass(frozen=True, slots=True)
class Genesis:
    """A checked genesis.

    `accounts` are (20-byte address, balance in sap) and `validators` (32-byte Ed25519 public
    key, bond in sap), both in the order of the file; `hash` is SHA-256 of `raw`.
    """

    chain_id: str
    time_ms: int
    hash: bytes
    parameters: Parameters
    accounts: tuple[tuple[bytes, int], ...] = field(repr=False)
    validators: tuple[tuple[bytes, int], ...] = field(repr=False)
    raw: bytes = field(repr=False)

    @property
    def supply(self) -> int:
        """All balances and bonds together, in sap."""
        return sum(balance for _, balance in self.accounts) + sum(b for _, b in self.validators)


def parse_genesis(raw: bytes) -> Genesis:
    """Read and check the bytes of a genesis file.

    Raises `Refusal` (BAD_GENESIS) whose `field` names what is wrong, such as
    `accounts[3].address`.
    """
    message = _read(raw)
    if not _CHAIN_ID.fullmatch(message.chain_id):
        raise _refused(
            "chain_id",
            f"is {message.chain_id[:80]!r}; it must be 1 to 64 lower-case letters, digits "
            "and hyphens",
        )
    if not 1 <= message.time_ms <= _LAST_MS:
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
    """Write a genesis file: indented JSON with proto field names, ending in a line feed."""
    written = json_format.MessageToDict(message, preserving_proto_field_name=True)
    return (json.dumps(written, indent=2) + "\n").encode()


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
        raise _refused("genesis", f"does not fit: {error}") from None


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    # Protobuf's JSON takes chain_id and chainId for the same, and then the last one.
    seen: set[str] = set()
    for name, _ in pairs:
        known_as = re.sub("[A-Z]", lambda match: "_" + match.group().lower(), name)
        if known_as in seen:
            raise ValueError(f"the field {name!r} stands there twice")
        seen.add(known_as)
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
            raise _refused(f"{where}.address", f"is {account.address} for the second time")
        _check_amount(account.balance, f"{where}.balance")
        accounts[address] = account.balance
    return tuple(accounts.items())


def _validators(
    message: genesis_pb2.Genesis, parameters: Parameters
) -> tuple[tuple[bytes, int], ...]:
    most = parameters.max_validators
    if not 1 <= len(message.validators) <= most:
        raise _refused(
            "validators",
            f"are {len(message.validators)}; there must be 1 to {most} (max_validators)",
            f"1 to {most}",
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
            raise _refused(f"{where}.public_key", "stands there for the second time")
        if validator.bond < parameters.min_bond:
            raise _refused(
                f"{where}.bond",
                f"is {validator.bond} sap; the least is {parameters.min_bond} (min_bond)",
                str(parameters.min_bond),
            )
        _check_amount(validator.bond, f"{where}.bond")
        validators[key] = validator.bond
    return tuple(validators.items())


def _check_amount(sap: int, field: str) -> None:
    if sap > MAX_AMOUNT:
        raise _refused(field, f"is {sap} sap; at most {MAX_AMOUNT} can exist", str(MAX_AMOUNT))


def _refused(field: str, what: str, limit: str = "") -> RefusalError:
    return RefusalError(DataCode.BAD_GENESIS, f"{field} {what}", field=field, limit=limit)
