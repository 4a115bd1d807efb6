"""The life of a task, phase by phase.

    open -> COMMIT -> CHALLENGE -> REVEAL -> SETTLE -> SETTLED
               ^            |         |
               |            +----+----+
               |                 v
               +--- next attempt with twice the D, or FAILED

* COMMIT: miners compute the values and commit to their evidence.
* CHALLENGE: miners open their commitments; the opened salts together fix the challenge.
* REVEAL: miners answer the challenge.
* SETTLE: the outcome is known. Its winner proposes the next block, which settles the task.

A block begins with what the block before it made due: the oldest task in SETTLE is settled, one
task in each block, because a header has room for one outcome. A block ends by closing the windows
that are over: by time, or because all miners that may act have acted. The commit window ends early
when miners with more than two thirds of the power have committed (`early_end`).

With too few commitments, openings, reveals or inliers the task is mined again with twice the D, up
to its limit of attempts; then it fails: the mining price is paid if there were valid reveals, and
the rest of the round's share of the budget is refunded. Shares of power are shares of the power
that was frozen when the task was opened (`frozen_power`).

A window that ends by time also stays open until enough validators have proposed a block in it
(`window_turns`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from fedcoin.consensus import posap
from fedcoin.consensus.validators import ValidatorSet
from fedcoin.contract.state import records
from fedcoin.contract.state.execution_context import ExecutionContext
from fedcoin.contract.state.overlay import StateReader
from fedcoin.contract.tasks.early_end import add_idle_time, note_quorum
from fedcoin.contract.tasks.frozen_power import count_power, freeze_power, note_proved_samples
from fedcoin.contract.tasks.loaded_task import LoadedTask
from fedcoin.contract.tasks.room_rent import enter_room
from fedcoin.contract.tasks.settlement import fail, settle, settle_deposits
from fedcoin.contract.tasks.task_pricing import compute_offer
from fedcoin.contract.tasks.window_turns import had_enough_turns, record_turn
from fedcoin.incentive.proof.challenge import derive_challenge
from fedcoin.v1 import block_pb2
from fedcoin.v1.block_pb2 import Settlement, TaskPhase
from fedcoin.v1.state_pb2 import MinerState, TaskState
from fedcoin.v1.task_pb2 import OpenTask

_COMMIT = block_pb2.TASK_PHASE_COMMIT
_CHALLENGE = block_pb2.TASK_PHASE_CHALLENGE
_REVEAL = block_pb2.TASK_PHASE_REVEAL
_SETTLE = block_pb2.TASK_PHASE_SETTLE

MAX_CLOSED_RECORDS: Final = 512
"""After this many records of miners, a block closes no further window. By `bench_block_cost` a
record takes 0.05 ms, so that they take 25 ms and those of the last window."""
_RECORDS_PER_WINDOW: Final = 16
"""How many records take as long as what each window costs beside them."""
_VALUES_PER_RECORD: Final = 64
"""How many values of a miner's vector take as long, when the outcome is computed, as a record."""


def open_task(
    context: ExecutionContext,
    task_id: bytes,
    terms: OpenTask,
    difficulty_nano: int,
    *,
    work: int,
    deposit: int,
    commit_deposit: int,
    opener: bytes = b"",
) -> None:
    """Record a new task and open its first commit window.

    Args:
        context: The execution of the block.
        task_id: The task's id, 32 bytes.
        terms: The task's terms.
        difficulty_nano: The difficulty D of the first attempt, in nano-utility.
        work: The largest number of evaluations that the task may ask of a miner.
        deposit: The deposit in sap, which the caller has taken from the server or the opener.
        commit_deposit: The deposit of each miner that commits, in sap.
        opener: The address of the client that opens it in the server's place; else empty.
    """
    task = TaskState(
        opened_height=context.block.height,
        opened_ms=context.block.time_ms,
        difficulty_nano=difficulty_nano,
        total_power=freeze_power(context.state, task_id),
        deposit=deposit,
        work=work,
        offer=compute_offer(terms.prices.mining, work),
        commit_deposit=commit_deposit,
        opener=opener,
    )
    records.TERMS.put(context.state, task_id, record=terms)
    records.OPEN_TASKS.add(context.state, context.block.height, task_id)
    records.OFFERS.add(context.state, task.offer, task_id)
    enter_room(context, task)
    waiting = count_power(context.state, task_id)
    _enter(context, task_id, task, _COMMIT, waiting, terms.commit_window_ms)


def begin_block(context: ExecutionContext) -> Settlement | None:
    """Settle the oldest task in phase SETTLE, if there is one.

    Args:
        context: The execution of the block.

    Returns:
        The outcome of the settled task, which the header holds; None when no task is settled.
    """
    for task_id, task in open_tasks(context.state):
        if task.phase == _SETTLE:
            return settle(context, LoadedTask.load(context, task_id))
    return None


def end_block(context: ExecutionContext, validators: ValidatorSet) -> None:
    """Close the windows that are over.

    A task that fails for good also deletes the registered receipts of its round. To bound a block's
    work, windows of tasks in their last attempt close only as long as the receipts of these tasks
    together number at most `max_clients`, the most that a task may have; the first task that has
    receipts closes in any case. No further window closes after windows with `MAX_CLOSED_RECORDS`
    records of miners. The other windows stay open until the next block.

    Args:
        context: The execution of the block.
        validators: The validators of the next height.
    """
    ended = closed = 0
    for task_id, task in list(open_tasks(context.state)):
        if task.phase == _SETTLE:
            continue
        record_turn(context, task_id, task, validators)
        note_quorum(context, task_id, task)
        if closed >= MAX_CLOSED_RECORDS or not _is_over(context, task, validators):
            continue
        loaded = LoadedTask.load(context, task_id)
        receipts = _count_ending(loaded)
        if ended and ended + receipts > context.parameters.max_clients:
            continue
        ended += receipts
        closed += _count_closing(loaded)
        add_idle_time(context, loaded.task)
        if task.phase == _COMMIT:
            _close_commit_window(context, loaded)
        elif task.phase == _CHALLENGE:
            _close_challenge_window(context, loaded)
        else:
            _close_reveal_window(context, loaded)


def _count_ending(loaded: LoadedTask) -> int:
    """Count the registered receipts that end if the task's present attempt fails."""
    is_last = loaded.task.attempt + 1 >= loaded.terms.max_attempts
    return loaded.campaign.receipts if is_last else 0


def _count_closing(loaded: LoadedTask) -> int:
    """Count the records of miners that the end of a window may rewrite, or what takes as long."""
    count = _RECORDS_PER_WINDOW + len(loaded.miners)
    if loaded.task.phase == _REVEAL:
        count += len(loaded.miners) * len(loaded.terms.updates) // _VALUES_PER_RECORD
    return count


def open_tasks(state: StateReader) -> Iterator[tuple[bytes, TaskState]]:
    """Read the open tasks: those that miners can still work on, or that wait to be settled.

    Args:
        state: The state to read from; it must not change while the result is read.

    Yields:
        Ids and tasks, the oldest first.
    """
    for _, task_id in records.OPEN_TASKS.scan(state):
        task = records.TASKS.get(state, task_id)
        assert task is not None, "an open task without a record"
        yield task_id, task


def next_winner(state: StateReader) -> bytes:
    """Find the winner of the task that the next block settles.

    Args:
        state: The state after the latest block.

    Returns:
        The winner's address, 20 bytes; empty when the next block settles no task.
    """
    waiting = (task for _, task in open_tasks(state) if task.phase == _SETTLE)
    return next((task.settlement.winner for task in waiting), b"")


def _enter(
    context: ExecutionContext,
    task_id: bytes,
    task: TaskState,
    phase: TaskPhase.ValueType,
    waiting: int = 0,
    window_ms: int = 0,
) -> None:
    task.phase = phase
    task.waiting = waiting
    task.acted_power = 0
    task.phase_height = context.block.height
    del task.window_proposers[:]
    task.window_left_out = 0
    task.deadline_ms = context.block.time_ms + window_ms if window_ms else 0
    records.TASKS.put(context.state, task_id, record=task)
    context.add_phase_receipt(task_id, phase, task.attempt)


def _close_commit_window(context: ExecutionContext, loaded: LoadedTask) -> None:
    if _has_quorum(context, loaded.task, loaded.miners.values()):
        window_ms = loaded.terms.reveal_window_ms
        _enter(context, loaded.task_id, loaded.task, _CHALLENGE, len(loaded.miners), window_ms)
    else:
        # The miners were not asked to open their commitments, so all deposits are returned.
        settle_deposits(context, loaded, is_returned=lambda _: True)
        _mine_again(context, loaded)


def _close_challenge_window(context: ExecutionContext, loaded: LoadedTask) -> None:
    """Fix the challenge by the opened salts. Miners that did not open theirs are out."""
    salts = {address: miner.salt for address, miner in loaded.miners.items() if miner.salt}
    if _has_quorum(context, loaded.task, (loaded.miners[address] for address in salts)):
        loaded.task.challenge = derive_challenge(loaded.task_id, loaded.task.attempt, salts)
        window_ms = loaded.terms.reveal_window_ms
        _enter(context, loaded.task_id, loaded.task, _REVEAL, len(salts), window_ms)
    else:
        settle_deposits(context, loaded, is_returned=lambda miner: bool(miner.salt))
        _mine_again(context, loaded)


def _close_reveal_window(context: ExecutionContext, loaded: LoadedTask) -> None:
    outcome = _outcome(context, loaded)
    if outcome is None:
        settle_deposits(context, loaded, is_returned=lambda miner: miner.revealed)
        _mine_again(context, loaded)
        return
    for address in outcome.inliers:
        loaded.miners[address].inlier = True
        records.MINERS.put(context.state, loaded.task_id, address, record=loaded.miners[address])
    loaded.task.settlement.CopyFrom(
        Settlement(
            task_id=loaded.task_id,
            winner=outcome.winner,
            winner_shapley_nano=outcome.winner_shapley_nano,
            mean_shapley_nano=outcome.mean_shapley_nano,
            difficulty_nano=loaded.task.difficulty_nano,
        )
    )
    _enter(context, loaded.task_id, loaded.task, _SETTLE)


def _outcome(context: ExecutionContext, loaded: LoadedTask) -> posap.Outcome | None:
    """Compute the outcome of the reveals by miners that have power, if they are enough."""
    revealed = {a: m for a, m in loaded.miners.items() if m.revealed and m.power}
    if not _has_quorum(context, loaded.task, revealed.values()):
        return None
    reveals = [
        posap.Reveal(address, miner.power, miner.samples, tuple(miner.shapley_nano))
        for address, miner in revealed.items()
    ]
    return posap.compute_outcome(
        reveals,
        loaded.task.difficulty_nano,
        loaded.task.challenge,
        loaded.is_exact or loaded.winner_takes_all,
        min_samples_percent=context.parameters.min_samples_percent,
    )


def _mine_again(context: ExecutionContext, loaded: LoadedTask) -> None:
    """Start the next attempt with twice the D; fail the task after the last attempt."""
    task = loaded.task
    note_proved_samples(context.state, loaded.task_id, loaded.miners)
    if task.attempt + 1 >= loaded.terms.max_attempts:
        fail(context, loaded)
        return
    for address in loaded.miners:
        records.MINERS.delete(context.state, loaded.task_id, address)
    task.attempt += 1
    task.challenge = b""
    task.difficulty_nano = min(2 * task.difficulty_nano, context.parameters.max_difficulty_nano)
    waiting = count_power(context.state, loaded.task_id)
    _enter(context, loaded.task_id, task, _COMMIT, waiting, loaded.terms.commit_window_ms)


def _is_over(context: ExecutionContext, task: TaskState, validators: ValidatorSet) -> bool:
    """Tell whether the current window is over: by time, or because all miners have acted."""
    if not task.waiting:
        return True
    return context.block.time_ms >= task.deadline_ms and had_enough_turns(task, validators)


def _has_quorum(context: ExecutionContext, task: TaskState, miners: Iterable[MinerState]) -> bool:
    """Tell whether these miners hold the share of the power that `reveal_quorum_percent` asks."""
    power = sum(miner.power for miner in miners)
    return power > 0 and 100 * power >= context.parameters.reveal_quorum_percent * task.total_power
