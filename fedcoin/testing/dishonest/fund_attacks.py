"""Nodes that spend coins to keep others' tasks, transactions and turns out.

Beside an honest miner they sign with accounts of their own, which the miner's first transaction
funds, so that the nonces of the miner's commitments and reveals stay its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import dataclass

from google.protobuf.message import Message

from fedcoin.application.node.chain import Chain
from fedcoin.application.wallet.transaction_drafts import action_field
from fedcoin.contract.admission import min_fee
from fedcoin.contract.state import records
from fedcoin.contract.tasks.lifecycle import open_tasks
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.amounts import SAP_PER_FDC
from fedcoin.data.messages.transactions import Transaction, sign_transaction
from fedcoin.data.messages.updates import sign_update
from fedcoin.data.plurals import format_count
from fedcoin.incentive.training_reward import compute_prices_due, split_budget
from fedcoin.network.peers.peer_network import PeerNetwork
from fedcoin.testing.dishonest.slow_models import make_slow_model
from fedcoin.v1 import task_pb2
from fedcoin.v1.artifact_pb2 import ModelSpec
from fedcoin.v1.task_pb2 import ClientUpdate, OpenCampaign, OpenTask, Sampling
from fedcoin.v1.transaction_pb2 import Bond, TransactionBody, Transfer, TransferOutput

ACCOUNTS = 8
"""The number of accounts that an attack is paid from."""
FUNDS = 60 * SAP_PER_FDC
"""The accounts that the miner funds, and the coins of each in sap."""

DUST_BONDS = 4
"""The number of bonds of the smallest size."""

BUDGET = 10
"""The budget of a campaign that no miner should work for, in sap."""

SLOW_BUDGET = 20 * SAP_PER_FDC
"""The budget of the campaign with the slow model, in sap."""

FLOOD_FACTOR = 5
"""How many times the minimum fee each transaction of a flood pays."""

FLOOD_BATCH = 24
"""How many transactions of each account wait at the same time."""

PAUSE_S = 0.5
"""The pause between two looks at the chain, in seconds."""

_DAY_MS = 86_400_000
_SHORT_MS = 2_000

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Purse:
    """The attacker's accounts, and how it signs."""

    # The node's chain, and the key that pays.
    chain: Chain
    key: KeyPair
    # How many accounts there are, and the coins of each in sap.
    num_accounts: int = ACCOUNTS
    funds: int = FUNDS

    @property
    def accounts(self) -> list[KeyPair]:
        """The accounts that the attack is paid from."""
        seeds = (sha256(b"purse", self.key.address, bytes([i])) for i in range(self.num_accounts))
        return [KeyPair.from_seed(seed) for seed in seeds]

    def sign(
        self, signer: KeyPair, action: Message, *, ahead: int = 0, factor: int = 1
    ) -> Transaction:
        """Sign an action.

        Args:
            signer: The account that pays.
            action: The action to sign, such as a Transfer.
            ahead: How many transactions of the account come before it.
            factor: How many times the minimum fee it pays.

        Returns:
            A signed transaction that expires after 100 blocks; it is not submitted.
        """
        genesis = self.chain.genesis
        body = TransactionBody(
            chain_id=genesis.chain_id,
            nonce=self.chain.ledger.account(signer.address).nonce + ahead,
            expiry_height=self.chain.height() + 100,
        )
        getattr(body, action_field(action)).CopyFrom(action)
        body.fee = factor * min_fee(genesis.parameters, body.ByteSize() + 10)
        return sign_transaction(body, signer, genesis.hash)

    async def fill(self, network: PeerNetwork) -> None:
        """Fund the accounts, and wait until they have the coins.

        Args:
            network: Relays the transaction.
        """
        outputs = [TransferOutput(recipient=a.address, amount=self.funds) for a in self.accounts]
        transaction = self.sign(self.key, Transfer(outputs=outputs))
        while not self.chain.ledger.account(self.accounts[0].address).balance:
            network.transaction_relay.relay(transaction)
            await asyncio.sleep(PAUSE_S)


async def fill_pools(
    key: KeyPair, network: PeerNetwork, chain: Chain, artifacts: ArtifactStore
) -> None:
    """Keep other nodes' mempools and blocks full of transfers that pay well (`pool-filler`).

    Args:
        key: The miner's key, which pays.
        network: Relays the transactions.
        chain: The node's chain.
        artifacts: The node's artifacts, which this attack does not need.
    """
    purse = Purse(chain, key)
    await purse.fill(network)
    while True:
        height = chain.height()
        for account in purse.accounts:
            outputs = [TransferOutput(recipient=account.address, amount=1)] * 20
            for ahead in range(FLOOD_BATCH):
                flood = purse.sign(
                    account, Transfer(outputs=outputs), ahead=ahead, factor=FLOOD_FACTOR
                )
                network.transaction_relay.relay(flood)
            await asyncio.sleep(0)
        log.warning("relayed %d transfers to fill mempools", FLOOD_BATCH * ACCOUNTS)
        await chain.wait_above(height)


async def bond_dust(
    key: KeyPair, network: PeerNetwork, chain: Chain, artifacts: ArtifactStore
) -> None:
    """Bond the least from several accounts, none of which ever proposes (`dust-validators`).

    Args:
        key: The miner's key, which pays.
        network: Relays the transactions.
        chain: The node's chain.
        artifacts: The node's artifacts, which this attack does not need.
    """
    bond = chain.genesis.parameters.min_bond
    purse = Purse(chain, key, DUST_BONDS, bond + SAP_PER_FDC)
    await purse.fill(network)
    for account in purse.accounts:
        network.transaction_relay.relay(purse.sign(account, Bond(amount=bond)))
    log.warning("bonds the least from %d accounts that never propose", DUST_BONDS)


async def spam_tasks(
    key: KeyPair, network: PeerNetwork, chain: Chain, artifacts: ArtifactStore
) -> None:
    """Open tasks that pay nothing and last for days (`task-spammer`).

    Args:
        key: The miner's key, which pays.
        network: Relays the transactions.
        chain: The node's chain.
        artifacts: The node's artifacts, which this attack does not need.
    """
    await _open_copies(Purse(chain, key), network, _DAY_MS, exact=True)


async def move_difficulty(
    key: KeyPair, network: PeerNetwork, chain: Chain, artifacts: ArtifactStore
) -> None:
    """Open sampled tasks that pay nothing and would settle at once (`difficulty-mover`).

    Args:
        key: The miner's key, which pays.
        network: Relays the transactions.
        chain: The node's chain.
        artifacts: The node's artifacts, which this attack does not need.
    """
    await _open_copies(Purse(chain, key), network, _SHORT_MS, exact=False)


async def open_slow_task(
    key: KeyPair, network: PeerNetwork, chain: Chain, artifacts: ArtifactStore
) -> None:
    """Open a task that pays well, and whose model takes far too long to evaluate (`slow-model`).

    Args:
        key: The miner's key, which pays.
        network: Relays the transactions, and serves the model to other nodes.
        chain: The node's chain.
        artifacts: The node's artifacts, which the model is put into.
    """
    purse = Purse(chain, key)
    await purse.fill(network)
    honest, campaign = await _find_honest_task(purse)
    while not artifacts.has(campaign.model):
        await chain.wait_above(chain.height())
    model = ModelSpec.FromString(await asyncio.to_thread(artifacts.path(campaign.model).read_bytes))
    slow = make_slow_model(model).SerializeToString(deterministic=True)
    account = purse.accounts[0]
    terms = _one_round(campaign, honest, account, SLOW_BUDGET)
    terms.model = await asyncio.to_thread(artifacts.put, slow)
    opening = purse.sign(account, terms)
    window = honest.commit_window_ms
    task = _copy_task(purse, opening.hash, terms, honest, window, exact=True)
    network.transaction_relay.relay(opening)
    network.transaction_relay.relay(purse.sign(account, task, ahead=1))
    log.warning("opens a task with a model that is far too slow")


async def _find_honest_task(purse: Purse) -> tuple[OpenTask, OpenCampaign]:
    while (found := next(_foreign_tasks(purse), None)) is None:
        await purse.chain.wait_above(purse.chain.height())
    return found


async def _open_copies(purse: Purse, network: PeerNetwork, window_ms: int, *, exact: bool) -> None:
    """Open worthless copies of the first honest task, whose artifacts all validators have."""
    await purse.fill(network)
    honest, campaign = await _find_honest_task(purse)
    for account in purse.accounts:
        terms = _one_round(campaign, honest, account, BUDGET)
        opening = purse.sign(account, terms)
        copy = _copy_task(purse, opening.hash, terms, honest, window_ms, exact=exact)
        network.transaction_relay.relay(opening)
        network.transaction_relay.relay(purse.sign(account, copy, ahead=1))
    log.warning("opens %s that pay nothing", format_count(ACCOUNTS, "task"))


def _foreign_tasks(purse: Purse) -> Iterator[tuple[OpenTask, OpenCampaign]]:
    reader = purse.chain.ledger.reader
    for task_id, _ in open_tasks(reader):
        terms = records.TERMS.get(reader, task_id)
        campaign = terms and records.CAMPAIGNS.get(reader, terms.campaign_id)
        if terms and campaign:
            yield terms, campaign.terms


def _one_round(
    campaign: OpenCampaign, honest: OpenTask, account: KeyPair, budget: int
) -> OpenCampaign:
    terms = OpenCampaign()
    terms.CopyFrom(campaign)
    terms.server = account.address
    terms.initial_weights = honest.base
    terms.rounds, terms.budget = 1, budget
    terms.receipt_window_ms = 0  # with receipts windows would be long, and attempts at least two
    return terms


def _copy_task(
    purse: Purse,
    campaign_id: bytes,
    campaign: OpenCampaign,
    honest: OpenTask,
    window_ms: int,
    *,
    exact: bool,
) -> OpenTask:
    """Copy a task with the updates signed by keys of the attacker's own, in the same order."""
    task = OpenTask()
    task.CopyFrom(honest)
    task.campaign_id, task.round = campaign_id, 1
    due = compute_prices_due(campaign, 1, split_budget(campaign).training)
    task.prices.training, task.prices.aggregation = due.training, due.aggregation
    task.prices.mining = due.mining
    task.commit_window_ms = task.reveal_window_ms = window_ms
    task.max_attempts = 1
    schedule = task_pb2.SCHEDULE_EXACT if exact else task_pb2.SCHEDULE_PERMUTATION
    task.sampling.CopyFrom(Sampling(schedule=schedule, max_samples=0 if exact else 100))
    seeds = (sha256(campaign_id, bytes([i])) for i in range(len(honest.updates)))
    keys = sorted((KeyPair.from_seed(seed) for seed in seeds), key=lambda k: k.address)
    del task.updates[:]
    for key, signed in zip(keys, honest.updates, strict=True):
        update = ClientUpdate.FromString(signed.body)
        update.campaign_id, update.round, update.address = campaign_id, 1, key.address
        task.updates.append(sign_update(update, key, purse.chain.genesis.hash))
    return task
