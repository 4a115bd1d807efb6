"""The messages of one height that are worth keeping.

Rounds within a window around the present one are kept in full: per round the proposals of its
one proposer and two tallies. Of a validator that is further ahead only the latest vote is
kept, as evidence that there is a later round. Old rounds are forgotten, other than those that
the lock, the valid value or the present proposal refer to. So nobody can make this grow, by
whatever they sign.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from fedcoin.consensus.effects import Effect, Equivocation, ForwardMessage, Message
from fedcoin.consensus.validators import ValidatorSet
from fedcoin.consensus.vote_set import NIL, VoteSet
from fedcoin.data.messages.votes import PREVOTE, Proposal, Vote

ROUNDS_AHEAD = 8
"""How far ahead of the present round messages are kept in full."""

ROUNDS_BEHIND = 8
"""How far behind the present round messages are kept in full."""


@dataclass(slots=True)
class RoundVotes:
    """One round. Of the proposals, by block hash, the first one counts."""

    prevotes: VoteSet
    precommits: VoteSet
    proposals: dict[bytes, Proposal] = field(default_factory=dict)

    @property
    def proposal(self) -> Proposal | None:
        """The proposal that counts, if there is one."""
        return next(iter(self.proposals.values()), None)


class HeightVoteSet:
    """Proposals and votes of one height, within bounds.

    The caller has checked height, signer and proposer. Whatever is kept for the first time is
    announced in `effects`, and so is each validator that contradicts itself, once.
    """

    def __init__(self, validators: ValidatorSet, effects: list[Effect]) -> None:
        self._validators = validators
        self._effects = effects
        self.round = 0
        self.rounds: dict[int, RoundVotes] = {}
        self._blocks: dict[bytes, bytes] = {}
        self._latest: dict[bytes, int] = {}
        self._parked: dict[bytes, Vote] = {}
        self._accused: set[bytes] = set()

    def add_vote(self, vote: Vote) -> None:
        """Keep a vote if it is new and worth it."""
        self._heard(vote)
        if vote.round > self.round + ROUNDS_AHEAD:
            parked = self._parked.get(vote.public_key)
            if parked is None or parked.round < vote.round:
                self._parked[vote.public_key] = vote
        elif self._is_kept(vote.round):
            log = self._at(vote.round)
            counted = (log.prevotes if vote.kind == PREVOTE else log.precommits).add(vote)
            if counted.contradicts and vote.public_key not in self._accused:
                self._accused.add(vote.public_key)
                self._effects.append(Equivocation(counted.contradicts, vote))
            if counted.kept:
                self._effects.append(ForwardMessage(vote))

    def add_proposal(self, proposal: Proposal) -> None:
        """Keep a proposal if it is new and worth it.

        A second one of the same round is kept only when votes that a correct validator must
        be behind show that others saw that one first.
        """
        self._heard(proposal)
        if proposal.round > self.round + ROUNDS_AHEAD or not self._is_kept(proposal.round):
            return
        log = self._at(proposal.round)
        if proposal.block_hash in log.proposals:
            return
        if log.proposals and not self._is_backed(log, proposal.block_hash):
            return
        log.proposals[proposal.block_hash] = proposal
        self._blocks[proposal.block_hash] = proposal.block
        self._effects.append(ForwardMessage(proposal))

    def keep_block(self, block_hash: bytes, raw: bytes) -> None:
        """Keep a block that came otherwise, until `move` forgets it."""
        self._blocks[block_hash] = raw

    def move(self, round: int, needed: Mapping[int, bytes]) -> None:
        """Make `round` the present one, and take in what was set aside and is near now.

        Old rounds are forgotten but for those in `needed`, and blocks but for the hashes
        named there and those proposed in rounds that stay.
        """
        self.round = round
        oldest = round - ROUNDS_BEHIND
        self.rounds = {r: log for r, log in self.rounds.items() if r >= oldest or r in needed}
        stay = {h for log in self.rounds.values() for h in log.proposals} | set(needed.values())
        self._blocks = {h: raw for h, raw in self._blocks.items() if h in stay}
        due = [vote for vote in self._parked.values() if vote.round <= round + ROUNDS_AHEAD]
        for vote in due:
            del self._parked[vote.public_key]
            self.add_vote(vote)

    def block(self, block_hash: bytes) -> bytes | None:
        """The serialised block with this hash, if it is known."""
        return self._blocks.get(block_hash)

    def proposal(self, round: int) -> Proposal | None:
        """The proposal that counts in a round."""
        log = self.rounds.get(round)
        return log.proposal if log else None

    def polka(self, round: int) -> bytes | None:
        """The value for which more than two thirds prevoted in a round."""
        log = self.rounds.get(round)
        return log.prevotes.quorum if log else None

    def polkas(self, above: int) -> list[tuple[int, bytes]]:
        """Polkas for blocks between round `above` and the present round, the latest first."""
        return sorted(
            (
                (round, log.prevotes.quorum)
                for round, log in self.rounds.items()
                if above < round < self.round and log.prevotes.quorum
            ),
            reverse=True,
        )

    def prevotes_for(self, round: int, value: bytes) -> list[Vote]:
        """The prevotes of a round for one value."""
        log = self.rounds.get(round)
        return log.prevotes.votes_for(value) if log else []

    def have_prevoted(self, round: int) -> bool:
        """Did more than two thirds prevote in a round, whatever for?"""
        log = self.rounds.get(round)
        return log is not None and self._validators.has_quorum(log.prevotes.power)

    def have_precommitted(self, round: int) -> bool:
        """Did more than two thirds precommit in a round, whatever for?"""
        log = self.rounds.get(round)
        return log is not None and self._validators.has_quorum(log.precommits.power)

    def is_void(self, round: int) -> bool:
        """Did more than two thirds precommit nil in a round?"""
        log = self.rounds.get(round)
        return log is not None and log.precommits.quorum == NIL

    def decisions(self) -> Iterator[tuple[int, bytes, list[Vote]]]:
        """Rounds in which a block has the precommits that make it final, with these."""
        for round, log in self.rounds.items():
            value = log.precommits.quorum
            if value:
                yield round, value, log.precommits.votes_for(value)

    def later_round(self) -> int | None:
        """The latest round after the present one that a correct validator must have reached."""
        ahead = [(round, key) for key, round in self._latest.items() if round > self.round]
        power = 0
        for round, key in sorted(ahead, reverse=True):
            validator = self._validators.by_key(key)
            power += validator.power if validator else 0
            if self._validators.has_correct(power):
                return round
        return None

    def is_under_way(self) -> bool:
        """Is the present round's proposal here, or are votes that cannot all be faulty ones?"""
        if self.later_round() is not None or self.proposal(self.round) is not None:
            return True
        log = self.rounds.get(self.round)
        power = max(log.prevotes.power, log.precommits.power) if log else 0
        return self._validators.has_correct(power)

    def messages(self, rounds: Iterable[int]) -> list[Message]:
        """All that is kept of these rounds, proposals first."""
        logs = [self.rounds[round] for round in sorted(set(rounds)) if round in self.rounds]
        found: list[Message] = [p for log in logs for p in log.proposals.values()]
        for log in logs:
            found += log.prevotes.votes()
            found += log.precommits.votes()
        return found

    def _heard(self, message: Message) -> None:
        known = self._latest.get(message.public_key, -1)
        self._latest[message.public_key] = max(known, message.round)

    def _is_kept(self, round: int) -> bool:
        if round >= self.round - ROUNDS_BEHIND or round in self.rounds:
            return True
        proposal = self.proposal(self.round)
        return proposal is not None and proposal.valid_round == round

    def _is_backed(self, log: RoundVotes, value: bytes) -> bool:
        powers = (log.prevotes.power_for(value), log.precommits.power_for(value))
        return any(self._validators.has_correct(power) for power in powers)

    def _at(self, round: int) -> RoundVotes:
        if round not in self.rounds:
            self.rounds[round] = RoundVotes(VoteSet(self._validators), VoteSet(self._validators))
        return self.rounds[round]
