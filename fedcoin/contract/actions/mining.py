"""CommitShapley and RevealShapley: what miners say about a task, and when."""

from __future__ import annotations

from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.state import records
from fedcoin.contract.state.execution_context import ExecutionContext
from fedcoin.data.crypto.hashing import HASH_BYTES
from fedcoin.data.errors import RefusalError
from fedcoin.data.field_checks import check_length
from fedcoin.data.messages.amounts import format_amount
from fedcoin.data.messages.transactions import Transaction
from fedcoin.incentive.errors import IncentiveCode
from fedcoin.incentive.payout import compute_deposit
from fedcoin.incentive.proof.evidence import ProvedVector, compute_commitment, verify_evidence
from fedcoin.incentive.proof.sampling_plan import build_plan
from fedcoin.v1 import block_pb2
from fedcoin.v1.block_pb2 import TaskPhase
from fedcoin.v1.state_pb2 import MinerState, TaskState


def commit(context: ExecutionContext, transaction: Transaction) -> None:
    """Take a miner's commitment, with its deposit, while the commit window is open.

    Raises `Refusal` (UNKNOWN_TASK, TOO_EARLY, TOO_LATE, NOT_A_MINER, BAD_HASH, WRONG_DEPOSIT,
    ALREADY_COMMITTED, INSUFFICIENT_BALANCE).
    """
    action = transaction.body.commit_shapley
    task = _task(context, action.task_id)
    _check_turn(task, action.attempt, block_pb2.TASK_PHASE_COMMIT)
    bond = records.BONDS.get(context.state, transaction.sender)
    if bond is None or not bond.bond:
        raise RefusalError(
            LedgerCode.NOT_A_MINER,
            "only a bonded miner may commit: bond at least "
            f"{format_amount(context.parameters.min_bond)}",
            field="public_key",
            limit=str(context.parameters.min_bond),
        )
    check_length(action.commitment, HASH_BYTES, "commitment", code=LedgerCode.BAD_HASH)
    terms = records.TERMS.get(context.state, action.task_id)
    assert terms is not None, "a task without terms"
    due = compute_deposit(context.parameters.commit_deposit, terms.prices.mining)
    if action.deposit != due:
        raise RefusalError(
            LedgerCode.WRONG_DEPOSIT,
            f"deposit is {action.deposit} sap; it must be {due}",
            field="deposit",
            limit=str(due),
        )
    if records.MINERS.get(context.state, action.task_id, transaction.sender) is not None:
        raise RefusalError(
            LedgerCode.ALREADY_COMMITTED,
            "this miner has committed in this attempt already",
            field="task_id",
        )
    context.debit(transaction.sender, action.deposit, "deposit")
    miner = MinerState(
        public_key=transaction.public_key,
        commitment=action.commitment,
        deposit=action.deposit,
        attempt=action.attempt,
    )
    records.MINERS.put(context.state, action.task_id, transaction.sender, record=miner)


def reveal(context: ExecutionContext, transaction: Transaction) -> None:
    """Take what opens a miner's commitment, and later what answers the challenge as well.

    Evidence without a leaf is an opening: its salt is one of those that fix the challenge.
    Raises `Refusal` (UNKNOWN_TASK, TOO_EARLY, TOO_LATE, NOT_COMMITTED, NOT_OPENED,
    ALREADY_REVEALED, BAD_HASH, WRONG_OPENING, and those of `verify_evidence`).
    """
    action = transaction.body.reveal_shapley
    task = _task(context, action.task_id)
    opens = not action.evidence.leaves
    phase = block_pb2.TASK_PHASE_CHALLENGE if opens else block_pb2.TASK_PHASE_REVEAL
    _check_turn(task, action.attempt, phase)
    miner = records.MINERS.get(context.state, action.task_id, transaction.sender)
    if miner is None:
        raise RefusalError(
            LedgerCode.NOT_COMMITTED,
            "this miner has not committed in this attempt",
            field="task_id",
        )
    _check_once(miner, opens)
    _check_opening(transaction, miner.commitment)
    if opens:
        miner.salt = action.salt
        records.MINERS.put(context.state, action.task_id, transaction.sender, record=miner)
        return
    # A result is kept for this very transaction and challenge: both make it up.
    proved = context.results.get_or_compute(
        ("reveal", transaction.hash, task.challenge),
        lambda: _verified(context, transaction, task.challenge),
    )
    miner.revealed = True
    miner.samples = proved.samples
    miner.shapley_nano.extend(proved.shapley_nano)
    miner.evidence_root = action.evidence.root
    miner.evaluations = proved.evaluations
    records.MINERS.put(context.state, action.task_id, transaction.sender, record=miner)


def _task(context: ExecutionContext, task_id: bytes) -> TaskState:
    task = records.TASKS.get(context.state, task_id)
    if task is None:
        raise RefusalError(
            LedgerCode.UNKNOWN_TASK,
            f"there is no task {task_id[:HASH_BYTES].hex()}",
            field="task_id",
        )
    return task


def _check_turn(task: TaskState, attempt: int, phase: TaskPhase.ValueType) -> None:
    """Refuse (TOO_EARLY, TOO_LATE) what is not for this attempt and phase."""
    due, now = (attempt, phase), (task.attempt, task.phase)
    if due != now:
        early = due > now and not task.closed_height
        raise RefusalError(
            LedgerCode.TOO_EARLY if early else LedgerCode.TOO_LATE,
            f"this is for attempt {attempt}, {TaskPhase.Name(phase)}; the task is in attempt"
            f" {task.attempt}, {TaskPhase.Name(task.phase)}"
            + (": wait for it" if early else " already"),
            field="attempt",
            limit=str(task.attempt),
        )


def _check_once(miner: MinerState, opens: bool) -> None:
    """Refuse (ALREADY_REVEALED, NOT_OPENED) what is said twice, or without its first half."""
    if miner.revealed or (opens and miner.salt):
        done = "revealed" if miner.revealed else "opened its commitment"
        raise RefusalError(
            LedgerCode.ALREADY_REVEALED, f"this miner has {done} already", field="task_id"
        )
    if not opens and not miner.salt:
        raise RefusalError(
            LedgerCode.NOT_OPENED,
            "this miner has not opened its commitment while the challenge was open",
            field="task_id",
        )


def _check_opening(transaction: Transaction, committed: bytes) -> None:
    action = transaction.body.reveal_shapley
    check_length(action.salt, HASH_BYTES, "salt", code=LedgerCode.BAD_HASH)
    if action.evidence.siblings and not action.evidence.leaves:
        raise RefusalError(
            IncentiveCode.WRONG_SIBLINGS,
            "an opening shows no leaf and no sibling",
            field="evidence.siblings",
            limit="0",
        )
    opened = compute_commitment(
        action.evidence, action.salt, action.task_id, action.attempt, transaction.sender
    )
    if opened != committed:
        raise RefusalError(
            LedgerCode.WRONG_OPENING,
            "salt and evidence do not open this miner's commitment",
            field="evidence",
            limit=committed.hex(),
        )


def _verified(
    context: ExecutionContext, transaction: Transaction, challenge: bytes
) -> ProvedVector:
    action = transaction.body.reveal_shapley
    terms = records.TERMS.get(context.state, action.task_id)
    assert terms is not None, "a task without terms"
    plan = build_plan(terms, action.task_id, transaction.public_key)
    return verify_evidence(action.evidence, plan, challenge, context.parameters.challenge_leaves)
