"""Mining: on each final block, do what the open tasks ask of this miner.

A task in its commit window is sampled (``samples``) until there is enough or the window nears its
end; the samples and a salt are put on disk (``sealed_work``), then the commitment is submitted.
Then the commitment is opened, and once the challenge is known the challenged leaves are revealed. A
task that is mined again keeps its samples, and gets a new salt. A task that is closed is forgotten.

Nothing here is trusted by others: what a miner may claim is for ``contract`` and ``auditor``.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from fedcoin.application.mining.progress import Progress, Report
from fedcoin.application.mining.sampler import Samples, gather
from fedcoin.application.mining.task_evaluator import Assignment, TaskJobs
from fedcoin.application.mining.work_store import SealedWork, WorkFolder
from fedcoin.contract.state import records
from fedcoin.contract.tasks.lifecycle import open_tasks
from fedcoin.data.clock import Clock
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.transactions import Transaction
from fedcoin.data.plurals import format_count
from fedcoin.incentive.payout import compute_deposit
from fedcoin.incentive.proof.challenge import draw_challenged_leaves
from fedcoin.incentive.proof.evidence import EvidenceTree, build_evidence_tree, compute_commitment
from fedcoin.incentive.proof.sampling_plan import SamplingPlan, build_plan
from fedcoin.learning.errors import WorkerError
from fedcoin.network.background_tasks import BackgroundTasks
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.network.ports import ChainPort, TransactionPort
from fedcoin.v1 import block_pb2
from fedcoin.v1.state_pb2 import MinerState, TaskState
from fedcoin.v1.transaction_pb2 import CommitShapley, RevealShapley

log = logging.getLogger(__name__)

Submit = Callable[[CommitShapley | RevealShapley], Awaitable[Transaction]]
"""Signs and submits an action for the miner's key; raises Refusal or RpcFailure."""

MOST_TASKS = 4
"""Tasks worked on at a time, the oldest first: each holds its weights in the worker."""

TRIES = 3
"""How often a step of one attempt is tried before the attempt is given up."""

RETRY_SECONDS = 1.0

TELL_MS = 5_000
"""How often the log says how far a task is."""


@dataclass(slots=True)
class TaskProgress:
    """One task, as far as this miner is with it."""

    assignment: Assignment
    plan: SamplingPlan
    attempt: int = 0
    work: SealedWork | None = None
    tree: EvidenceTree | None = None
    step: asyncio.Task[None] | None = None
    step_phase: int = block_pb2.TASK_PHASE_UNSPECIFIED
    sent: bytes = b""
    """Hash of the transaction that is under way."""
    given_up: bool = False

    @property
    def name(self) -> str:
        """The task, for a log."""
        return self.assignment.task_id.hex()[:16]

    @property
    def busy(self) -> bool:
        """Is a step under way?"""
        return self.step is not None and not self.step.done()

    async def halt(self) -> None:
        """Cancel what is going on, and wait until it has ended."""
        if self.step is not None:
            self.step.cancel()
            await asyncio.wait([self.step])
            self.step = None

    async def begin_attempt(self, attempt: int) -> None:
        """What was under way was for an attempt that is over; its samples stay."""
        await self.halt()
        self.attempt, self.sent, self.given_up = attempt, b"", False


def _is_due(task: TaskState, miner: MinerState) -> bool:
    """Does the task wait for this miner's opening, or for its leaves?"""
    if task.phase == block_pb2.TASK_PHASE_CHALLENGE:
        return not miner.salt
    return task.phase == block_pb2.TASK_PHASE_REVEAL and bool(miner.salt) and not miner.revealed


class Miner:
    """Works for one key on one node. ``run`` it as a task; cancel that to stop."""

    def __init__(
        self,
        key: KeyPair,
        chain: ChainPort,
        pool: TransactionPort,
        jobs: TaskJobs,
        submit: Submit,
        folder: WorkFolder,
        clock: Clock,
        entropy: Callable[[int], bytes] = secrets.token_bytes,
        progress: Callable[[bytes, Progress], None] | None = None,
    ) -> None:
        self._key = key
        self._chain = chain
        self._pool = pool
        self._jobs = jobs
        self._submit = submit
        self._folder = folder
        self._clock = clock
        self._entropy = entropy
        self._progress = progress
        self._turns: dict[bytes, TaskProgress] = {}
        self._owner = BackgroundTasks("miner")

    async def run(self) -> None:
        """Mines until cancelled."""
        try:
            await self._clear_folder()
            while True:
                height = self._chain.height()
                await self._react()
                await self._chain.wait_above(height)
        finally:
            await self._owner.stop()

    async def _react(self) -> None:
        """Bring every turn up to the latest block."""
        opened = dict(open_tasks(self._chain.ledger.reader))
        await self._forget_all_but(opened)
        bond = records.BONDS.get(self._chain.ledger.reader, self._key.address)
        if self._chain.catching_up or bond is None or not bond.bond:
            return
        for task_id, task in opened.items():
            turn = self._turns.get(task_id)
            if turn is None:
                if len(self._turns) >= MOST_TASKS:
                    continue
                turn = self._turns[task_id] = await self._take_up(task_id)
            if task.attempt != turn.attempt:
                await turn.begin_attempt(task.attempt)
            await self._advance(turn, task)

    async def _clear_folder(self) -> None:
        """Remove what is left of tasks that were closed while this node was away."""
        for task_id in await asyncio.to_thread(self._folder.task_ids):
            task = records.TASKS.get(self._chain.ledger.reader, task_id)
            # One that is unknown may be further up a chain that is still being fetched.
            if task is not None and task.closed_height:
                await asyncio.to_thread(self._folder.remove, task_id)

    async def _forget_all_but(self, opened: dict[bytes, TaskState]) -> None:
        for task_id in [task_id for task_id in self._turns if task_id not in opened]:
            await self._turns.pop(task_id).halt()
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
            Assignment(task_id, terms, campaign.terms.model),
            build_plan(terms, task_id, self._key.public_key),
            work=work,
        )

    async def _advance(self, turn: TaskProgress, task: TaskState) -> None:
        """Begin what the task's phase asks for, unless it is done or under way."""
        if turn.busy and turn.step_phase != task.phase:
            await turn.halt()
        if turn.busy or turn.given_up or self._is_waiting(turn):
            return
        task_id = turn.assignment.task_id
        miner = records.MINERS.get(self._chain.ledger.reader, task_id, self._key.address)
        if task.phase == block_pb2.TASK_PHASE_COMMIT and miner is None:
            step = partial(self._commit, turn, task)
        elif miner is not None and _is_due(task, miner):
            step = partial(self._reveal, turn, task, miner)
        else:
            return
        turn.step_phase = task.phase
        turn.step = self._owner.start(self._try(turn, step), name=turn.name)

    def _is_waiting(self, turn: TaskProgress) -> bool:
        """Is what was sent last still in the pool?"""
        return bool(turn.sent) and self._pool.get(turn.sent) is not None

    async def _try(self, turn: TaskProgress, step: Callable[[], Awaitable[None]]) -> None:
        for left in reversed(range(TRIES)):
            try:
                await step()
                return
            except (RefusalError, RpcError, WorkerError) as failure:
                end = "will try again" if left else "gave up"
                log.warning("task %s, attempt %d: %s: %s", turn.name, turn.attempt, end, failure)
            if left:
                await asyncio.sleep(RETRY_SECONDS)
        turn.given_up = True

    # --- commit ---

    async def _commit(self, turn: TaskProgress, task: TaskState) -> None:
        work = turn.work
        if work is None or work.attempt != task.attempt:
            samples = await self._sample(turn, task, work.samples if work else None)
            if samples is None:
                log.warning("task %s: the commit window was too short", turn.name)
                turn.given_up = True
                return
            work = SealedWork(task.attempt, self._entropy(32), samples)
            await asyncio.to_thread(self._folder.save, turn.assignment.task_id, work)
            turn.work, turn.tree = work, None
        tree = await self._tree_of(turn, work)
        action = CommitShapley(
            task_id=turn.assignment.task_id,
            attempt=work.attempt,
            commitment=self._commitment(turn, tree, work),
            deposit=compute_deposit(
                self._chain.genesis.parameters.commit_deposit, turn.assignment.terms.prices.mining
            ),
        )
        turn.sent = (await self._submit(action)).hash
        log.info(
            "task %s: committed to %s (%s)",
            turn.name,
            format_count(tree.samples, "sample"),
            format_count(turn.plan.evaluations(tree.samples), "coalition"),
        )

    async def _sample(
        self, turn: TaskProgress, task: TaskState, known: Samples | None
    ) -> Samples | None:
        # What is exact but incomplete is worth nothing, so it may take until the very end.
        margin = 0 if turn.plan.fixed_samples is not None else self._margin_ms(turn)
        end_ms = task.deadline_ms - margin
        timeout_s = max(0.0, (end_ms - self._clock()) / 1000)
        async with self._jobs.opened(turn.assignment, timeout_s) as utility:
            return await gather(
                turn.plan,
                utility,
                self._aim(task),
                self._clock,
                end_ms,
                known,
                self._teller(turn),
            )

    def _aim(self, task: TaskState) -> int:
        """The D to sample for, which a further attempt does not widen.

        Others keep their samples of the attempt before; a vector of far fewer than they have does
        not count, wherever it lies.
        """
        return min(
            task.difficulty_nano, records.read_ledger(self._chain.ledger.reader).difficulty_nano
        )

    def _teller(self, turn: TaskProgress) -> Report:
        """Logs how far a task is, now and then, and tells whoever asked to be told."""
        next_ms = self._clock() + TELL_MS

        def tell(progress: Progress) -> None:
            nonlocal next_ms
            if self._progress is not None:
                self._progress(turn.assignment.task_id, progress)
            if self._clock() >= next_ms:
                next_ms = self._clock() + TELL_MS
                log.info("task %s: %s", turn.name, progress)

        return tell

    def _margin_ms(self, turn: TaskProgress) -> int:
        """What is left of the window for the commitment to get into a block."""
        rules = self._chain.genesis.parameters
        block_ms = rules.propose_timeout_ms + 2 * rules.vote_timeout_ms
        return min(turn.assignment.terms.commit_window_ms // 4, block_ms)

    # --- reveal ---

    async def _reveal(self, turn: TaskProgress, task: TaskState, miner: MinerState) -> None:
        """Open the commitment; once the challenge is known, show the challenged leaves too."""
        work = turn.work
        if work is None or work.attempt != task.attempt:
            log.warning(
                "task %s: what was committed to is lost, and the deposit with it", turn.name
            )
            turn.given_up = True
            return
        tree = await self._tree_of(turn, work)
        if self._commitment(turn, tree, work) != miner.commitment:
            log.warning("task %s: another commitment of this key is on the chain", turn.name)
            turn.given_up = True
            return
        leaves: tuple[int, ...] = ()
        evidence = tree.build_opening()
        if task.phase == block_pb2.TASK_PHASE_REVEAL:
            q = self._chain.genesis.parameters.challenge_leaves
            leaves = draw_challenged_leaves(task.challenge, self._key.public_key, tree.samples, q)
            evidence = await asyncio.to_thread(tree.prove, leaves)
        action = RevealShapley(
            task_id=turn.assignment.task_id,
            attempt=work.attempt,
            salt=work.salt,
            evidence=evidence,
        )
        turn.sent = (await self._submit(action)).hash
        if leaves:
            total = format_count(tree.samples, "leaf", "leaves")
            log.info("task %s: revealed %d of %s", turn.name, len(leaves), total)
        else:
            samples = format_count(tree.samples, "sample")
            log.info("task %s: opened its commitment to %s", turn.name, samples)

    async def _tree_of(self, turn: TaskProgress, work: SealedWork) -> EvidenceTree:
        if turn.tree is None:
            samples = work.samples
            turn.tree = await asyncio.to_thread(
                build_evidence_tree, turn.plan, samples.utilities, samples.grand, samples.empty
            )
        return turn.tree

    def _commitment(self, turn: TaskProgress, tree: EvidenceTree, work: SealedWork) -> bytes:
        return compute_commitment(
            tree.build_opening(),
            work.salt,
            turn.assignment.task_id,
            work.attempt,
            self._key.address,
        )
