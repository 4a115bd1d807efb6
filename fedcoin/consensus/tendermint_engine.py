"""The Tendermint engine: decides one height without clock, network or disk.

It combines `HeightVoteSet` (messages), `SigningState` (own votes) and `RoundStateMachine` (the
algorithm): each message is checked and stored, the rules are applied, and what they ask for is
returned.

A vote is never asked for twice. It counts as cast when it is asked for, when the driver passes it
back after a restart, and when a peer returns a vote that this validator signed and forgot.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fedcoin.consensus.effects import Effect, Message, Verdict
from fedcoin.consensus.errors import ConsensusCode
from fedcoin.consensus.height_vote_set import HeightVoteSet
from fedcoin.consensus.lock_record import LockRecord
from fedcoin.consensus.round_state_machine import RoundStateMachine, RoundStep
from fedcoin.consensus.signing_state import NO_ROUND, SigningState
from fedcoin.consensus.timers import Timeouts, Timer
from fedcoin.consensus.validators import Validator, ValidatorSet
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.blocks import Block
from fedcoin.data.messages.votes import MessageClaim, Proposal, Vote


class TendermintEngine:
    """A validator's, or an observer's, part in deciding one height.

    Implements `ConsensusEngine`.
    """

    def __init__(
        self,
        height: int,
        validators: ValidatorSet,
        proposer_of: Callable[[int], Validator],
        own_key: bytes | None,
        timeouts: Timeouts,
        restored: Sequence[Message] = (),
        lock: LockRecord | None = None,
    ) -> None:
        """Prepare a height.

        Args:
            height: The height, from 1.
            validators: The validators of the height.
            proposer_of: Gives the proposer of a round.
            own_key: The public key whose votes the driver signs, 32 bytes. With None, or a key
                that is not a validator's, the engine only observes.
            timeouts: The delays of the timers.
            restored: The own votes and proposals of this height that were found on disk.
            lock: The latest lock record of this height that was found on disk.

        Raises:
            ValueError: When a restored message or lock is of another height or key.
        """
        self.height = height
        self._validators = validators
        self._proposer_of = proposer_of
        self._own_key = own_key if own_key and validators.by_key(own_key) else None
        self._signed = SigningState()
        self._effects: list[Effect] = []
        self._votes = HeightVoteSet(validators, self._effects)
        self._rules = RoundStateMachine(
            self._votes, self._signed, self._effects, proposer_of, self._own_key, timeouts
        )
        self._restore(restored, lock)

    @property
    def round(self) -> int:
        """The current round, from 0."""
        return self._rules.round

    @property
    def step(self) -> RoundStep:
        """The current step of the round."""
        return self._rules.step

    @property
    def locked(self) -> tuple[int, bytes]:
        """The round and block hash of the lock; -1 and empty when there is none."""
        return self._signed.locked

    @property
    def is_started(self) -> bool:
        """Whether `start` was called."""
        return self._rules.is_started

    @property
    def is_decided(self) -> bool:
        """Whether the height is decided."""
        return self._rules.is_decided

    @property
    def is_under_way(self) -> bool:
        """Whether other validators are deciding this height.

        They are when the current round's proposal has arrived, or votes that must include a
        correct validator's.
        """
        return self._votes.is_under_way()

    def start(self) -> list[Effect]:
        """Implement `ConsensusEngine.start`: begin to take part. A second call does nothing."""
        if not self.is_started and not self.is_decided:
            self._rules.start()
        return self._run()

    def on_proposal(self, proposal: Proposal) -> list[Effect]:
        """Implement `ConsensusEngine.on_proposal`: handle a proposal, own ones included."""
        self._check_proposer(proposal)
        check_rounds(proposal)
        if self.is_decided:
            return []
        self._note_own(proposal)
        self._votes.add_proposal(proposal)
        return self._run()

    def wants_proposal(self, claim: MessageClaim) -> bool:
        """Implement `ConsensusEngine.wants_proposal`: look at the turn and at what is stored."""
        self._check_proposer(claim)
        return not self.is_decided and self._votes.has_room_for(claim.round, claim.block_hash)

    def wants_vote(self, claim: MessageClaim) -> bool:
        """Implement `ConsensusEngine.wants_vote`: look at height and validators."""
        _check_message(claim, self.height, self._validators)
        return True

    def on_vote(self, vote: Vote) -> list[Effect]:
        """Implement `ConsensusEngine.on_vote`: handle a vote, own ones included."""
        _check_message(vote, self.height, self._validators)
        if not self.is_decided:
            self._note_own(vote)
        # After the decision, too: a vote that comes late may contradict an earlier one.
        is_new = self._votes.add_vote(vote)
        # Each vote comes from several peers. Where nothing has changed, no rule applies.
        return self._run() if is_new or vote.public_key == self._own_key else self._take_effects()

    def on_timeout(self, timer: Timer) -> list[Effect]:
        """Implement `ConsensusEngine.on_timeout`: handle the end of a timer."""
        if not self.is_decided:
            self._rules.on_timeout(timer)
        return self._run()

    def on_block_checked(self, block_hash: bytes, verdict: Verdict) -> list[Effect]:
        """Implement `ConsensusEngine.on_block_checked`: handle the answer to `CheckBlock`."""
        self._rules.verdicts.note_checked(block_hash, verdict)
        return self._run()

    def on_proposal_judged(self, round: int, block_hash: bytes, verdict: Verdict) -> list[Effect]:
        """Implement `ConsensusEngine.on_proposal_judged`: handle the answer to `JudgeProposal`."""
        if round == self.round:
            self._rules.verdicts.note_judged(block_hash, verdict)
        return self._run()

    def on_block_built(self, round: int, block: Block) -> list[Effect]:
        """Implement `ConsensusEngine.on_block_built`: handle the answer to `BuildBlock`."""
        if not self.is_decided:
            self._rules.on_block_built(round, block)
        return self._run()

    def messages(self) -> list[Message]:
        """Implement `ConsensusEngine.messages`: list the messages that a peer may lack."""
        proposal = self._votes.proposal(self.round)
        proposed = proposal.valid_round if proposal else NO_ROUND
        locked, valid = self._signed.locked[0], self._rules.valid[0]
        return self._votes.messages((self.round, self.round - 1, locked, valid, proposed))

    def forget_blocks(self) -> None:
        """Forget all blocks; the votes stay, to be compared with votes that come late.

        Call it when the height is over.
        """
        self._votes.forget_blocks()

    def _check_proposer(self, proposal: Proposal | MessageClaim) -> None:
        """Refuse what is not by the proposer of its round (a code of `on_proposal`)."""
        _check_message(proposal, self.height, self._validators)
        proposer = self._proposer_of(proposal.round)
        if proposal.public_key != proposer.public_key:
            raise RefusalError(
                ConsensusCode.WRONG_PROPOSER,
                f"public_key {proposal.public_key.hex()} may not propose in round {proposal.round};"
                f" the proposer is {proposer.public_key.hex()}",
                field="public_key",
            )

    def _run(self) -> list[Effect]:
        if not self.is_decided:
            self._rules.apply()
        return self._take_effects()

    def _take_effects(self) -> list[Effect]:
        effects = self._effects.copy()
        self._effects.clear()
        return effects

    def _note_own(self, message: Message) -> None:
        """Learn from an own message what this validator signed before it lost its disk."""
        if message.public_key != self._own_key:
            return
        self._signed.note_message(message)
        if self.is_started and message.round > self.round:
            self._rules.enter_round(message.round)
        self._rules.resume()

    def _restore(self, restored: Sequence[Message], lock: LockRecord | None) -> None:
        for message in restored:
            if message.public_key != self._own_key or message.height != self.height:
                raise ValueError("only own messages of this height can be restored")
            self._signed.note_message(message)
        if lock and lock.height != self.height:
            raise ValueError("only a lock of this height can be restored")
        rules, locked = self._rules, self._signed.locked
        rules.round = self._signed.latest_round
        prevotes: tuple[Vote, ...] = ()
        if lock and lock.round >= locked[0]:
            rules.valid = (lock.round, lock.block_hash)
            rules.verdicts.mark_valid(lock.block_hash)
            self._votes.store_block(lock.block)
            prevotes = lock.prevotes
        self._votes.enter_round(rules.round, dict((locked, rules.valid)))
        for message in (*restored, *prevotes):
            if isinstance(message, Vote):
                self._votes.add_vote(message)
            else:
                self._votes.add_proposal(message)
                rules.verdicts.mark_own(message.block_hash)
        rules.resume()


def _check_message(message: Message | MessageClaim, height: int, validators: ValidatorSet) -> None:
    """Check that a message is for a height and by one of its validators.

    Args:
        message: A proposal or vote whose signature was verified, or what a proposal claims.
        height: The height that is being decided.
        validators: The validators of the height.

    Raises:
        RefusalError: WRONG_HEIGHT when it is for another height, NOT_A_VALIDATOR when its key is
            not a validator's.
    """
    if message.height != height:
        raise RefusalError(
            ConsensusCode.WRONG_HEIGHT,
            f"height is {message.height}; {height} is being decided",
            field="height",
            limit=str(height),
        )
    if validators.by_key(message.public_key) is None:
        raise RefusalError(
            ConsensusCode.NOT_A_VALIDATOR,
            f"public_key {message.public_key.hex()} is not that of a validator at height {height}",
            field="public_key",
        )


def check_rounds(proposal: Proposal) -> None:
    """Check that the rounds of a proposal fit together, as those of a correct proposer do.

    Args:
        proposal: A proposal by the proposer of its round.

    Raises:
        RefusalError: WRONG_VALID_ROUND when its valid round is not before its round,
            WRONG_BLOCK_ROUND when a new block was not built for this round, or a block that is
            proposed again was built after its valid round.
    """
    if not -1 <= proposal.valid_round < proposal.round:
        raise RefusalError(
            ConsensusCode.WRONG_VALID_ROUND,
            f"valid_round is {proposal.valid_round}; it must be below round {proposal.round}",
            field="valid_round",
            limit=str(proposal.round - 1),
        )
    built, is_new = proposal.block.header.round, proposal.valid_round < 0
    limit = proposal.round if is_new else proposal.valid_round
    if built > limit or (is_new and built < limit):
        raise RefusalError(
            ConsensusCode.WRONG_BLOCK_ROUND,
            f"block.header.round is {built}; with valid_round {proposal.valid_round}, a proposal of"
            f" round {proposal.round} needs a block {'of' if is_new else 'up to'} round {limit}",
            field="block.header.round",
            limit=str(limit),
        )
