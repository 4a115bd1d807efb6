"""The validators that the state records: bonded miners, whose bonds are their voting power."""

from __future__ import annotations

from fedcoin.consensus.validator_messages import validators_from_messages, validators_to_messages
from fedcoin.consensus.validators import Validator, ValidatorSet
from fedcoin.contract.state import records
from fedcoin.contract.state.overlay import Overlay, StateReader
from fedcoin.data.messages.genesis import Genesis
from fedcoin.v1.state_pb2 import ValidatorSetState


def genesis_validators(genesis: Genesis) -> ValidatorSet:
    """List the validators of height 1.

    Args:
        genesis: The network's genesis.

    Returns:
        The set of all keys that genesis gives a bond, the bond in sap as their power.
    """
    return ValidatorSet.from_members(
        Validator.from_key(key, bond) for key, bond in genesis.validators
    )


def read_validators(state: StateReader) -> ValidatorSet:
    """Read the validators of the next height.

    Args:
        state: The state after the latest block.

    Returns:
        Every address with a bond, the bond in sap as its power.
    """
    return ValidatorSet.from_members(
        Validator(address, bond.public_key, bond.bond)
        for address, bond in records.BONDS.scan(state)
        if bond.bond
    )


def read_last_validators(state: StateReader) -> ValidatorSet:
    """Read the validators of the latest height, whose certificate the next block holds.

    Args:
        state: The state after the latest block.

    Returns:
        The validators that the latest block recorded; an empty set where no record exists.
    """
    recorded = records.LAST_VALIDATORS.get(state) or ValidatorSetState()
    return validators_from_messages(recorded.validators)


def write_last_validators(state: Overlay, validators: ValidatorSet) -> None:
    """Record the validators of the height that is being executed.

    Args:
        state: The state to write to.
        validators: The validators that decide the height.
    """
    record = ValidatorSetState(validators=validators_to_messages(validators))
    records.LAST_VALIDATORS.put(state, record=record)
