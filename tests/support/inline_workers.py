"""Workers that run in the process of the tests, for tests of what is built on workers.

A child process takes a quarter of a second of processor time until it answers. Tests of the workers
themselves, and one test of each program that uses them, start real ones.
"""

from __future__ import annotations

import pickle
import traceback
import warnings
from collections.abc import Callable
from importlib.util import module_from_spec
from typing import Any, TypeVar

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import WorkerError
from fedcoin.learning.workers import jobs
from fedcoin.learning.workers.executors import LocalExecutor, LocalWorker
from fedcoin.learning.workers.frames import REPLY_RESULT
from fedcoin.learning.workers.process import WorkerDiedError
from fedcoin.learning.workers.replies import decode_reply, encode_reply

T = TypeVar("T")

assert jobs.__spec__ is not None
SPEC = jobs.__spec__


class InlineWorker(LocalWorker):
    """Calls the functions of a worker in this process, with all that crosses the pipe as bytes."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._is_started = False
        # A module of its own, as in a process of its own: it holds the jobs that are open.
        self._jobs = module_from_spec(SPEC)

    @property
    def is_alive(self) -> bool:
        return self._is_started

    async def start(self) -> None:
        assert SPEC.loader is not None
        SPEC.loader.exec_module(self._jobs)
        self._is_started = True

    async def call(self, function: Callable[..., T], *arguments: Any) -> T:
        if not self._is_started:
            raise WorkerDiedError("is not running")
        called, given = pickle.loads(pickle.dumps((function, arguments), protocol=5))
        if called.__module__ == SPEC.name:
            called = getattr(self._jobs, called.__name__)
        # A worker writes warnings to its standard error; here they would be errors.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                result = called(*given)
            except RefusalError:
                raise
            except Exception as error:
                raise WorkerError(traceback.format_exc(limit=-6)) from error
        _, _, value = decode_reply(encode_reply(1, REPLY_RESULT, result))
        return value  # type: ignore[no-any-return]

    async def stop(self) -> None:
        self._is_started = False


class InlineExecutor(LocalExecutor):
    """Creates workers that run in this process."""

    def create_worker(self) -> InlineWorker:
        return InlineWorker()
