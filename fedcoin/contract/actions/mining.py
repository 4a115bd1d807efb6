"""CommitShapley, RevealShapley, DeclineTask: a miner's steps in a task, or its refusal of it."""

from __future__ import annotations

from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.state import records
from fedcoin.contract.state.block_room import ENTRIES_PER_POWER, STEPS_PER_ANSWER
from fedcoin.contract.state.execution_context import ExecutionContext
from fedcoin.contract.tasks.frozen_power import decline_power, note_act, read_power
from fedcoin.data.crypto.hashing import HASH_BYTES
from fedcoin.data.crypto.keys import PUBLIC_KEY_BYTES
from fedcoin.data.errors import RefusalError
from fedcoin.data.field_checks import check_length
from fedcoin.data.messages.amounts import format_amount
from fedcoin.data.messages.transactions import Transaction
from fedcoin.incentive.errors import IncentiveCode
from fedcoin.incentive.proof.evidence import ProvedVector, compute_commitment, verify_evidence
from fedcoin.incentive.proof.sampling_plan import SamplingPlan, build_plan
from fedcoin.v1 import block_pb2
from fedcoin.v1.block_pb2 import TaskPhase
from fedcoin.v1.state_pb2 import MinerState, TaskState


def commit_shapley(context: ExecutionContext, transaction: Transaction) -> None:
    """Record a miner's commitment, with its deposit, while the commit window is open.

    Args:
        context: The execution of the block.
        transaction: The decoded transaction; its body holds the action.

    Raises:
        RefusalError: UNKNOWN_TASK when there is no task of this id; TOO_EARLY or TOO_LATE when this
            attempt's commit window is not open yet or any more; NOT_A_MINER when the sender had no
            bond when the task was opened, lost it since, or has declined; BAD_HASH when the
            commitment does not have 32 bytes; WRONG_DEPOSIT when the deposit is not the task's;
            ALREADY_COMMITTED when the miner has committed in this attempt; INSUFFICIENT_BALANCE
            when the balance does not cover the deposit; BLOCK_FULL when the block has no room for
            another step.
    """
    action = transaction.body.commit_shapley
    context.room.take_steps(1)
    task, power = _check_may_act(context, transaction, action.task_id, action.attempt)
    check_length(action.commitment, HASH_BYTES, "commitment", code=LedgerCode.BAD_HASH)
    if action.deposit != task.commit_deposit:
        raise RefusalError(
            LedgerCode.WRONG_DEPOSIT,
            f"deposit is {action.deposit} sap; it must be {task.commit_deposit}",
            field="deposit",
            limit=str(task.commit_deposit),
        )
    _check_uncommitted(context, transaction, action.task_id)
    context.debit(transaction.sender, action.deposit, "deposit")
    miner = MinerState(
        public_key=transaction.public_key,
        commitment=action.commitment,
        deposit=action.deposit,
        attempt=action.attempt,
        power=power,
    )
    records.MINERS.put(context.state, action.task_id, transaction.sender, record=miner)
    note_act(context.state, action.task_id, task, power)


def decline_task(context: ExecutionContext, transaction: Transaction) -> None:
    """Take a miner's power in a task away at its own request, while the commit window is open.

    Args:
        context: The execution of the block.
        transaction: The decoded transaction; its body holds the action.

    Raises:
        RefusalError: UNKNOWN_TASK, TOO_EARLY, TOO_LATE or NOT_A_MINER when the sender could not
            commit now, as `commit_shapley` says; ALREADY_COMMITTED when the miner has committed in
            this attempt; BLOCK_FULL when the block has no room for what changes.
    """
    action = transaction.body.decline_task
    task, _ = _check_may_act(context, transaction, action.task_id, action.attempt)
    _check_uncommitted(context, transaction, action.task_id)
    context.room.take_entries(ENTRIES_PER_POWER)
    decline_power(context.state, action.task_id, task, transaction.sender)


def reveal_shapley(context: ExecutionContext, transaction: Transaction) -> None:
    """Open a miner's commitment, or answer the challenge.

    Evidence without leaves opens the commitment in phase CHALLENGE: its salt is one of those that
    fix the challenge. Evidence with leaves answers the challenge in phase REVEAL.

    Args:
        context: The execution of the block.
        transaction: The decoded transaction; its body holds the action.

    Raises:
        RefusalError: UNKNOWN_TASK when there is no task of this id; TOO_EARLY or TOO_LATE when the
            phase for this message has not begun or is over; NOT_COMMITTED when the miner has not
            committed in this attempt; NOT_OPENED when the answer comes without an opening before;
            ALREADY_REVEALED when this message came before; BAD_HASH when the salt does not have 32
            bytes; WRONG_OPENING when salt and evidence are not those of the commitment; a code of
            `IncentiveCode`, such as WRONG_LEAVES or WRONG_ROOT, when the evidence does not answer
            the challenge (`verify_evidence`); BLOCK_FULL when the block has no room for another
            step.
    """
    action = transaction.body.reveal_shapley
    task = _read_task(context, action.task_id)
    is_opening = not action.evidence.leaves
    context.room.take_steps(1 if is_opening else STEPS_PER_ANSWER)
    phase = block_pb2.TASK_PHASE_CHALLENGE if is_opening else block_pb2.TASK_PHASE_REVEAL
    _check_phase(task, action.attempt, phase)
    miner = records.MINERS.get(context.state, action.task_id, transaction.sender)
    if miner is None:
        raise RefusalError(
            LedgerCode.NOT_COMMITTED,
            "this miner has not committed in this attempt",
            field="task_id",
        )
    _check_progress(miner, is_opening)
    _check_opening(transaction, miner.commitment)
    note_act(context.state, action.task_id, task, miner.power)
    if is_opening:
        miner.salt = action.salt
        records.MINERS.put(context.state, action.task_id, transaction.sender, record=miner)
        return
    # The result depends on nothing but the transaction and the challenge.
    proved = context.results.get_or_compute(
        ("reveal", transaction.hash, task.challenge),
        lambda: _verify_evidence(context, transaction, task.challenge),
    )
    miner.revealed = True
    miner.samples = proved.samples
    miner.shapley_nano.extend(proved.shapley_nano)
    miner.evidence_root = action.evidence.root
    miner.evaluations = proved.evaluations
    records.MINERS.put(context.state, action.task_id, transaction.sender, record=miner)


def _check_may_act(
    context: ExecutionContext, transaction: Transaction, task_id: bytes, attempt: int
) -> tuple[TaskState, int]:
    """Check that the sender may commit in an attempt; return the task, and the power in sap."""
    task = _read_task(context, task_id)
    _check_phase(task, attempt, block_pb2.TASK_PHASE_COMMIT)
    power = read_power(context.state, task_id).get(transaction.sender, 0)
    if not power:
        raise RefusalError(
            LedgerCode.NOT_A_MINER,
            "only a miner that had a bond when the task was opened, was not slashed since and has"
            " not declined may commit: bond at least"
            f" {format_amount(context.parameters.min_bond)} before the next task",
            field="public_key",
            limit=str(context.parameters.min_bond),
        )
    return task, power


def _check_uncommitted(context: ExecutionContext, transaction: Transaction, task_id: bytes) -> None:
    if records.MINERS.get(context.state, task_id, transaction.sender) is not None:
        raise RefusalError(
            LedgerCode.ALREADY_COMMITTED,
            "this miner has already committed in this attempt",
            field="task_id",
        )


def _read_task(context: ExecutionContext, task_id: bytes) -> TaskState:
    task = records.TASKS.get(context.state, task_id)
    if task is None:
        raise RefusalError(
            LedgerCode.UNKNOWN_TASK,
            f"there is no task {task_id[:HASH_BYTES].hex()}",
            field="task_id",
        )
    return task


def _check_phase(task: TaskState, attempt: int, phase: TaskPhase.ValueType) -> None:
    """Check that the task is in an attempt and a phase (TOO_EARLY, TOO_LATE)."""
    wanted, current = (attempt, phase), (task.attempt, task.phase)
    if wanted != current:
        is_early = wanted > current and not task.closed_height
        raise RefusalError(
            LedgerCode.TOO_EARLY if is_early else LedgerCode.TOO_LATE,
            f"this is for attempt {attempt}, {TaskPhase.Name(phase)}; the task is in attempt"
            f" {task.attempt}, {TaskPhase.Name(task.phase)}"
            + (": wait for it" if is_early else " already"),
            field="attempt",
            limit=str(task.attempt),
        )


def _check_progress(miner: MinerState, is_opening: bool) -> None:
    """Check that a miner opens once and answers once, in this order."""
    if miner.revealed or (is_opening and miner.salt):
        step = "answered the challenge" if miner.revealed else "opened its commitment"
        raise RefusalError(
            LedgerCode.ALREADY_REVEALED, f"this miner has already {step}", field="task_id"
        )
    if not is_opening and not miner.salt:
        raise RefusalError(
            LedgerCode.NOT_OPENED,
            "this miner did not open its commitment in phase CHALLENGE",
            field="task_id",
        )


def _check_opening(transaction: Transaction, committed: bytes) -> None:
    action = transaction.body.reveal_shapley
    check_length(action.salt, HASH_BYTES, "salt", code=LedgerCode.BAD_HASH)
    if action.evidence.siblings and not action.evidence.leaves:
        raise RefusalError(
            IncentiveCode.WRONG_SIBLINGS,
            "an opening must not contain siblings, since it contains no leaves",
            field="evidence.siblings",
            limit="0",
        )
    opened = compute_commitment(
        action.evidence, action.salt, action.task_id, action.attempt, transaction.sender
    )
    if opened != committed:
        raise RefusalError(
            LedgerCode.WRONG_OPENING,
            "salt and evidence are not those of this miner's commitment",
            field="evidence",
            limit=committed.hex(),
        )


def _build_plan(context: ExecutionContext, task_id: bytes) -> SamplingPlan:
    """Build a task's plan, for a key that no miner has."""
    terms = records.TERMS.get(context.state, task_id)
    assert terms is not None, "a task without terms"
    return build_plan(terms, task_id, bytes(PUBLIC_KEY_BYTES))


def _verify_evidence(
    context: ExecutionContext, transaction: Transaction, challenge: bytes
) -> ProvedVector:
    action = transaction.body.reveal_shapley
    # The terms of a task never change, and those of 128 clients have 30 KB.
    plan_of_any = context.results.get_or_compute(
        ("plan", action.task_id), lambda: _build_plan(context, action.task_id)
    )
    plan = plan_of_any.of_miner(transaction.public_key)
    return verify_evidence(action.evidence, plan, challenge, context.parameters.challenge_leaves)
