"""Peers that send old messages, or messages of another network, to other nodes.

Each visit to a node uses fresh node keys. The visited node bans those, and not the node that runs
this code, which logs every answer.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

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
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.network.errors import NetworkCode
from fedcoin.network.peers.connections.link import Introduction, Link, open_link
from fedcoin.network.peers.connections.node_addresses import parse_node_address
from fedcoin.network.peers.connections.security import Security
from fedcoin.network.peers.gossip.consensus_messages import encode
from fedcoin.network.peers.peer_network import PeerNetwork
from fedcoin.v1.transaction_pb2 import TransactionBody, Transfer, TransferOutput
from fedcoin.v1.transaction_relay_service_pb2 import RelayTransactionsRequest
from fedcoin.v1.vote_pb2 import Certificate

BLOCKS_WITH_VISITS = 5
"""The number of first blocks after each of which each peer is visited."""

MESSAGES_UNTIL_BAN = 8
"""The number of bad messages in a row, of any kind, that get a peer banned."""

MAX_OLD_BLOCKS = 20
"""The number of the latest blocks from which old messages are taken."""

TIMEOUT_S = 5.0
"""The deadline of each call, in seconds."""

OTHER_CHAIN_ID = "another-network"
"""The name of the network whose messages are sent."""
OTHER_GENESIS_HASH = sha256(b"another network")
"""The genesis hash of the network whose messages are sent, 32 bytes."""

Visit = Callable[[str, Chain], Awaitable[dict[str, str]]]
"""Visits the peer at an address, and returns the peer's answer to each kind of message: the name of
an error code, an empty string where nothing was refused, or how many transactions were accepted."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HostilePeer:
    """A peer with a node key that no node has seen before, over plaintext channels."""

    # The network that it claims to belong to.
    genesis: Genesis
    key: KeyPair

    @asynccontextmanager
    async def connect(self, address: str) -> AsyncIterator[Link]:
        """Connect to a node and shake hands.

        Args:
            address: The node's key@host:port, or host:port.

        Yields:
            A link, which is closed afterwards.

        Raises:
            RefusalError: The code with which the node refuses the handshake, such as BANNED.
        """
        link = await open_link(
            parse_node_address(address).endpoint,
            Introduction(self.genesis, self.key, "stranger/1", lambda: "", lambda: 0),
            Security(None, insecure=False),
            TIMEOUT_S,
        )
        try:
            yield link
        finally:
            await link.close()

    async def try_handshake(self, address: str) -> str:
        """Try to connect to a node.

        Args:
            address: The node's key@host:port, or host:port.

        Returns:
            The name of the code with which the handshake is refused; empty when it succeeds.
        """
        try:
            async with self.connect(address):
                return ""
        except RefusalError as refusal:
            return refusal.code.name

    async def send_consensus(self, address: str, messages: Iterable[Proposal | Vote]) -> str:
        """Send consensus messages in one stream.

        Args:
            address: The node's key@host:port, or host:port.
            messages: Proposals and votes.

        Returns:
            The name of the code with which the node ends the stream; empty when it accepts all.

        Raises:
            RefusalError: The code with which the node refuses the handshake, such as BANNED.
        """
        async with self.connect(address) as link:
            try:
                with link.exchange() as stream:
                    # When the node ends the stream between two messages, reading tells why.
                    with contextlib.suppress(RpcError):
                        for message in messages:
                            await stream.write(encode(message))
                        await stream.done_writing()
                    async for _ in stream:
                        pass
            except RpcError as error:
                return _refusal_code(error)
        return ""

    async def send_consensus_repeatedly(
        self, address: str, messages: Iterable[Proposal | Vote]
    ) -> str:
        """Send each consensus message in a stream of its own, until a handshake is refused.

        Args:
            address: The node's key@host:port, or host:port.
            messages: Proposals and votes.

        Returns:
            The name of the error code of the last answer: BANNED when the node then refuses a
            handshake; empty when it accepted all messages.
        """
        code = ""
        for message in messages:
            try:
                code = await self.send_consensus(address, [message])
            except RefusalError as refusal:
                return refusal.code.name
        return code

    async def relay(self, address: str, transactions: Sequence[bytes]) -> str:
        """Relay transactions.

        Args:
            address: The node's key@host:port, or host:port.
            transactions: Serialised SignedTransactions.

        Returns:
            The number that the node accepted, as in `2 accepted`, or the name of the code with
            which it refused the call.

        Raises:
            RefusalError: The code with which the node refuses the handshake, such as BANNED.
        """
        request = RelayTransactionsRequest(transactions=transactions)
        async with self.connect(address) as link:
            try:
                method = link.transactions.RelayTransactions
                reply = await link.call(method, request, timeout=TIMEOUT_S)
            except RpcError as error:
                return error.code
        return f"{reply.accepted} accepted"


async def visit_peers(network: PeerNetwork, chain: Chain, visit: Visit) -> None:
    """Visit every peer of a node after each of the first blocks, and log the answers.

    Args:
        network: The node's peer network.
        chain: The node's chain.
        visit: What to send to each peer.
    """
    height = 0
    for _ in range(BLOCKS_WITH_VISITS):
        height = await chain.wait_above(height)
        for address in [info.address for info in network.peers() if info.address]:
            try:
                answers: object = await visit(address, chain)
            except RefusalError as refusal:
                answers = refusal
            log.warning("visited %s: %s", address, answers)


async def send_foreign_messages(address: str, chain: Chain) -> dict[str, str]:
    """Send a node handshakes, transactions and votes of another network.

    Args:
        address: The node's key@host:port, or host:port.
        chain: The chain of the node's network.

    Returns:
        The node's answer to each kind of message (see `Visit`).
    """
    genesis = chain.genesis
    other_chain = HostilePeer(replace(genesis, chain_id=OTHER_CHAIN_ID), KeyPair.generate())
    other_genesis = HostilePeer(replace(genesis, hash=sha256(genesis.hash)), KeyPair.generate())
    sender, voter = (HostilePeer(genesis, KeyPair.generate()) for _ in range(2))
    height = chain.height() + 1
    votes = [_foreign_vote(height, round, voter.key) for round in range(MESSAGES_UNTIL_BAN)]
    return {
        "chain": await other_chain.try_handshake(address),
        "genesis": await other_genesis.try_handshake(address),
        "transactions": await sender.relay(address, _foreign_transactions()),
        "after transactions": await sender.try_handshake(address),
        "a vote": await voter.send_consensus(address, votes[:1]),
        "more votes": await voter.send_consensus_repeatedly(address, votes[1:]),
    }


async def send_old_messages(address: str, chain: Chain) -> dict[str, str]:
    """Send a node votes and transactions of final blocks, and propose an old block again.

    Args:
        address: The node's key@host:port, or host:port.
        chain: The chain of the node's network.

    Returns:
        The node's answer to each kind of message (see `Visit`).
    """
    peer = HostilePeer(chain.genesis, KeyPair.generate())
    votes, transactions = collect_old_messages(chain)
    proposals = _old_proposals(chain, peer.key)
    return {
        "votes": await peer.send_consensus(address, votes),
        "transactions": await peer.relay(address, transactions),
        "after them": await peer.try_handshake(address),
        "a proposal": await peer.send_consensus(address, proposals[:1]),
        "more proposals": await peer.send_consensus_repeatedly(address, proposals[1:]),
    }


def collect_old_messages(chain: Chain) -> tuple[list[Vote], list[bytes]]:
    """Collect the precommits and transactions of the latest blocks.

    Args:
        chain: A chain with at least one block.

    Returns:
        The precommits, and the transactions as serialised SignedTransactions.
    """
    votes: list[Vote] = []
    transactions: list[bytes] = []
    top = chain.height()
    for height in range(max(1, top - MAX_OLD_BLOCKS), top + 1):
        stored = chain.block(height)
        assert stored is not None, "a final block"
        certificate = Certificate.FromString(stored.certificate)
        votes += [decode_vote(vote, chain.genesis.hash) for vote in certificate.precommits]
        block = decode_block(stored.raw, len(stored.raw))
        transactions += [
            decode_transaction(raw, chain.genesis.identity, len(raw)).raw
            for raw in block.transactions
        ]
    return votes, transactions


def _foreign_transactions() -> list[bytes]:
    """Sign transfers of another network's chain."""
    transactions = []
    for nonce in range(MESSAGES_UNTIL_BAN):
        key = KeyPair.generate()
        body = TransactionBody(
            chain_id=OTHER_CHAIN_ID,
            nonce=nonce,
            fee=100_000,
            expiry_height=1_000,
            transfer=Transfer(outputs=[TransferOutput(recipient=key.address, amount=1)]),
        )
        transactions.append(sign_transaction(body, key, OTHER_GENESIS_HASH).raw)
    return transactions


def _foreign_vote(height: int, round: int, key: KeyPair) -> Vote:
    """Sign a prevote of another network's chain."""
    return sign_vote(PREVOTE, height, round, sha256(b"foreign block"), key, OTHER_GENESIS_HASH)


def _old_proposals(chain: Chain, key: KeyPair) -> list[Proposal]:
    """Propose the first block again, for the height that is being decided."""
    stored = chain.block(1)
    assert stored is not None, "the first block"
    block = decode_block(stored.raw, len(stored.raw))
    height = chain.height() + 1
    return [
        sign_proposal(height, round, -1, block, key, chain.genesis.hash)
        for round in range(MESSAGES_UNTIL_BAN)
    ]


def _refusal_code(error: RpcError) -> str:
    """Return the code of a refusal; empty where the node only ended an idle stream."""
    return "" if error.code == NetworkCode.SHUTTING_DOWN.name else error.code
