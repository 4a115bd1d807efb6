"""Effects: requests of a consensus engine to its driver, which carries them out in order.

An engine changes nothing outside itself; the driver passes the result of each effect back to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union

from fedcoin.consensus.timers import Timer
from fedcoin.data.messages.blocks import Block
from fedcoin.data.messages.votes import Proposal, Vote

Message = Union[Proposal, Vote]  # noqa: UP007 - an alias at run time, on Python 3.10 too
"""A message between validators."""


@dataclass(frozen=True, slots=True)
class BuildBlock:
    """Build a block for this round, then call `on_block_built`."""

    round: int


@dataclass(frozen=True, slots=True)
class CheckBlock:
    """Check whether this validator may vote for a block, then call `on_block_checked`.

    The engine emits this effect once for each block. A driver that still waits for data which the
    check needs, such as an artifact, should answer when the data have arrived, not answer False at
    once. After False it may call `on_block_checked` once more, with True.
    """

    round: int
    """The round of the proposal that contains the block."""
    block: Block


@dataclass(frozen=True, slots=True)
class SendProposal:
    """Sign this proposal, write it to disk, call `on_proposal`, and send it to all peers."""

    round: int
    valid_round: int
    """The round in which the block had a polka; -1 for a new block."""
    block: Block


@dataclass(frozen=True, slots=True)
class CastVote:
    """Sign this vote, write it to disk, call `on_vote`, and send it to all peers, in this order."""

    kind: int
    """`PREVOTE` or `PRECOMMIT`."""
    round: int
    block_hash: bytes
    """32 bytes; empty for nil."""
    lock: bytes = b""
    """Not empty for a precommit of a block: a record (see `lock_record`) that must be on disk no
    later than the vote. After a restart the driver passes the latest one to the new engine."""


@dataclass(frozen=True, slots=True)
class StartTimer:
    """Call `on_timeout` with this timer after a delay."""

    timer: Timer
    delay_ms: int


@dataclass(frozen=True, slots=True)
class ForwardMessage:
    """Send this message to peers that may lack it: it is new and well-formed."""

    message: Message


@dataclass(frozen=True, slots=True)
class Equivocation:
    """Report two conflicting votes of one validator. Emitted once for each validator."""

    first: Vote
    second: Vote


@dataclass(frozen=True, slots=True)
class Decide:
    """Commit this block: it is final. The engine returns no effects afterwards.

    Validators with more than a third of the power are correct and found the block valid, so the
    driver must apply it even if it never answered `CheckBlock`.
    """

    block: Block
    certificate: bytes
    """The serialised Certificate."""
    round: int
    """The round in which it was decided."""


Effect = Union[  # noqa: UP007
    BuildBlock, CheckBlock, SendProposal, CastVote, StartTimer, ForwardMessage, Equivocation, Decide
]
"""Any effect."""
