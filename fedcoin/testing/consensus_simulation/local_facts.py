"""What one simulated node sees otherwise than the others: its clock, and its audits of claims.

A claim stands for a transaction that voters audit. It is one byte for its kind and eight for its
number. A claim of kind `SOUND` passes every audit, one of kind `FORGED` none. What an audit of a
claim of kind `EDGE` finds differs between nodes, as floats do at the edge of a tolerance. The
artifacts of a claim of kind `MISSING` never reach half of the nodes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from fedcoin.consensus.effects import Verdict
from fedcoin.contract.blocks.validation import compute_clock_bound
from fedcoin.v1.block_pb2 import BlockHeader

SOUND: Final = b"s"
"""The kind of claims that pass every audit."""
FORGED: Final = b"f"
"""The kind of claims that fail every audit."""
EDGE: Final = b"e"
"""The kind of claims that pass the audit of some nodes and fail that of others."""
MISSING: Final = b"m"
"""The kind of claims that half of the nodes cannot audit."""
CLAIM_KINDS: Final = (SOUND, FORGED, EDGE, MISSING)
"""All kinds of claims."""

_CLAIM_BYTES: Final = 9

CLOCK_DRIFT_MS: Final = 100
"""How far ahead of a voter's clock a block of round 0 may be, in virtual ms."""


def make_claim(kind: bytes, number: int) -> bytes:
    """Encode a claim.

    Args:
        kind: One of `CLAIM_KINDS`.
        number: Different for each claim.

    Returns:
        Nine bytes.
    """
    return kind + number.to_bytes(8, "big")


def is_forged(transaction: bytes) -> bool:
    """Tell whether a block's transaction is a claim that every audit finds unsound.

    Args:
        transaction: A transaction of a simulated block.

    Returns:
        True for a forged claim.
    """
    return len(transaction) == _CLAIM_BYTES and transaction.startswith(FORGED)


@dataclass(frozen=True, slots=True)
class Blindness:
    """An interval, in virtual ms, in which a node cannot audit: dead worker or full disk."""

    # The first moment, and the first one after the interval.
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class LocalFacts:
    """The facts of one node. Times are virtual ms."""

    # The node's index, on which the result of an audit at the edge depends.
    index: int = 0
    # How far the node's clock is ahead of virtual time; negative if it is behind.
    skew_ms: int = 0
    blind: tuple[Blindness, ...] = ()
    # How long an audit takes at most.
    audit_ms: int = 0

    def read_clock(self, now_ms: int) -> int:
        """Read the node's clock.

        Args:
            now_ms: Virtual time, in ms.

        Returns:
            The time by the node's clock.
        """
        return now_ms + self.skew_ms

    def audit(self, claims: Iterable[bytes], now_ms: int) -> Verdict:
        """Audit the claims of a simulated block, as this node sees them.

        Args:
            claims: Claims of nine bytes each, as `make_claim` encodes them.
            now_ms: Virtual time, in ms.

        Returns:
            `FOUND_FALSE` if the node finds one of them unsound, else `UNKNOWN` if it cannot audit
            one of them now, else `VALID`.
        """
        verdicts = {self._audit_one(claim, now_ms) for claim in claims}
        for verdict in (Verdict.FOUND_FALSE, Verdict.UNKNOWN):
            if verdict in verdicts:
                return verdict
        return Verdict.VALID

    def is_in_time(self, header: BlockHeader, parent_ms: int, now_ms: int) -> bool:
        """Compare a new block's time with the node's clock, as a real voter does.

        Args:
            header: The block's header.
            parent_ms: The time of the block before it, in ms.
            now_ms: Virtual time, in ms.

        Returns:
            True unless the block's time is further ahead of the clock than the bound of its round.
        """
        bound = compute_clock_bound(CLOCK_DRIFT_MS, header.round)
        return header.time_ms <= max(self.read_clock(now_ms) + bound, parent_ms + 1)

    def _audit_one(self, claim: bytes, now_ms: int) -> Verdict:
        kind, number = claim[:1], int.from_bytes(claim[1:], "big")
        if any(blind.start_ms <= now_ms < blind.end_ms for blind in self.blind):
            return Verdict.UNKNOWN
        if kind == MISSING and (self.index + number) % 2:
            return Verdict.UNKNOWN
        if kind == FORGED or (kind == EDGE and (self.index + number) % 2):
            return Verdict.FOUND_FALSE
        return Verdict.VALID
