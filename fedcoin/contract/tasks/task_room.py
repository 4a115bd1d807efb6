"""The limit on open tasks: when it is reached, a higher offer displaces the lowest one.

Every open task costs every node some time in each block, so that their number is limited. Without
the second rule, cheap tasks with long windows would keep all others out.

A task that is displaced ends, but its campaign's round does not: the server may open the same round
again, with the same updates. Displacing a task costs a fee that doubles each time that the same
round is displaced, so that keeping a round from being mined costs more and more coins.
"""

from __future__ import annotations

from typing import Final

from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.state import records
from fedcoin.contract.state.block_room import ENTRIES_PER_DISPLACED_MINER
from fedcoin.contract.state.execution_context import ExecutionContext
from fedcoin.contract.tasks.frozen_power import read_proved_samples
from fedcoin.contract.tasks.loaded_task import LoadedTask
from fedcoin.contract.tasks.registered_receipts import prolong_receipts
from fedcoin.contract.tasks.room_rent import is_room_full
from fedcoin.contract.tasks.settlement import close_task, fail, settle_deposits
from fedcoin.data.errors import RefusalError
from fedcoin.v1 import block_pb2
from fedcoin.v1.block_pb2 import PaymentReceipt
from fedcoin.v1.state_pb2 import TaskState
from fedcoin.v1.task_pb2 import OpenTask

_MAX_DOUBLINGS: Final = 16
"""How often the fee for displacing one round doubles at most."""


def make_room(
    context: ExecutionContext, task_id: bytes, server: bytes, terms: OpenTask, offer: int
) -> None:
    """Displace the open task with the lowest offer when there is no room for another task.

    Only a task for which no quorum of miners has committed in the present attempt is displaced,
    by an offer that is a tenth higher, if the new task's server pays the fee. Its miners get their
    deposits back, its server the task's deposit.

    Args:
        context: The execution of the block.
        task_id: The new task's id, 32 bytes.
        server: The address of the new task's server, which pays the fee; 20 bytes.
        terms: The new task's terms.
        offer: The new task's offer, in sap for each million of evaluations.

    Raises:
        RefusalError: TOO_MANY_TASKS when this offer and `max_room_fee` displace no open
            task; INSUFFICIENT_BALANCE when the server does not have the fee; BLOCK_FULL when the
            block has no room for what ends with the other task.
    """
    if not is_room_full(context.state):
        return
    found = _find_lowest(context, terms.max_room_fee, offer)
    if found is None:
        raise _refuse(context, terms, offer)
    lowest, fee = found
    context.debit(server, fee, "max_room_fee")
    context.burn(fee)
    context.add_payment_receipt(
        PaymentReceipt(
            kind=block_pb2.PAYMENT_KIND_ROOM_BURNED,
            address=server,
            amount=fee,
            campaign_id=terms.campaign_id,
            task_id=task_id,
            round=terms.round,
        )
    )
    _give_way(context, LoadedTask.load(context, lowest))


def _find_lowest(context: ExecutionContext, max_fee: int, offer: int) -> tuple[bytes, int] | None:
    """Find the task with the lowest offer that this offer and fee displace, and its fee in sap.

    The lowest offers come first, so that the records of few tasks are read.
    """
    for other, task_id in records.OFFERS.scan(context.state):
        if not _is_better(offer, other):
            return None
        if not _has_quorum(context, _read(context, task_id)):
            fee = _compute_fee(context, task_id)
            if fee <= max_fee:
                return task_id, fee
    return None


def _give_way(context: ExecutionContext, loaded: LoadedTask) -> None:
    """Close a displaced task, and leave its round to be opened again."""
    ending = ENTRIES_PER_DISPLACED_MINER * len(loaded.miners) + len(loaded.terms.updates)
    context.room.take_entries(ending)
    settle_deposits(context, loaded, is_returned=lambda _: True)
    if read_proved_samples(context.state, loaded.task_id):
        # An earlier attempt has made vectors public, so the miners have to be paid for them.
        fail(context, loaded)
        return
    for address, miner in loaded.miners.items():
        records.MINERS.put(context.state, loaded.task_id, address, record=miner)
    close_task(context, loaded, block_pb2.TASK_PHASE_GAVE_WAY)
    loaded.campaign.times_gave_way += 1
    prolong_receipts(context, loaded.campaign)
    records.CAMPAIGNS.put(context.state, loaded.terms.campaign_id, record=loaded.campaign)


def _compute_fee(context: ExecutionContext, task_id: bytes) -> int:
    """Compute the fee for displacing an open task, in sap."""
    terms = records.TERMS.get(context.state, task_id)
    assert terms is not None, "an open task without terms"
    campaign = records.CAMPAIGNS.get(context.state, terms.campaign_id)
    assert campaign is not None, "a task without a campaign"
    return context.parameters.task_deposit << min(campaign.times_gave_way, _MAX_DOUBLINGS)


def _is_better(offer: int, other: int) -> bool:
    """Tell whether an offer is at least a tenth higher than another one."""
    return offer > other and 10 * offer >= 11 * other


def _refuse(context: ExecutionContext, terms: OpenTask, offer: int) -> RefusalError:
    """Make the refusal of a task that displaces no open task."""
    tasks = list(records.OFFERS.scan(context.state))
    yielding = [
        _compute_fee(context, task_id)
        for other, task_id in tasks
        if _is_better(offer, other) and not _has_quorum(context, _read(context, task_id))
    ]
    if yielding:
        least = min(yielding)
        return RefusalError(
            LedgerCode.TOO_MANY_TASKS,
            f"max_room_fee is {terms.max_room_fee} sap, but {len(tasks)} tasks are open, and it"
            f" costs {least} sap to displace one: wait until one is closed, or raise max_room_fee",
            field="max_room_fee",
            limit=str(least),
        )
    return RefusalError(
        LedgerCode.TOO_MANY_TASKS,
        f"{len(tasks)} tasks are open, and the offer of {offer} sap for each million of evaluations"
        " is not a tenth higher than that of a task without a quorum of commitments: wait until"
        " one is closed, or raise the mining price",
        field="prices.mining",
        limit=str(tasks[0][0]),
    )


def _read(context: ExecutionContext, task_id: bytes) -> TaskState:
    task = records.TASKS.get(context.state, task_id)
    assert task is not None, "an open task without a record"
    return task


def _has_quorum(context: ExecutionContext, task: TaskState) -> bool:
    """Tell whether enough miners have committed in the present attempt."""
    if task.phase != block_pb2.TASK_PHASE_COMMIT:
        return True
    return 100 * task.acted_power >= context.parameters.reveal_quorum_percent * task.total_power
