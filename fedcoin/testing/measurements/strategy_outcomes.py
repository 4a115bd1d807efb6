"""Measure wins and coins of each mining strategy among honest miners, here and in the paper."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedcoin.data.messages.amounts import SAP_PER_FDC
from fedcoin.testing.campaign_simulation.campaign_setting import CampaignSetting
from fedcoin.testing.campaign_simulation.proposer_policy import GRINDING_PROPOSER
from fedcoin.testing.campaign_simulation.saturating_game import SaturatingGame
from fedcoin.testing.campaign_simulation.simulated_campaign import CampaignSimulation
from fedcoin.testing.dishonest.mining_strategies import HONEST_STRATEGY, MINING_STRATEGIES
from fedcoin.testing.paper_protocol.broadcast_strategies import make_broadcast_strategy
from fedcoin.testing.paper_protocol.race import compute_payouts, run_race

MINERS = 5
"""The number of miners, the dishonest one included."""

PAPER_D = 0.03
"""D of the paper's race, as a share of the evaluation set."""

TRAINING_PRICE, MINING_PRICE = 70.0, 20.0
"""In FDC, of the 100 FDC that a round pays; the coordinator gets the other 10."""

PAPER_KINDS = ("copier", "mean-publisher", "inflated-count", "invented-vector")
"""The strategies that have a counterpart in the paper's race."""


@dataclass(frozen=True)
class StrategyOutcome:
    """One miner with a strategy among honest ones. Amounts are in FDC, for all blocks together."""

    # The strategy's name.
    kind: str
    # The number of settled tasks; in the paper's race, the number of blocks.
    blocks: int
    # The number of those tasks or blocks that this miner won.
    wins: int
    # The payments to the miner for mining.
    mined: float
    # The amount by which the favoured client was overpaid, at the cost of the other clients.
    shifted: float
    # The deposits that the miner lost.
    lost: float
    # The number of coalitions that this miner evaluated, and that one honest miner did.
    evaluations: int
    honest_evaluations: int
    # Refused transactions by code, as in `AUDIT_FAILED 3`.
    refusals: str = ""
    # For a grinding proposer, as in `CampaignOutcome`: its turns with more than one block, the
    # blocks of those turns, and the largest number of different challenges in one turn.
    grinding_turns: int = 0
    grinding_blocks: int = 0
    max_challenges: int = 0


def measure_on_ledger(
    kind: str, blocks: int, *, seed: int = 1, schedule: int | None = None
) -> StrategyOutcome:
    """Measure what a miner with a strategy gains among four honest ones, on simulated nodes.

    Args:
        kind: A mining strategy, "challenge-grinder" or "honest".
        blocks: How many tasks to settle.
        seed: The seed of the simulation.
        schedule: A value of the enum Schedule; PERMUTATION by default.

    Returns:
        The miner's gains and losses.
    """
    strategy = MINING_STRATEGIES.get(kind, HONEST_STRATEGY)
    honest = (HONEST_STRATEGY,) * (MINERS - 1)
    setting = CampaignSetting(strategies=(strategy, *honest), rounds=blocks, seed=seed)
    if kind == "challenge-grinder":
        setting.proposing = {0: GRINDING_PROPOSER}
    if schedule is not None:
        setting.schedule = schedule
    campaign = CampaignSimulation(setting)
    report = campaign.run()
    assert not report.violations, report
    outcome = campaign.outcome
    tally = outcome.tallies[0]
    refusals = outcome.refusals.most_common()
    return StrategyOutcome(
        kind=kind,
        blocks=len(outcome.settled),
        wins=tally.wins,
        mined=tally.rewards / SAP_PER_FDC,
        shifted=_compute_shift(campaign),
        lost=tally.burned / SAP_PER_FDC,
        evaluations=tally.evaluations,
        honest_evaluations=outcome.tallies[1].evaluations,
        refusals=", ".join(f"{code} {count}" for code, count in refusals),
        grinding_turns=outcome.grinding_turns,
        grinding_blocks=outcome.grinding_blocks,
        max_challenges=outcome.max_challenges,
    )


def measure_in_paper_race(
    kind: str, blocks: int, *, seed: int = 1, difficulty: float = PAPER_D
) -> StrategyOutcome:
    """Measure what a miner with a strategy gains among four honest ones, in the paper's race.

    Args:
        kind: One of `PAPER_KINDS`, or "honest".
        blocks: How many races to run; they end early when no miner wins one.
        seed: The seed of all randomness.
        difficulty: D, as a share of the evaluation set.

    Returns:
        The miner's gains and losses.
    """
    game = SaturatingGame(5)
    table = game.table() / game.size
    rng = np.random.default_rng(seed)
    dishonest = []
    if kind != "honest":
        dishonest.append(make_broadcast_strategy(kind, game.clients, float(table[-1])))
    num_honest = MINERS - len(dishonest)
    # In the paper the empty coalition is worth nothing.
    table[0] = 0.0
    due = compute_payouts(_exact_values(table), TRAINING_PRICE)
    made, wins, shifted, iterations = 0, 0, 0.0, 0
    for _ in range(blocks):
        result = run_race(table, num_honest, difficulty, rng, dishonest)
        if result is None:
            break
        made += 1
        iterations += result.iterations
        wins += result.miner >= num_honest if dishonest else result.miner == 0
        shifted += float(compute_payouts(result.mean, TRAINING_PRICE)[0] - due[0])
    evaluations = iterations * game.clients
    return StrategyOutcome(
        kind=kind,
        blocks=made,
        wins=wins,
        mined=MINING_PRICE * wins,
        shifted=shifted,
        lost=0.0,
        evaluations=0 if dishonest else evaluations,
        honest_evaluations=evaluations,
    )


def _compute_shift(campaign: CampaignSimulation) -> float:
    """Return by how much the first client was paid more than its exact value is due, in FDC."""
    values = np.maximum(campaign.game.values(), 0)
    price = TRAINING_PRICE * len(campaign.outcome.settled)
    due = float(price * values[0] / values.sum())
    address = campaign.coordinator.clients[0].address
    return campaign.outcome.client_payouts[address] / SAP_PER_FDC - due


def _exact_values(table: NDArray[np.float64]) -> NDArray[np.float64]:
    from fedcoin.shapley import estimate

    n = int(np.log2(len(table)))
    return estimate(lambda c: table[c @ (1 << np.arange(n))], n, method="exact").values
