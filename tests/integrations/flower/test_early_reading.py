"""Replies are read while others are still awaited, and each once."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

import pytest

pytest.importorskip("flwr", reason="needs flwr: make test-integrations")

from flwr.app import Error, Message, MetricRecord, RecordDict

from fedcoin.data.errors import RefusalError
from fedcoin.integrations.flower.early_reading import EarlyReading
from fedcoin.learning.errors import LearningCode
from tests.support.flower_grid import LocalGrid

NODES = 3


def reply(node: int, *, failed: bool = False) -> Message:
    content = RecordDict({"metrics": MetricRecord({"node": node})})
    asked = Message(content, dst_node_id=node + 1, message_type="train")
    asked.metadata.__dict__["_message_id"] = f"message-{node}"
    answer = Error(code=0, reason="no data") if failed else content
    return Message(answer, reply_to=asked)


def node_of(message: Message) -> int:
    return int(message.content["metrics"]["node"])


class OneByOne(LocalGrid):
    """Gives one reply at each pull, each after `before` was called for the one before."""

    def __init__(self, replies: Iterable[Message], before: Any = None) -> None:
        super().__init__({})
        self.replies = list(replies)
        self.before = before or (lambda: None)

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        self.before()
        return [self.replies.pop(0)]

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        count = len(self.replies)
        return [message for _ in range(count) for message in self.pull_messages(())]


def test_a_reply_is_read_before_the_next_one_comes() -> None:
    was_read, seen = threading.Semaphore(1), []

    def read(message: Message) -> int:
        seen.append(node_of(message))
        was_read.release()
        return node_of(message) ** 2

    def wait() -> None:
        assert was_read.acquire(timeout=30), "the reply before was not read"

    grid = OneByOne(map(reply, range(NODES)), wait)
    reading = EarlyReading(read)
    with reading.watching(grid):
        reading.begin()
        replies = list(grid.send_and_receive([]))
        assert [reading.take(one) for one in reversed(replies)] == [4, 1, 0]
        assert seen == [0, 1, 2]
    assert "pull_messages" not in vars(grid)


def test_errors_and_replies_of_other_messages_are_not_read() -> None:
    seen: list[int] = []
    reading = EarlyReading(lambda message: seen.append(node_of(message)))
    grid = OneByOne([reply(0, failed=True), reply(1), reply(2)])
    with reading.watching(grid):
        reading.begin()
        grid.pull_messages(())
        (trained,) = grid.pull_messages(())
        reading.take(trained)
        reading.end()
        grid.pull_messages(())
        assert seen == [1]
        # What was not pulled is read when it is asked for, as with a grid of another kind.
        reading.take(reply(5))
    assert seen == [1, 5]


def test_a_refusal_is_raised_for_its_own_reply() -> None:
    def read(message: Message) -> int:
        if node_of(message) == 1:
            raise RefusalError(LearningCode.BAD_SAMPLES, "no examples", field="num-examples")
        return node_of(message)

    reading = EarlyReading(read)
    grid = OneByOne(map(reply, range(NODES)))
    with reading.watching(grid):
        reading.begin()
        first, second, third = grid.send_and_receive([])
        assert reading.take(first) == 0
        with pytest.raises(RefusalError, match="no examples"):
            reading.take(second)
        assert reading.take(third) == 2
