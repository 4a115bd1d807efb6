"""A network with one hidden layer that the product's evaluator values, for measurements."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedcoin.application.coordinator.initial_artifacts import (
    InitialArtifacts,
    build_initial_artifacts,
)
from fedcoin.data.artifacts.tensors import decode_tensors, encode_tensors
from fedcoin.learning.evaluation.job import UtilityJob
from fedcoin.learning.evaluation.lone_updates import (
    LoneUpdate,
    build_lone_job,
    read_lone_update,
)
from fedcoin.learning.workers.jobs import load_evaluator, measure_lone_update
from fedcoin.v1 import task_pb2

Weights = Mapping[str, NDArray[np.float32]]
"""Kernels and biases of two layers, by name, in the order of the model."""


class EvaluatedNetwork:
    """A model and an evaluation set, in files as the product's evaluator takes them.

    Args:
        folder: An empty folder for the files.
        dataset: A data set that `datasets.load_dataset` takes.
        evaluation_size: The number of examples in the evaluation set.
        num_shards: How many shards to cut it into; `evaluation_size` of the object is that of one.
    """

    def __init__(
        self, folder: Path, dataset: str, evaluation_size: int, num_shards: int = 1
    ) -> None:
        self._folder = folder
        artifacts = _build_artifacts(dataset, evaluation_size, num_shards)
        (folder / "model").write_bytes(artifacts.model)
        for index, shard in enumerate(artifacts.evaluation.shards):
            (folder / f"evaluation-{index}").write_bytes(shard)
        self.evaluation_size = artifacts.evaluation.sizes[0]
        self._shapes = {n: w.shape for n, w in decode_tensors(artifacts.weights).items()}

    def draw_weights(self, seed: int) -> Weights:
        """Draw uniform kernels (Glorot and Bengio 2010), and zero biases.

        Args:
            seed: Seeds NumPy's PCG64, from which the kernels are drawn.

        Returns:
            float32 weights by name.
        """
        rng = np.random.default_rng([seed, 1])
        return {
            name: rng.uniform(-1, 1, shape).astype(np.float32) * np.float32((6 / sum(shape)) ** 0.5)
            if len(shape) == 2
            else np.zeros(shape, np.float32)
            for name, shape in self._shapes.items()
        }

    def count_right_answers(
        self,
        base: Weights,
        updates: Sequence[Weights],
        num_samples: Sequence[int],
        averaging: int,
        shard: int = 0,
    ) -> NDArray[np.int64]:
        """Count the right answers of all coalitions. The empty one is the base model.

        Args:
            base: The weights from which the round starts.
            updates: The update of each player.
            num_samples: The number of examples of each player, its weight in the average.
            averaging: How updates are averaged, an `Averaging`.
            shard: The index of the shard of the evaluation set.

        Returns:
            The right answers of each coalition of the n players, int64 (2^n,), by bit mask.
        """
        files = {"base": base, **{f"update-{i}": update for i, update in enumerate(updates)}}
        for name, weights in files.items():
            (self._folder / name).write_bytes(encode_tensors(weights))
        job = UtilityJob(
            job_id=b"measurement",
            model=self._folder / "model",
            base=self._folder / "base",
            updates=tuple(self._folder / f"update-{i}" for i in range(len(updates))),
            num_samples=tuple(num_samples),
            evaluation=self._folder / f"evaluation-{shard}",
            averaging=averaging,
            empty=task_pb2.EMPTY_COALITION_BASE_MODEL,
        )
        masks = np.arange(1 << len(updates))
        coalitions = (masks[:, None] >> np.arange(len(updates))) & 1 == 1
        return load_evaluator(job).evaluate(coalitions)

    def measure_alone(self, base: Weights, update: Weights, shard: int = 0) -> LoneUpdate:
        """Measure an update alone, as a coordinator does before it signs a receipt.

        Args:
            base: The weights from which the round starts.
            update: The weights that a client trained, by name.
            shard: The index of the shard of the evaluation set.

        Returns:
            The right answers of the update and of the base.
        """
        for name, weights in {"base": base, "update-0": update}.items():
            (self._folder / name).write_bytes(encode_tensors(weights))
        names = ("model", "base", "update-0", f"evaluation-{shard}")
        model, start, end, evaluation = (self._folder / name for name in names)
        job = build_lone_job(model, start, end, evaluation, task_pb2.UTILITY_ACCURACY, None)
        return read_lone_update(measure_lone_update(job))


@lru_cache(maxsize=4)
def _build_artifacts(dataset: str, evaluation_size: int, num_shards: int) -> InitialArtifacts:
    """Build the model and the evaluation set once: a process of its own imports TensorFlow."""
    return asyncio.run(
        build_initial_artifacts(
            dataset, "mlp", 0, evaluation_size=evaluation_size, num_shards=num_shards
        )
    )
