"""Strangers that send what does not belong here: old messages, or another network's.

Each visits the peers of a real node under fresh node keys, which are banned in its place, so that
the node itself stays. What it was told is in its log.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import grpc

from fedcoin.application.node.chain import Chain
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.blocks import decode_block
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.messages.transactions import decode_transaction, sign_transaction
from fedcoin.data.messages.votes import (
    PREVOTE,
    Proposal,
    Vote,
    decode_vote,
    sign_proposal,
    sign_vote,
)
from fedcoin.network.client.rpc_error import RpcError, rpc_error_of
from fedcoin.network.errors import NetworkCode
from fedcoin.network.peers.connections.endpoints import parse_endpoint
from fedcoin.network.peers.connections.link import Introduction, Link, open_link
from fedcoin.network.peers.connections.security import Security
from fedcoin.network.peers.gossip.consensus_messages import encode
from fedcoin.network.peers.peer_network import PeerNetwork
from fedcoin.v1.transaction_pb2 import TransactionBody, Transfer, TransferOutput
from fedcoin.v1.transaction_relay_service_pb2 import RelayTransactionsRequest
from fedcoin.v1.vote_pb2 import Certificate

VISITS = 5
"""How many blocks it greets with a visit to every peer."""

ENOUGH = 5
"""So many bad messages in a row are more than anybody bears."""

OLD_BLOCKS = 20
PATIENCE_S = 5.0

OTHER_CHAIN = "another-network"

Bring = Callable[[str, Chain], Awaitable[dict[str, str]]]
"""A visit to the node at an address: what it said to each thing that was brought."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stranger:
    """One visitor: a key that nobody knows, and a plaintext channel."""

    genesis: Genesis
    key: KeyPair

    @asynccontextmanager
    async def at(self, address: str) -> AsyncIterator[Link]:
        """A link to a node. Raises Refusal when it is not let in."""
        link = await open_link(
            parse_endpoint(address),
            Introduction(self.genesis, self.key, "stranger/1", lambda: "", lambda: 0),
            Security(None, insecure=False),
            PATIENCE_S,
        )
        try:
            yield link
        finally:
            await link.close()

    async def knock(self, address: str) -> str:
        """The code with which it is turned away; empty when it is let in."""
        try:
            async with self.at(address):
                return ""
        except RefusalError as refusal:
            return refusal.code.name

    async def say(self, address: str, messages: Iterable[Proposal | Vote]) -> str:
        """The code with which the stream of votes was broken off; empty when it was not."""
        async with self.at(address) as link:
            call = link.exchange()
            try:
                for message in messages:
                    await call.write(encode(message))
                await call.done_writing()
                while isinstance(await call.read(), bytes):
                    pass
            except (grpc.aio.UsageError, asyncio.InvalidStateError):
                pass  # it was broken off while there was more to say: the status tells why
            except grpc.aio.AioRpcError as error:
                return _reason(rpc_error_of(error, address))
            finally:
                call.cancel()
        return ""

    async def insist(self, address: str, messages: Iterable[Proposal | Vote]) -> str:
        """Say each in a stream of its own; the last code, which may be that of a closed door."""
        said = ""
        for message in messages:
            try:
                said = await self.say(address, [message])
            except RefusalError as refusal:
                return refusal.code.name
        return said

    async def relay(self, address: str, transactions: Sequence[bytes]) -> str:
        """How many of these were taken, or why none was."""
        request = RelayTransactionsRequest(transactions=transactions)
        async with self.at(address) as link:
            try:
                method = link.transactions.RelayTransactions
                reply = await link.call(method, request, timeout=PATIENCE_S)
            except RpcError as error:
                return error.code
        return f"{reply.accepted} taken"


async def come_again(network: PeerNetwork, chain: Chain, bring: Bring) -> None:
    """Visit every peer after each of some blocks."""
    height = 0
    for _ in range(VISITS):
        height = await chain.wait_above(height)
        for address in [info.address for info in network.peers() if info.address]:
            try:
                said: object = await bring(address, chain)
            except RefusalError as refusal:
                said = refusal
            log.warning("visited %s: %s", address, said)


async def bring_foreign(address: str, chain: Chain) -> dict[str, str]:
    """What a node says to another network's identities, transactions and votes."""
    genesis = chain.genesis
    foreigner = Stranger(replace(genesis, chain_id=OTHER_CHAIN), KeyPair.generate())
    namesake = Stranger(replace(genesis, hash=sha256(genesis.hash)), KeyPair.generate())
    visitor, voter = (Stranger(genesis, KeyPair.generate()) for _ in range(2))
    votes = [foreign_vote(chain.height() + 1, round, voter.key) for round in range(ENOUGH)]
    return {
        "chain": await foreigner.knock(address),
        "genesis": await namesake.knock(address),
        "transactions": await visitor.relay(address, foreign_transactions()),
        "after transactions": await visitor.knock(address),
        "a vote": await voter.say(address, votes[:1]),
        "more votes": await voter.insist(address, votes[1:]),
    }


async def bring_old(address: str, chain: Chain) -> dict[str, str]:
    """What a node says to final votes and transactions, and to an old block proposed anew."""
    visitor = Stranger(chain.genesis, KeyPair.generate())
    votes, transactions = old_messages(chain)
    proposals = old_proposals(chain, visitor.key)
    return {
        "votes": await visitor.say(address, votes),
        "transactions": await visitor.relay(address, transactions),
        "after them": await visitor.knock(address),
        "a proposal": await visitor.say(address, proposals[:1]),
        "more proposals": await visitor.insist(address, proposals[1:]),
    }


def foreign_transactions() -> list[bytes]:
    """Transfers on another chain."""
    return [foreign_transaction(nonce, KeyPair.generate()) for nonce in range(ENOUGH)]


def foreign_transaction(nonce: int, key: KeyPair) -> bytes:
    """A transfer that somebody signed for another chain."""
    body = TransactionBody(
        chain_id=OTHER_CHAIN,
        nonce=nonce,
        fee=100_000,
        expiry_height=1_000,
        transfer=Transfer(outputs=[TransferOutput(recipient=key.address, amount=1)]),
    )
    return sign_transaction(body, key).raw


def foreign_vote(height: int, round: int, key: KeyPair) -> Vote:
    """A vote that was signed for another chain."""
    return sign_vote(PREVOTE, height, round, sha256(b"foreign block"), key, OTHER_CHAIN)


def old_messages(chain: Chain) -> tuple[list[Vote], list[bytes]]:
    """The precommits and the transactions of the latest blocks."""
    votes: list[Vote] = []
    transactions: list[bytes] = []
    top = chain.height()
    for height in range(max(1, top - OLD_BLOCKS), top + 1):
        stored = chain.block(height)
        assert stored is not None, "a final block"
        certificate = Certificate.FromString(stored.certificate)
        votes += [decode_vote(vote, chain.genesis.chain_id) for vote in certificate.precommits]
        block = decode_block(stored.raw, len(stored.raw))
        transactions += [
            decode_transaction(raw, chain.genesis.chain_id, len(raw)).raw
            for raw in block.transactions
        ]
    return votes, transactions


def old_proposals(chain: Chain, key: KeyPair) -> list[Proposal]:
    """The first block, proposed anew for the height that is being decided."""
    stored = chain.block(1)
    assert stored is not None, "the first block"
    block = decode_block(stored.raw, len(stored.raw))
    height = chain.height() + 1
    return [
        sign_proposal(height, round, -1, block.hash, stored.raw, key, chain.genesis.chain_id)
        for round in range(ENOUGH)
    ]


def _reason(error: RpcError) -> str:
    """A refusal's code. A node closes a stream to which nothing more comes, which is none."""
    return "" if error.code == NetworkCode.SHUTTING_DOWN.name else error.code
