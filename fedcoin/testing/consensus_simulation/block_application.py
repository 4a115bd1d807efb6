"""The application that simulated nodes run: its interface, and one without accounts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from fedcoin.consensus.effects import Verdict
from fedcoin.consensus.proposer_order import ProposerOrder
from fedcoin.consensus.validators import Validator, ValidatorSet
from fedcoin.data.crypto.hashing import HASH_BYTES, sha256
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.blocks import Block, build_block, decode_block
from fedcoin.testing.consensus_simulation.local_facts import LocalFacts
from fedcoin.v1.block_pb2 import BlockHeader

CHAIN_ID = "simulation"
"""The network's name."""

GENESIS_HASH = sha256(b"simulation")
"""The hash of the network's genesis, unless the application has a genesis of its own."""

FIRST_ROUND_WITHOUT_CLAIMS = 4
"""From this round on, correct nodes build blocks without claims."""


class BlockApplication(Protocol):
    """One node's ledger. Blocks that it adopted survive the node's crashes."""

    def height(self) -> int:
        """Return the height of the latest final block; 0 before the first."""

    def validators(self) -> ValidatorSet:
        """Return the validators of the next height."""

    def proposer(self, round: int) -> Validator:
        """Select the proposer of a round of the next height.

        Args:
            round: The round, from 0.

        Returns:
            One of the validators.
        """

    def wants_block(self, now_ms: int) -> bool:
        """Tell whether there is anything to put into a block.

        Args:
            now_ms: Virtual time in ms.

        Returns:
            True if the node should begin the next height.
        """

    def build(self, round: int, now_ms: int, failed: Sequence[Block] = ()) -> Block:
        """Build a block for the next height.

        Args:
            round: The round in which it will be proposed.
            now_ms: Virtual time in ms.
            failed: Blocks of earlier rounds of the height that got no polka.

        Returns:
            A block whose transactions this node found applicable.
        """

    def decode(self, raw: bytes) -> Block:
        """Decode a block that was stored with a lock.

        Args:
            raw: The block's bytes.

        Returns:
            The block.
        """

    def check(self, block: Block, round: int) -> bool:
        """Tell whether a block of the next height is valid, by the block and the chain alone.

        Args:
            block: A decoded block.
            round: The round of its proposal or certificate.

        Returns:
            True if it is valid.
        """

    def judge(self, block: Block, now_ms: int) -> Verdict:
        """Judge a newly proposed, valid block by facts that other nodes may see otherwise.

        Args:
            block: A decoded block that `check` found valid.
            now_ms: Virtual time in ms.

        Returns:
            `FOUND_FALSE` when this node must vote against the block, `UNKNOWN` when it cannot tell
            now, else `VALID`.
        """

    def adopt(self, block: Block, certificate: bytes) -> None:
        """Make a block final.

        Args:
            block: A block for the next height.
            certificate: The serialised Certificate of the block, already verified.
        """


ApplicationFactory = Callable[[int, ValidatorSet], BlockApplication]
"""Makes the application of the node with an index, at height 0, for the scenario's validators."""


def opaque_block(raw: bytes, round: int = 0) -> Block:
    """Make a block of any bytes, for an engine that looks only at the round of a block.

    Args:
        raw: The bytes, which need not be a serialised Block.
        round: The round for which the block says that it was built.

    Returns:
        A block whose hash is the SHA-256 of the bytes.
    """
    return Block(raw, sha256(raw), BlockHeader(round=round), b"", b"", ())


class SimulatedLedger:
    """A ledger without accounts: its blocks hold a number that is never used twice, and claims.

    A block's first transaction is the builder's index (4 bytes) and a counter (8 bytes); the others
    are claims (see `local_facts`), each once in a chain. The block is valid if height, parent,
    round, proposer and time are those of a next block.
    """

    def __init__(
        self,
        index: int,
        validators: ValidatorSet,
        claims: Sequence[bytes] = (),
        facts: LocalFacts | None = None,
    ) -> None:
        """Start at height 0.

        Args:
            index: The node's index in the scenario.
            validators: The validators of every height.
            claims: The claims that wait for a block.
            facts: What the node sees; by default, what every node sees.
        """
        self._index = index
        self._order = ProposerOrder.first(validators)
        self._claims = claims
        self._facts = facts or LocalFacts(index)
        self._parent = bytes(HASH_BYTES)
        self._height = 0
        self._time_ms = 0
        self._num_built = 0
        self._final_claims: set[bytes] = set()

    def height(self) -> int:
        """Implement `BlockApplication.height`: the height of the latest final block."""
        return self._height

    def validators(self) -> ValidatorSet:
        """Implement `BlockApplication.validators`: return the validators of the next height."""
        return self._order.validators

    def proposer(self, round: int) -> Validator:
        """Implement `BlockApplication.proposer`: by priority, as without a settled task."""
        return self._order.proposer(round)

    def wants_block(self, now_ms: int) -> bool:
        """Implement `BlockApplication.wants_block`: always."""
        return True

    def build(self, round: int, now_ms: int, failed: Sequence[Block] = ()) -> Block:
        """Implement `BlockApplication.build`: build a block for the next height."""
        tried = {claim for block in failed for claim in block.transactions}
        waiting = () if round >= FIRST_ROUND_WITHOUT_CLAIMS else self._claims
        claims = [
            claim
            for claim in waiting
            if claim not in self._final_claims
            and claim not in tried
            and self._facts.audit([claim], now_ms) is Verdict.VALID
        ]
        return self.build_with(round, now_ms, claims)

    def build_with(self, round: int, now_ms: int, claims: Sequence[bytes]) -> Block:
        """Build a block that holds some claims.

        Args:
            round: The round in which it will be proposed.
            now_ms: Virtual time in ms.
            claims: The claims, nine bytes each (see `local_facts.make_claim`).

        Returns:
            A block of the next height, not proposed yet, which differs from all others of this
            ledger.
        """
        self._num_built += 1
        number = self._index.to_bytes(4, "big") + self._num_built.to_bytes(8, "big")
        header = BlockHeader(
            chain_id=CHAIN_ID,
            height=self._height + 1,
            time_ms=max(self._facts.read_clock(now_ms), self._time_ms + 1),
            parent_hash=self._parent,
            receipts_root=bytes(HASH_BYTES),
            app_hash=bytes(HASH_BYTES),
            next_validators_hash=self._order.validators.hash(),
            proposer=self.proposer(round).address,
            round=round,
        )
        return build_block(header, b"", [number, *claims])

    def decode(self, raw: bytes) -> Block:
        """Implement `BlockApplication.decode`: decode a block that was stored with a lock."""
        try:
            return decode_block(raw)
        except RefusalError:
            # A faulty validator may have locked on bytes that are no block.
            return opaque_block(raw)

    def check(self, block: Block, round: int) -> bool:
        """Implement `BlockApplication.check`: tell whether a block is valid."""
        header = block.header
        return (
            (header.height, header.parent_hash) == (self._height + 1, self._parent)
            and header.time_ms > self._time_ms
            and header.round <= round
            and header.proposer == self.proposer(header.round).address
            and self._final_claims.isdisjoint(block.transactions)
        )

    def judge(self, block: Block, now_ms: int) -> Verdict:
        """Implement `BlockApplication.judge`: compare the clock, and audit the claims."""
        if not self._facts.is_in_time(block.header, self._time_ms, now_ms):
            return Verdict.FOUND_FALSE
        return self._facts.audit(block.transactions[1:], now_ms)

    def adopt(self, block: Block, certificate: bytes) -> None:
        """Implement `BlockApplication.adopt`: make a block final."""
        self._height += 1
        self._parent = block.hash
        self._time_ms = block.header.time_ms
        self._order = self._order.next_height(self._order.validators)
        self._final_claims.update(block.transactions[1:])
