"""The interface between a consensus engine and its driver."""

from __future__ import annotations

from typing import Protocol

from fedcoin.consensus.effects import Effect, Message, Verdict
from fedcoin.consensus.timers import Timer
from fedcoin.data.messages.blocks import Block
from fedcoin.data.messages.votes import MessageClaim, Proposal, Vote


class ConsensusEngine(Protocol):
    """Decides one height: messages go in, effects come out.

    The driver carries out the effects of each call in their order, and makes a new engine for the
    next height after `Decide`. Messages must have passed `data.messages.votes.decode_*`. They may
    arrive before `start`, in any order and repeatedly.
    """

    @property
    def height(self) -> int:
        """The height that is being decided."""

    @property
    def round(self) -> int:
        """The current round, from 0."""

    @property
    def is_started(self) -> bool:
        """Whether `start` was called."""

    @property
    def is_decided(self) -> bool:
        """Whether the height is decided."""

    @property
    def is_under_way(self) -> bool:
        """Whether other validators are deciding this height, so that it is time to start."""

    def start(self) -> list[Effect]:
        """Begin to take part. A second call does nothing.

        Returns:
            What the driver must do, in this order (see `effects`).
        """

    def on_proposal(self, proposal: Proposal) -> list[Effect]:
        """Handle a proposal, including one that this validator signed.

        Args:
            proposal: A proposal whose signature was verified.

        Returns:
            What the driver must do, in this order (see `effects`).

        Raises:
            RefusalError: WRONG_HEIGHT when it is for another height; NOT_A_VALIDATOR or
                WRONG_PROPOSER when its signer is not the proposer of its round;
                WRONG_VALID_ROUND when its valid round is not before its round;
                WRONG_BLOCK_ROUND when its block was built for another round.
        """

    def wants_proposal(self, claim: MessageClaim) -> bool:
        """Tell whether a proposal is worth the work of decoding and verifying it.

        Args:
            claim: What the proposal says of itself.

        Returns:
            True when `on_proposal` would store it. False when the proposal is stored already, when
            its round is too far from the present one, and when another proposal of the round is
            stored, unless votes show that a correct validator voted for this one.

        Raises:
            RefusalError: WRONG_HEIGHT, NOT_A_VALIDATOR or WRONG_PROPOSER, as for `on_proposal`.
        """

    def wants_vote(self, claim: MessageClaim) -> bool:
        """Tell whether a vote is worth the work of verifying it.

        Args:
            claim: What the vote says of itself.

        Returns:
            True; what is stored already is found when it was verified.

        Raises:
            RefusalError: WRONG_HEIGHT or NOT_A_VALIDATOR, as for `on_vote`.
        """

    def on_vote(self, vote: Vote) -> list[Effect]:
        """Handle a vote, including one that this validator signed.

        Args:
            vote: A vote whose signature was verified.

        Returns:
            What the driver must do, in this order (see `effects`).

        Raises:
            RefusalError: WRONG_HEIGHT when it is for another height; NOT_A_VALIDATOR when its
                signer is not a validator of this height.
        """

    def on_timeout(self, timer: Timer) -> list[Effect]:
        """Handle the end of a timer that `StartTimer` asked for.

        Args:
            timer: The timer, as `StartTimer` gave it.

        Returns:
            What the driver must do, in this order (see `effects`).
        """

    def on_block_checked(self, block_hash: bytes, verdict: Verdict) -> list[Effect]:
        """Handle the answer to `CheckBlock`.

        Args:
            block_hash: The hash of the block that was checked.
            verdict: Whether the block is valid; `FOUND_FALSE` and `VALID` are final.

        Returns:
            What the driver must do, in this order (see `effects`).
        """

    def on_proposal_judged(self, round: int, block_hash: bytes, verdict: Verdict) -> list[Effect]:
        """Handle the answer to `JudgeProposal`.

        Args:
            round: The round of the question; the answer is ignored when the round is over.
            block_hash: The hash of the block that was judged.
            verdict: What this node's own facts say of it.

        Returns:
            What the driver must do, in this order (see `effects`).
        """

    def on_block_built(self, round: int, block: Block) -> list[Effect]:
        """Handle the block that answers `BuildBlock`. It is ignored when its round is over.

        Args:
            round: The round that the block was built for, from 0.
            block: A block of this engine's height, built by this node.

        Returns:
            What the driver must do, in this order (see `effects`).
        """

    def messages(self) -> list[Message]:
        """List the messages that a peer at this height may lack.

        Returns:
            Proposals and votes of the current round, and of earlier rounds whose votes a peer needs
            to reach it. The node sends them to a peer that connects, and to all peers repeatedly
            until the height is decided, because lost messages are not replaced otherwise.
        """
