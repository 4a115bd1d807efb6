"""A Flower grid whose nodes are client apps in this process. Needs flwr."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Error, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid
from flwr.supercore.task_identity import TaskIdentity

NODE_IDS = (2**63 + 12345, 2**53 + 1, 17, 2**64 - 1, 2**61 + 7, 2**40 + 3)
"""Ids as Flower draws them: most do not survive a float64."""

Train = Callable[[dict[str, Any], Context], tuple[dict[str, Any], float]]
"""Takes the global arrays and the context; returns trained arrays and the number of examples."""


class LocalGrid(Grid):
    """Calls one app for each node, and returns the replies in a random order.

    A node without an app answers nothing; an app that raises answers with an error, as in Flower.
    """

    def __init__(self, apps: Mapping[int, ClientApp], seed: int = 0) -> None:
        _identify()
        self.apps = dict(apps)
        self.contexts = {
            node: Context(0, node, {"partition-id": index}, RecordDict(), {})
            for index, node in enumerate(self.apps)
        }
        self.sent: list[Message] = []
        self.timeouts: set[float | None] = set()
        self._random = random.Random(seed)

    def set_run(self, run: Any) -> None:
        raise NotImplementedError

    @property
    def run(self) -> Any:
        raise NotImplementedError

    def create_message(self, *args: Any, **more: Any) -> Message:
        raise NotImplementedError

    def get_node_ids(self) -> Iterable[int]:
        return list(self.apps)

    def get_nodes(self) -> Iterable[Any]:
        raise NotImplementedError

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        raise NotImplementedError

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        raise NotImplementedError

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        self.timeouts.add(timeout)
        replies = []
        for number, message in enumerate(messages):
            node = message.metadata.dst_node_id
            message.metadata.__dict__["_message_id"] = f"message-{number}"
            self.sent.append(message)
            arrived = _copied(message)
            try:
                reply = self.apps[node](arrived, self.contexts[node])
            except Exception as error:
                reply = Message(Error(code=0, reason=str(error)), reply_to=arrived)
            reply.metadata.__dict__["_src_node_id"] = node
            replies.append(reply)
        self._random.shuffle(replies)
        return replies


def _identify() -> None:
    """Give this process what Flower gives a server app's: messages name their run and task."""
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 1, 1


def _copied(message: Message) -> Message:
    """Return the message as it arrives: no node shares a record with the server."""
    content = RecordDict(
        {
            name: type(record)({key: record[key] for key in record})
            for name, record in message.content.items()
        }
    )
    copy = Message(
        content,
        message_type=message.metadata.message_type,
        dst_node_id=message.metadata.dst_node_id,
    )
    copy.metadata.__dict__["_message_id"] = message.metadata.message_id
    return copy


def training_app(train: Train, *mods: Any) -> ClientApp:
    """Return an app with a function of training and one of evaluation."""
    app = ClientApp()

    def train_round(message: Message, context: Context) -> Message:
        arrays = {key: array.numpy() for key, array in message.content["arrays"].items()}
        trained, examples = train(arrays, context)
        content = {
            "arrays": ArrayRecord({key: Array(np.asarray(a)) for key, a in trained.items()}),
            "metrics": MetricRecord({"loss": 0.5, "num-examples": examples}),
        }
        return Message(RecordDict(content), reply_to=message)

    def evaluate_round(message: Message, context: Context) -> Message:
        metrics = MetricRecord({"accuracy": 0.5, "num-examples": 1})
        return Message(RecordDict({"metrics": metrics}), reply_to=message)

    app.train(mods=list(mods))(train_round)
    app.evaluate()(evaluate_round)
    return app
