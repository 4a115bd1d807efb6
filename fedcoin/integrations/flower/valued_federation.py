"""Value each round's clients within a Flower run, without a chain."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy

from fedcoin import shapley
from fedcoin.data.errors import RefusalError
from fedcoin.integrations.coalition_models import Arrays, CoalitionModels
from fedcoin.integrations.flower.train_replies import (
    EXAMPLES_KEY,
    check_same_arrays,
    count_examples,
    order_arrays,
    read_arrays,
    split_replies,
)
from fedcoin.integrations.flower.wrapped_strategy import WrappedStrategy, logger
from fedcoin.integrations.round_values import RoundValues, add_round_values, value_round
from fedcoin.learning.errors import LearningCode

Utility = Callable[[ArrayRecord], float]
"""Takes a model's arrays and returns what the model is worth, such as its accuracy on examples of
the server: a finite number."""


class ValuedFederation(WrappedStrategy):
    """Wraps a strategy, and adds each client's Shapley value to the metrics of every round.

    A coalition is worth what `utility` says about the average of its members' arrays, and the empty
    coalition what it says about the arrays that the round started from. Replies may come in any
    order. A reply with arrays that are not the model's, with NaN, or with a number of examples
    below 1 is left out of the round, in words about its client.

    Args:
        strategy: The wrapped strategy, which is asked everything that it would be asked alone.
        utility: Takes a model's arrays and returns what the model is worth, a finite number.
        is_weighted: Whether a client counts by its number of examples in averages, as in FedAvg;
            else all count the same.
        method: A key of `shapley.METHODS`, or `auto`.
        budget: The most coalitions to evaluate in a round; None for the method's default.
        tolerance: Half the width, in the utility's unit, of the widest 95 % interval to accept;
            None spends the budget.
        seed: Seeds the choice of coalitions; each round adds its number.
        name_client: Names the sender of a reply. By default the reply's node id as text: node ids
            are as large as 2^64, so that no float holds them, and new in each run.
        examples_key: The metric that holds a client's number of examples.

    Raises:
        TypeError: `utility` is no function.
        RefusalError: BAD_METHOD when the method is unknown.
    """

    def __init__(
        self,
        strategy: Strategy,
        utility: Utility,
        *,
        is_weighted: bool = True,
        method: str = "auto",
        budget: int | None = None,
        tolerance: float | None = None,
        seed: int = 0,
        name_client: Callable[[Message], str] | None = None,
        examples_key: str = EXAMPLES_KEY,
    ) -> None:
        if not callable(utility):
            raise TypeError(f"utility is {utility!r}; give a function of an ArrayRecord")
        shapley.plan(1, method, budget)  # refuses an unknown method before any client trains
        super().__init__(strategy)
        self._utility = utility
        self._is_weighted = is_weighted
        self._options: Mapping[str, Any] = {
            "method": method,
            "budget": budget,
            "tolerance": tolerance,
        }
        self._seed = seed
        self._name_client = name_client or _name_node
        self._examples_key = examples_key
        self._base: ArrayRecord | None = None
        self.rounds: list[RoundValues] = []
        """The values of each round so far."""

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Keep the arrays that the round starts from, and ask the wrapped strategy.

        Args:
            server_round: The round's number in this run, from 1.
            arrays: The global model.
            config: Settings for the clients.
            grid: Reaches the nodes.

        Returns:
            One message for each node that trains.
        """
        self._base = arrays
        return super().configure_train(server_round, arrays, config, grid)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Aggregate with the wrapped strategy, and value the clients.

        Args:
            server_round: The round's number in this run, from 1.
            replies: The replies, in any order.

        Returns:
            The wrapped strategy's model, and its metrics with those of `RoundValues.metrics`.
        """
        answered, failed = split_replies(replies)
        sound, updates, counts = self._read(answered)
        arrays, metrics = super().aggregate_train(server_round, [*sound, *failed])
        if not sound:
            return arrays, metrics
        names = [self._name_client(reply) for reply in sound]
        try:
            values = self._value(server_round, names, updates, counts)
        except RefusalError as refusal:
            # Such as a budget that is too small for the clients that came: training goes on.
            logger.warning("round %d has no values: %s", server_round, refusal.message)
            return arrays, metrics
        self.rounds.append(values)
        return arrays, MetricRecord({**(metrics or {}), **values.metrics()})

    def totals(self) -> dict[str, tuple[float, float]]:
        """Add the values of all rounds so far.

        Returns:
            For each client its value and standard error, in the utility's unit.
        """
        return add_round_values(self.rounds)

    def _read(self, replies: Sequence[Message]) -> tuple[list[Message], list[Arrays], list[float]]:
        """Return the replies that count, with their arrays and weights, sorted by name."""
        assert self._base is not None, "Flower asks for the aggregate after configure_train"
        sound: list[Message] = []
        updates: list[Arrays] = []
        counts: list[float] = []
        for reply in sorted(replies, key=self._name_client):
            name = self._name_client(reply)
            try:
                _check_new(name, [self._name_client(other) for other in sound])
                count = count_examples(reply.content, self._examples_key)
                arrays = check_same_arrays(read_arrays(reply.content), self._base)
            except RefusalError as refusal:
                logger.warning("client %s is left out of this round: %s", name, refusal)
                continue
            order_arrays(reply.content, self._base)
            sound.append(reply)
            updates.append(arrays)
            counts.append(float(count) if self._is_weighted else 1.0)
        return sound, updates, counts

    def _value(
        self,
        server_round: int,
        names: Sequence[str],
        updates: Sequence[Arrays],
        counts: Sequence[float],
    ) -> RoundValues:
        assert self._base is not None
        base = {key: array.numpy() for key, array in self._base.items()}
        return value_round(
            server_round,
            names,
            CoalitionModels(base, updates, counts),
            lambda arrays: self._utility(ArrayRecord({k: Array(v) for k, v in arrays.items()})),
            seed=self._seed + server_round,
            **self._options,
        )


def _check_new(name: str, names: Sequence[str]) -> None:
    if name in names:
        raise RefusalError(
            LearningCode.WRONG_NAMES,
            f"another reply of this round is by a client named {name}; name_client must give each"
            " client a name of its own",
            field="name_client",
        )


def _name_node(reply: Message) -> str:
    return str(reply.metadata.src_node_id)
