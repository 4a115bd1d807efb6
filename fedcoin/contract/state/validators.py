"""Who decides: the bonded miners, with their bonds as their power."""

from __future__ import annotations

from fedcoin.consensus.validators import Validator, ValidatorSet
from fedcoin.contract.state import records
from fedcoin.contract.state.overlay import Overlay, StateReader
from fedcoin.v1.state_pb2 import Elector, ElectorateState


def validators_of(state: StateReader) -> ValidatorSet:
    """The validators of the next height: everyone who has a bond."""
    return ValidatorSet.of(
        Validator(address, bond.public_key, bond.bond)
        for address, bond in records.BONDS.scan(state)
        if bond.bond
    )


def deciders_of(state: StateReader) -> ValidatorSet:
    """The validators that decided the latest block: the next one holds their certificate."""
    electorate = records.ELECTORATE.get(state) or ElectorateState()
    return ValidatorSet.of(Validator.of(e.public_key, e.power) for e in electorate.electors)


def record_deciders(state: Overlay, deciders: ValidatorSet) -> None:
    """Remember who decided this block."""
    electors = [Elector(public_key=v.public_key, power=v.power) for v in deciders]
    records.ELECTORATE.put(state, record=ElectorateState(electors=electors))
