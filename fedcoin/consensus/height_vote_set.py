"""The proposals and votes of one height, in bounded memory.

Rounds within a window around the current one are stored in full: the proposals of the round's
proposer and two vote sets. Of a validator that is ahead of the window only the latest vote is
stored, as evidence of the later round. Old rounds are deleted, except those that the lock, the
valid value or the current proposal refers to. So no signer can make the memory grow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from fedcoin.consensus.effects import Effect, Equivocation, ForwardMessage, Message
from fedcoin.consensus.validators import ValidatorSet
from fedcoin.consensus.vote_set import NIL, VoteSet
from fedcoin.data.messages.blocks import Block
from fedcoin.data.messages.votes import PREVOTE, Proposal, Vote

ROUNDS_AHEAD = 8
"""How many rounds ahead of the current one are stored in full."""

ROUNDS_BEHIND = 8
"""How many rounds behind the current one are stored in full."""


@dataclass(slots=True)
class _RoundMessages:
    """The proposals and votes of one round."""

    prevotes: VoteSet
    precommits: VoteSet
    proposals: dict[bytes, Proposal] = field(default_factory=dict)
    """The proposals by block hash, in the order of arrival."""

    @property
    def proposal(self) -> Proposal | None:
        """The proposal to vote on: the first one that arrived."""
        return next(iter(self.proposals.values()), None)


class HeightVoteSet:
    """The proposals and votes of one height.

    The caller checks height, signer and proposer of each message.

    Attributes:
        round: The current round.
        rounds: The stored messages of each round.
    """

    def __init__(self, validators: ValidatorSet, effects: list[Effect]) -> None:
        """Make an empty set for round 0.

        Args:
            validators: The validators of the height.
            effects: Receives a `ForwardMessage` for each message that is stored for the first
                time, and one `Equivocation` for each validator that signs conflicting votes.
        """
        self._validators = validators
        self._effects = effects
        self.round = 0
        self.rounds: dict[int, _RoundMessages] = {}
        self._blocks: dict[bytes, Block] = {}
        self._latest_rounds: dict[bytes, int] = {}
        self._ahead_votes: dict[bytes, Vote] = {}
        self._reported: set[bytes] = set()

    def add_vote(self, vote: Vote) -> bool:
        """Store a vote if it is new and within bounds.

        Args:
            vote: A validator's vote.

        Returns:
            False when what this set answers is the same as before, as after a vote that is stored.
        """
        is_new = self._note_round(vote)
        if vote.round > self.round + ROUNDS_AHEAD:
            ahead = self._ahead_votes.get(vote.public_key)
            if ahead is None or ahead.round < vote.round:
                self._ahead_votes[vote.public_key] = vote
        elif self._is_in_window(vote.round):
            stored = self._at(vote.round)
            added = (stored.prevotes if vote.kind == PREVOTE else stored.precommits).add(vote)
            if added.conflicting and vote.public_key not in self._reported:
                self._reported.add(vote.public_key)
                self._effects.append(Equivocation(added.conflicting, vote))
            if added.is_new:
                is_new = True
                self._effects.append(ForwardMessage(vote))
        return is_new

    def add_proposal(self, proposal: Proposal) -> None:
        """Store a proposal if it is new and its round is near the current one.

        A second proposal of the same round is stored only when validators with at least a third of
        the power voted for it. One of them is correct and received that proposal first.

        Args:
            proposal: A proposal by the round's proposer.
        """
        self._note_round(proposal)
        if not self.has_room_for(proposal.round, proposal.block_hash):
            return
        self._at(proposal.round).proposals[proposal.block_hash] = proposal
        self._blocks[proposal.block_hash] = proposal.block
        self._effects.append(ForwardMessage(proposal))

    def has_room_for(self, round: int, block_hash: bytes) -> bool:
        """Tell whether `add_proposal` would store a proposal.

        Args:
            round: The proposal's round.
            block_hash: The hash of its block, 32 bytes.

        Returns:
            False when it is stored, its round is not near the current one, or another proposal of
            its round is stored and no correct validator is known to have voted for this one.
        """
        if round > self.round + ROUNDS_AHEAD or not self._is_in_window(round):
            return False
        stored = self.rounds.get(round)
        if stored is None or not stored.proposals:
            return True
        return block_hash not in stored.proposals and self._has_correct_vote(stored, block_hash)

    def store_block(self, block: Block) -> None:
        """Store a block that did not arrive in a proposal, until `enter_round` deletes it.

        Args:
            block: A block of this height, for example that of a stored lock.
        """
        self._blocks[block.hash] = block

    def enter_round(self, round: int, needed: Mapping[int, bytes]) -> None:
        """Make a round the current one; delete old rounds and blocks that are not needed.

        Votes that were ahead of the window and are within it now are stored in full.

        Args:
            round: The new current round.
            needed: Rounds and block hashes that must stay. Blocks that were proposed in stored
                rounds stay, too.
        """
        self.round = round
        oldest = round - ROUNDS_BEHIND
        self.rounds = {r: stored for r, stored in self.rounds.items() if r >= oldest or r in needed}
        stay = {h for stored in self.rounds.values() for h in stored.proposals} | set(
            needed.values()
        )
        self._blocks = {h: block for h, block in self._blocks.items() if h in stay}
        due = [vote for vote in self._ahead_votes.values() if vote.round <= round + ROUNDS_AHEAD]
        for vote in due:
            del self._ahead_votes[vote.public_key]
            self.add_vote(vote)

    def forget_blocks(self) -> None:
        """Forget all blocks and proposals; the votes stay."""
        self._blocks.clear()
        for stored in self.rounds.values():
            stored.proposals.clear()

    def block(self, block_hash: bytes) -> Block | None:
        """Look up a block.

        Args:
            block_hash: The block's hash, 32 bytes.

        Returns:
            The block, or None when it is not stored.
        """
        return self._blocks.get(block_hash)

    def proposal(self, round: int) -> Proposal | None:
        """Look up the proposal to vote on in a round: the first one that arrived.

        Args:
            round: The round to look up, from 0.

        Returns:
            The proposal, or None when there is none.
        """
        stored = self.rounds.get(round)
        return stored.proposal if stored else None

    def list_blocks(self, before: int) -> list[Block]:
        """List the blocks that were proposed in stored rounds.

        Args:
            before: List only earlier rounds than this.

        Returns:
            The blocks, each once.
        """
        proposals = (
            proposal
            for round, stored in self.rounds.items()
            if round < before
            for proposal in stored.proposals.values()
        )
        return list({proposal.block_hash: proposal.block for proposal in proposals}.values())

    def polka(self, round: int) -> bytes | None:
        """Look up the polka of a round.

        A polka is prevotes for one value from more than two thirds of the power.

        Args:
            round: The round to look up, from 0.

        Returns:
            The value: a block hash or `NIL`; None when there is no polka. Of the prevotes for a
            block, those of at least a third of the power say that it was audited.
        """
        stored = self.rounds.get(round)
        return stored.prevotes.quorum if stored else None

    def list_polkas(self, above: int) -> list[tuple[int, bytes]]:
        """List the polkas for blocks in rounds before the current one.

        Args:
            above: List only later rounds than this.

        Returns:
            Rounds and block hashes, the latest first.
        """
        return sorted(
            (
                (round, stored.prevotes.quorum)
                for round, stored in self.rounds.items()
                if above < round < self.round and stored.prevotes.quorum
            ),
            reverse=True,
        )

    def list_prevotes(self, round: int, value: bytes) -> list[Vote]:
        """List the prevotes for a value.

        Args:
            round: The round to look up, from 0.
            value: A block hash, 32 bytes, or `NIL`.

        Returns:
            One prevote of each validator that voted for the value; none when the round is not
            stored.
        """
        stored = self.rounds.get(round)
        return stored.prevotes.votes_for(value) if stored else []

    def has_prevote_quorum(self, round: int) -> bool:
        """Tell whether more than two thirds of the power prevoted, for any values.

        Args:
            round: The round to look up, from 0.

        Returns:
            True when their validators hold more than two thirds of the total power.
        """
        stored = self.rounds.get(round)
        return stored is not None and self._validators.has_quorum(stored.prevotes.power)

    def has_precommit_quorum(self, round: int) -> bool:
        """Tell whether more than two thirds of the power precommitted, for any values.

        Args:
            round: The round to look up, from 0.

        Returns:
            True when their validators hold more than two thirds of the total power.
        """
        stored = self.rounds.get(round)
        return stored is not None and self._validators.has_quorum(stored.precommits.power)

    def has_nil_quorum(self, round: int) -> bool:
        """Tell whether more than two thirds of the power precommitted nil.

        Args:
            round: The round to look up, from 0.

        Returns:
            True when they did: no block can be decided in this round any more.
        """
        stored = self.rounds.get(round)
        return stored is not None and stored.precommits.quorum == NIL

    def list_decisions(self) -> Iterator[tuple[int, bytes, list[Vote]]]:
        """List the rounds that decide a block.

        Yields:
            The round, the block hash, and precommits of more than two thirds of the power.
        """
        for round, stored in self.rounds.items():
            value = stored.precommits.quorum
            if value:
                yield round, value, stored.precommits.votes_for(value)

    def find_later_round(self) -> int | None:
        """Find the latest later round that a correct validator must have reached.

        Returns:
            The latest round after the current one that validators with at least a third of the
            power have reached; None when there is none.
        """
        later = [(round, key) for key, round in self._latest_rounds.items() if round > self.round]
        power = 0
        for round, key in sorted(later, reverse=True):
            validator = self._validators.by_key(key)
            power += validator.power if validator else 0
            if self._validators.has_correct(power):
                return round
        return None

    def is_under_way(self) -> bool:
        """Tell whether other validators are deciding this height.

        Returns:
            True when the current round's proposal has arrived, or votes that must include a
            correct validator's.
        """
        if self.find_later_round() is not None or self.proposal(self.round) is not None:
            return True
        stored = self.rounds.get(self.round)
        power = max(stored.prevotes.power, stored.precommits.power) if stored else 0
        return self._validators.has_correct(power)

    def messages(self, rounds: Iterable[int]) -> list[Message]:
        """List the stored messages of some rounds.

        Args:
            rounds: Numbers of rounds, from 0; rounds that are not stored add nothing.

        Returns:
            Proposals and votes of these rounds, all proposals first.
        """
        logs = [self.rounds[round] for round in sorted(set(rounds)) if round in self.rounds]
        messages: list[Message] = [p for stored in logs for p in stored.proposals.values()]
        for stored in logs:
            messages += stored.prevotes.votes()
            messages += stored.precommits.votes()
        return messages

    def _note_round(self, message: Message) -> bool:
        """Learn the latest round of a validator; return whether this message is of a later one."""
        if message.round <= self._latest_rounds.get(message.public_key, -1):
            return False
        self._latest_rounds[message.public_key] = message.round
        return True

    def _is_in_window(self, round: int) -> bool:
        if round >= self.round - ROUNDS_BEHIND or round in self.rounds:
            return True
        proposal = self.proposal(self.round)
        return proposal is not None and proposal.valid_round == round

    def _has_correct_vote(self, stored: _RoundMessages, value: bytes) -> bool:
        powers = (stored.prevotes.power_for(value), stored.precommits.power_for(value))
        return any(self._validators.has_correct(power) for power in powers)

    def _at(self, round: int) -> _RoundMessages:
        if round not in self.rounds:
            self.rounds[round] = _RoundMessages(
                VoteSet(self._validators, needs_audit=True), VoteSet(self._validators)
            )
        return self.rounds[round]
