from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fedcoin.data.artifacts.tensors import encode_tensors
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.model.aggregation import federated_average
from fedcoin.learning.model.artifact_checks.job_checks import check_job_artifacts, check_job_files
from fedcoin.learning.model.artifact_checks.weight_checks import MAX_MAGNITUDE
from tests.conftest import ReportAttack
from tests.support.small_models import evaluation, mlp_spec, random_weights, write_job

SPEC = mlp_spec()
SAMPLES = [10, 20, 30]


def task() -> dict[str, Any]:
    updates = [random_weights(SPEC, seed) for seed in (1, 2, 3)]
    x, y = evaluation(SPEC, 40)
    return {
        "base": random_weights(SPEC, 0),
        "aggregate": federated_average(updates, SAMPLES),
        "updates": updates,
        "x": x,
        "y": y,
        "evaluation_size": 40,
        "num_samples": SAMPLES,
    }


def code_of(given: dict[str, Any]) -> LearningCode:
    with pytest.raises(RefusalError) as caught:
        check_job_artifacts(SPEC, **given)
    assert caught.value.field
    assert isinstance(caught.value.code, LearningCode)
    return caught.value.code


def test_a_sound_task_passes() -> None:
    check_job_artifacts(SPEC, **task())


def test_no_clients() -> None:
    assert code_of({**task(), "updates": []}) is LearningCode.NO_CLIENTS


def poison(value: float) -> Callable[[dict[str, NDArray[Any]]], dict[str, NDArray[Any]]]:
    def change(weights: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        array = weights["w2"].copy()
        array.flat[5] = value
        return {**weights, "w2": array}

    return change


@pytest.mark.parametrize("part", ["base", "aggregate", "updates"])
@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda w: {**w, "more": w["w0"]}, LearningCode.WRONG_NAMES),
        (lambda w: dict(reversed(w.items())), LearningCode.WRONG_NAMES),
        (lambda w: {**w, "w0": w["w0"].T}, LearningCode.WRONG_SHAPE),
        (lambda w: {**w, "w1": w["w1"].astype(np.int32)}, LearningCode.WRONG_DTYPE),
        (poison(np.nan), LearningCode.NOT_FINITE),
        (poison(np.inf), LearningCode.NOT_FINITE),
        (poison(-np.inf), LearningCode.NOT_FINITE),
        (poison(2 * MAX_MAGNITUDE), LearningCode.OUT_OF_RANGE),
    ],
)
def test_bad_weights(part: str, change: Any, code: LearningCode) -> None:
    given = task()
    if part == "updates":
        given[part][1] = change(given[part][1])
    else:
        given[part] = change(given[part])
    assert code_of(given) is code


def test_bad_evaluation_sets() -> None:
    given = task()
    assert code_of({**given, "x": given["x"][:-1]}) is LearningCode.WRONG_SHAPE
    assert code_of({**given, "x": given["x"][:, :2]}) is LearningCode.WRONG_SHAPE
    assert code_of({**given, "y": given["y"][:, None]}) is LearningCode.WRONG_SHAPE
    assert code_of({**given, "evaluation_size": 41}) is LearningCode.WRONG_SIZE
    assert code_of({**given, "x": given["x"].astype(np.int64)}) is LearningCode.WRONG_DTYPE
    assert code_of({**given, "y": given["y"].astype(np.float32)}) is LearningCode.WRONG_DTYPE
    x = given["x"].copy()
    x[3, 1, 1] = np.nan
    assert code_of({**given, "x": x}) is LearningCode.NOT_FINITE
    for wrong in (3, -1, 200):
        y = given["y"].copy()
        y[7] = wrong
        assert code_of({**given, "y": y}) is LearningCode.LABEL_OUT_OF_RANGE


def test_the_aggregate_must_be_the_average() -> None:
    given = task()
    assert code_of({**given, "aggregate": given["updates"][0]}) is LearningCode.WRONG_AGGREGATE
    assert code_of({**given, "num_samples": [30, 20, 10]}) is LearningCode.WRONG_AGGREGATE
    assert code_of({**given, "num_samples": [0, 20, 10]}) is LearningCode.BAD_SAMPLES
    check_job_artifacts(SPEC, **{**given, "aggregate": given["base"], "num_samples": None})


@pytest.mark.attack
def test_a_huge_weight_leaves_the_aggregate_no_freedom(report_attack: ReportAttack) -> None:
    given = task()
    name = next(iter(given["updates"][0]))
    given["updates"][0][name] = given["updates"][0][name].copy()
    given["updates"][0][name].flat[0] = MAX_MAGNITUDE
    given["aggregate"] = federated_average(given["updates"], SAMPLES)
    check_job_artifacts(SPEC, **given)
    for index, wrong in ((1, 0.01), (-1, -1_000.0)):
        changed = given["aggregate"][name].copy()
        changed.flat[index] += np.float32(wrong)
        aggregate = {**given["aggregate"], name: changed}
        assert code_of({**given, "aggregate": aggregate}) is LearningCode.WRONG_AGGREGATE
    report_attack(
        "a server publishes a broken aggregate, which its accomplice alone can repair, beside one "
        "huge weight",
        "every weight of the tensor may be wrong by 1,600, and the repair is paid",
        "a refused task: `WRONG_AGGREGATE`",
    )


def test_another_order_of_float32_sums_passes() -> None:
    given = task()
    name = next(iter(given["updates"][0]))
    huge = [np.full_like(given["updates"][0][name], value) for value in (6e5, 6e5, -6e5)]
    for update, array in zip(given["updates"], huge, strict=True):
        update[name] += array
    shares = [np.float32(samples / sum(SAMPLES)) for samples in SAMPLES]
    summed = sum(
        share * update[name] for share, update in zip(shares, given["updates"], strict=True)
    )
    exact = federated_average(given["updates"], SAMPLES)
    assert np.abs(summed - exact[name]).max() > 1e-4
    check_job_artifacts(SPEC, **{**given, "aggregate": {**exact, name: summed}})


def test_files(tmp_path: Path) -> None:
    given = task()
    job = write_job(
        tmp_path, SPEC, given["base"], given["updates"], given["x"], given["y"], SAMPLES
    )
    (tmp_path / "aggregate").write_bytes(encode_tensors(given["aggregate"]))

    def check() -> None:
        check_job_files(
            job.model,
            job.base,
            tmp_path / "aggregate",
            job.updates,
            job.evaluation,
            evaluation_size=40,
            num_samples=SAMPLES,
        )

    check()
    job.updates[1].write_bytes(b"\xff\x00 no tensors")
    with pytest.raises(RefusalError) as caught:
        check()
    assert caught.value.code is DataCode.BAD_TENSOR


def test_a_check_holds_one_clients_weights_at_a_time(tmp_path: Path) -> None:
    spec = mlp_spec((64,), (2048,), 10)
    base, aggregate = (random_weights(spec, seed) for seed in range(2))
    base_path, update = tmp_path / "base", tmp_path / "update"
    base_path.write_bytes(encode_tensors(base))
    update.write_bytes(encode_tensors(aggregate))
    model, evaluation_path = tmp_path / "model", tmp_path / "evaluation"
    model.write_bytes(spec.SerializeToString(deterministic=True))
    x, y = evaluation(spec, 20)
    evaluation_path.write_bytes(encode_tensors({"x": x, "y": y}))
    num_bytes = update.stat().st_size
    tracemalloc.start()
    try:
        paths = [update] * 40
        check_job_files(
            model, base_path, update, paths, evaluation_path, num_samples=[1] * len(paths)
        )
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The base, the aggregate, one update, and sums in float64; not 40 updates.
    assert peak < 14 * num_bytes
