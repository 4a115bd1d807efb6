"""Tendermint's algorithm for one height, rule by rule.

Source: Buchman, Kwon and Milosevic, "The latest gossip on BFT consensus", arXiv:1807.04938,
algorithm 1. Each rule names its lines there. The paper's 2f + 1 is more than two thirds of the
power here, f + 1 is at least one third. These points differ, without harm to safety or progress:

* The engine asks the driver for valid(v) of lines 23, 29 and 36, and gets the answer later.
  Line 49 does not wait for it: the validators behind 2f + 1 precommits include correct ones that
  found the block valid.
* Line 23 also asks what local facts say of the new block. What is found false gets a prevote for
  nil. When the facts are unknown, or not there in time, the block gets a prevote that says so.
  Lines 28 and 36 do not ask: a polka overrides local facts.
* 2f + 1 prevotes for a block are a polka only if f + 1 say that the block was audited. A polka is
  still one of 2f + 1, so locks keep two blocks apart as in the paper. A prevote of line 30 says
  that the block was audited, because its polka vouches for it: later polkas need no auditor.
* The valid value of lines 42 and 43 is also learnt from polkas of earlier rounds that arrive late.
  It only affects what is proposed, so no argument for safety depends on it.
* Line 55 counts f + 1 validators that are in a round or in a later one, so that one number stored
  for each validator is enough.
* When 2f + 1 precommitted nil (line 47), no block can be decided in the round any more, and the
  next round starts at once.
* The proposer waits for its own proposal like the others (line 21), because building may fail.
* A block keeps the round for which it was built, and that round's proposer is part of its validity.
  So a new proposal's block is always of the proposal's own round, and a block is proposed again
  only with the round of a polka that can be shown.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

from fedcoin.consensus.block_verdicts import BlockVerdicts
from fedcoin.consensus.certificates import make_certificate
from fedcoin.consensus.effects import (
    BuildBlock,
    CastVote,
    Decide,
    Effect,
    SendProposal,
    StartTimer,
    Verdict,
)
from fedcoin.consensus.height_vote_set import HeightVoteSet
from fedcoin.consensus.lock_record import encode_lock
from fedcoin.consensus.signing_state import NO_ROUND, SigningState
from fedcoin.consensus.timers import Timeouts, Timer, TimerKind
from fedcoin.consensus.validators import Validator
from fedcoin.consensus.vote_set import NIL
from fedcoin.data.messages.blocks import Block
from fedcoin.data.messages.votes import PRECOMMIT, PREVOTE, Proposal, Vote


class RoundStep(IntEnum):
    """The step of a round that a validator is in."""

    PROPOSE = 0
    """Waits for the round's proposal."""
    PREVOTE = 1
    """Has prevoted, and waits for the prevotes of the others."""
    PRECOMMIT = 2
    """Has precommitted, and waits for the precommits of the others."""


class RoundStateMachine:
    """The variables and rules of the paper's algorithm 1, for one height.

    Attributes:
        votes: The proposals and votes received at this height.
        signed: The validator's own votes, proposals and lock.
        effects: The list to which the rules append their requests to the driver.
        round: The current round.
        step: The current step.
        is_started: Whether `start` was called.
        is_decided: Whether a block was decided.
        valid: validRound and validValue of the paper: the round and the hash of the latest block
            with a polka; `NO_ROUND` and `NIL` when there is none.
    """

    def __init__(
        self,
        votes: HeightVoteSet,
        signed: SigningState,
        effects: list[Effect],
        proposer_of: Callable[[int], Validator],
        own_key: bytes | None,
        timeouts: Timeouts,
    ) -> None:
        """Prepare a height.

        Args:
            votes: The proposals and votes received at this height.
            signed: The validator's own votes, proposals and lock.
            effects: The list to which the rules append their requests to the driver.
            proposer_of: Gives the proposer of a round.
            own_key: The validator's public key, 32 bytes; None for an observer, which does not
                vote.
            timeouts: The delays of the timers.
        """
        self.votes = votes
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
        self.verdicts = BlockVerdicts(effects, is_voting=own_key is not None)
        self._building = NO_ROUND
        self._started_timers: set[Timer] = set()

    def start(self) -> None:
        """Begin to take part (algorithm 1, line 11)."""
        self.is_started = True
        self.enter_round(max(self.round, self.signed.latest_round))

    def enter_round(self, round: int) -> None:
        """Start a round, without proposing yet (algorithm 1, lines 11 to 21).

        Args:
            round: The round to start, from 0.
        """
        self.round = round
        self.step = RoundStep.PROPOSE
        self._started_timers.clear()
        # The lock and the valid value must not be deleted.
        self.votes.enter_round(round, dict((self.signed.locked, self.valid)))
        self.verdicts.enter_round(self.votes.block)
        self.resume()
        if self.step == RoundStep.PROPOSE:
            self._start_timer(TimerKind.PROPOSE)

    def resume(self) -> None:
        """Move to the step that the own votes of this round show."""
        if self.signed.has_voted(PRECOMMIT, self.round):
            self.step = RoundStep.PRECOMMIT
        elif self.signed.has_voted(PREVOTE, self.round):
            self.step = max(self.step, RoundStep.PREVOTE)

    def on_block_built(self, round: int, block: Block) -> None:
        """Propose the block that the driver built (algorithm 1, line 16), unless its round is over.

        Args:
            round: The round that the block was built for, from 0.
            block: A block of this height, built by this node.
        """
        if self._must_propose() and round == self._building == self.round:
            self.votes.store_block(block)
            self.verdicts.mark_own(block.hash)
            self._send_proposal(NO_ROUND, block, [])

    def on_timeout(self, timer: Timer) -> None:
        """Handle the end of a timer (algorithm 1, lines 57 to 67).

        Args:
            timer: The timer that has expired; it is ignored when its round or step is over.
        """
        if not self.is_started or timer.round != self.round:
            return
        if timer.kind is TimerKind.PROPOSE and self.step == RoundStep.PROPOSE:
            self._prevote_in_time()
        elif timer.kind is TimerKind.PREVOTE and self.step == RoundStep.PREVOTE:
            self._precommit(NIL)
        elif timer.kind is TimerKind.PRECOMMIT:
            self.enter_round(self.round + 1)

    def apply(self) -> None:
        """Apply the rules until none of them changes anything."""
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
            for rule in rules:
                if rule():
                    break
            else:
                return

    # The rules. Each returns True when it changed something that another rule may depend on.

    def _decide(self) -> bool:
        """Decide a block (algorithm 1, lines 49 to 54)."""
        for round, value, precommits in self.votes.list_decisions():
            block = self.votes.block(value)
            if block is not None:
                self.is_decided = True
                self.effects.append(Decide(block, make_certificate(precommits), round))
                return True
        return False

    def _skip(self) -> bool:
        """Skip to a later round (algorithm 1, lines 55 and 56)."""
        later = self.votes.find_later_round()
        if later is None:
            return False
        self.enter_round(later)
        return True

    def _learn_valid(self) -> bool:
        """Update the valid value by polkas of earlier rounds (algorithm 1, lines 42 and 43)."""
        for round, value in self.votes.list_polkas(above=self.valid[0]):
            if self._is_valid(value):
                self.valid = (round, value)
                return True
        return False

    def _propose(self) -> bool:
        """Propose a block (algorithm 1, lines 14 to 19)."""
        if not self._must_propose():
            return False
        round, value = self.valid
        block = self.votes.block(value)
        if block is not None and self.votes.polka(round) == value:
            self._send_proposal(round, block, self.votes.list_prevotes(round, value))
            return True
        if self._building != self.round:
            self._building = self.round
            failed = self.votes.list_blocks(before=self.round)
            self.effects.append(BuildBlock(self.round, tuple(failed)))
        return False

    def _answer_proposal(self) -> bool:
        """Prevote in answer to the proposal (algorithm 1, lines 22 to 33)."""
        proposal = self.votes.proposal(self.round)
        if self.step != RoundStep.PROPOSE or proposal is None:
            return False
        value, valid_round = proposal.block_hash, proposal.valid_round
        if valid_round != NO_ROUND and self.votes.polka(valid_round) != value:
            return False
        verdict = self._judge(proposal)
        if verdict is None:
            return False
        self._prevote_verdict(value, verdict)
        return True

    def _lock(self) -> bool:
        """Precommit the block with a polka, and lock on it (algorithm 1, lines 36 to 43)."""
        value = self.votes.polka(self.round)
        is_done = self.step == RoundStep.PRECOMMIT and self.valid[0] == self.round
        if not value or self.step == RoundStep.PROPOSE or is_done or not self._is_valid(value):
            return False
        self.valid = (self.round, value)
        if self.step == RoundStep.PREVOTE:
            self._precommit(value)
        return True

    def _precommit_nil(self) -> bool:
        """Precommit nil after a polka for nil (algorithm 1, lines 44 to 46)."""
        if self.step != RoundStep.PREVOTE or self.votes.polka(self.round) != NIL:
            return False
        self._precommit(NIL)
        return True

    def _end_prevotes(self) -> bool:
        """Wait for late prevotes (algorithm 1, lines 34 and 35)."""
        if self.step == RoundStep.PREVOTE and self.votes.has_prevote_quorum(self.round):
            self._start_timer(TimerKind.PREVOTE)
        return False

    def _end_precommits(self) -> bool:
        """Wait for late precommits (algorithm 1, lines 47 and 48), or not when nil has a quorum."""
        if self.votes.has_nil_quorum(self.round):
            self.enter_round(self.round + 1)
            return True
        if self.votes.has_precommit_quorum(self.round):
            self._start_timer(TimerKind.PRECOMMIT)
        return False

    # Actions of the rules.

    def _must_propose(self) -> bool:
        """Tell whether this validator is to propose now and has not done so."""
        return (
            self.step == RoundStep.PROPOSE
            and self._proposer_of(self.round).public_key == self._own_key
            and not self.signed.has_proposed(self.round)
        )

    def _send_proposal(self, valid_round: int, block: Block, polka: list[Vote]) -> None:
        self.signed.note_proposal(self.round)
        self.effects.append(SendProposal(self.round, valid_round, block, tuple(polka)))

    def _prevote_in_time(self) -> None:
        """Prevote when the time for proposals is over: a block whose audit is late is unknown."""
        proposal = self.votes.proposal(self.round)
        is_new = proposal is not None and proposal.valid_round == NO_ROUND
        if proposal is None or not is_new or not self._is_valid(proposal.block_hash):
            self._prevote(NIL)
        else:
            self._prevote_verdict(proposal.block_hash, self._judge(proposal) or Verdict.UNKNOWN)

    def _prevote_verdict(self, value: bytes, verdict: Verdict) -> None:
        if verdict is Verdict.FOUND_FALSE:
            self._prevote(NIL)
        else:
            self._prevote(value, audited=verdict is Verdict.VALID)

    def _prevote(self, value: bytes, *, audited: bool = False) -> None:
        self.step = RoundStep.PREVOTE
        if self._own_key and self.signed.note_vote(PREVOTE, self.round, value):
            self.effects.append(CastVote(PREVOTE, self.round, value, audited=audited))

    def _precommit(self, value: bytes) -> None:
        self.step = RoundStep.PRECOMMIT
        if self._own_key and self.signed.note_vote(PRECOMMIT, self.round, value):
            record = b""
            block = self.votes.block(value)
            if value and block is not None:
                record = encode_lock(block, self.votes.list_prevotes(self.round, value))
            self.effects.append(CastVote(PRECOMMIT, self.round, value, record))

    def _is_valid(self, value: bytes) -> bool:
        """Return valid(v); False while the block or the driver's answer is missing."""
        block = self.votes.block(value)
        return block is not None and self.verdicts.check(self.round, block) is Verdict.VALID

    def _judge(self, proposal: Proposal) -> Verdict | None:
        """Decide what to prevote in answer to a proposal; None while an answer is missing.

        `Verdict.UNKNOWN` stands for a prevote that does not say that the block was audited.
        """
        value, valid_round = proposal.block_hash, proposal.valid_round
        locked_round, locked_value = self.signed.locked
        if locked_value != value and locked_round > valid_round:
            return Verdict.FOUND_FALSE
        validity = self.verdicts.check(self.round, proposal.block)
        if validity is not Verdict.VALID:
            # Without knowing that the block is valid, no validator may vouch for it.
            return None if validity is None else Verdict.FOUND_FALSE
        if valid_round != NO_ROUND:
            return Verdict.VALID
        return self.verdicts.judge(self.round, proposal.block)

    def _start_timer(self, kind: TimerKind) -> None:
        timer = Timer(kind, self.round)
        if timer not in self._started_timers:
            self._started_timers.add(timer)
            self.effects.append(StartTimer(timer, self._timeouts.delay_ms(timer)))
