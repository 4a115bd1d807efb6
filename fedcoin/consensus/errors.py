"""Codes of the refusals of the consensus layer.

A code's value is its name. Its text says what happened and, after a blank line, what to do.
`scripts/tools/write_error_codes.py` copies both into docs/API.md, with the code's gRPC status from
`network/error_statuses.py`.
"""

from __future__ import annotations

from enum import Enum


class ConsensusCode(str, Enum):
    """Why a certificate, a lock, a proposal or a vote was refused."""

    BAD_CERTIFICATE = "BAD_CERTIFICATE"
    """A certificate does not hold valid precommits of more than two thirds of the voting
    power for this block.

    Take the block from another peer."""
    BAD_LOCK = "BAD_LOCK"
    """The stored lock of this validator is damaged.

    Restore the database from a backup before this validator votes again."""
    WRONG_HEIGHT = "WRONG_HEIGHT"
    """A proposal or vote is for another height than the one that is being decided.

    Nothing: it came too early or too late."""
    NOT_A_VALIDATOR = "NOT_A_VALIDATOR"
    """The signer of a proposal or vote is not a validator at this height.

    Bond at least the minimum, and vote from the height at which the bond counts."""
    WRONG_PROPOSER = "WRONG_PROPOSER"
    """A proposal is signed by a validator whose turn it is not.

    Propose only in the rounds that the proposer selection gives to this key."""
    WRONG_VALID_ROUND = "WRONG_VALID_ROUND"
    """A proposal's `valid_round` is not below its round.

    Set it to the round of the polka, or to -1."""
    WRONG_BLOCK_ROUND = "WRONG_BLOCK_ROUND"
    """A proposal's block was built for another round than this kind of proposal allows.

    Build a new block for the proposal's own round. Propose a block again only with the round of its
    polka."""
