"""What files that prove something from genesis have in common.

Each names its network, holds the path of the validator sets, and has members for reading, which
must equal what the proved bytes say.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fedcoin.application.verification.strict_json import malformed, read_bytes, read_member
from fedcoin.consensus.validator_messages import validators_from_messages
from fedcoin.consensus.validators import ValidatorSet
from fedcoin.contract.blocks.validator_history import TrustPath
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.amounts import MAX_AMOUNT
from fedcoin.data.messages.blocks import decode_header
from fedcoin.data.messages.genesis import Genesis
from fedcoin.network.errors import NetworkCode
from fedcoin.v1.state_pb2 import ValidatorPower


def check_network(given: dict[str, Any], genesis: Genesis, format: str) -> None:
    """Check that a file is of the right format and network.

    Args:
        given: The file's content, with `format`, `chain_id` and `genesis_hash`.
        genesis: The network's genesis.
        format: The format that the file must have.

    Raises:
        RefusalError: MALFORMED for another format; WRONG_CHAIN or WRONG_GENESIS for another
            network.
    """
    for name, wanted, code in (
        ("format", format, NetworkCode.MALFORMED),
        ("chain_id", genesis.chain_id, NetworkCode.WRONG_CHAIN),
        ("genesis_hash", genesis.hash.hex(), NetworkCode.WRONG_GENESIS),
    ):
        found = read_member(given, name, str)
        if found != wanted:
            message = f"{name}: it is {found[:80]!r}; here it must be {wanted!r}"
            raise RefusalError(code, message, field=name, limit=wanted)


def change_view(header: bytes, certificate: bytes, validators: ValidatorSet) -> dict[str, Any]:
    """Write a change of the validator set as files hold it.

    Args:
        header: The serialised header of the block that changed the set.
        certificate: The serialised certificate of that block.
        validators: The new set.

    Returns:
        The change; bytes in lower-case hex, powers in sap.
    """
    return {
        "height": decode_header(header).height,
        "header": header.hex(),
        "certificate": certificate.hex(),
        "validators": [{"public_key": v.public_key.hex(), "power": v.power} for v in validators],
    }


def follow_changes(items: list[Any], trust: TrustPath) -> list[dict[str, Any]]:
    """Follow the changes of the validator set that a file holds.

    Args:
        items: The changes as they were read, in order.
        trust: The path from genesis, which is extended.

    Returns:
        The changes as `change_view` writes them, for the comparison with the file.

    Raises:
        RefusalError: MALFORMED, WRONG_CHAIN, BAD_CERTIFICATE or WRONG_VALIDATORS_HASH, with the
            place of the first fault.
    """
    views = []
    for i, item in enumerate(items):
        with within(f"validator_changes[{i}]"):
            raw, certificate = read_bytes(item, "header"), read_bytes(item, "certificate")
            validators = _validators(read_member(item, "validators", list))
            trust.follow(raw, certificate, validators)
            views.append(change_view(raw, certificate, validators))
    return views


def compare(given: Any, proved: Any, where: str) -> None:
    """Compare what a file says with what it proves.

    Args:
        given: A value as it was read.
        proved: The value that the proof leads to.
        where: The value's place in the document.

    Raises:
        RefusalError: BAD_PROOF at the first member that differs in value or type.
    """
    if type(given) is not type(proved):
        raise differs(where, given, proved)
    if isinstance(proved, dict):
        for name in {**proved, **given}:
            member = f"{where}.{name[:40]}".lstrip(".")
            if name not in given or name not in proved:
                raise differs(member, given.get(name, "nothing"), proved.get(name, "nothing"))
            compare(given[name], proved[name], member)
    elif isinstance(proved, list):
        if len(given) != len(proved):
            raise differs(where, f"{len(given)} items", f"{len(proved)}")
        for i, (one, other) in enumerate(zip(given, proved, strict=True)):
            compare(one, other, f"{where}[{i}]")
    elif given != proved:
        raise differs(where, given, proved)


def differs(field: str, given: object, proved: object) -> RefusalError:
    """Make the error for a member that is not what the proof leads to.

    Args:
        field: The member's place in the document.
        given: What the file says.
        proved: What the proof says.

    Returns:
        A refusal with code BAD_PROOF, which the caller raises.
    """
    return RefusalError(
        NetworkCode.BAD_PROOF,
        f"{field}: the file says {str(given)[:80]}; the proof says {str(proved)[:80]}",
        field=field,
    )


@contextmanager
def within(where: str) -> Iterator[None]:
    """Let refusals from inside the `with` block name their place in the file.

    Args:
        where: The place.

    Yields:
        Nothing.

    Raises:
        RefusalError: What the block raised, with the place before its field.
    """
    try:
        yield
    except RefusalError as refusal:
        raise refusal.prefixed(where, parent=where) from None


def _validators(items: list[Any]) -> ValidatorSet:
    validators = []
    for i, item in enumerate(items):
        key, power = read_bytes(item, "public_key"), read_member(item, "power", int)
        if not 0 < power <= MAX_AMOUNT:
            raise malformed(f"validators[{i}]", f"has power {power}, out of range")
        validators.append(ValidatorPower(public_key=key, power=power))
    return validators_from_messages(validators)
