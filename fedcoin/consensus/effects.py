"""What a consensus engine asks of its driver, in the order in which it is to be done.

The driver carries out every effect and feeds what comes of it back into the engine. Nothing
here has happened yet when the engine returns it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union

from fedcoin.consensus.timers import Timer
from fedcoin.data.messages.votes import Proposal, Vote

Message = Union[Proposal, Vote]  # noqa: UP007 - an alias at run time, on Python 3.10 too
"""What validators say to each other."""


@dataclass(frozen=True, slots=True)
class BuildBlock:
    """Build a block for this round, then call `on_block_built`."""

    round: int


@dataclass(frozen=True, slots=True)
class CheckBlock:
    """Find out whether this block may be voted for, then call `on_block_checked`.

    Asked once for each block. Who lacks something that may still come should answer when it
    has come, rather than with a no; a no may be followed by a yes.
    """

    block_hash: bytes
    raw: bytes


@dataclass(frozen=True, slots=True)
class SendProposal:
    """Sign this proposal, write it to disk, call `on_proposal`, and send it to all.

    `valid_round` is -1 when the block is a new one.
    """

    round: int
    valid_round: int
    block_hash: bytes
    raw: bytes


@dataclass(frozen=True, slots=True)
class CastVote:
    """Sign this vote, write it to disk, call `on_vote`, and send it to all, in this order.

    `kind` is `data.votes.PREVOTE` or `PRECOMMIT`; `block_hash` is empty for nil. `lock` is not
    empty for a precommit that is not nil: a record (see `locks`) that must be on disk no
    later than the vote, and is handed back after a restart; only the latest is needed.
    """

    kind: int
    round: int
    block_hash: bytes
    lock: bytes = b""


@dataclass(frozen=True, slots=True)
class StartTimer:
    """Call `on_timeout` with this timer after so many ms."""

    timer: Timer
    delay_ms: int


@dataclass(frozen=True, slots=True)
class ForwardMessage:
    """This message was new and is right: send it to those who may lack it."""

    message: Message


@dataclass(frozen=True, slots=True)
class Equivocation:
    """Two votes by which a validator contradicts itself; once for each validator."""

    first: Vote
    second: Vote


@dataclass(frozen=True, slots=True)
class Decide:
    """The block is final. The engine says and does nothing any more.

    More than a third of the power is correct and found it valid, so it must apply, even if
    `CheckBlock` was never answered here.
    """

    block_hash: bytes
    raw: bytes
    certificate: bytes
    round: int


Effect = Union[  # noqa: UP007
    BuildBlock, CheckBlock, SendProposal, CastVote, StartTimer, ForwardMessage, Equivocation, Decide
]
"""Anything that an engine may ask for."""
