"""One client's own side of a round: its data, and what it makes of the base weights.

Meant to be called in a worker process; only ``LocalData`` travels there, never the data.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from fedcoin.data.artifacts.tensors import decode_tensors, encode_tensors
from fedcoin.learning.model import keras_runtime
from fedcoin.learning.training import datasets
from fedcoin.learning.training.datasets import Dataset
from fedcoin.learning.training.sgd import TrainingPlan, train


@dataclass(frozen=True, slots=True)
class ClientData:
    """What one client holds, and how honest it is.

    ``dataset`` is a name or path for ``datasets.load_dataset``. The client has the whole training
    set, or, with ``clients`` above 0, share ``index`` of that many, drawn by ``seed``. ``noise`` is
    the fraction of its labels that are wrong. With ``free_ride`` it claims to have trained and
    returns the base weights.
    """

    dataset: str = "digits"
    clients: int = 0
    index: int = 0
    seed: int = 0
    noise: float = 0.0
    free_ride: bool = False


@lru_cache(maxsize=1)
def load_client_dataset(data: ClientData) -> Dataset:
    """The client's data set. Raises the Refusals of ``datasets``."""
    dataset = datasets.load_dataset(data.dataset, need_test=False)
    if data.clients:
        dataset = datasets.take_share(dataset, data.clients, data.index, data.seed)
    return datasets.mislabel(dataset, data.noise, data.seed + data.index)


def prepare_training(data: ClientData) -> int:
    """How many examples there are; imports TensorFlow ahead of its use."""
    examples = len(load_client_dataset(data).y_train)
    if not data.free_ride:
        keras_runtime.load_keras()
    return examples


def compute_update(
    data: ClientData, spec_raw: bytes, base_raw: bytes, plan: TrainingPlan, seed: int
) -> tuple[bytes, int]:
    """(encoded weights, number of examples): what the client hands in for a round.

    Raises the Refusals of ``datasets``, of the tensors and of ``training.train``.
    """
    dataset = load_client_dataset(data)
    if data.free_ride:
        return base_raw, len(dataset.y_train)
    base = decode_tensors(base_raw)
    weights = train(spec_raw, base, dataset.x_train, dataset.y_train, plan, seed)
    return encode_tensors(weights), len(dataset.y_train)
