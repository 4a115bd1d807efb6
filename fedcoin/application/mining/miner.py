"""The miner: after each final block, take the next step of each open task.

In the commit window the miner samples (`sampler`) until there are enough samples or the window is
nearly over, stores samples and a salt (`work_store`), and submits the commitment. Then it opens the
commitment, and reveals the challenged leaves when the challenge is known. A further attempt keeps
the samples and gets a new salt. When a task is closed, its work is deleted.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count
from typing import Any

from fedcoin.application.mining.declining import HOPELESS_CODES, decline
from fedcoin.application.mining.draining import Draining
from fedcoin.application.mining.progress import Progress, logged_regularly
from fedcoin.application.mining.sampler import Samples, gather
from fedcoin.application.mining.task_choice import (
    DEFAULT_FLOOR_PRICE,
    PREEMPTION_FACTOR,
    is_due,
    is_worth_mining,
    sort_by_offer,
)
from fedcoin.application.mining.task_evaluator import Assignment, TaskJobs
from fedcoin.application.mining.task_progress import TaskProgress
from fedcoin.application.mining.work_store import SealedWork, WorkFolder
from fedcoin.contract.queries.artifact_readers import is_private
from fedcoin.contract.state import records
from fedcoin.contract.tasks.frozen_power import read_power
from fedcoin.contract.tasks.lifecycle import open_tasks
from fedcoin.data.clock import Clock
from fedcoin.data.crypto.keys import SigningKey
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.transactions import Transaction
from fedcoin.data.plurals import format_count
from fedcoin.incentive.payout import compute_deposit
from fedcoin.incentive.proof.challenge import draw_challenged_leaves
from fedcoin.incentive.proof.evidence import EvidenceTree, build_evidence_tree, compute_commitment
from fedcoin.incentive.proof.sampling_plan import build_plan
from fedcoin.learning.errors import WorkerError
from fedcoin.network.background_tasks import BackgroundTasks
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.network.ports.chain_port import ChainPort
from fedcoin.network.ports.transaction_port import TransactionPort
from fedcoin.v1 import block_pb2, task_pb2
from fedcoin.v1.state_pb2 import MinerState, TaskState
from fedcoin.v1.transaction_pb2 import CommitShapley, DeclineTask, RevealShapley

log = logging.getLogger(__name__)

Submit = Callable[[CommitShapley | RevealShapley | DeclineTask], Awaitable[Transaction]]
"""Signs and submits an action with the miner's key; raises RefusalError or RpcError."""

MAX_TASKS = 4
"""The number of tasks whose samples are computed at the same time; each holds its weights in the
workers. Steps after that need no place."""

MAX_TRIES = 3
"""How often sampling is tried before the miner gives up the attempt. What is at stake once it has
samples is tried until the window ends."""

RETRY_SECONDS = 1.0
"""The pause before a step is tried again, in seconds; it doubles with each try."""

MAX_RETRY_SECONDS = 10.0
"""The longest pause before a step is tried again, in seconds."""


class Miner:
    """Mines with one key on one node. Cancel `run` to stop.

    Args:
        key: The miner's key.
        chain: The node's chain.
        pool: The node's waiting transactions.
        jobs: Opens tasks in the worker processes.
        submit: Signs and submits an action.
        folder: Keeps samples and salts.
        clock: Gives Unix ms.
        entropy: Gives a number of random bytes, for salts.
        progress: Called with a task id and the progress after each batch.
        floor_price: What it asks for each million of evaluations, in sap; 0 takes any task.
    """

    def __init__(
        self,
        key: SigningKey,
        chain: ChainPort,
        pool: TransactionPort,
        jobs: TaskJobs,
        submit: Submit,
        folder: WorkFolder,
        clock: Clock,
        entropy: Callable[[int], bytes] = secrets.token_bytes,
        progress: Callable[[bytes, Progress], None] | None = None,
        floor_price: int = DEFAULT_FLOOR_PRICE,
    ) -> None:
        self._key = key
        self._chain = chain
        self._pool = pool
        self._jobs = jobs
        self._submit = submit
        self._folder = folder
        self._clock = clock
        self._entropy = entropy
        self._on_progress = progress
        self._floor_price = floor_price
        self._stepped = asyncio.Event()
        self.draining = Draining(key.address, chain, pool, submit, self._stepped.set)
        """Whether the miner ends its work, and what it still has at stake."""
        self._tasks: dict[bytes, TaskProgress] = {}
        self._owner = BackgroundTasks("miner")

    async def run(self) -> None:
        """Mine until cancelled."""
        try:
            await self._clear_folder()
            while True:
                height = self._chain.height()
                self._stepped.clear()
                await self._react()
                await self._wait(height)
        finally:
            await self._owner.stop()

    async def _react(self) -> None:
        # Takes the next step of every open task.
        opened = dict(open_tasks(self._chain.ledger.reader))
        await self._forget_all_but(opened)
        if self._chain.catching_up:
            return
        for task_id, task in sort_by_offer(opened):
            progress = self._tasks.get(task_id)
            if await self.draining.lets_go(task_id, task.attempt, progress):
                continue
            if progress is None and not self._may_mine(task_id, task):
                continue
            if progress is None:
                progress = self._tasks[task_id] = await self._take_up(task_id)
            progress.deadline_ms, progress.offer = task.deadline_ms, task.offer
            if task.attempt != progress.attempt:
                await progress.begin_attempt(task.attempt)
            await self._advance(progress, task)
        self.draining.note(opened)

    async def _wait(self, height: int) -> None:
        # Returns when the chain is higher or caught up, or when a step has ended and its place is
        # free. The last fetched block may come a moment before the end of catching up.
        waiting: list[asyncio.Future[Any]] = [
            asyncio.ensure_future(self._chain.wait_above(height)),
            asyncio.ensure_future(self._stepped.wait()),
        ]
        if self._chain.catching_up:
            waiting.append(asyncio.ensure_future(self._chain.wait_until_caught_up()))
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for future in waiting:
                future.cancel()

    def _may_mine(self, task_id: bytes, task: TaskState) -> bool:
        # True when this miner had a bond when the task was opened, which was not slashed since, and
        # when the task pays, or a deposit is at stake.
        reader = self._chain.ledger.reader
        power = read_power(reader, task_id).get(self._key.address, 0)
        if not power or records.MINERS.get(reader, task_id, self._key.address) is not None:
            return bool(power)
        terms = records.TERMS.get(reader, task_id)
        assert terms is not None, "an open task without terms"
        rules = self._chain.genesis.parameters
        return is_worth_mining(task, terms.prices.mining, power, rules, self._floor_price)

    async def _make_place(self, progress: TaskProgress) -> bool:
        # Tells whether a task's samples can be computed now. A task under way that offers far less
        # is interrupted, and goes on when there is a place again.
        sampling = [other for other in self._tasks.values() if other.is_sampling]
        if len(sampling) < MAX_TASKS:
            return True
        lowest = min(sampling, key=lambda other: other.offer, default=None)
        if lowest is None or progress.offer < PREEMPTION_FACTOR * max(lowest.offer, 1):
            return False
        log.info("task %s makes way for task %s", lowest.name, progress.name)
        await lowest.halt()
        return True

    async def _clear_folder(self) -> None:
        # Removes the work of tasks that were closed while this node was down.
        for task_id in await asyncio.to_thread(self._folder.task_ids):
            task = records.TASKS.get(self._chain.ledger.reader, task_id)
            # An unknown task may be in a block that has not been fetched yet.
            if task is not None and task.closed_height:
                await asyncio.to_thread(self._folder.remove, task_id)

    async def _forget_all_but(self, opened: dict[bytes, TaskState]) -> None:
        for task_id in [task_id for task_id in self._tasks if task_id not in opened]:
            await self._tasks.pop(task_id).halt()
            await self._jobs.forget(task_id)
            await asyncio.to_thread(self._folder.remove, task_id)

    async def _take_up(self, task_id: bytes) -> TaskProgress:
        reader = self._chain.ledger.reader
        terms = records.TERMS.get(reader, task_id)
        assert terms is not None, "an open task without terms"
        campaign = records.CAMPAIGNS.get(reader, terms.campaign_id)
        assert campaign is not None, "a task without a campaign"
        work = await asyncio.to_thread(self._folder.load, task_id)
        return TaskProgress(
            Assignment(task_id, terms, campaign.terms.model, is_private=is_private(campaign)),
            build_plan(terms, task_id, self._key.public_key),
            compute_deposit(
                self._chain.genesis.parameters.commit_deposit,
                terms.prices.mining,
                winner_takes_all=campaign.terms.mining_reward == task_pb2.MINING_REWARD_WINNER,
            ),
            work=work,
        )

    async def _advance(self, progress: TaskProgress, task: TaskState) -> None:
        # Starts the step that the task's phase asks for, unless it is done or running.
        if progress.busy and progress.step_phase != task.phase:
            await progress.halt()
        if progress.busy or progress.given_up or self._is_waiting(progress):
            return
        task_id = progress.assignment.task_id
        miner = records.MINERS.get(self._chain.ledger.reader, task_id, self._key.address)
        if task.phase == block_pb2.TASK_PHASE_COMMIT and miner is None:
            if not progress.is_sealed and not await self._make_place(progress):
                return
            step = partial(self._commit, progress, task)
        elif miner is not None and is_due(task, miner):
            step = partial(self._reveal, progress, task, miner)
        else:
            return
        progress.step_phase = task.phase
        progress.step = self._owner.start(self._try(progress, step), name=progress.name)

    def _is_waiting(self, progress: TaskProgress) -> bool:
        # True while the last transaction waits for a block.
        return bool(progress.sent) and self._pool.get(progress.sent) is not None

    async def _try(self, progress: TaskProgress, step: Callable[[], Awaitable[None]]) -> None:
        # Ends when the step is done, when sampling failed too often, or when it is cancelled
        # because the window is over.
        try:
            for tries in count(1):
                try:
                    await step()
                    return
                except (RefusalError, RpcError, WorkerError) as failure:
                    is_last = tries >= MAX_TRIES and not progress.is_sealed
                    is_hopeless = getattr(failure, "code", None) in HOPELESS_CODES
                    is_last |= is_hopeless
                    end = "gave up" if is_last else "will try again"
                    log.warning(
                        "task %s, attempt %d: %s: %s", progress.name, progress.attempt, end, failure
                    )
                if is_last:
                    progress.given_up = True
                    if is_hopeless:
                        await decline(self._submit, progress)
                    return
                pause = RETRY_SECONDS * 2 ** min(tries - 1, 10)
                await asyncio.sleep(min(pause, MAX_RETRY_SECONDS))
        finally:
            self._stepped.set()

    # Commit -------------------------------------------------------------------------------

    async def _commit(self, progress: TaskProgress, task: TaskState) -> None:
        work = progress.work
        if work is None or work.attempt != task.attempt:
            samples = await self._sample(progress, task, work.samples if work else None)
            if samples is None:
                log.warning("task %s: the commit window was too short", progress.name)
                progress.given_up = True
                return
            work = SealedWork(task.attempt, self._entropy(32), samples)
            await asyncio.to_thread(self._folder.save, progress.assignment.task_id, work)
            progress.work, progress.tree = work, None
        tree = await self._tree_of(progress, work)
        action = CommitShapley(
            task_id=progress.assignment.task_id,
            attempt=work.attempt,
            commitment=self._commitment(progress, tree, work),
            deposit=progress.deposit,
        )
        progress.sent = (await self._submit(action)).hash
        log.info(
            "task %s: committed to %s (%s)",
            progress.name,
            format_count(tree.samples, "sample"),
            format_count(progress.plan.evaluations(tree.samples), "coalition"),
        )

    async def _sample(
        self, progress: TaskProgress, task: TaskState, known: Samples | None
    ) -> Samples | None:
        # An incomplete EXACT vector is worthless, so sampling may last until the window ends.
        margin = 0 if progress.plan.fixed_samples is not None else self._margin_ms(progress)
        end_ms = task.deadline_ms - margin
        timeout_s = max(0.0, (end_ms - self._clock()) / 1000)
        tell = (
            partial(self._on_progress, progress.assignment.task_id) if self._on_progress else None
        )
        async with self._jobs.opened(progress.assignment, timeout_s) as utility:
            return await gather(
                progress.plan,
                utility,
                self._target_difficulty(progress, task),
                self._clock,
                end_ms,
                known,
                logged_regularly(progress.name, self._clock, tell),
                lambda: self._clock() >= progress.deadline_ms - margin,
            )

    def _target_difficulty(self, progress: TaskProgress, task: TaskState) -> int:
        # A further attempt has a wider D, but the other miners keep their samples of the attempt
        # before, and a vector with far fewer samples than theirs is not an inlier.
        campaign_id = progress.assignment.terms.campaign_id
        campaign = records.CAMPAIGNS.get(self._chain.ledger.reader, campaign_id)
        assert campaign is not None, "a task without a campaign"
        return min(task.difficulty_nano, campaign.difficulty_nano)

    def _margin_ms(self, progress: TaskProgress) -> int:
        # The part of the window that is left for the commitment to get into a block.
        rules = self._chain.genesis.parameters
        block_ms = rules.propose_timeout_ms + 2 * rules.vote_timeout_ms
        return min(progress.assignment.terms.commit_window_ms // 4, block_ms)

    # Reveal -------------------------------------------------------------------------------

    async def _reveal(self, progress: TaskProgress, task: TaskState, miner: MinerState) -> None:
        # Opens the commitment; when the challenge is known, shows the challenged leaves.
        work = progress.work
        if work is None or work.attempt != task.attempt:
            log.warning(
                "task %s: the samples of the commitment are lost, and so is the deposit",
                progress.name,
            )
            progress.given_up = True
            return
        tree = await self._tree_of(progress, work)
        if self._commitment(progress, tree, work) != miner.commitment:
            log.warning("task %s: another commitment of this key is on the chain", progress.name)
            progress.given_up = True
            return
        leaves: tuple[int, ...] = ()
        evidence = tree.build_opening()
        if task.phase == block_pb2.TASK_PHASE_REVEAL:
            q = self._chain.genesis.parameters.challenge_leaves
            leaves = draw_challenged_leaves(task.challenge, self._key.public_key, tree.samples, q)
            evidence = await asyncio.to_thread(tree.prove, leaves)
        action = RevealShapley(
            task_id=progress.assignment.task_id,
            attempt=work.attempt,
            salt=work.salt,
            evidence=evidence,
        )
        progress.sent = (await self._submit(action)).hash
        if leaves:
            total = format_count(tree.samples, "leaf", "leaves")
            log.info("task %s: revealed %d of %s", progress.name, len(leaves), total)
        else:
            samples = format_count(tree.samples, "sample")
            log.info("task %s: opened its commitment, which covers %s", progress.name, samples)

    async def _tree_of(self, progress: TaskProgress, work: SealedWork) -> EvidenceTree:
        if progress.tree is None:
            samples = work.samples
            progress.tree = await asyncio.to_thread(
                build_evidence_tree, progress.plan, samples.utilities, samples.grand, samples.empty
            )
        return progress.tree

    def _commitment(self, progress: TaskProgress, tree: EvidenceTree, work: SealedWork) -> bytes:
        return compute_commitment(
            tree.build_opening(),
            work.salt,
            progress.assignment.task_id,
            work.attempt,
            self._key.address,
        )
