"""DP-SGD: each example's gradient is clipped, noise is added, and nobody can repeat it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pytest

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.training import client_data, datasets
from fedcoin.learning.training.client_data import ClientData
from fedcoin.learning.training.dense_sgd import fit_dense, read_dense_layers
from fedcoin.learning.training.private_sgd import (
    PrivacySettings,
    SampledSteps,
    fit_privately,
    plan_steps,
)
from fedcoin.learning.training.sgd import train
from fedcoin.learning.training.training_plan import TrainingPlan
from tests.learning.evaluation.test_dense_evaluator import plain_count
from tests.support.small_models import (
    conv,
    dense,
    flatten,
    layer,
    random_weights,
    sequential,
    spec_of,
)

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
NO_NOISE = 1e-9
ONCE = TrainingPlan(epochs=1, batch_size=64, learning_rate=0.5)
MODEL = sequential(
    (2, 2), layer("Rescaling", scale=0.5, offset=0.1), flatten(), dense(5, "tanh"), dense(3)
)
SPEC = spec_of(MODEL, (2, 2), 3, [(4, 5), (5,), (5, 3), (3,)])
RNG = np.random.default_rng(1)
X = RNG.standard_normal((20, 2, 2)).astype(np.float32)
Y = RNG.integers(0, 3, 20)


def moved(settings: PrivacySettings, x: Floats = X, y: Labels = Y) -> Floats:
    """Return all weights' change in one step, in one row, times the number of examples."""
    layers, base = read_dense_layers(SPEC), random_weights(SPEC, 0)
    assert layers is not None
    return len(y) * joined(fit_privately(layers, base, x, y, ONCE, settings), base)


def joined(weights: Mapping[str, Floats], base: Mapping[str, Floats]) -> Floats:
    return np.concatenate([(weights[name] - base[name]).ravel() for name in base])


def test_without_clipping_and_noise_a_step_is_that_of_sgd() -> None:
    layers, base = read_dense_layers(SPEC), random_weights(SPEC, 0)
    assert layers is not None
    plain = len(Y) * joined(fit_dense(layers, base, X, Y, ONCE, 0), base)
    np.testing.assert_allclose(moved(PrivacySettings(1e3, NO_NOISE)), plain, atol=1e-4)


def test_each_examples_gradient_is_clipped_by_itself() -> None:
    one_by_one = [
        moved(PrivacySettings(1e3, NO_NOISE), X[i : i + 1], Y[i : i + 1]) for i in range(len(Y))
    ]
    norms = [float(np.linalg.norm(step)) / ONCE.learning_rate for step in one_by_one]
    clip = float(np.median(norms))
    expected = sum(step * min(1, clip / norm) for step, norm in zip(one_by_one, norms, strict=True))
    found = moved(PrivacySettings(clip, NO_NOISE))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    # So one example more moves the sum by no more than the clipping norm.
    fewer = moved(PrivacySettings(clip, NO_NOISE), X[1:], Y[1:])
    assert np.linalg.norm(found - fewer) <= ONCE.learning_rate * clip + 1e-4


def test_the_noise_has_the_deviation_that_is_accounted_for() -> None:
    settings = PrivacySettings(clip=2.0, noise_multiplier=50.0)
    steps = np.concatenate([moved(settings) for _ in range(200)])
    assert steps.std() == pytest.approx(ONCE.learning_rate * 100, rel=0.05)
    # With the same seed in the plan, no two trainings are the same.
    assert len(np.unique(steps)) > 0.99 * len(steps)


def test_steps_take_a_batch_of_examples_on_average() -> None:
    plan = TrainingPlan(epochs=3, batch_size=32)
    assert plan_steps(plan, 100) == SampledSteps(0.32, 12)
    assert plan_steps(plan, 20) == SampledSteps(1.0, 3)


def test_it_learns_digits() -> None:
    digits = datasets.load_dataset("digits", scale=16)
    model = sequential((8, 8), flatten(), dense(32, "relu"), dense(10, "softmax"))
    spec = spec_of(model, (8, 8), 10, [(64, 32), (32,), (32, 10), (10,)])
    plan = TrainingPlan(epochs=5, batch_size=128, learning_rate=1.0)
    data, settings = (digits.x_train, digits.y_train), PrivacySettings(1.0, 1.0)
    raw, base = spec.SerializeToString(), random_weights(spec, 0)
    trained = train(raw, base, *data, plan, 0, privacy=settings)
    right = plain_count(spec, trained, digits.x_test, digits.y_test)
    assert right > 220, "of 360"


def test_other_layers_than_dense_ones_are_refused_before_joining() -> None:
    model = sequential((8, 8, 1), conv(2, (3, 3)), flatten(), dense(3))
    spec = spec_of(model, (8, 8, 1), 3, [(3, 3, 1, 2), (2,), (128, 3), (3,)])
    data = ClientData(is_free_rider=True, privacy=PrivacySettings(1.0, 1.0))
    with pytest.raises(RefusalError, match="Opacus") as caught:
        client_data.check_model(data, spec.SerializeToString())
    assert caught.value.code is LearningCode.NOT_TRAINABLE


def test_frozen_weights_stay_and_do_not_count_for_the_clipping() -> None:
    layers, weights = read_dense_layers(SPEC), random_weights(SPEC, 0)
    assert layers is not None
    names = list(weights)
    frozen, base = {n: weights[n] for n in names[:2]}, {n: weights[n] for n in names[2:]}
    one = (X[:1], Y[:1])
    settings = PrivacySettings(1e-3, NO_NOISE)
    trained = fit_privately(layers, base, *one, ONCE, settings, frozen)
    assert list(trained) == names[2:]
    assert np.linalg.norm(joined(trained, base)) == pytest.approx(0.5e-3, rel=1e-2)
