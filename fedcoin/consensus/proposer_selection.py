"""Whose turn it is to propose."""

from __future__ import annotations

from fedcoin.consensus.validators import Validator, ValidatorSet


def select_proposer(
    validators: ValidatorSet, winner: bytes, winner_height: int, height: int, round: int
) -> Validator:
    """The proposer of one round of one height.

    The latest PoSap winner (an address; empty before the first) proposes at `winner_height`
    in round 0: the block that settles its task. From there the turn goes on in the order of
    the addresses, by one for each height and by one for each round, so that whoever keeps a
    rival's reveal out, or is silent, is followed by another. A winner that is no longer a
    validator is stood for by the next address; before the first winner the rotation starts
    at the lowest address.

    Raises `ValueError` when there are no validators.
    """
    if not validators.members:
        raise ValueError("without validators nobody can propose")
    steps = height - winner_height + round
    return validators.members[(validators.index_from(winner) + steps) % len(validators)]
