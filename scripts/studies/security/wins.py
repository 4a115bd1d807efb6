"""Wins and coins of each kind of liar among honest miners: the paper's protocol, and this one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedcoin.testing.dishonest.strategies import HONEST, STRATEGIES
from scripts.studies.paper_baseline.liars import liar
from scripts.studies.paper_baseline.race import payouts, race
from scripts.studies.security.arena import Arena
from scripts.studies.security.games import Game
from scripts.studies.security.proposers import GRINDER
from scripts.studies.security.setting import FDC, Setting

MINERS = 5
PAPER_D = 0.03
TRAIN, SAP = 70.0, 20.0
"""Of 100 FDC a round; 10 are the server's."""

PAPER_KINDS = ("copier", "mean-publisher", "inflated-count", "invented-vector")


@dataclass(frozen=True)
class Row:
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


def ours(kind: str, blocks: int, *, seed: int = 1, schedule: int | None = None) -> Row:
    """One liar against four honest miners on the real ledger."""
    strategy = STRATEGIES.get(kind, HONEST)
    setting = Setting(strategies=(strategy, *(HONEST,) * (MINERS - 1)), rounds=blocks, seed=seed)
    if kind == "challenge-grinder":
        setting.proposing = {0: GRINDER}
    if schedule is not None:
        setting.schedule = schedule
    arena = Arena(setting)
    report = arena.run()
    assert not report.violations, report
    tally = arena.tallies[0]
    return Row(
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


def _shift(arena: Arena) -> float:
    """By how much the first client was paid more than by its exact value."""
    values = np.maximum(arena.game.values(), 0)
    price = TRAIN * len(arena.settled)
    due = price * values[0] / values.sum()
    return arena.paid[arena.server.clients[0].address] / FDC - due


def paper(kind: str, blocks: int, *, seed: int = 1, difficulty: float = PAPER_D) -> Row:
    """The same lie in the paper's race."""
    game = Game(5)
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
    return Row(
        kind=kind,
        blocks=made,
        wins=wins,
        taken=SAP * wins,
        shifted=shifted,
        lost=0.0,
        evaluations=0 if lies else walked,
        honest_evaluations=walked,
    )


def _values(table: np.ndarray) -> np.ndarray:
    from fedcoin.shapley import estimate

    n = int(np.log2(len(table)))
    return estimate(lambda c: table[c @ (1 << np.arange(n))], n, method="exact").values
