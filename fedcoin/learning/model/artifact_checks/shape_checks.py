"""Whether a model's inputs and outputs are those that a data set needs."""

from __future__ import annotations

from collections.abc import Sequence

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.measures.target_kind import TargetKind

_NEEDS = {
    TargetKind.CLASSES: "one output for each class",
    TargetKind.NUMBERS: "one output for each number to predict, such as Dense(1) at the end",
    TargetKind.TOKENS: "an output for each id of its vocabulary, at each position that has a label",
}


def check_shapes(
    taken: Sequence[int | None],
    made: Sequence[int | None],
    input_shape: Sequence[int],
    outputs: int,
    kind: TargetKind,
    positions: int = 0,
) -> None:
    """Check that a model maps a data set's examples to its targets.

    Args:
        taken: The shape of one example that the model takes.
        made: The shape of its outputs for one example; None for a size that is not fixed.
        input_shape: The shape of one example of the data set.
        outputs: How many outputs its targets need (`count_outputs`).
        kind: What the targets are.
        positions: How many targets an example has, where each position has one; 0 for one.

    Raises:
        RefusalError: BAD_MODEL when inputs or outputs differ. For tokens the model may have more
            outputs, since not all tokens of a vocabulary occur.
    """
    rows, last = tuple(made[:-1]), made[-1]
    has_rows = rows in ((positions,), (None,)) if positions else not rows
    width = last if kind is TargetKind.TOKENS and last and last >= outputs else outputs
    if tuple(taken) == tuple(input_shape) and has_rows and last == width:
        return
    needed = f"({positions}, {width})" if positions else f"({width},)"
    raise RefusalError(
        LearningCode.BAD_MODEL,
        f"the model maps {tuple(taken)} to {tuple(made)}; the data set needs "
        f"{tuple(input_shape)} to {needed}: give the model {_NEEDS[kind]}",
        field="model",
    )
