"""Numbers of arXiv:2002.11711v1, read off its figures by eye, and of its published prototype."""

from __future__ import annotations

NUM_TYPES = 10
"""The number of types of clients: T0 to T9."""

VALUES_BY_TYPE = (0.022, 0.020, 0.017, 0.015, 0.008, 0.005, -0.003, -0.010, -0.017, -0.018)
"""Figure 4: the mean Shapley value of a client of types T0 to T9."""

FIRST_ACCURACY, LAST_ACCURACY, AGGREGATE_ACCURACY = 0.9, 0.1, 0.48
"""Figure 5: the accuracy of a T0 and of a T9 client's model, and of the aggregate. The figure falls
in even steps from T0 to T9."""

ITERATIONS = ((1.0, 1.0), (1.6, 500.0), (2.0, 1500.0), (2.5, 2400.0), (3.0, 2500.0))
"""Figure 6: -log10 D and the winner's iterations. Those at 1.0 are close to 0; 1 is the least."""

PROTOTYPE_CLIENTS, PROTOTYPE_MINERS = 7, 5
PROTOTYPE_DIFFICULTY = 1.5
"""D of the prototype's race."""

PROTOTYPE_PRICE = 1000
"""The whole price of a task in coins, split 7 : 1 : 2."""


def accuracy_by_type() -> tuple[float, ...]:
    """Return figure 5's accuracies of T0 to T9, in even steps between the ends."""
    step = (LAST_ACCURACY - FIRST_ACCURACY) / (NUM_TYPES - 1)
    return tuple(FIRST_ACCURACY + step * number for number in range(NUM_TYPES))
