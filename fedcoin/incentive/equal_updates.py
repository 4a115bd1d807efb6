"""Equal updates share one value, so that a copy of an update adds nothing to what both are paid.

The sum of the values of all updates with the same weights is split equally among them, whatever
numbers of examples they claim. Under averages that treat all clients alike, exact values of equal
updates are equal by symmetry, and nothing changes; sampled estimates differ by noise, and under
averages weighted by examples the one that claims the most would have almost all of the sum.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence


def share_values(updates: Sequence[Hashable], shapley_nano: Sequence[int]) -> tuple[int, ...]:
    """Split the values of equal updates equally among them.

    Args:
        updates: The artifact id of each update, or anything else that is equal for updates that
            share one value, such as their group.
        shapley_nano: The agreed value of each update, in nano-utility.

    Returns:
        The values that are paid, in nano-utility, with the same sum. What a sum leaves over when it
        is divided goes to the first of the equal updates, one nano-utility each.
    """
    members: dict[Hashable, list[int]] = defaultdict(list)
    for index, update in enumerate(updates):
        members[update].append(index)
    shared = list(shapley_nano)
    for indices in members.values():
        value, left_over = divmod(sum(shapley_nano[index] for index in indices), len(indices))
        for rank, index in enumerate(indices):
            shared[index] = value + (rank < left_over)
    return tuple(shared)
