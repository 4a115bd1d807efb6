"""How a task's mining price is divided among its miners.

Under each rule a miner that withholds a message, splits its bond or bonds late earns no more than
one that does neither (docs/adr/0026). The rules use power that was frozen when the task opened.
"""

from __future__ import annotations

from collections.abc import Mapping

from fedcoin.consensus import posap
from fedcoin.contract.state.overlay import StateReader
from fedcoin.contract.tasks.frozen_power import read_proved_samples
from fedcoin.contract.tasks.loaded_task import LoadedTask
from fedcoin.incentive.draw_scores import compute_score
from fedcoin.incentive.payout import split


def divide_price(loaded: LoadedTask) -> dict[bytes, int]:
    """Divide the mining price of a task whose outcome is known.

    PRO_RATA divides it among the inliers by power times samples, of which no more count than the
    median number (`posap.weigh_work`). Power alone would pay a miner that stops at the smallest
    number that counts as much as others; samples alone would pay for keys, over which a bond can be
    split; and all samples for going on when the others have stopped. Under EXACT all prove the same
    number.

    WINNER gives all of it to the winner, unless a miner that opened its commitment and did not
    reveal has a higher score: then no miner receives it, so that none gains by silencing the miner
    that was drawn.

    Args:
        loaded: The task in phase SETTLE.

    Returns:
        Amounts in sap by address; they add up to the mining price, or to 0 when no miner may have
        it.
    """
    if not loaded.winner_takes_all:
        weights = posap.weigh_work(
            {
                address: (miner.power, miner.samples)
                for address, miner in loaded.miners.items()
                if miner.revealed and miner.power
            }
        )
        inliers = {a: weight for a, weight in weights.items() if loaded.miners[a].inlier}
        return _split_by_weight(loaded.terms.prices.mining, inliers)
    winner = loaded.task.settlement.winner
    return {winner: loaded.terms.prices.mining} if _find_drawn(loaded) == winner else {}


def divide_after_failure(state: StateReader, loaded: LoadedTask) -> dict[bytes, int]:
    """Divide the mining price of a failed task among the miners that revealed in any attempt.

    Each counts with its power times the largest number of samples that it proved, but at most the
    median of these numbers.

    Args:
        state: The state, which has the samples of all attempts.
        loaded: The task after its last attempt.

    Returns:
        Amounts in sap by address; nothing when no miner revealed.
    """
    weights = posap.weigh_work(read_proved_samples(state, loaded.task_id))
    return _split_by_weight(loaded.terms.prices.mining, weights)


def _find_drawn(loaded: LoadedTask) -> bytes:
    """Find the highest score among the inliers and the miners that opened and did not reveal."""
    challenge = loaded.task.challenge
    scores = {
        address: compute_score(challenge, address, miner.power)
        for address, miner in loaded.miners.items()
        if miner.power and (miner.inlier or (miner.salt and not miner.revealed))
    }
    return min(scores, key=lambda address: (-scores[address], address), default=b"")


def _split_by_weight(price: int, weights: Mapping[bytes, int]) -> dict[bytes, int]:
    if not weights:
        return {}
    return dict(zip(weights, split(price, list(weights.values())), strict=True))
