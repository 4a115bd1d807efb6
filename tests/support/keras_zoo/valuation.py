"""Value all coalitions of an entry's model, by the product and by Keras itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedcoin.learning.evaluation.coefficients import coalition_coefficients
from fedcoin.learning.evaluation.job import UtilityJob
from fedcoin.learning.model import keras_models
from fedcoin.learning.model.keras_format import keras_import
from fedcoin.learning.model.spec import parse_spec
from fedcoin.learning.workers.jobs import load_evaluator
from tests.support.keras_zoo.entries import EXAMPLES, FEW, Entry, draw_inputs
from tests.support.small_models import all_coalitions, write_job

CLIENTS = 4


@dataclass(frozen=True)
class Outcome:
    """The counts of right answers of all coalitions."""

    counts: NDArray[Any]
    """By the product."""
    own: NDArray[Any]
    """By Keras, of the model as the user has it."""
    near_ties: NDArray[Any]
    """For each coalition, the examples whose two highest outputs are within rounding."""
    engine: str
    """The evaluator that the product chose."""
    changes: tuple[str, ...]


def value_entry(keras: Any, entry: Entry, folder: Path) -> Outcome:
    """Value the coalitions of four clients whose weights are the model's first ones and noise.

    Args:
        keras: The module.
        entry: The model.
        folder: An empty folder for the job's files.

    Raises:
        RefusalError: The product refuses the model.
    """
    keras.utils.set_random_seed(1)
    user = entry.build(keras)
    text = entry.to_json(user) if entry.to_json else user.to_json()
    whole = getattr(user, "input_shape", None)
    shape = tuple(whole[1:]) if isinstance(whole, tuple) else ()
    fixed = shape if shape and None not in shape else ()
    taken, changes = keras_import.import_model(text, fixed)
    spec = parse_spec(keras_models.spec_from_model(taken))
    rng = np.random.default_rng(3)
    examples = FEW if entry.group == "applications" else EXAMPLES
    x = draw_inputs(entry.inputs, fixed, examples, rng)
    y = rng.integers(0, spec.num_classes, examples)
    weights = user.get_weights()
    paths = [variable.path for variable in user.weights]
    owners = [
        [_moved(array, path, entry.noise, rng) for array, path in zip(weights, paths, strict=True)]
        for _ in range(CLIENTS + 1)
    ]
    names = [weight.name for weight in spec.weights]
    named = [
        dict(zip(names, (array for array in owner if array.dtype.kind == "f"), strict=True))
        for owner in owners
    ]
    job = write_job(folder, spec, named[-1], named[:-1], x, y)
    evaluator = load_evaluator(job)
    rows = all_coalitions(CLIENTS)
    outputs = _own_outputs(user, owners, x, job, rows)
    own = (_classes(outputs, entry) == y).sum(axis=1)
    return Outcome(
        evaluator.evaluate(rows), own, _near_ties(outputs), type(evaluator).__name__, changes
    )


def _moved(array: NDArray[Any], path: str, noise: float, rng: np.random.Generator) -> NDArray[Any]:
    if array.dtype.kind != "f":
        return array
    scale = noise * max(0.05, float(array.std()) if array.size else 0.0)
    moved = array + scale * rng.standard_normal(array.shape)
    return (abs(moved) if "variance" in path else moved).astype(np.float32)


def _own_outputs(
    user: Any,
    owners: list[list[NDArray[Any]]],
    x: NDArray[Any],
    job: UtilityJob,
    rows: NDArray[Any],
) -> NDArray[Any]:
    outputs = []
    for row in coalition_coefficients(rows, job.num_samples, job.averaging):
        averages = [
            sum(c * array for c, array in zip(row, arrays, strict=True)).astype(np.float32)
            if arrays[0].dtype.kind == "f"
            else arrays[0]
            for arrays in zip(*owners, strict=True)
        ]
        user.set_weights(averages)
        keras_models.refresh_state(user)  # as load_weights() does
        parts = [np.asarray(user(x[i : i + 40], training=False)) for i in range(0, len(x), 40)]
        outputs.append(np.concatenate(parts))
    return np.stack(outputs)


def _classes(outputs: NDArray[Any], entry: Entry) -> NDArray[Any]:
    if outputs.shape[-1] > 1:
        return outputs.argmax(axis=-1)
    return (outputs[..., 0] > (0.5 if "above 0.5" in entry.changes else 0.0)).astype(np.int64)


def _near_ties(outputs: NDArray[Any]) -> NDArray[Any]:
    if outputs.shape[-1] == 1:
        middle = np.minimum(abs(outputs[..., 0]), abs(outputs[..., 0] - 0.5))
        return (middle < 1e-5).sum(axis=1)
    ordered = np.sort(outputs, axis=-1)
    margins = ordered[..., -1] - ordered[..., -2]
    return (margins <= 1e-5 * np.maximum(abs(ordered[..., -1]), 1e-30)).sum(axis=1)
