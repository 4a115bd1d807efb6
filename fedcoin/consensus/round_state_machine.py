"""Algorithm 1 of Tendermint, rule by rule, for one height.

Buchman, Kwon and Milosevic, "The latest gossip on BFT consensus", arXiv:1807.04938; each rule
names its lines. 2f + 1 there is more than two thirds of the power here, f + 1 is at least one
third. What differs, and why it may:

* valid(v) of lines 23, 29 and 36 is asked of the driver and answered later. Line 49 does not
  wait for it: behind 2f + 1 precommits stand correct validators that found the block valid.
* The valid value of lines 42 and 43 is also learnt from polkas of earlier rounds that become
  known late. It steers only what is proposed, so no argument for safety depends on it.
* Line 55 takes f + 1 validators that are in a round or a later one, so that one number
  remembered for each is enough.
* When 2f + 1 precommitted nil (line 47), no block can be decided in the round any more, and
  the next one starts at once.
* The proposer waits for its own proposal like all others (line 21), as building may fail.
* A valid value whose polka cannot be shown any more is proposed like a new one: whoever is
  locked on it, or on nothing, can prevote for it by line 23.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

from fedcoin.consensus.certificates import make_certificate
from fedcoin.consensus.effects import (
    BuildBlock,
    CastVote,
    CheckBlock,
    Decide,
    Effect,
    SendProposal,
    StartTimer,
)
from fedcoin.consensus.height_vote_set import HeightVoteSet
from fedcoin.consensus.lock_record import encode_lock
from fedcoin.consensus.signing_state import NO_ROUND, SigningState
from fedcoin.consensus.timers import Timeouts, Timer, TimerKind
from fedcoin.consensus.validators import Validator
from fedcoin.consensus.vote_set import NIL
from fedcoin.data.messages.votes import PRECOMMIT, PREVOTE


class RoundStep(IntEnum):
    """Where a validator stands in a round."""

    PROPOSE = 0
    PREVOTE = 1
    PRECOMMIT = 2


class RoundStateMachine:
    """The state of algorithm 1 and what it does next.

    Reads `log` (messages) and `signed` (own votes and the lock); appends to `effects`.
    """

    def __init__(
        self,
        log: HeightVoteSet,
        signed: SigningState,
        effects: list[Effect],
        proposer_of: Callable[[int], Validator],
        own_key: bytes | None,
        timeouts: Timeouts,
    ) -> None:
        self.log = log
        self.signed = signed
        self.effects = effects
        self.round = 0
        self.step = RoundStep.PROPOSE
        self.is_started = False
        self.is_decided = False
        self.valid: tuple[int, bytes] = (NO_ROUND, NIL)
        self._proposer_of = proposer_of
        self._own_key = own_key
        self._timeouts = timeouts
        self._verdicts: dict[bytes, bool | None] = {}
        self._building = NO_ROUND
        self._timed: set[Timer] = set()

    def start(self) -> None:
        """Line 11."""
        self.is_started = True
        self.enter(max(self.round, self.signed.latest_round))

    def enter(self, round: int) -> None:
        """StartRound (lines 11 to 21), but for the proposal."""
        self.round = round
        self.step = RoundStep.PROPOSE
        self._timed.clear()
        # The rounds and blocks that must not be forgotten.
        self.log.move(round, dict((self.signed.locked, self.valid)))
        self._verdicts = {v: ok for v, ok in self._verdicts.items() if self.log.block(v)}
        self.resume()
        if self.step == RoundStep.PROPOSE:
            self._start_timer(TimerKind.PROPOSE)

    def resume(self) -> None:
        """Do not take a step again that an own vote shows was taken."""
        if self.signed.has_voted(PRECOMMIT, self.round):
            self.step = RoundStep.PRECOMMIT
        elif self.signed.has_voted(PREVOTE, self.round):
            self.step = max(self.step, RoundStep.PREVOTE)

    def trust(self, block_hash: bytes) -> None:
        """Note that a block is valid without asking: it was built or voted for here."""
        self._verdicts[block_hash] = True

    def checked(self, block_hash: bytes, ok: bool) -> None:
        """Note the answer to `CheckBlock`."""
        if block_hash in self._verdicts:
            self._verdicts[block_hash] = ok

    def built(self, round: int, block_hash: bytes, raw: bytes) -> None:
        """Line 16: the answer to `BuildBlock`; too late for its round, it is dropped."""
        if self._is_turn() and round == self._building == self.round:
            self.log.keep_block(block_hash, raw)
            self.trust(block_hash)
            self._send_proposal(NO_ROUND, block_hash, raw)

    def timeout(self, timer: Timer) -> None:
        """Lines 57 to 67."""
        if not self.is_started or timer.round != self.round:
            return
        if timer.kind is TimerKind.PROPOSE and self.step == RoundStep.PROPOSE:
            self._prevote(NIL)
        elif timer.kind is TimerKind.PREVOTE and self.step == RoundStep.PREVOTE:
            self._precommit(NIL)
        elif timer.kind is TimerKind.PRECOMMIT:
            self.enter(self.round + 1)

    def apply(self) -> None:
        """Apply the rules until none does anything more."""
        rules = (
            self._skip,
            self._learn_valid,
            self._propose,
            self._answer_proposal,
            self._lock,
            self._precommit_nil,
            self._end_prevotes,
            self._end_precommits,
        )
        while not self._decide() and self.is_started:
            if not any(rule() for rule in rules):
                break

    # The rules. Each returns True when it did what another one may depend on.

    def _decide(self) -> bool:
        """Lines 49 to 54."""
        for round, value, precommits in self.log.decisions():
            raw = self.log.block(value)
            if raw is not None:
                self.is_decided = True
                self.effects.append(Decide(value, raw, make_certificate(precommits), round))
                return True
        return False

    def _skip(self) -> bool:
        """Lines 55 and 56."""
        later = self.log.later_round()
        if later is None:
            return False
        self.enter(later)
        return True

    def _learn_valid(self) -> bool:
        """Lines 42 and 43, for polkas of earlier rounds that became known late."""
        for round, value in self.log.polkas(above=self.valid[0]):
            if self._verdict(value):
                self.valid = (round, value)
                return True
        return False

    def _propose(self) -> bool:
        """Lines 14 to 19."""
        if not self._is_turn():
            return False
        round, value = max(self.valid, self.signed.locked)
        raw = self.log.block(value)
        if not value and self._building != self.round:
            self._building = self.round
            self.effects.append(BuildBlock(self.round))
        if not value or raw is None:
            return False
        shown = self.log.polka(round) == value
        self._send_proposal(round if shown else NO_ROUND, value, raw)
        return True

    def _answer_proposal(self) -> bool:
        """Lines 22 to 33."""
        proposal = self.log.proposal(self.round)
        if self.step != RoundStep.PROPOSE or proposal is None:
            return False
        value, valid_round = proposal.block_hash, proposal.valid_round
        if valid_round != NO_ROUND and self.log.polka(valid_round) != value:
            return False
        locked_round, locked_value = self.signed.locked
        may = locked_value == value or locked_round <= valid_round
        verdict = self._verdict(value) if may else False
        if verdict is None:
            return False
        self._prevote(value if verdict else NIL)
        return True

    def _lock(self) -> bool:
        """Lines 36 to 43."""
        value = self.log.polka(self.round)
        done = self.step == RoundStep.PRECOMMIT and self.valid[0] == self.round
        if not value or self.step == RoundStep.PROPOSE or done or not self._verdict(value):
            return False
        self.valid = (self.round, value)
        if self.step == RoundStep.PREVOTE:
            self._precommit(value)
        return True

    def _precommit_nil(self) -> bool:
        """Lines 44 to 46."""
        if self.step != RoundStep.PREVOTE or self.log.polka(self.round) != NIL:
            return False
        self._precommit(NIL)
        return True

    def _end_prevotes(self) -> bool:
        """Lines 34 and 35."""
        if self.step == RoundStep.PREVOTE and self.log.have_prevoted(self.round):
            self._start_timer(TimerKind.PREVOTE)
        return False

    def _end_precommits(self) -> bool:
        """Lines 47 and 48; when nil has the quorum there is nothing to wait for."""
        if self.log.is_void(self.round):
            self.enter(self.round + 1)
            return True
        if self.log.have_precommitted(self.round):
            self._start_timer(TimerKind.PRECOMMIT)
        return False

    # What the rules do.

    def _is_turn(self) -> bool:
        """Is it for this validator to propose now, and has it not done so?"""
        return (
            self.step == RoundStep.PROPOSE
            and self._proposer_of(self.round).public_key == self._own_key
            and not self.signed.has_proposed(self.round)
        )

    def _send_proposal(self, valid_round: int, value: bytes, raw: bytes) -> None:
        self.signed.proposal(self.round)
        self.effects.append(SendProposal(self.round, valid_round, value, raw))

    def _prevote(self, value: bytes) -> None:
        self.step = RoundStep.PREVOTE
        if self._own_key and self.signed.vote(PREVOTE, self.round, value):
            self.effects.append(CastVote(PREVOTE, self.round, value))

    def _precommit(self, value: bytes) -> None:
        self.step = RoundStep.PRECOMMIT
        if self._own_key and self.signed.vote(PRECOMMIT, self.round, value):
            record = b""
            raw = self.log.block(value)
            if value and raw is not None:
                record = encode_lock(raw, self.log.prevotes_for(self.round, value))
            self.effects.append(CastVote(PRECOMMIT, self.round, value, record))

    def _verdict(self, value: bytes) -> bool | None:
        """valid(v), or None while the block or the driver's answer is missing."""
        raw = self.log.block(value)
        if raw is None:
            return None
        if not self._own_key:
            return True  # an observer votes for nothing, so it need not ask
        if value not in self._verdicts:
            self._verdicts[value] = None
            self.effects.append(CheckBlock(value, raw))
        return self._verdicts[value]

    def _start_timer(self, kind: TimerKind) -> None:
        timer = Timer(kind, self.round)
        if timer not in self._timed:
            self._timed.add(timer)
            self.effects.append(StartTimer(timer, self._timeouts.delay_ms(timer)))
