"""What the network layer needs from the node, and what it offers to it.

The node (``fedcoin.application``) implements `Chain`, `Pool`, `Agreement` and
`Importer`; `fedcoin.network.peers.peer_network.PeerNetwork` implements `Peers` and
`Outlet`. All methods are called on the node's event loop. None may block it for
longer than 5 ms; what takes longer is awaited.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from fedcoin.contract.blocks.ledger import Ledger
    from fedcoin.data.messages.blocks import Block
    from fedcoin.data.messages.genesis import Genesis
    from fedcoin.data.messages.transactions import Transaction
    from fedcoin.data.messages.votes import Proposal, VerifiedVotes, Vote
    from fedcoin.data.storage.chain_store import ChainStore, StoredBlock


class ChainPort(Protocol):
    """The chain of final blocks, read-only for the network."""

    catching_up: bool
    """True while blocks are fetched that peers have; written by the network's sync."""

    verified_votes: VerifiedVotes
    """The votes whose signature this node has found right, however they arrived."""

    @property
    def genesis(self) -> Genesis:
        """The network that this chain belongs to."""
        ...

    @property
    def ledger(self) -> Ledger:
        """The state after the last final block, for reads."""
        ...

    @property
    def store(self) -> ChainStore:
        """The store, for reads; usable from several threads."""
        ...

    def height(self) -> int:
        """The height of the last final block; 0 is genesis."""
        ...

    def block(self, height: int) -> StoredBlock | None:
        """A final block and a certificate for it; None above the chain and up to its base."""
        ...

    async def wait_above(self, height: int) -> int:
        """Return the chain's height as soon as it is above `height`."""
        ...


class TransactionPort(Protocol):
    """Transactions that wait for a block.

    Bytes that arrive are decoded once, by `decode`; from there on the `Transaction` is passed.
    """

    def decode(self, raw: bytes) -> Transaction:
        """Decode and verify a signed transaction, unless the node has it already.

        Args:
            raw: A serialised SignedTransaction. Its hash and signature are over exactly these
                bytes.

        Returns:
            The transaction; the one that the node holds when it holds one with these bytes.

        Raises:
            RefusalError: TOO_LARGE, MALFORMED, UNKNOWN_ACTION, WRONG_CHAIN, BAD_SIGNATURE.
        """
        ...

    async def submit(self, transaction: Transaction) -> None:
        """Admit a transaction of this node's own users, and wait for its audit.

        Nothing happens when it waits already or is final.

        Args:
            transaction: The transaction.

        Raises:
            RefusalError: With the ledger's or the audit's code when it is refused, and also
                when it is only too early; POOL_FULL, TOO_MANY_PENDING, REPLACEMENT_UNDERPRICED.
        """
        ...

    def add_relayed(self, transaction: Transaction) -> bool:
        """Admit a transaction that a peer relayed.

        One that is only too early, because the peer is a block ahead, is held for some blocks.

        Args:
            transaction: The transaction.

        Returns:
            True when it is new and in the mempool now; False when it waits already or is final.

        Raises:
            RefusalError: With the ledger's code when it is refused; POOL_FULL, TOO_MANY_PENDING,
                REPLACEMENT_UNDERPRICED.
        """
        ...

    def find(self, raw: bytes) -> Transaction | None:
        """Look a waiting transaction up by its signed bytes.

        Args:
            raw: A serialised SignedTransaction.

        Returns:
            The transaction with exactly these bytes; None when it does not wait here.
        """
        ...

    def get(self, hash: bytes) -> Transaction | None:
        """Look a waiting transaction up by its hash.

        Args:
            hash: The transaction's hash, 32 bytes.

        Returns:
            The transaction; None when it does not wait here.
        """
        ...

    def pending(self) -> Sequence[Transaction]:
        """List all transactions that wait.

        Returns:
            The transactions in the order of their arrival.
        """
        ...

    def dropped_reason(self, hash: bytes) -> str | None:
        """Say why a transaction that waited lately can no longer become final.

        Args:
            hash: The transaction's hash, 32 bytes.

        Returns:
            The reason, a sentence; None when nothing is known of it.
        """
        ...

    def pending_nonce(self, address: bytes) -> int:
        """Compute the nonce of an address' next transaction.

        Args:
            address: The address, 20 bytes.

        Returns:
            The nonce, counting the transactions that wait.
        """
        ...


@dataclass(frozen=True, slots=True)
class Position:
    """Where a node stands in deciding the next block."""

    height: int
    """The height that is being decided: one more than the chain's."""

    round: int
    """The round within it, from 0."""


class ConsensusPort(Protocol):
    """Proposals and votes of the height that is being decided."""

    async def receive_proposal(self, proposal: Proposal, from_peer: bytes) -> bool:
        """Take a proposal whose signature is right; True when it is new and is to be relayed.

        Must not wait for what the proposal needs (artifacts, recomputing): the peer's
        stream stands still until this returns. What is of no use now (another height, say)
        is False. Raises Refusal when no honest peer would have passed it on: it counts
        against this one.
        """
        ...

    async def receive_vote(self, vote: Vote, from_peer: bytes) -> bool:
        """Take a vote whose signature is right; True when it is new and is to be relayed.

        As with `receive_proposal`.
        """
        ...

    def messages_for(self, height: int) -> Sequence[Proposal | Vote]:
        """What a peer that is deciding `height` may lack; empty for any other height than ours."""
        ...

    def status(self) -> Position:
        """Where this node stands."""
        ...


class Importer(Protocol):
    """Puts blocks that others decided on the chain."""

    async def import_block(self, block: Block, certificate: bytes) -> None:
        """Verify and append the block of the next height; do nothing when it is final already.

        Args:
            block: The block, decoded but not checked against the chain.
            certificate: The serialised Certificate that is to make it final.

        Raises:
            RefusalError: BAD_CERTIFICATE when the certificate does not make the block final; as
                `contract.blocks.validation.check_block` does when the block is invalid or not
                the next one.
        """
        ...

    async def import_snapshot(self, path: Path) -> None:
        """Begin from a snapshot's file instead of genesis, on a chain without blocks.

        Checks all of it; either everything of it is taken or nothing. Raises Refusal:
        BAD_SNAPSHOT, and what is wrong in it.
        """
        ...


@dataclass(frozen=True, slots=True)
class PeerInfo:
    """One connected peer, as people see it."""

    node_key: bytes
    """Ed25519 public key, 32 bytes."""

    address: str
    """host:port on which it can be dialled; empty if it cannot."""

    outbound: bool
    """True if this node dialled it."""

    height: int
    """The height that it last told."""

    score: int
    """Its misbehaviour: banned at 100, falling by half every minute."""

    agent: str
    """What it runs."""


class Peers(Protocol):
    """The peers of this node, for the API and the operator."""

    @property
    def address(self) -> str:
        """host:port on which peers are served."""
        ...

    def peers(self) -> Sequence[PeerInfo]:
        """Those who are connected, by address."""
        ...

    async def add(self, address: str) -> bytes:
        """Dial host:port, keep it in the address book, and return its node key.

        Raises Refusal: BAD_HOST, PEER_UNREACHABLE, or why the handshake failed.
        """
        ...

    async def drop(self, node_key: bytes) -> None:
        """Hang up. Raises Refusal PEER_NOT_CONNECTED."""
        ...

    async def ban(self, node_key: bytes, seconds: float) -> None:
        """Hang up if connected, and refuse the key for a time; 0 means an hour."""
        ...


class Broadcaster(Protocol):
    """What the node sends to its peers. Nothing here waits for a peer."""

    def broadcast(self, message: Proposal | Vote) -> None:
        """Send an own proposal or vote to every peer."""
        ...

    def status_changed(self) -> None:
        """Tell every peer the new height or round; call it whenever `Agreement.status` changes."""
        ...

    def announce(self, height: int, block_hash: bytes) -> None:
        """Tell peers that are behind that a height is final."""
        ...

    def relay(self, transaction: Transaction) -> None:
        """Hand a transaction that is new in the pool to every peer that does not have it."""
        ...

    async def ensure_artifacts(
        self, ids: Sequence[bytes], timeout_s: float, preferred: Sequence[bytes] = ()
    ) -> bool:
        """Fetch the artifacts that the store lacks; True when it holds all of them.

        `preferred` are node keys of peers to ask first, such as the proposer's.
        """
        ...
