"""The validators that the state records, and the order in which they propose.

Validators are bonded miners, whose bonds are their voting power.
"""

from __future__ import annotations

from functools import lru_cache

from fedcoin.consensus.proposer_order import ProposerOrder
from fedcoin.consensus.validator_messages import validators_from_messages, validators_to_messages
from fedcoin.consensus.validators import Validator, ValidatorSet
from fedcoin.contract.state import records
from fedcoin.contract.state.overlay import Overlay, StateReader
from fedcoin.contract.state.standing_bonds import SINCE_BYTES
from fedcoin.data.messages.genesis import Genesis
from fedcoin.v1.state_pb2 import ProposerOrderState, ValidatorSetState


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
    return _validators_of(tuple(state.scan(records.STANDING.prefix)))


def read_last_validators(state: StateReader) -> ValidatorSet:
    """Read the validators of the latest height, whose certificate the next block holds.

    Args:
        state: The state after the latest block.

    Returns:
        The validators that the latest block recorded; an empty set where no record exists.
    """
    return _recorded_validators(state.get(records.LAST_VALIDATORS.prefix) or b"")


def write_last_validators(state: Overlay, validators: ValidatorSet) -> None:
    """Record the validators of the height that is being executed.

    Args:
        state: The state to write to.
        validators: The validators that decide the height.
    """
    record = ValidatorSetState(validators=validators_to_messages(validators))
    records.LAST_VALIDATORS.put(state, record=record)


def read_proposer_order(state: StateReader) -> ProposerOrder:
    """Read who proposes at the next height.

    Args:
        state: The state after the latest block.

    Returns:
        The order of the next height's proposers.
    """
    recorded = records.PROPOSER_ORDER.get(state) or ProposerOrderState()
    return ProposerOrder(read_validators(state), tuple(recorded.priorities), recorded.winner)


def advance_proposer_order(state: Overlay, order: ProposerOrder, winner: bytes) -> ProposerOrder:
    """Record who proposes at the height after the one that is being executed.

    A validator that leaves keeps its priority in the record of its bond, while there is one.

    Args:
        state: The state to write to, in which the block's other changes are made.
        order: The order of the height that is being executed.
        winner: The address that proposes in round 0 of the next height, because that settles the
            task that it won; empty when it settles none.

    Returns:
        The order of the next height.
    """
    validators = read_validators(state)
    after = order.priorities_after()
    for validator in order.validators:
        if validators.by_address(validator.address) is None:
            _remember_priority(state, validator.address, after[validator.address])
    newcomers = (v.address for v in validators if v.address not in after)
    remembered = {
        address: bond.priority_at_leaving
        for address in newcomers
        if (bond := records.BONDS.get(state, address)) is not None
    }
    following = order.next_height(validators, winner, remembered)
    write_proposer_order(state, following)
    return following


def write_proposer_order(state: Overlay, order: ProposerOrder) -> None:
    """Record who proposes at the next height.

    Args:
        state: The state to write to.
        order: The order of the next height's proposers.
    """
    record = ProposerOrderState(priorities=order.priorities, winner=order.winner)
    if record != records.PROPOSER_ORDER.get(state):
        records.PROPOSER_ORDER.put(state, record=record)


# Each block reads both sets, which seldom change.


@lru_cache(maxsize=16)
def _validators_of(standing: tuple[tuple[bytes, bytes], ...]) -> ValidatorSet:
    read = ((records.STANDING.split_key(key), value) for key, value in standing)
    return ValidatorSet.from_members(
        Validator(address, value[SINCE_BYTES:], bond) for (bond, address), value in read
    )


@lru_cache(maxsize=16)
def _recorded_validators(raw: bytes) -> ValidatorSet:
    return validators_from_messages(ValidatorSetState.FromString(raw).validators)


def _remember_priority(state: Overlay, address: bytes, priority: int) -> None:
    bond = records.BONDS.get(state, address)
    if bond is not None and not bond.slashed:
        bond.priority_at_leaving = priority
        records.BONDS.put(state, address, record=bond)
