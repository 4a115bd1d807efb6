"""The files of a round: what `fedcoin-node task publish` takes, and the values.

```
round-1/base.npz               the weights that the round started from
round-1/updates/site-1.npz ... each client's weights and its num_samples
round-1/values.json            the values that were computed in the run
```
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from fedcoin.integrations.coalition_models import Arrays
from fedcoin.integrations.round_values import RoundValues
from fedcoin.learning.files.array_files import write_arrays
from fedcoin.learning.model.weight_files import NUM_SAMPLES

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")


def is_file_name(name: str) -> bool:
    """Tell whether a client's name can be its file's.

    Args:
        name: The name, as a client of NVFlare gives it.

    Returns:
        Whether it has 1 to 100 letters, digits, `_`, `-` and dots, and does not begin with a dot
        or `-`.
    """
    return _NAME.fullmatch(name) is not None


def write_round(
    folder: Path,
    base: Arrays,
    names: Sequence[str],
    updates: Sequence[Arrays],
    num_samples: Sequence[int],
) -> None:
    """Write the files of a round; those of an earlier run of the same round are replaced.

    Args:
        folder: The round's folder.
        base: The arrays that the round started from.
        names: The clients' names, which `is_file_name` allows.
        updates: Each client's arrays.
        num_samples: Each client's number of training examples.

    Raises:
        OSError: A file cannot be written.
    """
    (folder / "updates").mkdir(parents=True, exist_ok=True)
    for old in (folder / "updates").iterdir():
        old.unlink()
    write_arrays(folder / "base.npz", base)
    for name, arrays, samples in zip(names, updates, num_samples, strict=True):
        write_arrays(folder / "updates" / f"{name}.npz", {**arrays, NUM_SAMPLES: np.array(samples)})


def write_values(folder: Path, values: RoundValues) -> None:
    """Write the values of a round as JSON, by the names of `RoundValues.metrics`.

    Args:
        folder: The round's folder, which is made where it is missing.
        values: Each client's Shapley value in the round, with its interval.

    Raises:
        OSError: The file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "values.json").write_text(json.dumps(values.metrics(), indent=1) + "\n")
