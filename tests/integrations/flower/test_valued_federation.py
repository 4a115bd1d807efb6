"""Values of a Flower run's clients without a chain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("flwr", reason="flwr is not installed: make test-integrations has it")

from flwr.app import Array, ArrayRecord
from flwr.serverapp.strategy import (
    DifferentialPrivacyServerSideFixedClipping,
    FedAvg,
    FedAvgM,
    FedMedian,
    Strategy,
)

from fedcoin import shapley
from fedcoin.data.errors import RefusalError
from fedcoin.integrations.flower import ValuedFederation
from tests.support.flower_grid import NODE_IDS, LocalGrid, Train, training_app

GAINS = (4.0, 2.0, 1.0, -1.0)


def additive(gain: float, examples: float = 10) -> Train:
    def train(arrays: dict[str, Any], context: Any) -> tuple[dict[str, Any], float]:
        return {"w": arrays["w"] + np.asarray(gain, arrays["w"].dtype)}, examples

    return train


def grid_of(*trains: Train, seed: int = 0) -> LocalGrid:
    return LocalGrid(
        {node: training_app(train) for node, train in zip(NODE_IDS, trains, strict=False)}, seed
    )


def initial(dtype: str = "float32") -> ArrayRecord:
    return ArrayRecord({"w": Array(np.zeros(3, dtype))})


def worth(arrays: ArrayRecord) -> float:
    return float(arrays["w"].numpy()[0])


def run(strategy: Any, grid: LocalGrid, arrays: ArrayRecord, rounds: int = 2) -> Any:
    return strategy.start(grid=grid, initial_arrays=arrays, num_rounds=rounds)


def expected(base: float, trained: list[float], counts: list[float]) -> list[float]:
    """Return exact values of the game, from its definition."""

    def utility(coalitions: Any) -> Any:
        weights = coalitions * np.array(counts)
        sums = weights @ np.array(trained)
        return np.where(coalitions.any(axis=1), sums / np.maximum(weights.sum(axis=1), 1e-9), base)

    return shapley.estimate(utility, len(trained), "exact").values.tolist()


def test_each_round_has_the_values_of_its_clients_as_metrics() -> None:
    strategy = ValuedFederation(FedAvg(), worth)
    result = run(strategy, grid_of(*(additive(gain) for gain in GAINS)), initial())
    for number, base in ((1, 0.0), (2, 1.5)):
        metrics = result.train_metrics_clientapp[number]
        values = expected(base, [base + gain for gain in GAINS], [10] * 4)
        for node, value in zip(NODE_IDS, values, strict=False):
            assert metrics[f"shapley:{node}"] == pytest.approx(value, abs=1e-6)
            assert metrics[f"shapley-low:{node}"] == metrics[f"shapley:{node}"]
        assert metrics["loss"] == pytest.approx(0.5)  # The wrapped strategy's own.
    total = strategy.totals()
    assert [total[str(node)][0] for node in NODE_IDS[:4]] == pytest.approx(
        np.add(expected(0.0, list(GAINS), [10] * 4), expected(0.0, list(GAINS), [10] * 4)).tolist(),
        abs=1e-5,
    )


def test_the_model_is_that_of_the_wrapped_strategy_alone() -> None:
    for strategy in (FedAvg(), FedMedian()):
        trains = [additive(gain, 10 + gain) for gain in GAINS]
        alone = run(strategy, grid_of(*trains), initial()).arrays
        valued = run(ValuedFederation(strategy, worth), grid_of(*trains), initial()).arrays
        assert np.allclose(alone["w"].numpy(), valued["w"].numpy(), atol=1e-6)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda: FedAvgM(server_momentum=0.5),
        lambda: DifferentialPrivacyServerSideFixedClipping(FedAvg(), 0.0, 1.0, 4),
    ],
    ids=["momentum", "clipping"],
)
def test_a_client_may_return_the_arrays_in_any_order(wrap: Callable[[], Strategy]) -> None:
    # These strategies pair arrays by position; JAX returns those of a dict sorted by name.
    def train(arrays: dict[str, Any], context: Any) -> tuple[dict[str, Any], float]:
        return {key: arrays[key] + np.float32(0.5) for key in sorted(arrays)}, 10

    arrays = ArrayRecord({"w": Array(np.zeros(3, "f4")), "a": Array(np.full(3, 9, "f4"))})
    strategy = ValuedFederation(wrap(), worth)
    found = run(strategy, grid_of(*[train] * 4), arrays, rounds=3).arrays
    assert list(found) == ["w", "a"]
    assert np.allclose(found["a"].numpy() - found["w"].numpy(), 9, atol=1e-5)


def test_values_do_not_depend_on_the_order_of_replies() -> None:
    found = []
    for seed in range(3):
        strategy = ValuedFederation(FedAvg(), worth, method="antithetic", budget=24)
        trains = [additive(gain) for gain in (*GAINS, 3.0, 0.5)]
        run(strategy, grid_of(*trains, seed=seed), initial(), rounds=1)
        found.append(strategy.rounds[0])
    assert found[0].clients == found[1].clients == found[2].clients
    assert np.allclose(found[0].estimate.values, found[1].estimate.values, atol=1e-7)
    assert np.allclose(found[0].estimate.values, found[2].estimate.values, atol=1e-7)


def test_an_estimate_has_intervals() -> None:
    noisy = np.random.default_rng(1).normal(0, 1, 512)

    def utility(arrays: ArrayRecord) -> float:
        return worth(arrays) + float(noisy[int(abs(worth(arrays)) * 1e4) % 512])

    strategy = ValuedFederation(FedAvg(), utility, method="antithetic", budget=24)
    trains = [additive(gain) for gain in (*GAINS, 3.0, 0.5)]
    result = run(strategy, grid_of(*trains), initial(), rounds=1)
    metrics = result.train_metrics_clientapp[1]
    for node in NODE_IDS:
        low, high = metrics[f"shapley-low:{node}"], metrics[f"shapley-high:{node}"]
        assert low < metrics[f"shapley:{node}"] < high


def test_float16_stays_float16_and_integers_stay_integers() -> None:
    seen = []

    def utility(arrays: ArrayRecord) -> float:
        seen.append({key: arrays[key].dtype for key in arrays})
        return worth(arrays)

    def train(arrays: dict[str, Any], context: Any) -> tuple[dict[str, Any], float]:
        trained = {"w": arrays["w"] + np.float16(1), "steps": arrays["steps"] + 3}
        return trained, 5

    arrays = ArrayRecord(
        {"w": Array(np.zeros(3, np.float16)), "steps": Array(np.zeros((), np.int64))}
    )
    run(ValuedFederation(FedAvg(), utility), grid_of(train, train), arrays, rounds=1)
    assert len(seen) == 4
    assert all(dtypes == {"w": "float16", "steps": "int64"} for dtypes in seen)


@pytest.mark.parametrize(
    ("train", "said"),
    [
        (additive(5.0, -1), "num-examples is -1"),
        (additive(5.0, 2.5), "num-examples is 2.5"),
        (additive(float("nan")), "NaN"),
        (lambda arrays, context: ({"w": np.zeros(4, np.float32)}, 3), "has shape (4,)"),
        (lambda arrays, context: ({"v": arrays["w"]}, 3), "differ in v, w"),
    ],
)
def test_a_reply_that_cannot_count_is_left_out(
    train: Train, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    strategy = ValuedFederation(FedAvg(), worth)
    result = run(strategy, grid_of(additive(1.0), additive(3.0), train), initial(), rounds=1)
    assert strategy.rounds[0].clients == tuple(sorted(map(str, NODE_IDS[:2])))
    assert result.arrays["w"].numpy().tolist() == [2.0] * 3
    assert f"client {NODE_IDS[2]} is left out" in caplog.text
    assert said in caplog.text


def test_training_goes_on_when_a_round_cannot_be_valued(caplog: pytest.LogCaptureFixture) -> None:
    strategy = ValuedFederation(FedAvg(), worth, method="kriging", budget=5)
    result = run(strategy, grid_of(*(additive(gain) for gain in GAINS)), initial(), rounds=1)
    assert strategy.rounds == []
    assert result.arrays["w"].numpy().tolist() == [1.5] * 3
    assert "round 1 has no values: method kriging needs a budget of at least 14" in caplog.text


def test_a_client_that_fails_is_no_player() -> None:
    def fail(arrays: dict[str, Any], context: Any) -> tuple[dict[str, Any], float]:
        raise RuntimeError("out of memory")

    strategy = ValuedFederation(FedAvg(), worth)
    run(strategy, grid_of(additive(1.0), fail, additive(3.0)), initial(), rounds=1)
    assert strategy.rounds[0].clients == tuple(sorted(map(str, (NODE_IDS[0], NODE_IDS[2]))))


def test_clients_can_have_names_and_each_its_own(caplog: pytest.LogCaptureFixture) -> None:
    names = dict(zip(NODE_IDS, ("ada", "bob", "bob"), strict=False))
    strategy = ValuedFederation(
        FedAvg(), worth, name_client=lambda reply: names[reply.metadata.src_node_id]
    )
    trains = [additive(gain) for gain in GAINS[:3]]
    result = run(strategy, grid_of(*trains), initial(), rounds=1)
    assert strategy.rounds[0].clients == ("ada", "bob")
    assert "shapley:ada" in result.train_metrics_clientapp[1]


def test_most_node_ids_are_no_floats() -> None:
    """Why clients are named by text: the ids of two nodes may be one float."""
    assert sum(int(float(node)) == node for node in NODE_IDS) == 2


def test_wrong_arguments_are_refused_before_a_client_trains() -> None:
    with pytest.raises(RefusalError, match="'foo' is unknown"):
        ValuedFederation(FedAvg(), worth, method="foo")
    with pytest.raises(TypeError, match="utility is 'accuracy'"):
        ValuedFederation(FedAvg(), "accuracy")  # type: ignore[arg-type]
