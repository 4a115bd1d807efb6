"""Models of which only some weights are trained: adapters (LoRA), heads on a frozen trunk.

The ModelSpec names the trained weights and the artifact of the frozen ones. Base weights, updates
and averages hold the trained ones alone; the frozen ones are the same for all clients and rounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path

import numpy as np
from google.protobuf.message import DecodeError

from fedcoin.data.artifacts.manifest import compute_artifact_id
from fedcoin.data.artifacts.mapped_tensors import MappedArray, map_tensors
from fedcoin.data.artifacts.tensors import decode_tensors, encode_tensors
from fedcoin.data.crypto.hashing import HASH_BYTES
from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.model.aggregation import Weights
from fedcoin.learning.model.artifact_checks.weight_checks import check_named_weights
from fedcoin.learning.model.spec import (
    MAX_SPEC_BYTES,
    check_spec,
    frozen_shapes,
    parse_spec,
    weight_shapes,
)
from fedcoin.v1 import artifact_pb2

MAX_LISTED = 8
"""How many names of weights a message lists."""


@dataclass(frozen=True, slots=True)
class PartlyTrainedModel:
    """A model whose weights were divided into trained and frozen ones."""

    spec: bytes
    """The serialised ModelSpec, which names the trained weights and the frozen artifact."""
    trained: bytes
    """The trained weights as encoded tensors: the base from which clients start."""
    frozen: bytes
    """The frozen weights as encoded tensors; empty when all weights are trained."""


def freeze_weights(
    spec_raw: bytes, weights_raw: bytes, patterns: Sequence[str]
) -> PartlyTrainedModel:
    """Divide a model's weights into those that clients train and those that stay as they are.

    Args:
        spec_raw: The serialised ModelSpec.
        weights_raw: All weights of the model as encoded tensors, in the order of the spec.
        patterns: Names of weights to train, with `*` for any characters, such as `*lora*`. None
            keeps what the spec says.

    Returns:
        The new spec, and the encoded tensors of both parts.

    Raises:
        RefusalError: BAD_MODEL when a pattern fits no weight, or the spec names other frozen
            weights than these; another code of `check_named_weights`, such as WRONG_NAMES,
            WRONG_SHAPE or NOT_FINITE, when the weights are not the model's.
    """
    spec, weights = parse_spec(spec_raw), decode_tensors(weights_raw)
    check_named_weights(weight_shapes(spec), weights, "base")
    if patterns:
        trained = find_trained(list(weights), patterns)
        is_whole = len(trained) == len(weights)
        spec.trained[:] = [] if is_whole else trained
        spec.frozen = b""
    if not spec.trained:
        return PartlyTrainedModel(_serialise(spec), weights_raw, b"")
    named = frozenset(spec.trained)
    frozen = encode_tensors({name: weights[name] for name in weights if name not in named})
    identity = compute_artifact_id(frozen)
    if spec.frozen not in (b"", identity):
        raise RefusalError(
            LearningCode.BAD_MODEL,
            f"the model's frozen weights are the artifact {spec.frozen.hex()}; those of the base "
            f"are {identity.hex()}: give the weights that the model was published with",
            field="frozen",
            limit=spec.frozen.hex(),
        )
    spec.frozen = identity
    check_spec(spec)
    base = encode_tensors({name: weights[name] for name in weights if name in named})
    return PartlyTrainedModel(_serialise(spec), base, frozen)


def find_trained(names: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """Find the weights that patterns name.

    Args:
        names: The names of the model's weights.
        patterns: Names, with `*` for any characters, `?` for one and `[...]` for a set of them.

    Returns:
        The names that fit a pattern, in the order of the model.

    Raises:
        RefusalError: BAD_MODEL when a pattern fits no name.
    """
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            listed = ", ".join(name[:64] for name in names[:MAX_LISTED])
            dots = ", ..." if len(names) > MAX_LISTED else ""
            raise RefusalError(
                LearningCode.BAD_MODEL,
                f"no weight is named {pattern!r}; the model's weights are {listed}{dots}",
                field="trained",
            )
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]


def load_frozen(spec: artifact_pb2.ModelSpec, path: Path | None) -> Weights:
    """Load and check the frozen weights of a model.

    Args:
        spec: The model, checked by `spec.check_spec`.
        path: The file of their tensors; None where the model has none.

    Returns:
        float32 weights by name, each once in memory; none when all weights are trained.

    Raises:
        RefusalError: BAD_TENSOR when the file does not hold tensors; WRONG_NAMES when there is no
            file; a code of `check_named_weights` when its weights are not the model's.
        OSError: The file cannot be read.
    """
    shapes = frozen_shapes(spec)
    if not shapes:
        return {}
    if path is None:
        raise RefusalError(
            LearningCode.WRONG_NAMES,
            f"the model has {len(shapes)} frozen weights, and their artifact "
            f"{spec.frozen.hex()[:16]} is missing",
            field="frozen",
        )
    weights = {
        # Copied, since the numbers of a mapped file lie at any offset, which slows products down.
        name: array.read() if isinstance(array, MappedArray) else np.array(array)
        for name, array in map_tensors(path).items()
    }
    check_named_weights(shapes, weights, "frozen")
    return weights


@lru_cache(maxsize=256)
def frozen_artifact(model: Path) -> bytes:
    """Read which artifact holds the frozen weights of a stored model.

    Args:
        model: The file of a serialised ModelSpec, whose content never changes.

    Returns:
        The artifact's id, 32 bytes; empty for a model without frozen weights, and for a file that
        holds no ModelSpec, which other checks refuse.

    Raises:
        OSError: The file cannot be read.
    """
    # A campaign may name any artifact as its model: a large one is not read, and what is kept for
    # the next call is an id.
    if model.stat().st_size > MAX_SPEC_BYTES:
        return b""
    try:
        frozen = artifact_pb2.ModelSpec.FromString(model.read_bytes()).frozen
    except DecodeError:
        return b""
    return frozen if len(frozen) == HASH_BYTES else b""


def _serialise(spec: artifact_pb2.ModelSpec) -> bytes:
    return spec.SerializeToString(deterministic=True)
