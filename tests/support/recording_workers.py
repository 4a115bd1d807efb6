"""Real workers that note which coalitions they are asked to evaluate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fedcoin.learning.evaluation.job import Coalitions
from fedcoin.learning.workers import jobs
from fedcoin.learning.workers.executors import LocalExecutor, LocalWorker


class RecordingExecutor(LocalExecutor):
    """Creates child processes, and notes the coalitions of each `jobs.evaluate`."""

    def __init__(self, processes: int = 1) -> None:
        super().__init__(processes)
        self.batches: list[tuple[bytes, Coalitions]] = []
        """The job and the coalitions of each call, of all workers together."""

    @property
    def sizes(self) -> list[int]:
        """How many coalitions each call had."""
        return [len(coalitions) for _, coalitions in self.batches]

    def count_coalitions(self) -> dict[tuple[bytes, bytes], int]:
        """Count how often each coalition of each job was evaluated."""
        times: dict[tuple[bytes, bytes], int] = {}
        for job_id, coalitions in self.batches:
            for row in coalitions:
                key = job_id, row.tobytes()
                times[key] = times.get(key, 0) + 1
        return times

    def create_worker(self) -> LocalWorker:
        worker, call = LocalWorker(), LocalWorker.call

        async def recording_call(function: Callable[..., Any], *arguments: Any) -> Any:
            if function is jobs.evaluate:
                self.batches.append((arguments[0], arguments[1]))
            return await call(worker, function, *arguments)

        worker.call = recording_call  # type: ignore[method-assign]
        return worker
