"""A simulated validator that keeps to the protocol."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from fedcoin.consensus.certificates import verify_certificate
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
from fedcoin.consensus.lock_record import LockRecord, decode_lock
from fedcoin.consensus.tendermint_engine import TendermintEngine
from fedcoin.consensus.timers import Timeouts
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.votes import PREVOTE, Proposal, Vote, sign_proposal, sign_vote
from fedcoin.testing.consensus_simulation.block_application import BlockApplication
from fedcoin.testing.consensus_simulation.packet_network import (
    FinalBlock,
    HeightAnnouncement,
    Packet,
)
from fedcoin.testing.consensus_simulation.simulation_environment import SimulationEnvironment

_MAX_WORK_MS = 40
"""How long building or checking a block may take, in virtual ms."""

_MAX_EARLY_MESSAGES = 64
"""How many messages for the next height are kept until this height is decided."""


@dataclass(slots=True)
class SimulatedDisk:
    """The data of a simulated node that survive a crash."""

    # The node's own messages of the height that it is deciding.
    signed: list[Message] = field(default_factory=list)
    # The encoded lock of this height; empty without one.
    lock: bytes = b""
    # All final blocks, in the order of their heights.
    final_blocks: list[FinalBlock] = field(default_factory=list)


class SimulatedNode:
    """A correct validator: it drives one engine for each height, as a real node does.

    It stores what it signs before it sends it. A crash loses everything else. Subclasses break the
    protocol.
    """

    def __init__(
        self,
        index: int,
        key: KeyPair,
        application: BlockApplication,
        environment: SimulationEnvironment,
    ) -> None:
        """Make a node that has not started yet.

        Args:
            index: The node's index in the scenario.
            key: The node's validator key.
            application: The node's ledger, which builds and checks blocks.
            environment: The simulation that the node is part of.
        """
        self.index = index
        self.key = key
        self.application = application
        self.environment = environment
        self.disk = SimulatedDisk()
        self.peers = [i for i in range(len(environment.scenario.powers)) if i != index]
        # None while the node is down.
        self.engine: TendermintEngine | None = None
        self._num_starts = 0
        self._early: list[tuple[int, Message]] = []

    # Starting and crashing.

    def start(self) -> None:
        """Start, for the first time or after a crash; do nothing if the node is up."""
        if self.engine is None:
            self._num_starts += 1
            self._begin_height()
            self._resend(self._num_starts)

    def crash(self) -> None:
        """Lose everything but the disk."""
        self.engine = None
        self._early.clear()

    def crash_for(self, down_ms: int) -> None:
        """Crash, and start again later.

        Args:
            down_ms: How long the node is down, in virtual ms.
        """
        self.crash()
        self.environment.clock.schedule(down_ms, self.start)

    def _begin_height(self) -> None:
        application, scenario = self.application, self.environment.scenario
        self.engine = TendermintEngine(
            application.height() + 1,
            application.validators(),
            application.proposer,
            self.key.public_key,
            Timeouts(scenario.propose_ms, scenario.vote_ms),
            self.disk.signed,
            self._decode_lock(),
        )

    def _decode_lock(self) -> LockRecord | None:
        if not self.disk.lock:
            return None
        return decode_lock(self.disk.lock, self.environment.genesis_hash, self.application.decode)

    def _resend(self, start: int) -> None:
        """Send all messages and this node's height again at random intervals, until it crashes."""
        if self.engine is None or start != self._num_starts:
            return
        self._start_engine()
        if self.engine is not None and start == self._num_starts:
            for message in self.engine.messages():
                self.send_message(message, self.peers)
            for peer in self.peers:
                self.send(peer, HeightAnnouncement(self.engine.height))
        delay = self.environment.scenario.resend_ms
        self.environment.clock.schedule(
            delay // 2 + self.environment.rng.randrange(delay), lambda: self._resend(start)
        )

    def _start_engine(self) -> None:
        """Start the engine if another node began the height, or there is something to decide."""
        engine = self.engine
        if engine is None or engine.is_started:
            return
        now_ms = self.environment.clock.now_ms
        if engine.is_under_way or self.application.wants_block(now_ms):
            self._carry_out(engine.start(), self.index)

    # What the node receives.

    def receive(self, sender: int, packet: object) -> None:
        """Handle a packet from the network.

        Args:
            sender: The sender's index.
            packet: A `Packet`; anything else is ignored.
        """
        if self.engine is None:
            return
        if isinstance(packet, HeightAnnouncement):
            for final in self.disk.final_blocks[packet.height - 1 :]:
                self.send(sender, final)
        elif isinstance(packet, FinalBlock):
            self._receive_final(packet)
        elif isinstance(packet, (Proposal, Vote)):
            self.handle_message(sender, packet)

    def handle_message(self, sender: int, message: Message) -> None:
        """Give a proposal or vote to the engine, and carry out what the engine asks for.

        Args:
            sender: The index of the node that sent it; this node's own for its own messages.
            message: A message of any height; one of the next height is kept until then.
        """
        engine = self.engine
        if engine is None:
            return
        if message.height == engine.height + 1 and len(self._early) < _MAX_EARLY_MESSAGES:
            self._early.append((sender, message))
        if message.height != engine.height:
            return
        try:
            if isinstance(message, Proposal):
                effects = engine.on_proposal(message)
            else:
                effects = engine.on_vote(message)
        except RefusalError:
            return
        self._carry_out(effects, sender)
        self._start_engine()

    def _receive_final(self, final: FinalBlock) -> None:
        if self.engine is None or final.height != self.engine.height:
            return
        validators = self.application.validators()
        round = verify_certificate(
            final.certificate,
            validators,
            self.environment.genesis_hash,
            final.height,
            final.block.hash,
        )
        self._adopt(final, round)

    # What the engine asks for.

    def _carry_out(self, effects: Iterable[Effect], sender: int) -> None:
        engine = self.engine
        for effect in effects:
            if engine is None or engine is not self.engine:
                return  # the node crashed, or the height is decided
            if isinstance(effect, ForwardMessage):
                self.forward(effect.message, sender)
            elif isinstance(effect, CastVote):
                self.cast(effect)
            elif isinstance(effect, SendProposal):
                self.propose(effect)
            elif isinstance(effect, Decide):
                final = FinalBlock(engine.height, effect.block, effect.certificate)
                self._adopt(final, effect.round)
            elif isinstance(effect, Equivocation):
                self.environment.note_equivocation(self.index, effect)
            else:
                self._answer_later(engine, effect)

    def _answer_later(
        self,
        engine: TendermintEngine,
        effect: BuildBlock | CheckBlock | JudgeProposal | StartTimer,
    ) -> None:
        """Answer the engine after a timer's delay, or after the time that the work takes."""

        def answer() -> None:
            if engine is not self.engine:
                return
            now = self.environment.clock.now_ms
            if isinstance(effect, StartTimer):
                effects = engine.on_timeout(effect.timer)
            elif isinstance(effect, BuildBlock):
                block = self.application.build(effect.round, now, effect.failed)
                effects = engine.on_block_built(effect.round, block)
            elif isinstance(effect, JudgeProposal):
                verdict = self.application.judge(effect.block, now)
                effects = engine.on_proposal_judged(effect.round, effect.block.hash, verdict)
            else:
                is_valid = self.application.check(effect.block, effect.round)
                verdict = Verdict.VALID if is_valid else Verdict.FOUND_FALSE
                effects = engine.on_block_checked(effect.block.hash, verdict)
            self._carry_out(effects, self.index)

        work_ms = 1 + self.environment.rng.randrange(_MAX_WORK_MS)
        if isinstance(effect, JudgeProposal) and len(effect.block.transactions) > 1:
            audit_ms = self.environment.scenario.facts_of(self.index).audit_ms
            work_ms += self.environment.rng.randrange(audit_ms + 1)
        delay = effect.delay_ms if isinstance(effect, StartTimer) else work_ms
        self.environment.clock.schedule(delay, answer)

    def _adopt(self, final: FinalBlock, round: int) -> None:
        if not self.application.check(final.block, round):
            self.environment.note_refused_final(self.index, final)
            self.crash()
            return
        self.environment.note_final(self.index, final)
        self.application.adopt(final.block, final.certificate)
        self.disk.final_blocks.append(final)
        self.disk.signed.clear()
        self.disk.lock = b""
        early, self._early = self._early, []
        self._begin_height()
        pause = self.environment.rng.randrange(100)
        self.environment.clock.schedule(pause, self._start_engine)
        for sender, message in early:
            self.handle_message(sender, message)

    # What subclasses do differently.

    def cast(self, effect: CastVote) -> None:
        """Sign and store a vote, then count it.

        Args:
            effect: The vote, and the lock to store with it.
        """
        vote = self.sign(effect.kind, effect.round, effect.block_hash, audited=effect.audited)
        if effect.lock:
            self.disk.lock = effect.lock
        self.store(vote)

    def propose(self, effect: SendProposal) -> None:
        """Sign and store a proposal, then handle it as the others will.

        Args:
            effect: The engine's request, with the block to propose.
        """
        for prevote in effect.polka:
            self.send_message(prevote, self.peers)
        self.store(self.sign_proposal(effect))

    def forward(self, message: Message, sender: int) -> None:
        """Send an accepted message to all peers: an own one, and any if nodes relay.

        Args:
            message: A proposal or vote that the engine accepted.
            sender: The index of the node that it came from.
        """
        if message.public_key == self.key.public_key or self.environment.scenario.relay:
            self.send_message(message, [peer for peer in self.peers if peer != sender])

    def send_message(self, message: Message, receivers: Iterable[int]) -> None:
        """Send a proposal or vote.

        Args:
            message: A signed proposal or vote.
            receivers: The receivers' indices.
        """
        for receiver in receivers:
            self.send(receiver, message)

    def send(self, receiver: int, packet: Packet) -> None:
        """Send a packet.

        Args:
            receiver: The receiver's index.
            packet: What the receiver gets.
        """
        self.environment.send(self.index, receiver, packet)

    # Tools of the node and its subclasses.

    def sign(self, kind: int, round: int, value: bytes, *, audited: bool = True) -> Vote:
        """Sign a vote for the height that is being decided.

        Args:
            kind: PREVOTE or PRECOMMIT.
            round: The round, from 0.
            value: A block's hash, 32 bytes, or empty for nil.
            audited: What the vote says if it is a prevote for a block.

        Returns:
            The signed vote, which is not stored yet.
        """
        assert self.engine is not None, "a node signs only while it is up"
        return sign_vote(
            kind,
            self.engine.height,
            round,
            value,
            self.key,
            self.environment.genesis_hash,
            audited=audited and kind == PREVOTE and value != b"",
        )

    def sign_proposal(self, effect: SendProposal) -> Proposal:
        """Sign a proposal for the height that is being decided.

        Args:
            effect: The engine's request, with the block to propose.

        Returns:
            The signed proposal, which is not stored yet.
        """
        assert self.engine is not None, "a node signs only while it is up"
        return sign_proposal(
            self.engine.height,
            effect.round,
            effect.valid_round,
            effect.block,
            self.key,
            self.environment.genesis_hash,
        )

    def store(self, message: Message) -> None:
        """Write an own message to disk, then handle it; or crash right after the write.

        Args:
            message: A proposal or vote that this node signed.
        """
        environment = self.environment
        environment.note_signed(self.index, message)
        self.disk.signed.append(message)
        chance = environment.scenario.crash_chance
        if not environment.is_calm() and environment.rng.random() < chance:
            self.crash_for(environment.rng.randrange(1_000))
        else:
            self.handle_message(self.index, message)
