"""A coordinator that does not play fair: what the real ledger says to each task that it opens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fedcoin.contract.blocks.ledger import Ledger
from fedcoin.contract.state import records
from fedcoin.contract.state.execution_context import BlockContext
from fedcoin.contract.state.genesis_state import genesis_changes
from fedcoin.contract.state.overlay import MemoryState
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.transactions import decode_transaction, sign_transaction
from fedcoin.data.messages.updates import sign_update
from fedcoin.testing.campaign_simulation.campaign_setting import (
    BOND,
    FDC,
    FIXED_DIFFICULTY,
    GENESIS_MS,
    CampaignSetting,
    make_study_genesis,
)
from fedcoin.testing.campaign_simulation.simulated_coordinator import SimulatedCoordinator
from fedcoin.testing.consensus_simulation.simulated_node import CHAIN_ID
from fedcoin.v1.task_pb2 import ClientUpdate, OpenCampaign, OpenTask
from fedcoin.v1.transaction_pb2 import TransactionBody

CLIENTS = 5
TAKEN = ""


@dataclass(frozen=True)
class FraudAttempt:
    """One lie, and the code of the refusal; empty when it was taken."""

    what: str
    code: str


class TaskOpening:
    """A ledger with one campaign whose first task is to be opened."""

    def __init__(self) -> None:
        setting = CampaignSetting(rounds=2)
        self.server = SimulatedCoordinator(CLIENTS, setting, CHAIN_ID)
        genesis = make_study_genesis((BOND,) * 4, FIXED_DIFFICULTY, self.server.key.address)
        state = MemoryState()
        state.apply(genesis_changes(genesis))
        self.ledger = Ledger(state, genesis)
        ((signer, opening),) = self.server.act(state)
        assert isinstance(opening, OpenCampaign)
        context = BlockContext(1, GENESIS_MS + 1, self.ledger.proposer(1, 0).address, b"")
        body = TransactionBody(chain_id=CHAIN_ID, fee=FDC, expiry_height=9, open_campaign=opening)
        execution = self.ledger.execute(context, [sign_transaction(body, signer)])
        state.apply(execution.changes)
        self.ledger.adopt(execution)
        ((campaign_id, campaign),) = records.CAMPAIGNS.scan(state)
        self.task = self.server.task(campaign_id, campaign)

    def say(self, change: Callable[[TaskOpening, OpenTask], None]) -> str:
        """Open the task with a change; the refusal's code."""
        task = OpenTask()
        task.CopyFrom(self.task)
        change(self, task)
        body = TransactionBody(chain_id=CHAIN_ID, nonce=1, fee=FDC, expiry_height=9, open_task=task)
        transaction = sign_transaction(body, self.server.key)
        try:
            self.ledger.check(decode_transaction(transaction.raw, CHAIN_ID, 1 << 20), 1, 1 << 60)
        except RefusalError as refusal:
            return refusal.code.name
        return TAKEN

    def signed(self, task: OpenTask, **changes: object) -> None:
        """The first client's update, signed by it with something else in it."""
        update = ClientUpdate.FromString(task.updates[0].body)
        for name, value in changes.items():
            setattr(update, name, value)
        task.updates[0].CopyFrom(sign_update(update, self.server.clients[0], CHAIN_ID))


def lies() -> list[FraudAttempt]:
    """All that is tried."""
    desk = TaskOpening()
    return [FraudAttempt(what, desk.say(change)) for what, change in LIES.items()]


def _honest(desk: TaskOpening, task: OpenTask) -> None:
    pass


def _swap(desk: TaskOpening, task: OpenTask) -> None:
    update = ClientUpdate.FromString(task.updates[0].body)
    update.update = sha256(b"worse weights")
    task.updates[0].body = update.SerializeToString(deterministic=True)


def _exchange(desk: TaskOpening, task: OpenTask) -> None:
    first, second = task.updates[:2]
    first.signature, second.signature = second.signature, first.signature


def _drop(desk: TaskOpening, task: OpenTask) -> None:
    del task.updates[0]


def _double(desk: TaskOpening, task: OpenTask) -> None:
    task.updates.insert(1, task.updates[0])


def _turn(desk: TaskOpening, task: OpenTask) -> None:
    turned = [*task.updates][::-1]
    del task.updates[:]
    task.updates.extend(turned)


def _shift(desk: TaskOpening, task: OpenTask) -> None:
    task.prices.training -= 1
    task.prices.aggregation += 1


def _raise(desk: TaskOpening, task: OpenTask) -> None:
    task.prices.aggregation *= 2


LIES: dict[str, Callable[[TaskOpening, OpenTask], None]] = {
    "nothing": _honest,
    "swaps a client's update for other weights": _swap,
    "puts one client's signature under another's update": _exchange,
    "lists an update twice": _double,
    "lists the updates in another order": _turn,
    "shifts a sap of the price from the clients to itself": _shift,
    "asks for more than the campaign fixed": _raise,
    "uses an update that a client signed for another round": lambda desk, task: desk.signed(
        task, round=2
    ),
    "uses one that was signed for another campaign": lambda desk, task: desk.signed(
        task, campaign_id=sha256(b"other")
    ),
    "uses one that was trained from another base": lambda desk, task: desk.signed(
        task, base=sha256(b"other")
    ),
    "leaves a client out": _drop,
}
"""What a coordinator may do with what it was given."""
