"""Convert validator sets to and from protobuf messages."""

from __future__ import annotations

from collections.abc import Iterable

from fedcoin.consensus.validators import Validator, ValidatorSet
from fedcoin.data.crypto.keys import PUBLIC_KEY_BYTES
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.field_checks import check_length, check_range
from fedcoin.data.messages import canonical
from fedcoin.data.messages.amounts import MAX_AMOUNT
from fedcoin.v1.state_pb2 import ValidatorPower, ValidatorSetState


def validators_to_messages(validators: Iterable[Validator]) -> list[ValidatorPower]:
    """Convert validators to messages that hold their public keys and powers.

    Args:
        validators: The validators, in the order in which they are to be listed.

    Returns:
        One message for each validator, in the same order. Addresses follow from the keys.
    """
    return [ValidatorPower(public_key=v.public_key, power=v.power) for v in validators]


def validators_from_messages(
    messages: Iterable[ValidatorPower], field: str = "validators"
) -> ValidatorSet:
    """Check validators that were received and make a set of them.

    Args:
        messages: The validators, in any order.
        field: The field name that a refusal reports.

    Returns:
        The set of these validators.

    Raises:
        RefusalError: MALFORMED when a key does not have 32 bytes, a power is not between 1 sap
            and the largest amount, or a validator is listed twice.
    """
    members = []
    for message in messages:
        check_length(message.public_key, PUBLIC_KEY_BYTES, f"{field}.public_key")
        check_range(message.power, 1, MAX_AMOUNT, f"{field}.power")
        members.append(Validator.from_key(message.public_key, message.power))
    try:
        return ValidatorSet.from_members(members)
    except ValueError as error:
        raise RefusalError(DataCode.MALFORMED, f"{field}: {error}", field=field) from None


def encode_validators(validators: Iterable[Validator]) -> bytes:
    """Serialise validators as a `ValidatorSetState`.

    Args:
        validators: The validators, in the order in which they are to be listed.

    Returns:
        The canonical encoding of the message.
    """
    return canonical.encode(ValidatorSetState(validators=validators_to_messages(validators)))


def decode_validators(raw: bytes, field: str = "validators") -> ValidatorSet:
    """Read a serialised `ValidatorSetState`.

    Args:
        raw: The canonical encoding of the message.
        field: The field name that a refusal reports.

    Returns:
        The set of validators that it lists.

    Raises:
        RefusalError: MALFORMED when `raw` is not the canonical encoding, a key does not have 32
            bytes, a power is not between 1 sap and the largest amount, or a validator is listed
            twice.
    """
    message = canonical.decode(ValidatorSetState, raw)
    return validators_from_messages(message.validators, field)
