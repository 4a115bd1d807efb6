"""A model, data and clients' updates that improve it, made without TensorFlow.

The model is softmax regression on the digits that ship with the package: one dense layer, which a
few lines of NumPy train.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from fedcoin.application.coordinator.initial_artifacts import InitialArtifacts
from fedcoin.data.artifacts.manifest import compute_artifact_id
from fedcoin.data.artifacts.tensors import decode_tensors, encode_tensors
from fedcoin.learning.model.aggregation import federated_average
from fedcoin.learning.training import datasets, partitions
from fedcoin.v1.artifact_pb2 import ModelSpec
from tests.support.small_models import mlp_spec

Floats = npt.NDArray[np.float32]
Weights = dict[str, Floats]

SPEC = mlp_spec((8, 8), (), 10)
KERNEL, BIAS = (weight.name for weight in SPEC.weights)
STEPS, STEP_SIZE = 12, 0.5


@lru_cache(maxsize=1)
def digits() -> datasets.Dataset:
    """Load the data set once."""
    return datasets.load_dataset("digits", scale=16)


def model_bytes(spec: ModelSpec = SPEC) -> bytes:
    """Encode a model's specification as its artifact."""
    return spec.SerializeToString(deterministic=True)


def beginning(seed: int = 0) -> Weights:
    """Return random initial weights."""
    rng = np.random.default_rng(seed)
    kernel = rng.standard_normal((64, 10)).astype(np.float32) * np.float32(0.05)
    return {KERNEL: kernel, BIAS: np.zeros(10, np.float32)}


def trained(base: Weights, x: Floats, y: npt.NDArray[Any], steps: int = STEPS) -> Weights:
    """Train for some steps of gradient descent on the cross entropy."""
    flat = x.reshape(len(x), -1)
    kernel, bias = base[KERNEL].copy(), base[BIAS].copy()
    wanted = np.eye(10, dtype=np.float32)[y]
    for _ in range(steps):
        scores = flat @ kernel + bias
        odds = np.exp(scores - scores.max(axis=1, keepdims=True))
        error = (odds / odds.sum(axis=1, keepdims=True) - wanted) / np.float32(len(flat))
        kernel -= np.float32(STEP_SIZE) * (flat.T @ error)
        bias -= np.float32(STEP_SIZE) * error.sum(axis=0)
    return {KERNEL: kernel, BIAS: bias}


def update_of(base_raw: bytes, clients: int, index: int, seed: int = 0) -> tuple[bytes, int]:
    """Train client `index` from encoded base weights; returns its update and number of examples."""
    share = partitions.take_share(digits(), clients, index, seed)
    base: Any = decode_tensors(base_raw)
    return encode_tensors(trained(base, share.x_train, share.y_train)), len(share.y_train)


def evaluation_bytes(size: int = 0) -> bytes:
    """Encode the first `size` test examples, or all of them."""
    data = digits()
    end = size or len(data.y_test)
    return encode_tensors({"x": data.x_test[:end], "y": data.y_test[:end]})


def materials(shards: int = 1) -> InitialArtifacts:
    """Return the artifacts that a campaign starts from."""
    evaluation = datasets.load_evaluation_set("digits", num_shards=shards, scale=16)
    return InitialArtifacts(model_bytes(), encode_tensors(beginning()), evaluation)


@dataclass
class Round:
    """The artifacts of one round, evaluated on `size` test examples (0: all)."""

    clients: int
    size: int = 0
    base: bytes = field(default_factory=lambda: encode_tensors(beginning()))
    model: bytes = field(default_factory=model_bytes)

    def __post_init__(self) -> None:
        made = [update_of(self.base, self.clients, index) for index in range(self.clients)]
        self.updates = [raw for raw, _ in made]
        self.num_samples = [samples for _, samples in made]
        self.evaluation = evaluation_bytes(self.size)
        self.examples = self.size or len(digits().y_test)

    @property
    def aggregate(self) -> bytes:
        """Encode the federated average of the updates."""
        return average(self.updates, self.num_samples)


def average(updates: Sequence[bytes], num_samples: Sequence[int]) -> bytes:
    """Encode the federated average of encoded weights."""
    return encode_tensors(federated_average([decode_tensors(u) for u in updates], num_samples))


def id_of(raw: bytes) -> bytes:
    """Return the id of an artifact's bytes."""
    return compute_artifact_id(raw)
