"""Strategies of dishonest miners in the paper's race: their answers to honest broadcasts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fedcoin.testing.paper_protocol.race import BroadcastStrategy, Floats

_Answer = Callable[[Floats, Floats], tuple[Floats, float]]


@dataclass(frozen=True)
class _AnsweringMiner:
    """A miner that answers with a function of the honest miners' vectors and times."""

    answer: _Answer

    def broadcast(self, vectors: Floats, times: Floats) -> tuple[Floats, float]:
        return self.answer(vectors, times)


def make_broadcast_strategy(kind: str, clients: int, grand: float) -> BroadcastStrategy:
    """Make the counterpart of a dishonest mining strategy.

    Args:
        kind: "copier", "mean-publisher", "inflated-count" or "invented-vector".
        clients: The number of clients.
        grand: The utility of the grand coalition, 0 to 1.

    Returns:
        A miner for `race.run_race`.

    Raises:
        KeyError: The paper's race has no counterpart of this kind.
    """
    answers: dict[str, _Answer] = {
        "copier": lambda vectors, times: (vectors[0], float(times[0])),
        "mean-publisher": lambda vectors, times: (
            times @ vectors / times.sum(),
            float(times.max()),
        ),
        "inflated-count": lambda vectors, times: (_invent_vector(clients, grand), 1e9),
        "invented-vector": lambda vectors, times: (
            _invent_vector(clients, grand),
            float(times.max()),
        ),
    }
    return _AnsweringMiner(answers[kind])


def _invent_vector(clients: int, grand: float) -> Floats:
    """Give the first client more than everything, at the others' expense."""
    vector = np.full(clients, -0.25 / max(1, clients - 1))
    vector[0] = grand + 0.25
    return vector
