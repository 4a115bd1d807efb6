"""Selection of the proposer of each round."""

from __future__ import annotations

from fedcoin.consensus.validators import Validator, ValidatorSet


def select_proposer(
    validators: ValidatorSet, winner: bytes, winner_height: int, height: int, round: int
) -> Validator:
    """Select the proposer of a round.

    The latest PoSap winner proposes at `winner_height` in round 0: the block that settles its
    task. From there, each height and each round moves on by one validator, in the order of
    addresses. So a proposer that leaves out a rival's reveal, or is silent, is followed by
    another. When the winner is no longer a validator, the next address takes its place. Before
    the first winner, the order starts at the lowest address.

    Args:
        validators: The validators of `height`.
        winner: The latest winner's address, 20 bytes; empty before the first.
        winner_height: The height at which the winner proposes; 0 before the first.
        height: The height of the round, at least `winner_height`.
        round: The round, from 0.

    Returns:
        The proposer.

    Raises:
        ValueError: When there are no validators.
    """
    if not validators.members:
        raise ValueError("without validators there is no proposer")
    steps = height - winner_height + round
    return validators.members[(validators.index_from(winner) + steps) % len(validators)]
