"""Drive the consensus engine of one height after another.

The engine (`consensus.tendermint_engine`) decides what to send; this module checks blocks, stores,
signs, sends and keeps time. A height starts when there is something to put in a block, when other
validators have started it, or when the last block is old.

The effects of a height are carried out one after another, so that a vote is on disk before it is
sent, and votes leave in the order in which they were cast. Building and checking a block take long
and run beside them.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from fedcoin.application.node.block_auditor import TRANSIENT_CODES, BlockAudit
from fedcoin.application.node.chain import Chain, NewBlock
from fedcoin.application.node.disputed_transactions import leave_out_disputed, leaves_out_reveals
from fedcoin.application.node.transaction_intake import TransactionIntake
from fedcoin.application.node.voting.awaited_answers import AnswerWait
from fedcoin.application.node.voting.block_pace import BlockPace
from fedcoin.application.node.voting.early_messages import EarlyMessages
from fedcoin.application.node.voting.late_votes import LateVotes
from fedcoin.application.node.voting.vote_signer import VoteSigner
from fedcoin.application.node.voting_threads import run_for_voting
from fedcoin.consensus.effects import (
    BuildBlock,
    CastVote,
    CheckBlock,
    Decide,
    Effect,
    Equivocation,
    ForwardMessage,
    JudgeProposal,
    Message,
    SendProposal,
    StartTimer,
    Verdict,
)
from fedcoin.consensus.tendermint_engine import TendermintEngine
from fedcoin.consensus.timers import Timeouts
from fedcoin.data.clock import Clock
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.blocks import Block
from fedcoin.data.messages.votes import MessageClaim, Proposal, Vote
from fedcoin.network.background_tasks import BackgroundTasks
from fedcoin.network.ports.consensus_port import Broadcaster, Position

log = logging.getLogger(__name__)


class ConsensusDriver:
    """Takes part in deciding the next block; without a signer it follows and sends nothing.

    Args:
        chain: The node's chain.
        pool: The node's transaction intake.
        audit: The voting rule for blocks.
        signer: Signs and stores votes; None for a node that does not vote.
        owner: Owns the background tasks.
        clock: Gives Unix ms.
    """

    def __init__(
        self,
        chain: Chain,
        pool: TransactionIntake,
        audit: BlockAudit,
        signer: VoteSigner | None,
        owner: BackgroundTasks,
        clock: Clock,
    ) -> None:
        parameters = chain.genesis.parameters
        self._chain = chain
        self._pool = pool
        self._audit = audit
        self._signer = signer
        self._outlet: Broadcaster | None = None
        self._owner = owner
        self._clock = clock
        self._timeouts = Timeouts(parameters.propose_timeout_ms, parameters.vote_timeout_ms)
        self._effects: asyncio.Queue[tuple[TendermintEngine, Effect]] = asyncio.Queue()
        self._timers: set[asyncio.TimerHandle] = set()
        self._wake: asyncio.TimerHandle | None = None
        self._early = EarlyMessages(parameters.max_block_bytes)
        self._accusations: list[Callable[[Vote, Vote], None]] = []
        self._vote_listeners: list[Callable[[Vote], None]] = []
        self._own_vote_listeners: list[Callable[[Vote], None]] = []
        self._pace = BlockPace()
        self._answers = AnswerWait(2 * parameters.propose_timeout_ms)
        self._is_pausing = False
        self._voting = self._next_voting()
        self._late = LateVotes()
        chain.on_block(self._after_block)
        chain.on_jump(self._after_jump)
        pool.on_ready(self._on_ready)

    def on_equivocation(self, listener: Callable[[Vote, Vote], None]) -> None:
        """Register a listener for equivocations.

        Args:
            listener: Called with two contradicting votes of one validator.
        """
        self._accusations.append(listener)

    def on_vote(self, listener: Callable[[Vote], None]) -> None:
        """Register a listener for votes.

        Args:
            listener: Called with each vote that arrives from a peer.
        """
        self._vote_listeners.append(listener)

    def on_own_vote(self, listener: Callable[[Vote], None]) -> None:
        """Register a listener for this node's own votes.

        Args:
            listener: Called with each vote that this node has signed and sends.
        """
        self._own_vote_listeners.append(listener)

    @property
    def is_started(self) -> bool:
        """Whether the voting on the next height has begun; between blocks it has not."""
        return self._voting.is_started

    def start(self, outlet: Broadcaster) -> None:
        """Start to take part in voting; stopping the owner of the tasks ends it.

        Args:
            outlet: Sends proposals, votes and status to the peers.
        """
        self._outlet = outlet
        self._owner.start(self._carry_out(), name="effects", vital=True)
        self._consider()

    def stop(self) -> None:
        """Cancel all timers; nothing more is sent."""
        self._cancel_timers()

    # network.ports.consensus_port.ConsensusPort ---------------------------------------------

    def status(self) -> Position:
        """Implement `ConsensusPort.status`: return this node's height and round."""
        return Position(self._voting.height, self._voting.round)

    def messages_for(self, height: int) -> Sequence[Message]:
        """Implement `ConsensusPort.messages_for`: list votes and proposals that a peer may lack."""
        return self._voting.messages() if height == self._voting.height else ()

    def wants_proposal(self, claim: MessageClaim) -> bool:
        """Implement `ConsensusPort.wants_proposal`: look at the turns, and at what is known."""
        if claim.height > self._voting.height:
            return self._early.wants(claim, self._voting.height, self._chain.next_orders())
        return claim.height == self._voting.height and self._voting.wants_proposal(claim)

    def wants_vote(self, claim: MessageClaim) -> bool:
        """Implement `ConsensusPort.wants_vote`: look at height and validators."""
        height = self._voting.height
        if claim.height > height:
            return self._early.wants_vote(claim, height, self._chain.next_orders())
        return self._late.wants(claim) if claim.height < height else self._voting.wants_vote(claim)

    async def receive_proposal(self, proposal: Proposal, from_peer: bytes) -> bool:
        """Implement `ConsensusPort.receive_proposal`: handle a proposal with a valid signature."""
        return self._receive(proposal)

    async def receive_vote(self, vote: Vote, from_peer: bytes) -> bool:
        """Implement `ConsensusPort.receive_vote`: handle a vote with a valid signature."""
        for listener in self._vote_listeners:
            listener(vote)
        return self._receive(vote)

    def _receive(self, message: Message) -> bool:
        if message.height > self._voting.height:
            return self._early.keep(message, self._voting.height, self._chain.next_orders())
        if message.height != self._voting.height:
            late = self._late.count(message) if isinstance(message, Vote) else ()
            self._accuse(late)
            return any(isinstance(effect, ForwardMessage) for effect in late)
        accepted = self._feed(message)
        if self._voting.is_under_way:
            self._begin()
        return accepted

    def _accuse(self, effects: Sequence[Effect]) -> None:
        for effect in (one for one in effects if isinstance(one, Equivocation)):
            for listener in self._accusations:
                listener(effect.first, effect.second)

    # --- heights ---

    def _next_voting(self) -> TendermintEngine:
        height = self._chain.height() + 1
        restored, lock = self._signer.load(height) if self._signer else ((), None)
        # As it is now: while the block of this height is being stored, the ledger's state is
        # already the next height's, and an honest proposal that comes late would look wrong.
        order, signer = self._chain.ledger.proposer_order(), self._signer
        # A key without a bond owes no vote, so that its silence is no news.
        is_bonded = signer is not None and order.validators.by_key(signer.public_key) is not None
        return TendermintEngine(
            height,
            order.validators,
            order.proposer,
            signer.public_key if signer and is_bonded and signer.may_sign(height) else None,
            self._timeouts,
            restored,
            lock,
        )

    def _after_block(self, new: NewBlock) -> None:
        if new.is_followed:
            return
        self._pace.end_height(
            self._clock(),
            num_transactions=len(new.block.transactions),
            num_validators=len(self._chain.ledger.validators()),
            has_voted=self._voting.is_started,
        )
        self._after_jump()

    def _after_jump(self) -> None:
        self._cancel_timers()
        self._answers.end_height()
        self._late.end_height(self._voting)
        self._voting = self._next_voting()
        early = self._early.take(self._voting.height)
        if self._outlet is not None:
            self._outlet.status_changed()
        for message in early:
            try:
                self._receive(message)
            except RefusalError as refusal:
                log.debug("dropped an early message: %s", refusal)
        self._consider()

    def _on_ready(self) -> None:
        # While a height waits for more transactions, each new one says nothing new.
        if not self._is_pausing:
            self._consider()

    def _consider(self) -> None:
        # Starts the height if there is a reason; else checks again when there may be one.
        self._is_pausing = False
        if self._voting.is_started:
            return
        ledger, now = self._chain.ledger, self._clock()
        due = self._chain.time_ms() + self._chain.genesis.parameters.max_block_interval_ms
        deadline = ledger.next_deadline_ms()
        if deadline is not None:
            due = min(due, deadline)
        if now >= due or ledger.needs_block():
            self._begin()
            return
        if self._pool.has_ready():
            pause_ms = self._pace.pause_left_ms(now)
            self._is_pausing = pause_ms > 0
            pause_ms = max(pause_ms, self._answer_wait_left_ms(now))
            if not pause_ms:
                self._begin()
                return
            due = min(due, now + pause_ms)
        if self._wake is not None:
            self._wake.cancel()
        delay_s = (due - now) / 1000
        self._wake = self._owner.call_later(delay_s, self._consider, "wake")

    def _answer_wait_left_ms(self, now_ms: int) -> int:
        ledger, signer = self._chain.ledger, self._signer
        return self._answers.compute_left_ms(
            now_ms,
            self._pool.iterate_ready(),
            ledger.waiting_miners(),
            is_proposer=signer is not None and signer.public_key == ledger.proposer(0).public_key,
        )

    def _begin(self) -> None:
        if not self._voting.is_started:
            self._pace.begin_height(self._clock())
            self._enqueue(self._voting.start())

    def _cancel_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None

    # --- effects ---

    def _feed(self, message: Message) -> bool:
        if isinstance(message, Proposal):
            effects = self._voting.on_proposal(message)
        else:
            effects = self._voting.on_vote(message)
        self._enqueue(effects)
        return any(isinstance(effect, ForwardMessage) for effect in effects)

    def _enqueue(self, effects: Sequence[Effect]) -> None:
        # At once, since what waits is dropped when the height is decided.
        self._accuse(effects)
        for effect in effects:
            self._effects.put_nowait((self._voting, effect))

    async def _carry_out(self) -> None:
        while True:
            voting, effect = await self._effects.get()
            # A height that was decided meanwhile has nothing more to say.
            if voting is not self._voting:
                continue
            round_before = voting.round
            await self._perform(voting, effect)
            if voting is self._voting and voting.round != round_before and self._outlet:
                self._outlet.status_changed()

    async def _perform(self, voting: TendermintEngine, effect: Effect) -> None:
        if isinstance(effect, (SendProposal, CastVote)):
            await self._say(voting, effect)
        elif isinstance(effect, BuildBlock):
            self._owner.start(self._build(voting, effect), name="build")
        elif isinstance(effect, CheckBlock):
            self._owner.start(self._check(voting, effect), name="check")
        elif isinstance(effect, JudgeProposal):
            self._owner.start(self._judge(voting, effect), name="judge")
        elif isinstance(effect, StartTimer):
            self._start_timer(voting, effect)
        elif isinstance(effect, Decide):
            await self._chain.commit(effect.block, effect.certificate, effect.round)

    async def _say(self, voting: TendermintEngine, effect: SendProposal | CastVote) -> None:
        if self._signer is None:
            return
        try:
            message = await run_for_voting(self._signer.sign, voting.height, effect)
        except RefusalError as refusal:
            pause_s = self._signer.note_silence(voting.height, refusal)
            if pause_s is not None:
                again = partial(self._effects.put_nowait, (voting, effect))
                self._owner.call_later(pause_s, again, "signer")
            return
        if voting is not self._voting or self._outlet is None:
            return
        if isinstance(message, Vote):
            self._chain.verified_votes.add(message)
            for listener in self._own_vote_listeners:
                listener(message)
        self._feed(message)
        if isinstance(effect, SendProposal):
            # Peers that lack the polka could not vote for the proposal.
            for prevote in effect.polka:
                self._outlet.broadcast(prevote)
        self._outlet.broadcast(message)

    async def _build(self, voting: TendermintEngine, effect: BuildBlock) -> None:
        assert self._signer is not None
        candidates = leave_out_disputed(self._pool.ready(), effect.failed, effect.round)
        left_out = leaves_out_reveals(self._pool.waiting(), candidates)
        draft = await self._chain.build(self._signer.address, candidates, effect.round, left_out)
        self._pool.reconsider(draft.refused)
        if voting is self._voting:
            self._enqueue(voting.on_block_built(effect.round, draft.block))

    async def _check(self, voting: TendermintEngine, effect: CheckBlock) -> None:
        checks = self._chain.check(effect.block, effect.round)
        verdict = await self._ask(voting, effect.block, checks)
        if voting is self._voting:
            self._enqueue(voting.on_block_checked(effect.block.hash, verdict))

    async def _judge(self, voting: TendermintEngine, effect: JudgeProposal) -> None:
        verdict = await self._ask(voting, effect.block, self._check_local_facts(effect))
        if voting is self._voting:
            self._enqueue(voting.on_proposal_judged(effect.round, effect.block.hash, verdict))

    async def _check_local_facts(self, effect: JudgeProposal) -> None:
        self._chain.check_clock(effect.block)
        execution = await self._chain.check(effect.block, effect.round)
        await self._audit.check_block(execution.transactions)

    async def _ask(
        self, voting: TendermintEngine, block: Block, checks: Awaitable[object]
    ) -> Verdict:
        """Turn the outcome of some checks into a verdict. A failure of this node says nothing."""
        name = block.hash.hex()[:16]
        try:
            await checks
        except RefusalError as refusal:
            is_unknown = refusal.code in TRANSIENT_CODES
            # What a check finds about a height that was decided meanwhile does not matter.
            if voting is self._voting:
                does = "cannot audit" if is_unknown else "votes against"
                log.warning("%s block %s: %s", does, name, refusal)
            return Verdict.UNKNOWN if is_unknown else Verdict.FOUND_FALSE
        except sqlite3.Error:
            # It ends the node, which could not store a vote either.
            raise
        except Exception:
            # The voting machine waits for an answer, whatever went wrong.
            log.exception("could not check block %s", name)
            return Verdict.UNKNOWN
        return Verdict.VALID

    def _start_timer(self, voting: TendermintEngine, effect: StartTimer) -> None:
        def ring() -> None:
            self._timers.discard(handle)
            if voting is self._voting:
                self._enqueue(voting.on_timeout(effect.timer))

        handle = self._owner.call_later(effect.delay_ms / 1000, ring, "timer")
        self._timers.add(handle)
