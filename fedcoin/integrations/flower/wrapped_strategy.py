"""A Flower strategy that wraps another one, and passes every call on to it."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy

from fedcoin.integrations.flower.triton_guard import keep_triton_out

logger: Final = logging.getLogger("flwr")
"""Flower's own logger, so that the lines appear where a server app's lines do."""


class WrappedStrategy(Strategy):
    """Passes every call of a strategy on to another one; the base of FedCoin's wrappers.

    Args:
        strategy: The wrapped strategy.
    """

    def __init__(self, strategy: Strategy) -> None:
        keep_triton_out()
        self.strategy = strategy

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Return the wrapped strategy's messages for a round of training.

        Args:
            server_round: The round's number in this run, from 1.
            arrays: The global model.
            config: Settings for the clients.
            grid: Reaches the nodes.

        Returns:
            One message for each node that trains.
        """
        messages: Iterable[Message] = self.strategy.configure_train(
            server_round, arrays, config, grid
        )
        return messages

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Return the wrapped strategy's aggregate of a round.

        Args:
            server_round: The round's number in this run, from 1.
            replies: The replies, in any order.

        Returns:
            The new global model and the round's metrics; None in the place of one that the strategy
            does not give.
        """
        aggregate: tuple[ArrayRecord | None, MetricRecord | None] = self.strategy.aggregate_train(
            server_round, replies
        )
        return aggregate

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Return the wrapped strategy's messages for a round of evaluation.

        Args:
            server_round: The round's number in this run, from 1.
            arrays: The global model.
            config: Settings for the clients.
            grid: Reaches the nodes.

        Returns:
            One message for each node that evaluates.
        """
        messages: Iterable[Message] = self.strategy.configure_evaluate(
            server_round, arrays, config, grid
        )
        return messages

    def aggregate_evaluate(
        self, server_round: int, replies: Iterable[Message]
    ) -> MetricRecord | None:
        """Return the wrapped strategy's metrics of a round of evaluation.

        Args:
            server_round: The round's number in this run, from 1.
            replies: The replies, in any order.

        Returns:
            The metrics; None when the strategy gives none.
        """
        return self.strategy.aggregate_evaluate(server_round, replies)

    def summary(self) -> None:
        """Log the wrapped strategy's settings."""
        self.strategy.summary()
