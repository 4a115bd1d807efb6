"""The life of a task, phase by phase.

    open -> COMMIT -> CHALLENGE -> REVEAL -> SETTLE -> SETTLED
               ^  \\________________  /
               |                    v
               +--- once more, D doubled, or FAILED

A block does at its beginning what the one before made due: a task in CHALLENGE gets its challenge,
from the certificate of the block that closed the commit window, and goes on to REVEAL; the oldest
task in SETTLE is paid for, one a block, since a header has room for one outcome. At its end it
closes windows, by time or because everybody is there: COMMIT becomes CHALLENGE, and REVEAL becomes
SETTLE with its outcome, whose winner has the next turn to propose. With too few commitments,
reveals or inliers a task is mined again within twice the distance, up to its limit; then the
round's share returns.
"""

from __future__ import annotations

from collections.abc import Iterable

from fedcoin.consensus import posap
from fedcoin.consensus.validators import ValidatorSet
from fedcoin.contract import records
from fedcoin.contract.scope import Scope
from fedcoin.contract.settlement import Round, clear_deposits, fail, settle
from fedcoin.contract.state import StateReader
from fedcoin.incentive.challenge import challenge_of
from fedcoin.v1 import block_pb2, task_pb2
from fedcoin.v1.block_pb2 import Settlement, TaskPhase
from fedcoin.v1.state_pb2 import TaskState
from fedcoin.v1.task_pb2 import OpenTask

COMMIT = block_pb2.TASK_PHASE_COMMIT
CHALLENGE = block_pb2.TASK_PHASE_CHALLENGE
REVEAL = block_pb2.TASK_PHASE_REVEAL
SETTLE = block_pb2.TASK_PHASE_SETTLE


def open_task(scope: Scope, task_id: bytes, terms: OpenTask) -> None:
    """Begin a task with its first commit window."""
    task = TaskState(
        opened_height=scope.block.height,
        opened_ms=scope.block.time_ms,
        difficulty_nano=records.ledger_of(scope.state).difficulty_nano,
    )
    records.TERMS.put(scope.state, task_id, record=terms)
    records.OPEN_TASKS.add(scope.state, scope.block.height, task_id)
    _enter(scope, task_id, task, COMMIT, terms.commit_window_ms)


def begin_block(scope: Scope) -> Settlement | None:
    """Challenge the tasks that wait for it, and settle the oldest that can be settled."""
    settlement: Settlement | None = None
    for task_id, task in list(open_tasks(scope.state)):
        if task.phase == CHALLENGE:
            _challenge(scope, task_id, task)
        elif task.phase == SETTLE and settlement is None:
            settlement = settle(scope, Round.load(scope, task_id))
    return settlement


def end_block(scope: Scope, validators: ValidatorSet) -> None:
    """Close the windows that are over. `validators` are those of the next height."""
    for task_id, task in list(open_tasks(scope.state)):
        if not _is_over(scope, task_id, task, validators):
            continue
        if task.phase == COMMIT:
            _close_commit_window(scope, Round.load(scope, task_id), validators)
        else:
            _close_reveal_window(scope, Round.load(scope, task_id), validators)
    _give_turn_to_winner(scope)


def open_tasks(state: StateReader) -> Iterable[tuple[bytes, TaskState]]:
    """Tasks neither settled nor failed, with their ids, the oldest first."""
    for _, task_id in records.OPEN_TASKS.scan(state):
        task = records.TASKS.get(state, task_id)
        assert task is not None, "an open task without a record"
        yield task_id, task


def _enter(
    scope: Scope,
    task_id: bytes,
    task: TaskState,
    phase: TaskPhase.ValueType,
    window_ms: int = 0,
) -> None:
    task.phase = phase
    task.phase_height = scope.block.height
    task.deadline_ms = scope.block.time_ms + window_ms if window_ms else 0
    records.TASKS.put(scope.state, task_id, record=task)
    scope.entered(task_id, phase, task.attempt)


def _challenge(scope: Scope, task_id: bytes, task: TaskState) -> None:
    terms = records.TERMS.get(scope.state, task_id)
    assert terms is not None, "an open task without terms"
    task.challenge = challenge_of(task_id, scope.block.last_certificate)
    _enter(scope, task_id, task, REVEAL, terms.reveal_window_ms)


def _close_commit_window(scope: Scope, round: Round, validators: ValidatorSet) -> None:
    if _has_quorum(scope, validators, round.miners):
        _enter(scope, round.task_id, round.task, CHALLENGE)
    else:
        # Nobody was asked to reveal, so nobody loses a deposit.
        clear_deposits(scope, round, burn_unrevealed=False)
        _mine_again(scope, round)


def _close_reveal_window(scope: Scope, round: Round, validators: ValidatorSet) -> None:
    outcome = _outcome(scope, round, validators)
    if outcome is None:
        clear_deposits(scope, round, burn_unrevealed=True)
        _mine_again(scope, round)
        return
    for address in outcome.inliers:
        round.miners[address].inlier = True
        records.MINERS.put(scope.state, round.task_id, address, record=round.miners[address])
    round.task.settlement.CopyFrom(
        Settlement(
            task_id=round.task_id,
            winner=outcome.winner,
            winner_shapley_nano=outcome.winner_shapley_nano,
            mean_shapley_nano=outcome.mean_shapley_nano,
            difficulty_nano=round.task.difficulty_nano,
        )
    )
    _enter(scope, round.task_id, round.task, SETTLE)


def _outcome(scope: Scope, round: Round, validators: ValidatorSet) -> posap.Outcome | None:
    """What the reveals come to, if those that still have power are enough."""
    reveals = [
        posap.Reveal(address, validator.power, miner.samples, tuple(miner.shapley_nano))
        for address, miner in round.miners.items()
        if miner.revealed and (validator := validators.by_address(address)) is not None
    ]
    if not _has_quorum(scope, validators, (reveal.miner for reveal in reveals)):
        return None
    exact = round.terms.sampling.schedule == task_pb2.SCHEDULE_EXACT
    return posap.decide(reveals, round.task.difficulty_nano, round.task.challenge, exact)


def _mine_again(scope: Scope, round: Round) -> None:
    """Begin the next attempt with twice the distance; fail after the last."""
    task = round.task
    if task.attempt + 1 >= round.terms.max_attempts:
        for address, miner in round.miners.items():
            records.MINERS.put(scope.state, round.task_id, address, record=miner)
        fail(scope, round)
        return
    for address in round.miners:
        records.MINERS.delete(scope.state, round.task_id, address)
    task.attempt += 1
    task.challenge = b""
    task.difficulty_nano = min(2 * task.difficulty_nano, scope.rules.max_difficulty_nano)
    _enter(scope, round.task_id, task, COMMIT, round.terms.commit_window_ms)


def _is_over(scope: Scope, task_id: bytes, task: TaskState, validators: ValidatorSet) -> bool:
    """Is the present window over, by time or because there is nobody left to wait for?"""
    if task.phase not in (COMMIT, REVEAL):
        return False
    if scope.block.time_ms >= task.deadline_ms:
        return True
    miners = dict(records.MINERS.scan(scope.state, task_id))
    if task.phase == COMMIT:
        return all(validator.address in miners for validator in validators)
    return all(miner.revealed for miner in miners.values())


def _has_quorum(scope: Scope, validators: ValidatorSet, miners: Iterable[bytes]) -> bool:
    """Do these miners hold the share of the bonded power that an outcome takes?"""
    members = [validators.by_address(address) for address in miners]
    power = sum(member.power for member in members if member is not None)
    return power > 0 and 100 * power >= scope.rules.reveal_quorum_percent * validators.total_power


def _give_turn_to_winner(scope: Scope) -> None:
    """Who won the task that the next block settles proposes that block."""
    waiting = (task for _, task in open_tasks(scope.state) if task.phase == SETTLE)
    task = next(iter(waiting), None)
    if task is not None:
        ledger = records.ledger_of(scope.state)
        ledger.last_winner = task.settlement.winner
        ledger.winner_height = scope.block.height + 1
        records.LEDGER.put(scope.state, record=ledger)
