"""Full blocks of campaigns: opened, with new lists, with receipts, and closing all at once."""

from __future__ import annotations

from collections.abc import Iterator

from fedcoin.contract.actions.client_lists import MAX_FORMER_LISTS
from fedcoin.contract.tasks.closing import MAX_CLOSINGS
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.messages.transactions import Transaction
from fedcoin.v1.task_pb2 import ClientList
from fedcoin.v1.transaction_pb2 import CloseCampaign, RegisterReceipt, SetClients
from scripts.benchmarks.block_cost.cost_allowance import BlockCost
from scripts.benchmarks.block_cost.measured_chain import MeasuredChain, Scale
from tests.support.keys import ALICE, key_of
from tests.support.ledger_campaign import LedgerCampaign
from tests.support.receipt_campaign import WINDOW, receipt_of

_SET_BYTES = 200
"""Less than a transaction with a new list of clients takes."""
_REGISTRATION_BYTES = 500
"""Less than a transaction with a receipt takes."""


def measure_campaigns(scale: Scale) -> Iterator[BlockCost]:
    """Measure blocks of campaigns.

    Args:
        scale: The sizes.

    Yields:
        The cost of each block.
    """
    with MeasuredChain.begin(scale) as chain:
        chain.produce()
        yield chain.measure("campaigns are opened", open_campaigns(chain, scale.block_bytes))
        wanted = scale.block_bytes // _SET_BYTES // MAX_FORMER_LISTS + 1
        opened = list(open_campaigns(chain, wanted, budget=11, receipt_window_ms=WINDOW))
        chain.play(opened)
        ids = [transaction.hash for transaction in opened]
        yield chain.measure("lists of clients are replaced", _replace_lists(chain, ids))
    names = [f"client {i}" for i in range(scale.clients)]
    with MeasuredChain.begin(scale, users=names) as chain:
        wanted = scale.block_bytes // _REGISTRATION_BYTES // scale.clients + 1
        opened = list(open_campaigns(chain, wanted, budget=11, receipt_window_ms=WINDOW))
        chain.play(opened)
        ids = [transaction.hash for transaction in opened]
        yield chain.measure("receipts are registered", _register(chain, ids, names))
    with MeasuredChain.begin(scale, users=names) as chain:
        yield _measure_closings(chain, names)


def open_campaigns(
    chain: MeasuredChain, count: int, budget: int = 10, **terms: int
) -> Iterator[Transaction]:
    """Sign the openings of campaigns of one round by Alice.

    Args:
        chain: The chain, on whose latest block they are executed.
        count: How many.
        budget: The budget of each, in sap.
        terms: Further terms.

    Yields:
        The transactions, which belong in one block each after the other.
    """
    job = LedgerCampaign(chain)
    for i in range(count):
        opening = job.campaign_terms(budget=budget, rounds=1, **terms)
        yield chain.sign(ALICE, opening, ahead=i)


def _replace_lists(chain: MeasuredChain, campaign_ids: list[bytes]) -> Iterator[Transaction]:
    for i in range(MAX_FORMER_LISTS * len(campaign_ids)):
        clients = ClientList(root=sha256(b"list %d" % i), count=1_000)
        campaign_id = campaign_ids[i // MAX_FORMER_LISTS]
        yield chain.sign(ALICE, SetClients(campaign_id=campaign_id, clients=clients), ahead=i)


def _register(
    chain: MeasuredChain, campaign_ids: list[bytes], names: list[str]
) -> Iterator[Transaction]:
    clients = [key_of(name) for name in names]
    for ahead, campaign_id in enumerate(campaign_ids):
        job = LedgerCampaign(chain, clients, campaign_id=campaign_id)
        for client in clients:
            update = job.update(client, 1)
            action = RegisterReceipt(update=update, receipt=receipt_of(job, update))
            yield chain.sign(client, action, ahead=ahead)


def _measure_closings(chain: MeasuredChain, names: list[str]) -> BlockCost:
    """Close as many campaigns as a block may, which have as many receipts as may end in it."""
    opened = list(open_campaigns(chain, MAX_CLOSINGS, budget=11, receipt_window_ms=WINDOW))
    chain.play(opened)
    ids = [transaction.hash for transaction in opened]
    each = max(1, chain.scale.clients // MAX_CLOSINGS)
    chain.play(
        chain.sign(ALICE, CloseCampaign(campaign_id=id), ahead=i) for i, id in enumerate(ids)
    )
    chain.play(_register(chain, ids, names[:each]))
    chain.produce(after_ms=WINDOW)
    return chain.measure(f"{MAX_CLOSINGS} campaigns close by time", after_ms=2 * WINDOW)
