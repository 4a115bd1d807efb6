"""One client's work in a round: load its own data and train on it; for a worker process.

Only a `ClientData` travels to the process, never the data themselves. The last data set and the
last client's share of it are kept between calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from fedcoin.data.artifacts.tensors import decode_tensors, encode_tensors
from fedcoin.learning.measures.target_kind import TargetKind
from fedcoin.learning.model import keras_runtime
from fedcoin.learning.model.frozen_weights import load_frozen
from fedcoin.learning.model.spec import parse_spec
from fedcoin.learning.training import datasets
from fedcoin.learning.training.data_fit import check_fit
from fedcoin.learning.training.datasets import Dataset
from fedcoin.learning.training.input_range import DataSummary
from fedcoin.learning.training.partition_spec import LINEAR, Partition
from fedcoin.learning.training.partitions import take_share
from fedcoin.learning.training.private_sgd import PrivacySettings
from fedcoin.learning.training.sgd import check_private, needs_keras, train
from fedcoin.learning.training.training_plan import TrainingPlan


@dataclass(frozen=True, slots=True)
class ClientData:
    """One client's training data, and whether the client is simulated as dishonest."""

    dataset: str = "digits"
    """A name or path for `datasets.load_dataset`."""
    num_clients: int = 0
    """If above 0, the client holds one of this many shares of the training set; 0 for all of it."""
    index: int = 0
    """The index of the client's share, from 0."""
    seed: int = 0
    """Seeds the division into shares with its noise and, with `index` added, the wrong labels."""
    label_noise: float = 0.0
    """Fraction of the labels that are replaced by wrong ones, 0 to 1, beside the partition's."""
    is_free_rider: bool = False
    """Return the base weights instead of training."""
    partition: Partition = LINEAR
    """How the training set is divided among the clients, and the noise of each."""
    scale: float = 0.0
    """What to divide the inputs by; 0: the file's array `scale` or, without one, nothing."""
    privacy: PrivacySettings | None = None
    """Train with differential privacy; None for plain SGD."""
    kind: TargetKind | None = None
    """What the targets are; None, before the campaign's measure is known, for what the file's look
    like."""


@lru_cache(maxsize=1)
def load_client_dataset(data: ClientData) -> Dataset:
    """Load a client's data set.

    Args:
        data: The description of the client's data.

    Returns:
        The data set; its training arrays are the client's.

    Raises:
        RefusalError: UNKNOWN_DATASET when there is no such data set or file; BAD_DATASET when its
            arrays or the scale are invalid; BAD_SHARE when there is no such share or a fraction of
            wrong labels is not from 0 to 1; BAD_PARTITION when the data cannot be divided so.
    """
    dataset = _load_whole_dataset(data.dataset, data.scale, data.kind)
    if data.num_clients:
        dataset = take_share(dataset, data.num_clients, data.index, data.seed, data.partition)
    return datasets.mislabel(dataset, data.label_noise, data.seed + data.index)


def _load_whole_dataset(name: str, scale: float, kind: TargetKind | None) -> Dataset:
    """Load a data set, unless it is the last one, whose targets were guessed to be of this kind."""
    held = _last.get((name, scale))
    if held is not None and kind in (None, held.kind):
        return held
    _last.clear()
    loaded = datasets.load_dataset(name, need_test=False, scale=scale, kind=kind)
    _last[name, scale] = loaded
    return loaded


_last: dict[tuple[str, float], Dataset] = {}
"""The last whole data set that this process loaded, by its name and scale."""


def prepare_training(data: ClientData) -> DataSummary:
    """Load a client's data set.

    Args:
        data: The description of the client's data.

    Returns:
        The number of training examples and the range of the inputs.

    Raises:
        RefusalError: UNKNOWN_DATASET when there is no such data set or file; BAD_DATASET when its
            arrays or the scale are invalid; BAD_SHARE or BAD_PARTITION when the data cannot be
            divided so.
    """
    dataset = load_client_dataset(data)
    return DataSummary(len(dataset.y_train), dataset.inputs)


def check_model(data: ClientData, spec_raw: bytes) -> None:
    """Check that a client's data fit a model; for a worker process.

    Imports TensorFlow, which takes seconds, if the model is trained by Keras: the first round is
    still to be announced.

    Args:
        data: The description of the client's data.
        spec_raw: The serialised ModelSpec.

    Raises:
        RefusalError: UNKNOWN_DATASET, BAD_DATASET, BAD_SHARE or BAD_PARTITION when the data cannot
            be loaded or divided (`load_client_dataset`); WRONG_SHAPE, LABEL_OUT_OF_RANGE or
            OUT_OF_RANGE when they do not fit the model; NOT_TRAINABLE when it cannot be trained
            with the privacy that is asked for; a code of `parse_spec`, such as BAD_MODEL,
            when the model is not accepted.
    """
    dataset = load_client_dataset(data)
    if not data.is_free_rider:
        check_fit(data.dataset, dataset, spec_raw)
    spec = parse_spec(spec_raw)
    if data.privacy is not None:
        check_private(spec, dataset.kind, dataset.y_train)
    elif not data.is_free_rider and needs_keras(spec, dataset.kind, dataset.y_train):
        keras_runtime.load_keras()


def compute_update(
    data: ClientData,
    spec_raw: bytes,
    base_raw: bytes,
    plan: TrainingPlan,
    seed: int,
    frozen: Path | None = None,
) -> tuple[bytes, int]:
    """Compute a client's update of a round.

    Args:
        data: The description of the client's data.
        spec_raw: The serialised ModelSpec.
        base_raw: The base weights as encoded tensors.
        plan: How to train.
        seed: The client's own seed (see `sgd.train`).
        frozen: The file of the model's frozen weights; None for a model without.

    Returns:
        The trained weights as encoded tensors, and the number of training examples.

    Raises:
        RefusalError: UNKNOWN_DATASET, BAD_DATASET, BAD_SHARE or BAD_PARTITION when the data cannot
            be loaded or divided (`load_client_dataset`); BAD_TENSOR when the base weights cannot be
            decoded; NOT_FINITE when the training diverges; NOT_TRAINABLE when the model cannot be
            trained here; another code of `sgd.train` when model, weights or data are not valid.
    """
    dataset = load_client_dataset(data)
    if data.is_free_rider:
        return base_raw, len(dataset.y_train)
    base = decode_tensors(base_raw)
    x, y = dataset.x_train, dataset.y_train
    shared = load_frozen(parse_spec(spec_raw), frozen)
    weights = train(
        spec_raw, base, x, y, plan, seed,
        kind=dataset.kind, frozen=shared, privacy=data.privacy,
    )  # fmt: skip
    return encode_tensors(weights), len(dataset.y_train)
