"""A miner's progress with one task."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from fedcoin.application.mining.task_evaluator import Assignment
from fedcoin.application.mining.work_store import SealedWork
from fedcoin.incentive.proof.evidence import EvidenceTree
from fedcoin.incentive.proof.sampling_plan import SamplingPlan
from fedcoin.v1 import block_pb2


@dataclass(slots=True)
class TaskProgress:
    """This miner's progress with one task."""

    assignment: Assignment
    """The task."""
    plan: SamplingPlan
    """This miner's plan for the task: which coalitions its samples hold."""
    deposit: int
    """What a commitment takes, in sap."""
    offer: int = 0
    """What the task offers for its work, in sap for each million of evaluations."""
    deadline_ms: int = 0
    """The deadline of the present window, Unix ms; a commit window's can become earlier."""
    attempt: int = 0
    """The attempt that the fields below belong to."""
    work: SealedWork | None = None
    """The work that the last commitment sealed, in this attempt or an earlier one."""
    tree: EvidenceTree | None = None
    """The evidence tree of `work`, once it has been built."""
    step: asyncio.Task[None] | None = None
    """The running step."""
    step_phase: int = block_pb2.TASK_PHASE_UNSPECIFIED
    """The phase that the step was started for."""
    sent: bytes = b""
    """The hash of the transaction that was submitted last."""
    given_up: bool = False
    """True when this miner does nothing more in this attempt."""
    has_declined: bool = False
    """True when this miner has said that it cannot take part, in any attempt."""

    @property
    def name(self) -> str:
        """The first digits of the task id, for log lines."""
        return self.assignment.task_id.hex()[:16]

    @property
    def busy(self) -> bool:
        """True while a step runs."""
        return self.step is not None and not self.step.done()

    @property
    def is_sealed(self) -> bool:
        """True when the samples of this attempt are computed and stored."""
        return self.work is not None and self.work.attempt == self.attempt

    @property
    def is_sampling(self) -> bool:
        """True while the running step computes samples."""
        is_commit = self.step_phase == block_pb2.TASK_PHASE_COMMIT
        return self.busy and is_commit and not self.is_sealed

    async def halt(self) -> None:
        """Cancel the running step, and wait until it has ended."""
        if self.step is not None:
            self.step.cancel()
            await asyncio.wait([self.step])
            self.step = None

    async def begin_attempt(self, attempt: int) -> None:
        """Start another attempt of the task; the samples are kept.

        Args:
            attempt: The attempt's number, from 1 for the second one.
        """
        await self.halt()
        self.attempt, self.sent, self.given_up = attempt, b"", self.has_declined
