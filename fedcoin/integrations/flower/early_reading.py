"""Read a round's replies while others are still being waited for.

Flower hands a strategy all replies of a round at once, when the last one has come. It pulls them
several times until then, and sleeps in between. What a reply needs by itself can be done meanwhile.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from flwr.app import Message
from flwr.serverapp import Grid

T = TypeVar("T")


class EarlyReading(Generic[T]):
    """Reads replies in a thread of its own, as they are pulled, between `begin` and `end`.

    Args:
        read: Reads one reply with content; called once for each.
    """

    def __init__(self, read: Callable[[Message], T]) -> None:
        self._read = read
        self._is_reading = False
        self._thread: ThreadPoolExecutor | None = None
        # By identity, since messages of different nodes may be equal.
        self._early: dict[int, tuple[Message, Future[T]]] = {}

    @contextlib.contextmanager
    def watching(self, grid: Grid) -> Iterator[None]:
        """Watch what a grid pulls, as long as this is open.

        Args:
            grid: Reaches the nodes; gets another `pull_messages` meanwhile.

        Yields:
            Nothing.
        """
        pull = grid.pull_messages

        def pull_messages(message_ids: Iterable[str]) -> list[Message]:
            replies = list(pull(message_ids))
            if self._is_reading:
                self._start(replies)
            return replies

        # A grid's own loop calls its own method: a grid that wraps this one would see nothing.
        grid.pull_messages = pull_messages
        try:
            with ThreadPoolExecutor(1, "fedcoin-replies") as thread:
                self._thread = thread
                yield
        finally:
            self._thread = None
            self.end()
            del grid.pull_messages

    def begin(self) -> None:
        """Read what is pulled from now on: the next replies are those of a round of training."""
        self._is_reading = True

    def take(self, reply: Message) -> T:
        """Return what a reply says; wait until it is read, or read it now.

        Args:
            reply: A reply with content.

        Returns:
            The result of `read`.

        Raises:
            RefusalError: `read` refused the reply.
        """
        early = self._early.pop(id(reply), None)
        return early[1].result() if early is not None else self._read(reply)

    def end(self) -> None:
        """Read nothing that is pulled from now on, and forget what nobody took."""
        self._is_reading = False
        self._early.clear()

    def _start(self, replies: Iterable[Message]) -> None:
        assert self._thread is not None
        for reply in replies:
            if not reply.has_error():
                self._early[id(reply)] = (reply, self._thread.submit(self._read, reply))
