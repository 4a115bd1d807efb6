"""Wins and coins of each kind of liar among honest miners: the paper's protocol, and this one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedcoin.testing.campaign_simulation.campaign_setting import FDC, CampaignSetting
from fedcoin.testing.campaign_simulation.proposer_policy import GRINDING_PROPOSER
from fedcoin.testing.campaign_simulation.saturating_game import SaturatingGame
from fedcoin.testing.campaign_simulation.simulated_campaign import CampaignSimulation
from fedcoin.testing.dishonest.mining_strategies import HONEST_STRATEGY, MINING_STRATEGIES
from fedcoin.testing.paper_protocol.broadcast_strategies import liar
from fedcoin.testing.paper_protocol.race import payouts, race

MINERS = 5
PAPER_D = 0.03
TRAIN, SAP = 70.0, 20.0
"""Of 100 FDC a round; 10 are the server's."""

PAPER_KINDS = ("copier", "mean-publisher", "inflated-count", "invented-vector")


@dataclass(frozen=True)
class StrategyOutcome:
    """One liar among ``MINERS``. Coins in FDC per 100 blocks; -1: the protocol has no such lie."""

    kind: str
    blocks: int
    wins: int
    taken: float
    """What it was paid for mining."""
    shifted: float
    """Of the clients' money, what went to the client that it favours beyond that one's due."""
    lost: float
    """Deposits."""
    evaluations: int
    """Coalitions that it computed."""
    honest_evaluations: int
    """Coalitions that one honest miner computed."""
    refusals: str = ""
    turns: int = 0
    """Of a grinder, in which it had a choice."""
    tries: int = 0
    """Blocks that it built in these."""
    challenges: int = 0
    """The most challenges that the blocks of one turn fixed."""


def ours(kind: str, blocks: int, *, seed: int = 1, schedule: int | None = None) -> StrategyOutcome:
    """One liar against four honest miners on the real ledger."""
    strategy = MINING_STRATEGIES.get(kind, HONEST_STRATEGY)
    setting = CampaignSetting(
        strategies=(strategy, *(HONEST_STRATEGY,) * (MINERS - 1)), rounds=blocks, seed=seed
    )
    if kind == "challenge-grinder":
        setting.proposing = {0: GRINDING_PROPOSER}
    if schedule is not None:
        setting.schedule = schedule
    arena = CampaignSimulation(setting)
    report = arena.run()
    assert not report.violations, report
    tally = arena.tallies[0]
    return StrategyOutcome(
        kind=kind,
        blocks=len(arena.settled),
        wins=tally.wins,
        taken=tally.rewards / FDC,
        shifted=_shift(arena),
        lost=tally.burned / FDC,
        evaluations=tally.evaluations,
        honest_evaluations=arena.tallies[1].evaluations,
        refusals=", ".join(f"{code} {count}" for code, count in arena.refusals.most_common()),
        turns=arena.turns,
        tries=arena.tries,
        challenges=arena.challenges,
    )


def _shift(arena: CampaignSimulation) -> float:
    """By how much the first client was paid more than by its exact value."""
    values = np.maximum(arena.game.values(), 0)
    price = TRAIN * len(arena.settled)
    due = float(price * values[0] / values.sum())
    return arena.paid[arena.server.clients[0].address] / FDC - due


def paper(kind: str, blocks: int, *, seed: int = 1, difficulty: float = PAPER_D) -> StrategyOutcome:
    """The same lie in the paper's race."""
    game = SaturatingGame(5)
    table = game.table() / game.size
    rng = np.random.default_rng(seed)
    lies = [] if kind == "honest" else [liar(kind, game.clients, float(table[-1]))]
    honest = MINERS - len(lies)
    # In the paper the coalition of nobody is worth nothing.
    table[0] = 0.0
    truth = payouts(_values(table), TRAIN)
    made, wins, shifted, iterations = 0, 0, 0.0, 0
    for _ in range(blocks):
        block = race(table, honest, difficulty, rng, lies)
        if block is None:
            break
        made += 1
        iterations += block.iterations
        won = block.miner >= honest if lies else block.miner == 0
        wins += won
        shifted += float(payouts(block.mean, TRAIN)[0] - truth[0])
    walked = iterations * game.clients
    return StrategyOutcome(
        kind=kind,
        blocks=made,
        wins=wins,
        taken=SAP * wins,
        shifted=shifted,
        lost=0.0,
        evaluations=0 if lies else walked,
        honest_evaluations=walked,
    )


def _values(table: NDArray[np.float64]) -> NDArray[np.float64]:
    from fedcoin.shapley import estimate

    n = int(np.log2(len(table)))
    return estimate(lambda c: table[c @ (1 << np.arange(n))], n, method="exact").values
