"""Tendermint voting on one height, as a state machine without clock, network or disk.

`rules` holds the algorithm, `log` the messages and `signed` what the own key has said. Here
they are put together: what comes in is checked and noted, the rules are applied, and what
they ask for goes out.

A vote is never asked for twice. It counts as cast when it is asked for, when the driver hands
it back after a restart, and when a peer still remembers one that was forgotten here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fedcoin.consensus.effects import Effect, Message
from fedcoin.consensus.height_vote_set import HeightVoteSet
from fedcoin.consensus.lock_record import LockRecord
from fedcoin.consensus.message_checks import check_message, check_proposal
from fedcoin.consensus.round_state_machine import RoundStateMachine, RoundStep
from fedcoin.consensus.signing_state import NO_ROUND, SigningState
from fedcoin.consensus.timers import Timeouts, Timer
from fedcoin.consensus.validators import Validator, ValidatorSet
from fedcoin.data.messages.votes import Proposal, Vote


class TendermintEngine:
    """One validator's (or an observer's) part in deciding one height.

    `proposer_of` gives the proposer of a round. `own_key` is the public key whose votes the
    driver signs; None, or one that is no validator's, only watches. `restored` are the own
    votes and proposals of this height found on disk, `lock` the latest record of a precommit.
    Raises `ValueError` when `restored` holds anything else.

    Messages must have passed `data.votes.decode_*`. They may come before `start`, in any
    order and again. Every method returns the effects that the driver is to carry out.
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
        self.height = height
        self._validators = validators
        self._proposer_of = proposer_of
        self._own_key = own_key if own_key and validators.by_key(own_key) else None
        self._signed = SigningState()
        self._effects: list[Effect] = []
        self._log = HeightVoteSet(validators, self._effects)
        self._rules = RoundStateMachine(
            self._log, self._signed, self._effects, proposer_of, self._own_key, timeouts
        )
        self._restore(restored, lock)

    @property
    def round(self) -> int:
        """The present round."""
        return self._rules.round

    @property
    def step(self) -> RoundStep:
        """The present step of the round."""
        return self._rules.step

    @property
    def locked(self) -> tuple[int, bytes]:
        """The round and hash of the lock; -1 and empty when there is none."""
        return self._signed.locked

    @property
    def is_started(self) -> bool:
        """Was `start` called?"""
        return self._rules.is_started

    @property
    def is_decided(self) -> bool:
        """Is the height over?"""
        return self._rules.is_decided

    @property
    def is_under_way(self) -> bool:
        """Are others deciding this height, so that it is time to start?

        So it is when the round's proposal is here, or votes that a correct validator must be
        behind.
        """
        return self._log.is_under_way()

    def start(self) -> list[Effect]:
        """Begin to take part (line 11). A second call does nothing."""
        if not self.is_started and not self.is_decided:
            self._rules.start()
        return self._run()

    def on_proposal(self, proposal: Proposal) -> list[Effect]:
        """Take in a proposal, an own one too.

        Raises `Refusal`: WRONG_HEIGHT, NOT_A_VALIDATOR, WRONG_PROPOSER, WRONG_VALID_ROUND.
        """
        check_message(proposal, self.height, self._validators)
        check_proposal(proposal, self._proposer_of(proposal.round))
        if self.is_decided:
            return []
        self._note_own(proposal)
        self._log.add_proposal(proposal)
        return self._run()

    def on_vote(self, vote: Vote) -> list[Effect]:
        """Take in a vote, an own one too.

        Raises `Refusal`: WRONG_HEIGHT, NOT_A_VALIDATOR.
        """
        check_message(vote, self.height, self._validators)
        if self.is_decided:
            return []
        self._note_own(vote)
        self._log.add_vote(vote)
        return self._run()

    def on_timeout(self, timer: Timer) -> list[Effect]:
        """A timer that `StartTimer` asked for has ended."""
        if not self.is_decided:
            self._rules.timeout(timer)
        return self._run()

    def on_block_checked(self, block_hash: bytes, ok: bool) -> list[Effect]:
        """The answer to `CheckBlock`: may this block be voted for?"""
        self._rules.checked(block_hash, ok)
        return self._run()

    def on_block_built(self, round: int, block_hash: bytes, raw: bytes) -> list[Effect]:
        """The answer to `BuildBlock`; too late for its round, the block is dropped."""
        if not self.is_decided:
            self._rules.built(round, block_hash, raw)
        return self._run()

    def messages(self) -> list[Message]:
        """What a peer at this height may lack: this round and those that led to it.

        For a peer that connects, and to be sent again now and then while the height lasts:
        nothing else makes good for messages that were lost.
        """
        proposal = self._log.proposal(self.round)
        named = proposal.valid_round if proposal else NO_ROUND
        locked, valid = self._signed.locked[0], self._rules.valid[0]
        return self._log.messages((self.round, self.round - 1, locked, valid, named))

    def _run(self) -> list[Effect]:
        if not self.is_decided:
            self._rules.apply()
        effects = self._effects.copy()
        self._effects.clear()
        return effects

    def _note_own(self, message: Message) -> None:
        """Take over from an own message what was forgotten, if a disk was lost."""
        if message.public_key != self._own_key:
            return
        self._signed.note(message)
        if self.is_started and message.round > self.round:
            self._rules.enter(message.round)
        self._rules.resume()

    def _restore(self, restored: Sequence[Message], lock: LockRecord | None) -> None:
        for message in restored:
            if message.public_key != self._own_key or message.height != self.height:
                raise ValueError("only own messages of this height can be restored")
            self._signed.note(message)
        if lock and lock.height != self.height:
            raise ValueError("only a lock of this height can be restored")
        rules, held = self._rules, self._signed.locked
        rules.round = self._signed.latest_round
        prevotes: tuple[Vote, ...] = ()
        if lock and lock.round >= held[0]:
            rules.valid = (lock.round, lock.block_hash)
            rules.trust(lock.block_hash)
            self._log.keep_block(lock.block_hash, lock.raw)
            prevotes = lock.prevotes
        self._log.move(rules.round, dict((held, rules.valid)))
        for message in (*restored, *prevotes):
            if isinstance(message, Vote):
                self._log.add_vote(message)
            else:
                self._log.add_proposal(message)
                rules.trust(message.block_hash)
        rules.resume()
