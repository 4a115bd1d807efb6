from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fedcoin.data.artifacts.tensors import decode_tensors, encode_tensors
from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.model import keras_runtime
from fedcoin.learning.training import client_data, datasets
from fedcoin.learning.training.client_data import ClientData
from fedcoin.learning.training.partition_spec import parse_partition
from fedcoin.learning.training.partitions import take_share
from fedcoin.learning.training.training_plan import TrainingPlan
from tests.support.small_models import layer, mlp_spec, random_weights, sequential, spec_of

SPEC = mlp_spec((8, 8), (16,), 10)
RAW = SPEC.SerializeToString(deterministic=True)
BASE = encode_tensors(random_weights(SPEC, 0))


def test_a_share_and_its_wrong_labels() -> None:
    clean = client_data.load_client_dataset(ClientData(num_clients=5, index=1, seed=3))
    noisy = client_data.load_client_dataset(
        ClientData(num_clients=5, index=1, seed=3, label_noise=0.6)
    )
    np.testing.assert_array_equal(clean.x_train, noisy.x_train)
    assert (clean.y_train != noisy.y_train).mean() == pytest.approx(0.6, abs=0.01)
    assert len(client_data.load_client_dataset(ClientData()).y_train) == 1437


def test_a_share_of_a_partition() -> None:
    partition = parse_partition("labels:2+label-noise:0.5")
    shares = [
        client_data.load_client_dataset(
            ClientData(num_clients=5, index=index, seed=3, partition=partition)
        )
        for index in range(5)
    ]
    whole = datasets.load_dataset("digits")
    for index, share in enumerate(shares):
        expected = take_share(whole, 5, index, 3, partition)
        np.testing.assert_array_equal(share.x_train, expected.x_train)
        np.testing.assert_array_equal(share.y_train, expected.y_train)


def test_a_free_rider_returns_the_base() -> None:
    data = ClientData(num_clients=5, index=0, is_free_rider=True)
    loaded = client_data.prepare_training(data)
    assert loaded.num_examples == len(client_data.load_client_dataset(data).y_train)
    assert loaded.inputs.describe() == "inputs 0 to 16 (uint8), not scaled"
    update = client_data.compute_update(data, RAW, BASE, TrainingPlan(), 1)
    assert update == (BASE, loaded.num_examples)


def test_an_honest_client_trains() -> None:
    data = ClientData(num_clients=20, index=0, scale=16)
    raw, samples = client_data.compute_update(data, RAW, BASE, TrainingPlan(epochs=1), 1)
    assert samples == len(client_data.load_client_dataset(data).y_train)
    trained, base = decode_tensors(raw), decode_tensors(BASE)
    assert list(trained) == list(base)
    assert any((trained[name] != base[name]).any() for name in base)
    assert client_data.compute_update(data, RAW, BASE, TrainingPlan(epochs=1), 1)[0] == raw


def test_tensorflow_is_imported_before_the_first_round_if_the_model_needs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loads: list[bytes] = []
    layers = layer("SimpleRNN", units=10, activation="softmax")
    shapes = [(8, 10), (10, 10), (10,)]
    recurrent = spec_of(sequential((8, 8), layers), (8, 8), 10, shapes).SerializeToString()
    data = ClientData(num_clients=20, index=0)
    for spec in (RAW, recurrent):
        monkeypatch.setattr(keras_runtime, "load_keras", lambda spec=spec: loads.append(spec))
        client_data.check_model(data, spec)
        client_data.check_model(replace(data, is_free_rider=True), spec)
    assert loads == [recurrent]


def test_bad_data_is_refused() -> None:
    with pytest.raises(RefusalError) as caught:
        client_data.prepare_training(ClientData("nowhere.npz", is_free_rider=True))
    assert caught.value.code is LearningCode.UNKNOWN_DATASET
