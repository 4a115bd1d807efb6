"""The life of a task, phase by phase.

    open -> COMMIT -> CHALLENGE -> REVEAL -> SETTLE -> SETTLED
               ^  \\________________  /
               |                    v
               +--- once more, D doubled, or FAILED

A block does at its beginning what the one before made due: the oldest task in SETTLE is paid for,
one a block, since a header has room for one outcome. At its end it closes windows, by time or
because everybody is there: COMMIT becomes CHALLENGE, in which the miners open their commitments;
their salts together fix the challenge, and CHALLENGE becomes REVEAL; REVEAL becomes SETTLE with its
outcome, whose winner has the next turn to propose. With too few commitments, openings, reveals or
inliers a task is mined again within twice the distance, up to its limit; then the round's share
returns.

A window that ends by time also lasts for more blocks than there can be faulty proposers: a
proposer may set its block's clock ahead, and may leave out what it does not like, so that one of
them could otherwise end a short window before anybody else had a turn.
"""

from __future__ import annotations

from collections.abc import Iterable

from fedcoin.consensus import posap
from fedcoin.consensus.validators import ValidatorSet
from fedcoin.contract.state import records
from fedcoin.contract.state.execution_context import ExecutionContext
from fedcoin.contract.state.overlay import StateReader
from fedcoin.contract.tasks.settlement import LoadedTask, clear_deposits, fail, settle
from fedcoin.incentive.proof.challenge import derive_challenge
from fedcoin.v1 import block_pb2, task_pb2
from fedcoin.v1.block_pb2 import Settlement, TaskPhase
from fedcoin.v1.state_pb2 import TaskState
from fedcoin.v1.task_pb2 import OpenTask

COMMIT = block_pb2.TASK_PHASE_COMMIT
CHALLENGE = block_pb2.TASK_PHASE_CHALLENGE
REVEAL = block_pb2.TASK_PHASE_REVEAL
SETTLE = block_pb2.TASK_PHASE_SETTLE


def open_task(context: ExecutionContext, task_id: bytes, terms: OpenTask) -> None:
    """Begin a task with its first commit window."""
    task = TaskState(
        opened_height=context.block.height,
        opened_ms=context.block.time_ms,
        difficulty_nano=records.read_ledger(context.state).difficulty_nano,
    )
    records.TERMS.put(context.state, task_id, record=terms)
    records.OPEN_TASKS.add(context.state, context.block.height, task_id)
    _enter(context, task_id, task, COMMIT, terms.commit_window_ms)


def begin_block(context: ExecutionContext) -> Settlement | None:
    """Settle the oldest task that can be settled."""
    for task_id, task in open_tasks(context.state):
        if task.phase == SETTLE:
            return settle(context, LoadedTask.load(context, task_id))
    return None


def end_block(context: ExecutionContext, validators: ValidatorSet) -> None:
    """Close the windows that are over. `validators` are those of the next height."""
    for task_id, task in list(open_tasks(context.state)):
        if not _is_over(context, task_id, task, validators):
            continue
        round = LoadedTask.load(context, task_id)
        if task.phase == COMMIT:
            _close_commit_window(context, round, validators)
        elif task.phase == CHALLENGE:
            _close_challenge_window(context, round, validators)
        else:
            _close_reveal_window(context, round, validators)
    _give_turn_to_winner(context)


def open_tasks(state: StateReader) -> Iterable[tuple[bytes, TaskState]]:
    """Tasks neither settled nor failed, with their ids, the oldest first."""
    for _, task_id in records.OPEN_TASKS.scan(state):
        task = records.TASKS.get(state, task_id)
        assert task is not None, "an open task without a record"
        yield task_id, task


def _enter(
    context: ExecutionContext,
    task_id: bytes,
    task: TaskState,
    phase: TaskPhase.ValueType,
    window_ms: int = 0,
) -> None:
    task.phase = phase
    task.phase_height = context.block.height
    task.deadline_ms = context.block.time_ms + window_ms if window_ms else 0
    records.TASKS.put(context.state, task_id, record=task)
    context.add_phase_receipt(task_id, phase, task.attempt)


def _close_commit_window(
    context: ExecutionContext, round: LoadedTask, validators: ValidatorSet
) -> None:
    if _has_quorum(context, validators, round.miners):
        _enter(context, round.task_id, round.task, CHALLENGE, round.terms.reveal_window_ms)
    else:
        # Nobody was asked to open anything, so nobody loses a deposit.
        clear_deposits(context, round, due=lambda _: True)
        _mine_again(context, round)


def _close_challenge_window(
    context: ExecutionContext, round: LoadedTask, validators: ValidatorSet
) -> None:
    """Fix the challenge by the salts that are open; who kept its own back is out."""
    salts = {address: miner.salt for address, miner in round.miners.items() if miner.salt}
    if _has_quorum(context, validators, salts):
        round.task.challenge = derive_challenge(round.task_id, round.task.attempt, salts)
        _enter(context, round.task_id, round.task, REVEAL, round.terms.reveal_window_ms)
    else:
        clear_deposits(context, round, due=lambda miner: bool(miner.salt))
        _mine_again(context, round)


def _close_reveal_window(
    context: ExecutionContext, round: LoadedTask, validators: ValidatorSet
) -> None:
    outcome = _outcome(context, round, validators)
    if outcome is None:
        clear_deposits(context, round, due=lambda miner: miner.revealed)
        _mine_again(context, round)
        return
    for address in outcome.inliers:
        round.miners[address].inlier = True
        records.MINERS.put(context.state, round.task_id, address, record=round.miners[address])
    round.task.settlement.CopyFrom(
        Settlement(
            task_id=round.task_id,
            winner=outcome.winner,
            winner_shapley_nano=outcome.winner_shapley_nano,
            mean_shapley_nano=outcome.mean_shapley_nano,
            difficulty_nano=round.task.difficulty_nano,
        )
    )
    _enter(context, round.task_id, round.task, SETTLE)


def _outcome(
    context: ExecutionContext, round: LoadedTask, validators: ValidatorSet
) -> posap.Outcome | None:
    """What the reveals come to, if those that still have power are enough."""
    reveals = [
        posap.Reveal(address, validator.power, miner.samples, tuple(miner.shapley_nano))
        for address, miner in round.miners.items()
        if miner.revealed and (validator := validators.by_address(address)) is not None
    ]
    if not _has_quorum(context, validators, (reveal.miner for reveal in reveals)):
        return None
    exact = round.terms.sampling.schedule == task_pb2.SCHEDULE_EXACT
    return posap.compute_outcome(
        reveals,
        round.task.difficulty_nano,
        round.task.challenge,
        exact,
        min_samples_percent=context.parameters.min_samples_percent,
    )


def _mine_again(context: ExecutionContext, round: LoadedTask) -> None:
    """Begin the next attempt with twice the distance; fail after the last."""
    task = round.task
    if task.attempt + 1 >= round.terms.max_attempts:
        for address, miner in round.miners.items():
            records.MINERS.put(context.state, round.task_id, address, record=miner)
        fail(context, round)
        return
    for address in round.miners:
        records.MINERS.delete(context.state, round.task_id, address)
    task.attempt += 1
    task.challenge = b""
    task.difficulty_nano = min(2 * task.difficulty_nano, context.parameters.max_difficulty_nano)
    _enter(context, round.task_id, task, COMMIT, round.terms.commit_window_ms)


def _is_over(
    context: ExecutionContext, task_id: bytes, task: TaskState, validators: ValidatorSet
) -> bool:
    """Is the present window over, by time or because there is nobody left to wait for?"""
    if task.phase not in (COMMIT, CHALLENGE, REVEAL):
        return False
    blocks = context.block.height - task.phase_height
    if context.block.time_ms >= task.deadline_ms and blocks >= min_window_blocks(validators):
        return True
    miners = dict(records.MINERS.scan(context.state, task_id))
    if task.phase == COMMIT:
        return all(validator.address in miners for validator in validators)
    if task.phase == CHALLENGE:
        return all(miner.salt for miner in miners.values())
    return all(miner.revealed for miner in miners.values() if miner.salt)


def min_window_blocks(validators: ValidatorSet) -> int:
    """For how many blocks a window stays open at least when somebody is still missing.

    One more than there can be faulty validators of equal power: so one block at least is an honest
    proposer's, which leaves nobody out.
    """
    return len(validators) // 3 + 1


def _has_quorum(
    context: ExecutionContext, validators: ValidatorSet, miners: Iterable[bytes]
) -> bool:
    """Do these miners hold the share of the bonded power that an outcome takes?"""
    members = [validators.by_address(address) for address in miners]
    power = sum(member.power for member in members if member is not None)
    return (
        power > 0
        and 100 * power >= context.parameters.reveal_quorum_percent * validators.total_power
    )


def _give_turn_to_winner(context: ExecutionContext) -> None:
    """Who won the task that the next block settles proposes that block."""
    waiting = (task for _, task in open_tasks(context.state) if task.phase == SETTLE)
    task = next(iter(waiting), None)
    if task is not None:
        ledger = records.read_ledger(context.state)
        ledger.last_winner = task.settlement.winner
        ledger.winner_height = context.block.height + 1
        records.LEDGER.put(context.state, record=ledger)
