"""A client's own work in a round: by the built-in trainer, or by a program of the client's."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from fedcoin.application.client.own_program import (
    OwnProgram,
    RoundWork,
    TrainedWeights,
    prepare_reading,
    train_by_program,
)
from fedcoin.application.client.privacy_ledger import PrivacyLedger
from fedcoin.application.client.program_privacy import ProgramPrivacy
from fedcoin.data.messages.privacy_claims import describe_privacy
from fedcoin.data.plurals import format_count
from fedcoin.learning.measures.target_kind import find_target_kind
from fedcoin.learning.training import client_data
from fedcoin.learning.training.client_data import ClientData
from fedcoin.learning.training.data_fit import describe_other_scale
from fedcoin.learning.training.input_range import InputRange
from fedcoin.learning.training.private_sgd import plan_steps
from fedcoin.learning.training.training_plan import TrainingPlan
from fedcoin.learning.workers.training_pool import TrainingPool
from fedcoin.v1.task_pb2 import PrivacyClaim


class LocalTraining:
    """Trains for one round at a time. The work goes on while the coordinator cannot be reached.

    Args:
        data: The client's data for the built-in trainer, or its program.
        pool: Processes for the built-in trainer, and for reading what a program wrote.
        report: Gets a line about each thing that happens.
        ledger: Where trainings with differential privacy are written down; None without.
    """

    def __init__(
        self,
        data: ClientData | OwnProgram,
        pool: TrainingPool,
        report: Callable[[str], None],
        ledger: PrivacyLedger | None = None,
    ) -> None:
        self._data = data
        self._pool = pool
        self._report = report
        self._ledger = ledger
        self._inputs: InputRange | None = None
        self._round: tuple[int, bytes] = (0, b"")
        self._running: asyncio.Task[TrainedWeights] | None = None

    async def prepare(self) -> None:
        """Load the data, and report what they are.

        Raises:
            RefusalError: The code of any fault in the client's data.
            WorkerError: The training process died twice.
        """
        data = self._data
        if isinstance(data, OwnProgram):
            self._report(f"training by `{data.text}`, for up to {data.seconds:g} s in a round")
            # While the round is still far: starting the worker takes a second or two.
            await self._pool.run("while starting", prepare_reading)
            return
        loaded = await self._pool.run("while training", client_data.prepare_training, data)
        self._inputs = loaded.inputs
        examples = format_count(loaded.num_examples, "example")
        self._report(f"training on {examples} of {data.dataset}: {loaded.inputs.describe()}")
        self._warn_of_delta(loaded.num_examples)

    async def check_model(self, model: bytes, utility: int) -> None:
        """Check that the data fit a model and a measure; a program looks after its own data.

        Args:
            model: The serialised ModelSpec.
            utility: What the campaign's models are measured by, a value of the enum `Utility`; it
                decides what the data's targets are, also in trainings.

        Raises:
            RefusalError: A code of `client_data.check_model`, such as BAD_DATASET or WRONG_SHAPE,
                when the data cannot be loaded or do not fit the model.
            WorkerError: The training process died twice.
        """
        if isinstance(self._data, ClientData):
            self._data = dataclasses.replace(self._data, kind=find_target_kind(utility))
            await self._pool.run("while training", client_data.check_model, self._data, model)

    def warn_of_scale(self, evaluation: tuple[float, float]) -> None:
        """Report it when the inputs are on another scale than the evaluation set's.

        Args:
            evaluation: The lowest and the highest input of the evaluation set.
        """
        if self._inputs is None or isinstance(self._data, OwnProgram):
            return
        warning = describe_other_scale(self._data.dataset, self._inputs, evaluation)
        if warning:
            self._report(f"warning: {warning}")

    async def train(
        self, work: RoundWork, until_over: Coroutine[Any, Any, None]
    ) -> TrainedWeights | None:
        """Train for a round, once, even if this is called again after it was cancelled.

        Args:
            work: What the round is trained from.
            until_over: Ends when the round takes no more updates; a program is stopped then.

        Returns:
            The trained weights; None when the round was over before.

        Raises:
            RefusalError: NOT_FINITE when the training diverges; PROGRAM_FAILED when an own program
                fails; a code of `compute_update` or `read_weights_file`, such as BAD_DATASET,
                WRONG_NAMES or WRONG_SHAPE, when the data or what a program wrote do not fit the
                model.
            WorkerError: The training process died twice.
        """
        # Made first, since an argument that a cancelled call has not awaited would be warned of.
        over = asyncio.create_task(until_over)
        try:
            if self._running is None or self._round != (work.round, work.base):
                await self.stop()
                self._round = (work.round, work.base)
                self._running = asyncio.create_task(self._compute(work))
            running = self._running
            awaited: set[asyncio.Future[Any]] = {running}
            if isinstance(self._data, OwnProgram):
                awaited.add(over)
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
        finally:
            over.cancel()
            with suppress(asyncio.CancelledError):
                await over
        if running.done():
            return running.result()
        await self.stop()
        return None

    async def claim_privacy(
        self, campaign_id: bytes, plan: TrainingPlan, trained: TrainedWeights
    ) -> PrivacyClaim | None:
        """Count a training that has ended, before its update is signed.

        Args:
            campaign_id: The campaign's id, 32 bytes.
            plan: How the coordinator asked for it to be trained; a program says itself how it was.
            trained: What the training left.

        Returns:
            What to claim; None without differential privacy.

        Raises:
            RefusalError: BAD_ARGUMENT when epsilon is larger than a claim can say.
            OSError: The ledger cannot be written.
        """
        done = self._describe_privacy(plan, trained)
        if self._ledger is None or done is None:
            return None
        if isinstance(self._data, OwnProgram):
            self._warn_of_delta(trained.num_samples)
        claim = await asyncio.to_thread(self._ledger.spend, campaign_id, done.settings, done.steps)
        self._report(f"privacy of the examples in this campaign so far: {describe_privacy(claim)}")
        return claim

    def _describe_privacy(
        self, plan: TrainingPlan, trained: TrainedWeights
    ) -> ProgramPrivacy | None:
        data = self._data
        if isinstance(data, OwnProgram):
            return trained.privacy
        if data.privacy is None:
            return None
        return ProgramPrivacy(data.privacy, plan_steps(plan, trained.num_samples))

    def _warn_of_delta(self, num_samples: int) -> None:
        if self._ledger is not None and self._ledger.delta * num_samples >= 1:
            self._report(
                f"warning: delta {self._ledger.delta:g} is not below 1 / {num_samples}, so that it "
                "would allow to publish an example; lower --delta"
            )

    async def stop(self) -> None:
        """Stop the work of the present round, and a program with all that it started."""
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def _compute(self, work: RoundWork) -> TrainedWeights:
        data = self._data
        if isinstance(data, OwnProgram):
            return await train_by_program(data, work, self._pool, self._report)
        tensors, num_samples = await self._pool.run(
            "while training",
            client_data.compute_update,
            data,
            work.model,
            work.base,
            work.plan,
            work.seed,
            work.frozen,
        )
        return TrainedWeights(tensors, num_samples)
