"""What the printed protocol lets through. Each says something in answer to what it hears."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fedcoin.testing.paper_protocol.race import BroadcastStrategy, Floats


@dataclass(frozen=True)
class Says:
    """A liar by a function of the honest miners' vectors (h, n) and times (h,)."""

    answer: Callable[[Floats, Floats], tuple[Floats, float]]

    def says(self, vectors: Floats, times: Floats) -> tuple[Floats, float]:
        """What it broadcasts."""
        return self.answer(vectors, times)


def invented(clients: int, grand: float) -> Floats:
    """All of the value for the first client, and more, at the others' expense."""
    vector = np.full(clients, -0.25 / max(1, clients - 1))
    vector[0] = grand + 0.25
    return vector


def liar(kind: str, clients: int, grand: float) -> BroadcastStrategy:
    """The paper's counterpart of a strategy. Raises KeyError for one that it has none of."""
    answers: dict[str, Callable[[Floats, Floats], tuple[Floats, float]]] = {
        "copier": lambda vectors, times: (vectors[0], float(times[0])),
        "mean-publisher": lambda vectors, times: (
            times @ vectors / times.sum(),
            float(times.max()),
        ),
        "inflated-count": lambda vectors, times: (invented(clients, grand), 1e9),
        "invented-vector": lambda vectors, times: (
            invented(clients, grand),
            float(times.max()),
        ),
    }
    return Says(answers[kind])
