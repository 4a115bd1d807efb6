"""The Protocols between the network layer and the node.

The node (`fedcoin.application`) implements `ChainPort`, `TransactionPort`, `ConsensusPort` and
`Importer`; `PeerNetwork` implements `Peers`, and its `consensus` implements `Broadcaster`. All
methods are called on the node's event loop. None may block it for longer than 5 ms; longer work is
awaited.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from fedcoin.contract.blocks.ledger import Ledger
    from fedcoin.data.errors import RefusalError
    from fedcoin.data.messages.blocks import Block
    from fedcoin.data.messages.genesis import Genesis
    from fedcoin.data.messages.transactions import Transaction
    from fedcoin.data.messages.votes import Proposal, VerifiedVotes, Vote
    from fedcoin.data.storage.block_tables import StoredBlock
    from fedcoin.data.storage.chain_store import ChainStore


class ChainPort(Protocol):
    """The chain of final blocks, read-only for the network."""

    catching_up: bool
    """True while blocks are fetched from peers; written by `peers.sync.catch_up`."""

    verified_votes: VerifiedVotes
    """The votes whose signatures this node has verified, whatever their source."""

    @property
    def genesis(self) -> Genesis:
        """The genesis of this chain's network."""
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
        """Return the height of the last final block; 0 is genesis."""
        ...

    def block(self, height: int) -> StoredBlock | None:
        """Read a final block and a certificate for it.

        Args:
            height: The block's height.

        Returns:
            The block; None above the last one, and up to the snapshot that the chain started from.
        """
        ...

    async def wait_above(self, height: int) -> int:
        """Wait until the chain is higher than a height.

        Args:
            height: The height that the chain must exceed.

        Returns:
            The chain's height, above `height`.
        """
        ...


@dataclass(frozen=True, slots=True)
class Position:
    """The height and round that a node is deciding."""

    height: int
    """The height that is being decided: one more than the chain's."""

    round: int
    """The round within it, from 0."""


@dataclass(frozen=True, slots=True)
class FeeRates:
    """What transactions must pay at present, and how many wait."""

    mempool: int
    """To be admitted to the mempool: sap for each KiB; 0 while it has room."""
    next_block: int
    """To be in the next block: sap for each KiB; 0 while it has room for all that wait."""
    pending_bytes: int
    """Bytes of all transactions that wait."""


class TransactionPort(Protocol):
    """Transactions that wait for a block.

    Bytes that arrive are decoded once, by `decode`; from there on the `Transaction` is passed.
    """

    async def decode_all(self, raws: Sequence[bytes]) -> list[Transaction | RefusalError]:
        """Decode and verify signed transactions, unless the node has them already.

        Args:
            raws: Serialised SignedTransactions. Hash and signature are over exactly these bytes.

        Returns:
            For each the transaction, the one that the node holds when it holds one with these
            bytes; or a refusal: TOO_LARGE when it has too many bytes, MALFORMED when it is not
            canonical, UNKNOWN_ACTION when it does not hold exactly one known action, WRONG_CHAIN
            when it names another chain, BAD_SIGNATURE when the key has not signed it for this
            network.
        """
        ...

    async def submit_all(self, transactions: Sequence[Transaction]) -> list[RefusalError | None]:
        """Admit transactions of this node's own users in their order, and wait for their audits.

        Nothing happens for one that waits already or is final.

        Args:
            transactions: The decoded and verified transactions.

        Returns:
            For each its refusal, or None: REPLACEMENT_UNDERPRICED when it pays too little to
            replace one with its nonce; TOO_MANY_PENDING when too many of its sender wait; POOL_FULL
            when it pays less than what would make room; a code of the ledger when it cannot be
            applied now, also when it is only too early; the code of the audit when artifacts or
            evidence do not pass it.
        """
        ...

    def add_relayed(self, transaction: Transaction) -> bool:
        """Admit a transaction that a peer relayed.

        One that is only too early, because the peer is a block ahead, is held for some blocks.

        Args:
            transaction: The decoded and verified transaction.

        Returns:
            True when it is new and in the mempool now; False when it waits already or is final.

        Raises:
            RefusalError: REPLACEMENT_UNDERPRICED when it pays too little to replace one with its
                nonce; TOO_MANY_PENDING when too many of its sender wait; POOL_FULL when it pays
                less than what would make room; a code of the ledger when it can never be applied.
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

    def fee_rates(self) -> FeeRates:
        """Report what transactions must pay at present.

        Returns:
            The fees for the mempool and for the next block, in sap for each KiB.
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


class ConsensusPort(Protocol):
    """Proposals and votes of the height that is being decided."""

    async def receive_proposal(self, proposal: Proposal, from_peer: bytes) -> bool:
        """Handle a proposal with a valid signature.

        Must not wait for artifacts or recomputation: the peer's stream is not read until this
        returns.

        Args:
            proposal: A decoded proposal, whose signature was verified.
            from_peer: The node key of the peer that sent it, 32 bytes.

        Returns:
            True when it is new and shall be relayed; False when it is known or of no use now, for
            example of another height.

        Raises:
            RefusalError: A code of `ConsensusEngine.on_proposal`, such as WRONG_PROPOSER. No honest
                peer passes such a message on, so the caller punishes the peer.
        """
        ...

    async def receive_vote(self, vote: Vote, from_peer: bytes) -> bool:
        """Handle a vote with a valid signature, as `receive_proposal` handles a proposal.

        Args:
            vote: A decoded vote, whose signature was verified.
            from_peer: The node key of the peer that sent it, 32 bytes.

        Returns:
            True when it is new and shall be relayed.

        Raises:
            RefusalError: A code of `ConsensusEngine.on_vote`, such as NOT_A_VALIDATOR. No honest
                peer passes such a message on, so the caller punishes the peer.
        """
        ...

    def messages_for(self, height: int) -> Sequence[Proposal | Vote]:
        """List the messages that a peer may lack.

        Args:
            height: The height that the peer is deciding.

        Returns:
            This node's messages of that height; none when it decides another height.
        """
        ...

    def status(self) -> Position:
        """Return the height and round that this node is deciding."""
        ...


class Importer(Protocol):
    """Appends blocks that other validators decided."""

    async def import_block(self, block: Block, certificate: bytes) -> None:
        """Verify and append the block of the next height; do nothing when it is final already.

        Args:
            block: The block, decoded but not checked against the chain.
            certificate: The serialised Certificate that makes it final.

        Raises:
            RefusalError: BAD_CERTIFICATE when the certificate does not make the block final; a code
                of `contract.blocks.validation.check_block`, such as WRONG_PARENT or WRONG_APP_HASH,
                when the block is invalid or not the next one.
        """
        ...

    async def import_snapshot(self, path: Path) -> None:
        """Start a chain without blocks from a snapshot, in one transaction.

        Args:
            path: The snapshot's file.

        Raises:
            RefusalError: BAD_SNAPSHOT when the file is damaged; a code of `SnapshotVerifier`, such
                as WRONG_CHUNK or WRONG_SUPPLY, when its content is not valid. Then nothing is
                written.
        """
        ...


@dataclass(frozen=True, slots=True)
class PeerInfo:
    """One connected peer, as the API shows it."""

    node_key: bytes
    """Ed25519 public key, 32 bytes."""

    address: str
    """The address on which it can be dialled, as key@host:port; empty when there is none."""

    outbound: bool
    """True when this node dialled it."""

    height: int
    """The last height that it reported."""

    score: int
    """The peer's points for misbehaviour: 100 lead to a ban, and they halve every minute."""

    agent: str
    """The peer's program and version."""

    clock_difference_ms: int | None = None
    """How far its clock is ahead of this node's, in ms; None before it told its time."""


class Peers(Protocol):
    """The peers of this node, for the API and the operator."""

    @property
    def address(self) -> str:
        """The address that peers dial, as key@host:port."""
        ...

    def peers(self) -> Sequence[PeerInfo]:
        """List the connected peers, sorted by address."""
        ...

    async def add(self, address: str) -> bytes:
        """Dial a peer and keep its address in the address book.

        Args:
            address: The address as key@host:port, or as host:port to accept the key that answers.

        Returns:
            The peer's node key, 32 bytes.

        Raises:
            RefusalError: BAD_HOST when the address is malformed; PEER_UNREACHABLE when nothing
                answers; another code of `open_link` when the handshake failed.
        """
        ...

    async def drop(self, node_key: bytes) -> None:
        """Disconnect a peer. It may connect again, and a seed is dialled again.

        Args:
            node_key: The peer's node key, 32 bytes.

        Raises:
            RefusalError: PEER_NOT_CONNECTED when there is no such peer.
        """
        ...

    async def ban(self, node_key: bytes, seconds: float) -> None:
        """Ban a node key, and disconnect its peer.

        Args:
            node_key: The node key, 32 bytes.
            seconds: The length of the ban, in seconds; 0 means an hour.
        """
        ...

    async def ban_host(self, host: str, seconds: float) -> None:
        """Ban a host, and disconnect the peers that dialled this node from it.

        Args:
            host: The IP address. With an IPv6 address, its /64 network is banned.
            seconds: The length of the ban, in seconds; 0 means an hour.

        Raises:
            RefusalError: BAD_HOST when it is not an IP address.
        """
        ...


class Broadcaster(Protocol):
    """Sends this node's part in the agreement to its peers. No method waits for a peer."""

    def broadcast(self, message: Proposal | Vote) -> None:
        """Send this node's proposal or vote to every peer.

        Args:
            message: A proposal or vote that this node signed.
        """
        ...

    def status_changed(self) -> None:
        """Send the new height or round to every peer, after `ConsensusPort.status` changed."""
        ...
