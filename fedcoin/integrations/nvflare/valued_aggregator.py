"""An aggregator for NVFlare that averages as FedAvg does, and values each round's clients."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
from nvflare.apis.dxo import MetaKey
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from nvflare.app_common.abstract.model import ModelLearnableKey
from nvflare.app_common.aggregators.model_aggregator import ModelAggregator
from nvflare.app_common.app_constant import AppConstants

from fedcoin.data.errors import RefusalError
from fedcoin.integrations.coalition_models import Arrays, CoalitionModels, check_arrays
from fedcoin.integrations.nvflare.round_folder import is_file_name, write_round, write_values
from fedcoin.integrations.round_values import RoundValues, add_round_values, value_round
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.model.aggregation import MAX_NUM_SAMPLES


class ValuedAggregator(ModelAggregator):
    """Averages clients' models, and computes the Shapley value of each client in every round.

    Give a subclass with `utility` to `FedAvg(aggregator=...)`. A coalition is worth what `utility`
    says about the average of its members' models, weighted by `NUM_STEPS_CURRENT_ROUND`; the empty
    coalition what it says about the model that the round started from. A model that does not fit
    the global one, holds NaN or is a second one of its client is left out of the round, with a
    warning.

    NVFlare builds aggregators from a job's configuration, so that the arguments are plain values.

    Args:
        folder: Where each round's models are kept for `fedcoin-node task publish`; empty: nowhere.
        is_weighted: Whether a client counts by its steps in averages; else all count the same.
        method: A key of `shapley.METHODS`, or `auto`.
        budget: The most coalitions to evaluate in a round; 0 for the method's default.
        seed: Seeds the choice of coalitions; each round adds its number.
    """

    def __init__(
        self,
        folder: str = "",
        is_weighted: bool = True,
        method: str = "auto",
        budget: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        # NVFlare writes the configuration from attributes with the arguments' names.
        self.folder = folder
        self.is_weighted = is_weighted
        self.method = method
        self.budget = budget
        self.seed = seed
        self.rounds: list[RoundValues] = []
        self._models: dict[str, FLModel] = {}

    @abstractmethod
    def utility(self, arrays: Arrays) -> float:
        """Return what a model is worth, such as its accuracy on examples of the server.

        Args:
            arrays: The model's arrays by key.

        Returns:
            A finite number.
        """

    def accept_model(self, model: FLModel) -> None:
        """Take a client's model into the round.

        Args:
            model: The model; `NUM_STEPS_CURRENT_ROUND` in its meta is its weight.
        """
        name = str((model.meta or {}).get("client_name", ""))
        if name in self._models or not is_file_name(name):
            why = "it has sent one already" if name in self._models else "its name is not allowed"
            self.warning(f"a model of client {name!r} is left out of this round: {why}")
            return
        self._models[name] = model

    def reset_stats(self) -> None:
        """Forget the models of the round before."""
        self._models = {}

    def aggregate_model(self) -> FLModel:
        """Average the round's models, and value their clients.

        Returns:
            The average, as a difference where clients sent differences, with `RoundValues.metrics`
            as its metrics.

        Raises:
            RefusalError: WRONG_NAMES when no client's model fits, or the workflow keeps no global
                model.
        """
        number = int(self.fl_ctx.get_prop(AppConstants.CURRENT_ROUND, 0))
        base = self._read_base()
        names, updates, steps = self._read_updates(base)
        counts = [float(step) if self.is_weighted else 1.0 for step in steps]
        models = CoalitionModels(base, updates, counts)
        folder = Path(self.folder) / f"round-{number}" if self.folder else None
        if folder is not None:
            write_round(folder, base, names, updates, steps)
        metrics = self._value(number, names, models, folder)
        average = models.average(np.ones(len(names), np.bool_))
        is_difference = self._models[names[0]].params_type == ParamsType.DIFF
        if is_difference:
            average = {key: array - base[key] for key, array in average.items()}
        kind = ParamsType.DIFF if is_difference else ParamsType.FULL
        return FLModel(params=dict(average), params_type=kind, metrics=metrics)

    def totals(self) -> dict[str, tuple[float, float]]:
        """Add the values of all rounds so far.

        Returns:
            For each client its value and standard error, in the utility's unit.
        """
        return add_round_values(self.rounds)

    def _value(
        self, number: int, names: list[str], models: CoalitionModels, folder: Path | None
    ) -> dict[str, float] | None:
        try:
            values = value_round(
                number,
                names,
                models,
                self.utility,
                seed=self.seed + number,
                method=self.method,
                budget=self.budget or None,
            )
        except RefusalError as refusal:
            # Such as a budget that is too small for the clients that came: training goes on.
            self.warning(f"round {number} has no values: {refusal.message}")
            return None
        self.rounds.append(values)
        if folder is not None:
            write_values(folder, values)
        return values.metrics()

    def _read_base(self) -> Arrays:
        learnable = self.fl_ctx.get_prop(AppConstants.GLOBAL_MODEL)
        weights: Any = (learnable or {}).get(ModelLearnableKey.WEIGHTS)
        if not weights:
            raise RefusalError(
                LearningCode.WRONG_NAMES,
                "the workflow keeps no global model, from which coalitions start: give FedAvg a"
                " persistor instead of `model`",
                field="model",
            )
        return {str(key): np.asarray(array) for key, array in weights.items()}

    def _read_updates(self, base: Arrays) -> tuple[list[str], list[Arrays], list[int]]:
        """Return the names, arrays and steps of the clients whose models count, by name."""
        shapes = {key: array.shape for key, array in base.items()}
        names: list[str] = []
        updates: list[Arrays] = []
        steps: list[int] = []
        for name in sorted(self._models):
            model = self._models[name]
            try:
                arrays = {str(key): np.asarray(array) for key, array in model.params.items()}
                checked = check_arrays(arrays, shapes)
                steps.append(_read_steps(model))
            except RefusalError as refusal:
                self.warning(f"client {name} is left out of this round: {refusal}")
                continue
            if model.params_type == ParamsType.DIFF:
                checked = {key: base[key] + array for key, array in checked.items()}
            names.append(name)
            updates.append(checked)
        if not names:
            raise RefusalError(
                LearningCode.WRONG_NAMES,
                f"none of the {len(self._models)} models of this round fits the global model; the"
                " warnings above say why",
                field="params",
            )
        return names, updates, steps


def _read_steps(model: FLModel) -> int:
    """Read a client's weight; FedAvg counts one without, or with a wrong one, as 1."""
    steps = (model.meta or {}).get(MetaKey.NUM_STEPS_CURRENT_ROUND, 1)
    is_number = isinstance(steps, int | float) and not isinstance(steps, bool)
    if not is_number or not 1 <= steps <= MAX_NUM_SAMPLES or steps != int(steps):
        raise RefusalError(
            LearningCode.BAD_SAMPLES,
            f"{MetaKey.NUM_STEPS_CURRENT_ROUND} is not a whole number from 1 to {MAX_NUM_SAMPLES};"
            " put the number of training examples there",
            field=MetaKey.NUM_STEPS_CURRENT_ROUND,
        )
    return int(steps)
