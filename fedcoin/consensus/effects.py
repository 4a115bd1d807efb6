"""Effects: requests of a consensus engine to its driver, which carries them out in order.

An engine changes nothing outside itself; the driver passes the result of each effect back to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Union

from fedcoin.consensus.timers import Timer
from fedcoin.data.messages.blocks import Block
from fedcoin.data.messages.votes import Proposal, Vote

Message = Union[Proposal, Vote]  # noqa: UP007 - an alias at run time, on Python 3.10 too
"""A message between validators."""


class Verdict(Enum):
    """The answer to `CheckBlock` or `JudgeProposal`."""

    VALID = "VALID"
    """The block passed all checks that were asked for."""
    UNKNOWN = "UNKNOWN"
    """The checks could not be made now. The engine asks again in the next round."""
    FOUND_FALSE = "FOUND_FALSE"
    """The block failed a check."""


@dataclass(frozen=True, slots=True)
class BuildBlock:
    """Build a block for this round, then call `on_block_built`."""

    round: int
    """The consensus round of the height, from 0."""
    failed: tuple[Block, ...] = ()
    """Blocks that were proposed in earlier rounds of the height and got no polka. What validators
    may judge differently in them should be left out."""


@dataclass(frozen=True, slots=True)
class CheckBlock:
    """Check whether a block is valid, then call `on_block_checked`.

    Validity is a function of the block and the chain before it: all correct validators find the
    same. `Verdict.UNKNOWN` says that the function could not be computed.
    """

    round: int
    """The round in which the block is checked: its own round must not be later."""
    block: Block
    """The block of the next height to check."""


@dataclass(frozen=True, slots=True)
class JudgeProposal:
    """Judge a new, valid block by local facts, then call `on_proposal_judged`.

    Local facts are those that correct validators may see differently: the clock, which artifacts
    have arrived, what an audit computes. The engine asks about new proposals only, and in each
    round anew. A driver that waits for data may answer later; when the time for proposals is over,
    the engine goes on as after `Verdict.UNKNOWN`.
    """

    round: int
    """The consensus round of the proposal, from 0."""
    block: Block
    """The proposed block, whose validity was checked."""


@dataclass(frozen=True, slots=True)
class SendProposal:
    """Sign this proposal, write it to disk, call `on_proposal`, and send it to all peers."""

    round: int
    """The consensus round, from 0."""
    valid_round: int
    """The round in which the block had a polka; -1 for a new block."""
    block: Block
    """The block to propose."""
    polka: tuple[Vote, ...] = field(default=(), compare=False, repr=False)
    """The prevotes of `valid_round` for the block, to be sent to all peers before the proposal."""


@dataclass(frozen=True, slots=True)
class CastVote:
    """Sign this vote, write it to disk, call `on_vote`, and send it to all peers, in this order."""

    kind: int
    """`PREVOTE` or `PRECOMMIT`."""
    round: int
    """The consensus round, from 0."""
    block_hash: bytes
    """32 bytes; empty for nil."""
    lock: bytes = b""
    """Not empty for a precommit of a block: a record (see `lock_record`) that must be on disk no
    later than the vote. After a restart the driver passes the latest one to the new engine."""
    audited: bool = False
    """In a prevote for a block: whether this validator audited it or knows an earlier polka."""


@dataclass(frozen=True, slots=True)
class StartTimer:
    """Call `on_timeout` with this timer after a delay."""

    timer: Timer
    """What `on_timeout` is called with."""
    delay_ms: int
    """The delay in ms."""


@dataclass(frozen=True, slots=True)
class ForwardMessage:
    """Send this message to peers that may lack it: it is new and well-formed."""

    message: Message
    """A proposal or a vote."""


@dataclass(frozen=True, slots=True)
class Equivocation:
    """Report two conflicting votes of one validator. Emitted once for each validator."""

    first: Vote
    """The vote that arrived first."""
    second: Vote
    """A vote of the same kind, height and round for another value."""


@dataclass(frozen=True, slots=True)
class Decide:
    """Commit this block: it is final.

    Afterwards the engine only returns effects of late votes: `ForwardMessage` and `Equivocation`.

    Validators with more than a third of the power are correct and found the block valid, so the
    driver must apply it even if it never answered `CheckBlock`.
    """

    block: Block
    """The final block."""
    certificate: bytes
    """The serialised Certificate."""
    round: int
    """The round in which it was decided."""


Effect = Union[  # noqa: UP007
    BuildBlock,
    CheckBlock,
    JudgeProposal,
    SendProposal,
    CastVote,
    StartTimer,
    ForwardMessage,
    Equivocation,
    Decide,
]
"""Any effect."""
