"""A node that keeps to the protocol: it drives one engine after the other, as a real one does.

What it signs is on its disk before anybody hears of it. A crash takes everything else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from fedcoin.consensus.certificates import verify_certificate
from fedcoin.consensus.effects import (
    BuildBlock,
    CastVote,
    CheckBlock,
    Decide,
    Effect,
    Equivocation,
    ForwardMessage,
    Message,
    SendProposal,
    StartTimer,
)
from fedcoin.consensus.lock_record import decode_lock
from fedcoin.consensus.tendermint_engine import TendermintEngine
from fedcoin.consensus.timers import Timeouts
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.votes import Proposal, Vote, sign_proposal, sign_vote
from fedcoin.testing.consensus_simulation.block_application import BlockApplication
from fedcoin.testing.consensus_simulation.packet_network import (
    FinalBlock,
    HeightAnnouncement,
    Packet,
    VirtualClock,
)
from fedcoin.testing.consensus_simulation.scenario import Scenario

CHAIN_ID = "simulation"

_MOMENT_MS = 40
"""How long building or checking a block may take."""

_MOST_EARLY = 64
"""How many messages for the next height wait until this one is decided."""


class SimulationEnvironment(Protocol):
    """What is around a node."""

    @property
    def scenario(self) -> Scenario:
        """What goes wrong."""

    @property
    def clock(self) -> VirtualClock:
        """The time."""

    @property
    def rng(self) -> Random:
        """The only randomness."""

    def send(self, sender: int, receiver: int, packet: object) -> None:
        """Send a packet."""

    def make_application(self, index: int) -> BlockApplication:
        """A new application for a node, at height 0."""

    def is_calm(self) -> bool:
        """Do messages flow, and does nobody crash any more?"""

    def note_signed(self, index: int, message: Message) -> None:
        """A node signed this."""

    def note_final(self, index: int, final: FinalBlock) -> None:
        """A node took this for final."""

    def note_equivocation(self, index: int, effect: Equivocation) -> None:
        """A node has caught another one."""


@dataclass(slots=True)
class SimulatedDisk:
    """What survives a crash: own messages and the lock of this height, and final blocks."""

    signed: list[Message] = field(default_factory=list)
    lock: bytes = b""
    finals: list[FinalBlock] = field(default_factory=list)


class SimulatedNode:
    """One validator. Subclasses break the protocol."""

    def __init__(
        self, index: int, key: KeyPair, application: BlockApplication, world: SimulationEnvironment
    ) -> None:
        self.index = index
        self.key = key
        self.application = application
        self.world = world
        self.disk = SimulatedDisk()
        self.peers = [i for i in range(len(world.scenario.powers)) if i != index]
        self.engine: TendermintEngine | None = None
        self._lives = 0
        self._early: list[tuple[int, Message]] = []

    # Life and death.

    def boot(self) -> None:
        """Come up, for the first time or after a crash."""
        if self.engine is None:
            self._lives += 1
            self._begin_height()
            self._tick(self._lives)

    def crash(self) -> None:
        """Lose everything but the disk."""
        self.engine = None
        self._early.clear()

    def crash_for(self, down_ms: int) -> None:
        """Crash, and come up again after a while."""
        self.crash()
        self.world.clock.after(down_ms, self.boot)

    def _begin_height(self) -> None:
        application, scenario = self.application, self.world.scenario
        self.engine = TendermintEngine(
            application.height() + 1,
            application.validators(),
            application.proposer,
            self.key.public_key,
            Timeouts(scenario.propose_ms, scenario.vote_ms),
            self.disk.signed,
            decode_lock(self.disk.lock, CHAIN_ID) if self.disk.lock else None,
        )

    def _tick(self, life: int) -> None:
        """Every now and then: say everything again, and where this node stands."""
        if self.engine is None or life != self._lives:
            return
        self._start_if_wanted()
        if self.engine is not None and life == self._lives:
            for message in self.engine.messages():
                self.say(message, self.peers)
            for peer in self.peers:
                self.send(peer, HeightAnnouncement(self.engine.height))
        delay = self.world.scenario.resend_ms
        self.world.clock.after(
            delay // 2 + self.world.rng.randrange(delay), lambda: self._tick(life)
        )

    def _start_if_wanted(self) -> None:
        engine = self.engine
        if engine is None or engine.is_started:
            return
        if engine.is_under_way or self.application.wants_block(self.world.clock.now_ms):
            self._carry_out(engine.start(), self.index)

    # What comes in.

    def receive(self, sender: int, packet: object) -> None:
        """Take a packet from the network; anything but a `Packet` means nothing."""
        if self.engine is None:
            return
        if isinstance(packet, HeightAnnouncement):
            for final in self.disk.finals[packet.height - 1 :]:
                self.send(sender, final)
        elif isinstance(packet, FinalBlock):
            self._take_final(packet)
        elif isinstance(packet, (Proposal, Vote)):
            self._take(sender, packet)

    def _take(self, sender: int, message: Message) -> None:
        engine = self.engine
        if engine is None:
            return
        if message.height == engine.height + 1 and len(self._early) < _MOST_EARLY:
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
        self._start_if_wanted()

    def _take_final(self, final: FinalBlock) -> None:
        if self.engine is None or final.height != self.engine.height:
            return
        validators = self.application.validators()
        verify_certificate(final.certificate, validators, CHAIN_ID, final.height, final.block_hash)
        self._adopt(final)

    # What the engine asks for.

    def _carry_out(self, effects: Iterable[Effect], sender: int) -> None:
        engine = self.engine
        for effect in effects:
            if engine is None or engine is not self.engine:
                return  # it crashed, or the height is over
            if isinstance(effect, ForwardMessage):
                self.pass_on(effect.message, sender)
            elif isinstance(effect, CastVote):
                self.cast(effect)
            elif isinstance(effect, SendProposal):
                self.propose(effect)
            elif isinstance(effect, Decide):
                self._adopt(
                    FinalBlock(engine.height, effect.block_hash, effect.raw, effect.certificate)
                )
            elif isinstance(effect, Equivocation):
                self.world.note_equivocation(self.index, effect)
            else:
                self._answer_later(engine, effect)

    def _answer_later(
        self, engine: TendermintEngine, effect: BuildBlock | CheckBlock | StartTimer
    ) -> None:
        """Timers take their time; building and checking take a moment."""

        def answer() -> None:
            if engine is not self.engine:
                return
            now = self.world.clock.now_ms
            if isinstance(effect, StartTimer):
                effects = engine.on_timeout(effect.timer)
            elif isinstance(effect, BuildBlock):
                block_hash, raw = self.application.build(effect.round, now)
                effects = engine.on_block_built(effect.round, block_hash, raw)
            else:
                ok = self.application.check(effect.raw, now)
                effects = engine.on_block_checked(effect.block_hash, ok)
            self._carry_out(effects, self.index)

        moment = 1 + self.world.rng.randrange(_MOMENT_MS)
        delay = effect.delay_ms if isinstance(effect, StartTimer) else moment
        self.world.clock.after(delay, answer)

    def _adopt(self, final: FinalBlock) -> None:
        self.world.note_final(self.index, final)
        self.application.adopt(final.raw, final.certificate)
        self.disk.finals.append(final)
        self.disk.signed.clear()
        self.disk.lock = b""
        early, self._early = self._early, []
        self._begin_height()
        pause = self.world.rng.randrange(100)
        self.world.clock.after(pause, self._start_if_wanted)
        for sender, message in early:
            self._take(sender, message)

    # What a subclass may do otherwise.

    def cast(self, effect: CastVote) -> None:
        """Sign and store a vote, then count it."""
        vote = self.sign(effect.kind, effect.round, effect.block_hash)
        if effect.lock:
            self.disk.lock = effect.lock
        self.store(vote)

    def propose(self, effect: SendProposal) -> None:
        """Sign and store a proposal, then take it in."""
        self.store(self.sign_proposal(effect))

    def pass_on(self, message: Message, sender: int) -> None:
        """Send to all what is the own word, and other's words when nodes relay."""
        if message.public_key == self.key.public_key or self.world.scenario.relay:
            self.say(message, [peer for peer in self.peers if peer != sender])

    def say(self, message: Message, receivers: Iterable[int]) -> None:
        """Send a message."""
        for receiver in receivers:
            self.send(receiver, message)

    def send(self, receiver: int, packet: Packet) -> None:
        """Send anything."""
        self.world.send(self.index, receiver, packet)

    # Tools.

    def sign(self, kind: int, round: int, value: bytes) -> Vote:
        """Sign a vote for this height."""
        assert self.engine is not None, "only a living node signs"
        return sign_vote(kind, self.engine.height, round, value, self.key, CHAIN_ID)

    def sign_proposal(self, effect: SendProposal) -> Proposal:
        """Sign a proposal for this height."""
        assert self.engine is not None, "only a living node signs"
        return sign_proposal(
            self.engine.height,
            effect.round,
            effect.valid_round,
            effect.block_hash,
            effect.raw,
            self.key,
            CHAIN_ID,
        )

    def store(self, message: Message) -> None:
        """Write an own message to disk; it may be the last thing that this life does."""
        self.world.note_signed(self.index, message)
        self.disk.signed.append(message)
        world = self.world
        if not world.is_calm() and world.rng.random() < world.scenario.crash_chance:
            self.crash_for(world.rng.randrange(1_000))
        else:
            self._take(self.index, message)
