"""Try what a dishonest coordinator may do with the updates and prices of a task.

Each attempt opens the first task of a campaign with one change, on a real ledger.
"""

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
from fedcoin.data.messages.amounts import SAP_PER_FDC
from fedcoin.data.messages.transactions import decode_transaction, sign_transaction
from fedcoin.data.messages.updates import sign_update
from fedcoin.testing.campaign_simulation.campaign_setting import (
    BOND,
    FIXED_DIFFICULTY,
    GENESIS_MS,
    CampaignSetting,
    make_study_genesis,
)
from fedcoin.testing.campaign_simulation.simulated_coordinator import SimulatedCoordinator
from fedcoin.testing.consensus_simulation.block_application import CHAIN_ID
from fedcoin.v1.task_pb2 import ClientUpdate, OpenCampaign, OpenTask
from fedcoin.v1.transaction_pb2 import TransactionBody

CLIENTS = 5
"""The number of clients of the campaign."""

MAX_TRANSACTION_BYTES = 1 << 20
"""The longest transaction of the network, in bytes."""


@dataclass(frozen=True)
class FraudAttempt:
    """One fraud that a coordinator tries, and the ledger's answer."""

    # The fraud, as a verb phrase with the coordinator as its subject.
    what: str
    # The name of the code with which the ledger refuses; empty when it accepts.
    code: str


class _TaskOpening:
    """A ledger with one campaign, and the task that an honest coordinator would open first."""

    def __init__(self) -> None:
        self.coordinator = SimulatedCoordinator(CLIENTS, CampaignSetting(rounds=2))
        address = self.coordinator.key.address
        genesis = make_study_genesis((BOND,) * 4, FIXED_DIFFICULTY, address)
        self.chain = genesis.identity
        self.coordinator.use_genesis(genesis.hash)
        state = MemoryState()
        state.apply(genesis_changes(genesis))
        self.ledger = Ledger(state, genesis)
        ((signer, opening),) = self.coordinator.act(state)
        assert isinstance(opening, OpenCampaign)
        context = BlockContext(1, GENESIS_MS + 1, self.ledger.proposer(0).address, b"")
        body = TransactionBody(
            chain_id=CHAIN_ID, fee=SAP_PER_FDC, expiry_height=9, open_campaign=opening
        )
        execution = self.ledger.execute(context, [sign_transaction(body, signer, genesis.hash)])
        state.apply(execution.changes)
        self.ledger.adopt(execution)
        ((campaign_id, campaign),) = records.CAMPAIGNS.scan(state)
        self.task = self.coordinator.make_task(campaign_id, campaign)

    def try_change(self, change: Callable[[_TaskOpening, OpenTask], None]) -> str:
        """Open the task with a change; return the refusal's code, or an empty string."""
        task = OpenTask()
        task.CopyFrom(self.task)
        change(self, task)
        body = TransactionBody(
            chain_id=CHAIN_ID, nonce=1, fee=SAP_PER_FDC, expiry_height=9, open_task=task
        )
        raw = sign_transaction(body, self.coordinator.key, self.chain.genesis_hash).raw
        try:
            transaction = decode_transaction(raw, self.chain, MAX_TRANSACTION_BYTES)
            self.ledger.check(transaction, 1, 1 << 60)
        except RefusalError as refusal:
            return refusal.code.name
        return ""

    def replace_first_update(self, task: OpenTask, **changes: object) -> None:
        """Put another update that the first client signed in place of the right one."""
        update = ClientUpdate.FromString(task.updates[0].body)
        for name, value in changes.items():
            setattr(update, name, value)
        task.updates[0].CopyFrom(
            sign_update(update, self.coordinator.clients[0], self.chain.genesis_hash)
        )


def try_coordinator_fraud() -> list[FraudAttempt]:
    """Try all changes that a dishonest coordinator may make, and one task without a change.

    Returns:
        The attempts, each with the ledger's answer.
    """
    opening = _TaskOpening()
    return [FraudAttempt(what, opening.try_change(change)) for what, change in _CHANGES.items()]


def _change_nothing(opening: _TaskOpening, task: OpenTask) -> None:
    pass


def _swap_weights(opening: _TaskOpening, task: OpenTask) -> None:
    update = ClientUpdate.FromString(task.updates[0].body)
    update.update = sha256(b"worse weights")
    task.updates[0].body = update.SerializeToString(deterministic=True)


def _swap_signatures(opening: _TaskOpening, task: OpenTask) -> None:
    first, second = task.updates[:2]
    first.signature, second.signature = second.signature, first.signature


def _drop_update(opening: _TaskOpening, task: OpenTask) -> None:
    del task.updates[0]


def _duplicate_update(opening: _TaskOpening, task: OpenTask) -> None:
    task.updates.insert(1, task.updates[0])


def _reverse_updates(opening: _TaskOpening, task: OpenTask) -> None:
    reversed_updates = [*task.updates][::-1]
    del task.updates[:]
    task.updates.extend(reversed_updates)


def _shift_price(opening: _TaskOpening, task: OpenTask) -> None:
    task.prices.training -= 1
    task.prices.aggregation += 1


def _raise_price(opening: _TaskOpening, task: OpenTask) -> None:
    task.prices.aggregation *= 2


_CHANGES: dict[str, Callable[[_TaskOpening, OpenTask], None]] = {
    "changes nothing": _change_nothing,
    "swaps a client's update for other weights": _swap_weights,
    "puts one client's signature under another's update": _swap_signatures,
    "lists an update twice": _duplicate_update,
    "lists the updates in another order": _reverse_updates,
    "shifts one sap of the price from the clients to itself": _shift_price,
    "asks for a higher price than the campaign fixed": _raise_price,
    "uses an update that a client signed for another round": (
        lambda opening, task: opening.replace_first_update(task, round=2)
    ),
    "uses an update that a client signed for another campaign": (
        lambda opening, task: opening.replace_first_update(task, campaign_id=sha256(b"other"))
    ),
    "uses an update that was trained from another base": (
        lambda opening, task: opening.replace_first_update(task, base=sha256(b"other"))
    ),
    "leaves a client out": _drop_update,
}
"""What a coordinator may change, by a clause without a subject."""
