"""Which models of a round count, and what the average is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("nvflare", reason="nvflare is not installed: make test-integrations has it")

from nvflare.apis.fl_context import FLContext
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from nvflare.app_common.abstract.model import make_model_learnable
from nvflare.app_common.app_constant import AppConstants

from fedcoin.data.errors import RefusalError
from fedcoin.integrations.nvflare import ValuedAggregator


class First(ValuedAggregator):
    def utility(self, arrays: Any) -> float:
        return float(arrays["w"][0])


def aggregator(*, base: float | None = 1.0, **options: Any) -> First:
    made = First(**options)
    context = FLContext()
    if base is not None:
        weights = {"w": np.full(2, base, np.float32)}
        context.set_prop(AppConstants.GLOBAL_MODEL, make_model_learnable(weights, {}))
    context.set_prop(AppConstants.CURRENT_ROUND, 3)
    made.fl_ctx = context
    return made


def model(name: str, value: float, steps: Any = 1, **changes: Any) -> FLModel:
    params = {"w": np.full(2, value, np.float32)}
    meta = {"client_name": name, "NUM_STEPS_CURRENT_ROUND": steps}
    return FLModel(**{"params": params, "params_type": ParamsType.FULL, "meta": meta, **changes})


def test_values_and_average_by_steps() -> None:
    made = aggregator()
    for name, value, steps in (("b", 5.0, 3), ("a", 1.0, 1)):
        made.accept_model(model(name, value, steps))
    average = made.aggregate_model()
    assert average.params["w"].tolist() == [4.0, 4.0]
    assert average.metrics["shapley:a"] + average.metrics["shapley:b"] == pytest.approx(3.0)
    # Alone it changes nothing, and with b it lowers 5 to 4.
    assert average.metrics["shapley:a"] == pytest.approx(-0.5)
    assert made.totals()["b"][0] == pytest.approx(3.5)
    made.reset_stats()
    made.accept_model(model("c", 2.0))
    assert set(made.aggregate_model().metrics) >= {"shapley:c"}


def test_differences_stay_differences() -> None:
    made = aggregator(is_weighted=False)
    made.accept_model(model("a", 2.0, 9, params_type=ParamsType.DIFF))
    made.accept_model(model("b", 4.0, 1, params_type=ParamsType.DIFF))
    average = made.aggregate_model()
    assert average.params_type == ParamsType.DIFF
    assert average.params["w"].tolist() == [3.0, 3.0]
    assert made.rounds[0].estimate.values.sum() == pytest.approx(3.0)


def test_models_that_do_not_count(tmp_path: Path) -> None:
    made = aggregator(folder=str(tmp_path))
    made.accept_model(model("good", 2.0))
    made.accept_model(model("good", 9.0))
    made.accept_model(model("../up", 9.0))
    made.accept_model(model("nan", float("nan")))
    made.accept_model(model("shape", 9.0, params={"w": np.ones(3, np.float32)}))
    made.accept_model(model("name", 9.0, params={"v": np.ones(2, np.float32)}))
    for steps in (0, -1, 1.5, True, "many", float("inf")):
        made.accept_model(
            model(f"steps-{type(steps).__name__}-{steps}".replace("-1", "m"), 9, steps)
        )
    assert made.aggregate_model().params["w"].tolist() == [2.0, 2.0]
    files = sorted(path.name for path in (tmp_path / "round-3/updates").iterdir())
    assert files == ["good.npz"]


def test_a_round_that_cannot_be_averaged() -> None:
    made = aggregator()
    made.accept_model(model("nan", float("nan")))
    with pytest.raises(RefusalError, match="none of the 1 models"):
        made.aggregate_model()
    lonely = aggregator(base=None)
    lonely.accept_model(model("a", 1.0))
    with pytest.raises(RefusalError, match="persistor"):
        lonely.aggregate_model()


def test_a_budget_that_is_too_small_stops_no_training() -> None:
    made = aggregator(method="permutation", budget=1)
    for name in "abc":
        made.accept_model(model(name, 2.0))
    average = made.aggregate_model()
    assert average.params["w"].tolist() == [2.0, 2.0]
    assert average.metrics is None
