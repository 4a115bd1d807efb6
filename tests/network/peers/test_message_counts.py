"""How often four validators decode, hash and verify each message for one block."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from fedcoin.data.messages.blocks import Block, decode_block
from fedcoin.data.messages.transactions import (
    Transaction,
    decode_transaction,
    sign_transaction,
)
from fedcoin.network.api.api_server import ApiServer
from fedcoin.network.api.backend import ApiBackend
from fedcoin.network.client.node_client import NodeClient
from fedcoin.v1.transaction_pb2 import SignedTransaction, TransactionBody
from fedcoin.v1.vote_pb2 import Certificate
from tests.support.keys import ALICE, MINERS
from tests.support.message_counts import MessageCounts, counting
from tests.support.node_core import make_network_genesis
from tests.support.peer_nodes import PeerNode, running
from tests.support.served_api import FakeNodeFacts, FakeOperator
from tests.support.shared_accounts import MEMBERS, PURSE, sign_shared
from tests.support.transfers import sign_transfer, transfer_to
from tests.support.waiting import until

GENESIS = make_network_genesis(
    propose_timeout_ms=5_000, vote_timeout_ms=2_000, max_block_interval_ms=3_600_000
)


def pay_purse(nonce: int) -> Transaction:
    """Pay the account of several keys."""
    paid = transfer_to((PURSE.address, 10**8))
    body = TransactionBody(chain_id=GENESIS.chain_id, nonce=nonce, fee=200_000, expiry_height=500)
    body.transfer.CopyFrom(paid)
    return sign_transaction(body, ALICE, GENESIS.hash)


def pay_from_purse() -> Transaction:
    """Sign a transfer by two of the account's three keys."""
    body = TransactionBody(chain_id=GENESIS.chain_id, fee=200_000, expiry_height=500)
    body.transfer.CopyFrom(transfer_to((MINERS[0].address, 1_000)))
    raw = sign_shared(PURSE, body, MEMBERS[1:], GENESIS.hash)
    return decode_transaction(raw, GENESIS.identity)


BATCHES = (
    [*(sign_transfer(nonce, genesis_hash=GENESIS.hash) for nonce in range(7)), pay_purse(7)],
    [
        *(sign_transfer(nonce, genesis_hash=GENESIS.hash) for nonce in range(8, 11)),
        pay_from_purse(),
    ],
)
TRANSACTIONS = [transaction for batch in BATCHES for transaction in batch]


@asynccontextmanager
async def four_validators(folder: Path) -> AsyncIterator[list[PeerNode]]:
    """Four validators, connected to each other."""
    nodes: list[PeerNode] = []
    async with AsyncExitStack() as stack:
        for number, key in enumerate(MINERS):
            seeds = [node.address for node in nodes]
            node = PeerNode(folder / str(number), GENESIS, key, seeds)
            await stack.enter_async_context(running(node))
            nodes.append(node)
        await until(lambda: all(node.linked() == 3 for node in nodes))
        yield nodes


@asynccontextmanager
async def api_of(node: PeerNode) -> AsyncIterator[NodeClient]:
    """Open a client of a node's API."""
    facts, operator = FakeNodeFacts(), FakeOperator()
    backend = ApiBackend(node.chain, node.pool, node.network, node.artifacts, facts, operator)
    server = ApiServer(backend, listen="127.0.0.1:0", admin=None)
    await server.start()
    await server.set_serving()
    try:
        async with NodeClient(server.address) as client:
            yield client
    finally:
        await server.stop(0)


async def pay(nodes: Sequence[PeerNode], client: NodeClient, batch: Sequence[Transaction]) -> None:
    """Submit transactions at one node, and wait until every node has them in a block."""
    for transaction in batch:
        await client.submit_transaction(transaction.raw)
    for node in nodes:
        find = node.store.index.find_transaction
        await until(lambda find=find: all(find(one.hash) for one in batch))


def blocks_of(node: PeerNode, above: int) -> list[Block]:
    stored = [node.store.block(height) for height in range(above + 1, node.chain.height() + 1)]
    return [decode_block(one.raw) for one in stored if one is not None]


def signatures_of(transaction: Transaction) -> list[bytes]:
    signed = SignedTransaction.FromString(transaction.raw)
    return [each for each in (signed.signature, *signed.signatures) if each]


async def counted(folder: Path) -> tuple[MessageCounts, list[Block]]:
    """Count the four nodes' work for all transactions; returns the counts and the blocks."""
    async with four_validators(folder) as nodes, api_of(nodes[0]) as client:
        # No block is due for an hour, so that all blocks are decided while the counts are taken.
        assert {node.chain.height() for node in nodes} == {0}
        start = nodes[0].chain.height()
        with counting() as counts:
            for batch in (TRANSACTIONS[:8], TRANSACTIONS[8:]):
                await pay(nodes, client, batch)
            # A node knows of its block a moment after the block is stored, and relays precommits
            # that arrive after the decision.
            stored = nodes[0].store.height
            await until(lambda: all(node.chain.height() == stored() for node in nodes))
            await until(lambda: all_arrived(counts))
        return counts, blocks_of(nodes[0], above=start)


def all_arrived(counts: MessageCounts) -> bool:
    """Tell whether each message has reached the three nodes that did not sign it."""
    return min(counts.verified.values()) >= 3


async def test_each_message_is_decoded_and_verified_once_a_node(tmp_path: Path) -> None:
    counts, blocks = await counted(tmp_path)
    assert len(blocks) >= 2
    assert {raw for block in blocks for raw in block.transactions} == {
        transaction.raw for transaction in TRANSACTIONS
    }
    for transaction in TRANSACTIONS:
        assert counts.envelopes[transaction.raw] == 4
        assert counts.bodies[transaction.body_bytes] == 4
        sender = transaction.policy.hash if transaction.policy else transaction.public_key
        assert counts.ids[sender + transaction.body_bytes] == 4
        for signature in signatures_of(transaction):
            assert counts.verified[signature] == 4
    # The proposer built the block; the other three nodes decode it.
    assert [counts.blocks[block.raw] for block in blocks] == [3] * len(blocks)
    # The same for signatures of proposals and votes, although precommits come again in the next
    # block's certificate.
    certified = [Certificate.FromString(block.last_certificate).precommits for block in blocks]
    assert any(certified)
    of_transactions = {each for one in TRANSACTIONS for each in signatures_of(one)}
    assert len(of_transactions) == len(TRANSACTIONS) + 1
    signed_by_validators = counts.verified.keys() - of_transactions
    assert {counts.verified[signature] for signature in signed_by_validators} == {3}
