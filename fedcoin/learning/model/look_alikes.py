"""Groups of updates that look alike: the players of a campaign with a similarity limit.

Notation: `d_k = w_k - w_0` is what client k changed, with the update `w_k` and the base `w_0`, over
all weights of the model. The similarity of two updates is

    s(i, j) = 1 - |d_i - d_j|^2 / (2 |d_i| |d_j|)

which is the cosine of the angle between them, less (|d_i| - |d_j|)^2 / (2 |d_i| |d_j|): so a scaled
copy is less similar the more it is scaled. Groups are sound for a limit when

1. in each group all pairs have at least the limit, and
2. no two groups could be joined: some pair of their members has less than the limit.

By the first rule no client can join two updates that are not similar themselves, whatever is sent
between them. By the second, updates that are similar to each other and to no other update are one
group. Complete linkage (Sørensen 1948, `group_updates`) gives sound groups; where several are
sound, a task may have any of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from fedcoin.data.artifacts.tensors import decode_tensors
from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.model.aggregation import WeightFiles, Weights

Similarities = npt.NDArray[np.float64]
"""float64 (n, n), symmetric, from -1 to 1; 1 on the diagonal."""

SIMILARITY_TOLERANCE: Final = 1e-6
"""How far a similarity may be on the other side of the limit in a check: machines round sums
differently."""

LIMIT_UNIT: Final = 1_000_000
"""A campaign's limit is a whole number of millionths."""

_MEMBER_UNIT: Final = 720_720
"""The weight of a group. Up to 16 members divide it without a remainder."""

_PIECE_NUMBERS: Final = 1 << 16
"""How many weights of each update are compared at a time."""


def measure_similarities(base: Weights, updates: Sequence[Weights]) -> Similarities:
    """Measure how similar each pair of updates is (see the module's docstring).

    Args:
        base: float32 weights by name, from which the clients started.
        updates: Each client's float32 weights, with the names and shapes of `base`.

    Returns:
        float64 (n, n), cut off at -1. Two updates that changed nothing are 1, one that changed
        nothing and another one -1.
    """
    # All are read at once, as an evaluator does: `updates` may be files.
    held = list(updates)
    products = np.zeros((len(held), len(held)))
    for name, start in base.items():
        origin = start.reshape(-1)
        rows = [update[name].reshape(-1) for update in held]
        for first in range(0, origin.size, _PIECE_NUMBERS):
            piece = slice(first, first + _PIECE_NUMBERS)
            changes = np.stack([row[piece] for row in rows]).astype(np.float64)
            changes -= origin[piece].astype(np.float64)
            products += changes @ changes.T
    squares = np.diag(products)
    norms = np.sqrt(np.outer(squares, squares))
    distances = squares[:, None] + squares - 2 * products
    similarities = 1 - distances / (2 * np.where(norms > 0, norms, 1.0))
    unmoved = squares == 0
    similarities[norms == 0] = -1
    similarities[np.outer(unmoved, unmoved)] = 1
    np.fill_diagonal(similarities, 1)
    return np.asarray(np.clip((similarities + similarities.T) / 2, -1, 1))


def group_updates(similarities: Similarities, limit: float) -> tuple[int, ...]:
    """Group updates by complete linkage.

    The two groups whose least similar members are most similar are joined, of equal ones the first,
    as long as these members have the limit.

    Args:
        similarities: float64 (n, n), from `measure_similarities`.
        limit: The smallest similarity within a group, 0 to 1.

    Returns:
        For each update the index of its group's first update.
    """
    linkage = similarities.copy()
    np.fill_diagonal(linkage, -np.inf)
    groups = np.arange(len(linkage))
    while linkage.size:
        one, other = sorted(divmod(int(np.argmax(linkage)), len(linkage)))
        if not linkage[one, other] >= limit:
            break
        groups[groups == other] = one
        linkage[one] = linkage[:, one] = np.minimum(linkage[one], linkage[other])
        linkage[other] = linkage[:, other] = -np.inf
    return tuple(groups.tolist())


def group_files(base: Path, updates: Sequence[Path], limit: float) -> tuple[int, ...]:
    """Group updates that lie in files; for a worker process.

    Args:
        base: The tensors of the weights from which the clients started.
        updates: The tensors of each client's weights.
        limit: The smallest similarity within a group, 0 to 1.

    Returns:
        For each update the index of its group's first update.

    Raises:
        RefusalError: BAD_TENSOR when a file does not hold encoded tensors.
        OSError: A file cannot be read.
    """
    weights = decode_tensors(base.read_bytes())
    return group_updates(measure_similarities(weights, WeightFiles(updates)), limit)


def check_groups(groups: Sequence[int], similarities: Similarities, limit: float) -> None:
    """Check that groups are sound for a limit, as far as machines can differ in a similarity.

    Args:
        groups: For each update the index of its group's first update.
        similarities: float64 (n, n), from `measure_similarities`.
        limit: The smallest similarity within a group, 0 to 1.

    Raises:
        RefusalError: WRONG_GROUPS when a pair in one group is less similar, or when two groups
            could be joined.
    """
    labels = np.asarray(groups)
    together = labels[:, None] == labels
    low = np.argwhere(together & (similarities < limit - SIMILARITY_TOLERANCE))
    if len(low):
        i, j = low[0]
        raise _wrong_groups(
            f"updates[{i}] and updates[{j}] are in one group and have the similarity "
            f"{similarities[i, j]:.7f}",
            limit,
        )
    firsts = sorted(set(groups))
    for rank, one in enumerate(firsts):
        for other in firsts[rank + 1 :]:
            block = similarities[np.ix_(labels == one, labels == other)]
            if block.min() >= limit + SIMILARITY_TOLERANCE:
                raise _wrong_groups(
                    f"the groups of updates[{one}] and updates[{other}] are apart, and all their "
                    f"members have a similarity of at least {block.min():.7f}",
                    limit,
                )


def _wrong_groups(fault: str, limit: float) -> RefusalError:
    return RefusalError(
        LearningCode.WRONG_GROUPS,
        f"{fault}; the campaign's limit is {limit:.6f}: group the updates by complete linkage",
        field="groups",
        limit=f"{limit:.6f}",
    )


def group_weights(groups: Sequence[int]) -> tuple[int, ...]:
    """Tell how much each update counts in the average, so that all groups count the same.

    Args:
        groups: For each update the index of its group's first update.

    Returns:
        One integer for each update, to be divided by their sum: 720,720 divided by the number of
        its group's members, rounded down.
    """
    sizes = _count_members(groups)
    return tuple(_MEMBER_UNIT // sizes[group] for group in groups)


def _count_members(groups: Sequence[int]) -> Mapping[int, int]:
    sizes: dict[int, int] = {}
    for group in groups:
        sizes[group] = sizes.get(group, 0) + 1
    return sizes
