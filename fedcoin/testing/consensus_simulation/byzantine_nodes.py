"""Validators that break the protocol, each in one way.

They run a real engine to know what is going on, and lie on the way out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fedcoin.consensus.effects import CastVote, Message, SendProposal
from fedcoin.consensus.height_vote_set import ROUNDS_AHEAD
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.votes import PRECOMMIT, PREVOTE, Proposal
from fedcoin.testing.consensus_simulation.block_application import BlockApplication
from fedcoin.testing.consensus_simulation.packet_network import Packet
from fedcoin.testing.consensus_simulation.simulated_node import SimulatedNode, SimulationEnvironment


class ByzantineNode(SimulatedNode):
    """Remembers which blocks it heard of. What it does is for the subclasses to say."""

    seen: tuple[bytes, ...] = ()

    def receive(self, sender: int, packet: object) -> None:
        """Remember the latest few hashes that were proposed."""
        if isinstance(packet, Proposal) and packet.block_hash not in self.seen:
            self.seen = (*self.seen[-4:], packet.block_hash)
        super().receive(sender, packet)

    def some_peers(self) -> list[int]:
        """Any selection of the others."""
        return [peer for peer in self.peers if self.world.rng.random() < 0.5]

    def any_value(self) -> bytes:
        """A block that was proposed, nil, or one that nobody has ever seen."""
        return self.world.rng.choice((*self.seen, b"", sha256(self.world.rng.randbytes(8))))

    def keep(self, message: Message) -> None:
        """Let the own engine believe that this is what was said."""
        self._take(self.index, message)


class Equivocator(ByzantineNode):
    """Shows one half a block and the other half another, and votes for both."""

    def propose(self, effect: SendProposal) -> None:
        """Two blocks for one round."""
        other_hash, other = self.application.build(effect.round, self.world.clock.now_ms + 1)
        rival = SendProposal(effect.round, -1, other_hash, other)
        first, second = self.sign_proposal(effect), self.sign_proposal(rival)
        self.seen = (*self.seen[-3:], first.block_hash, second.block_hash)
        some = self.some_peers()
        self.say(first, some)
        self.say(second, [peer for peer in self.peers if peer not in some])
        self.keep(first)

    def cast(self, effect: CastVote) -> None:
        """A vote for each block and one for nil, each to somebody."""
        for value in (*self.seen[-2:], b""):
            self.say(self.sign(effect.kind, effect.round, value), self.some_peers())
        self.keep(self.sign(effect.kind, effect.round, effect.block_hash))

    def pass_on(self, message: Message, sender: int) -> None:
        """Relay the others' words only."""
        if message.public_key != self.key.public_key:
            super().pass_on(message, sender)


class Withholder(ByzantineNode):
    """Keeps to the protocol, but tells only some of it, to some."""

    def say(self, message: Message, receivers: Iterable[int]) -> None:
        """Leave out receivers at random."""
        super().say(message, [peer for peer in receivers if self.world.rng.random() < 0.4])


class NilVoter(ByzantineNode):
    """Never proposes and votes for nothing."""

    def propose(self, effect: SendProposal) -> None:
        """Let the turn pass."""

    def cast(self, effect: CastVote) -> None:
        """Nil, whatever the engine wants."""
        self.store(self.sign(effect.kind, effect.round, b""))


class RandomVoter(ByzantineNode):
    """Votes for anything in any round near the present one, and invents valid rounds."""

    def propose(self, effect: SendProposal) -> None:
        """A proposal that may claim a polka, of a block that may be no block."""
        rng = self.world.rng
        raw = effect.raw if rng.random() < 0.5 else rng.randbytes(16)
        claimed = rng.randrange(-1, effect.round) if effect.round else -1
        proposal = self.sign_proposal(SendProposal(effect.round, claimed, sha256(raw), raw))
        self.say(proposal, self.some_peers())
        self.keep(proposal)

    def cast(self, effect: CastVote) -> None:
        """Several votes that have little to do with what is going on."""
        rng = self.world.rng
        for _ in range(3):
            kind = rng.choice((PREVOTE, PRECOMMIT))
            round = max(0, effect.round + rng.randrange(-2, 4))
            self.say(self.sign(kind, round, self.any_value()), self.some_peers())
        self.keep(self.sign(effect.kind, effect.round, effect.block_hash))


class LockSplitter(ByzantineNode):
    """Shows its prevote to one validator alone, so that only that one locks; no precommits."""

    def cast(self, effect: CastVote) -> None:
        """Nil to all but one."""
        vote = self.sign(effect.kind, effect.round, effect.block_hash)
        if effect.kind == PREVOTE:
            lucky = self.world.rng.choice(self.peers)
            self.say(vote, [lucky])
            nil = self.sign(effect.kind, effect.round, b"")
            self.say(nil, [peer for peer in self.peers if peer != lucky])
        self.keep(vote)

    def pass_on(self, message: Message, sender: int) -> None:
        """Relay nothing but the own proposals."""
        if isinstance(message, Proposal):
            super().pass_on(message, sender)

    def say(self, message: Message, receivers: Iterable[int]) -> None:
        """Never repeat anything by the clock: what is said is said once, on purpose."""
        if isinstance(message, Proposal) or message.public_key == self.key.public_key:
            super().say(message, receivers)


class Flooder(ByzantineNode):
    """Sends heaps of votes for blocks that do not exist and rounds that never come."""

    def cast(self, effect: CastVote) -> None:
        """A heap, then the honest vote."""
        rng = self.world.rng
        for _ in range(12):
            kind = rng.choice((PREVOTE, PRECOMMIT))
            far = rng.choice((0, 1, ROUNDS_AHEAD, ROUNDS_AHEAD + 1, 10**6, 2**32 - 2))
            round = min(effect.round + far, 2**32 - 2)
            value = sha256(rng.randbytes(8))
            self.say(self.sign(kind, round, value), self.peers)
        self.keep(self.sign(effect.kind, effect.round, effect.block_hash))


class ForgetfulNode(ByzantineNode):
    """Honest, but on a disk that loses everything, and it crashes a lot."""

    def cast(self, effect: CastVote) -> None:
        """Vote, and forget it now and then."""
        super().cast(effect)
        if self.world.rng.random() < 0.3:
            self.disk.signed.clear()
            self.disk.lock = b""
            self.crash_for(self.world.rng.randrange(500))


class EveryBlockVoter(ByzantineNode):
    """Prevotes and precommits every block that it hears of, whatever it is locked on.

    In its own turn it always has a new block.
    """

    def propose(self, effect: SendProposal) -> None:
        """A new block, though there may be a valid one."""
        block_hash, raw = self.application.build(effect.round, self.world.clock.now_ms)
        super().propose(SendProposal(effect.round, -1, block_hash, raw))

    def receive(self, sender: int, packet: object) -> None:
        """Two votes for each proposal, each to some."""
        super().receive(sender, packet)
        engine = self.engine
        if isinstance(packet, Proposal) and engine and packet.height == engine.height:
            for kind in (PREVOTE, PRECOMMIT):
                vote = self.sign(kind, packet.round, packet.block_hash)
                self.say(vote, self.some_peers())

    def cast(self, effect: CastVote) -> None:
        """No nil is ever heard from it."""
        self.keep(self.sign(effect.kind, effect.round, effect.block_hash))

    def pass_on(self, message: Message, sender: int) -> None:
        """The own proposals go out; votes went out before."""
        if isinstance(message, Proposal):
            super().pass_on(message, sender)


class DecisionSplitter(ByzantineNode):
    """Helps one validator to decide alone, and the others to go on to another block.

    Its precommit for a block goes to a favourite, the others see it precommit nil; in its own
    turn it always has a new block, and it prevotes whatever was proposed.
    """

    def __init__(
        self, index: int, key: KeyPair, application: BlockApplication, world: SimulationEnvironment
    ) -> None:
        super().__init__(index, key, application, world)
        self._favourite = world.rng.choice(self.peers)
        self._told: list[tuple[int, Message]] = []

    def propose(self, effect: SendProposal) -> None:
        """A new block, though there may be a valid one."""
        block_hash, raw = self.application.build(effect.round, self.world.clock.now_ms)
        proposal = self.sign_proposal(SendProposal(effect.round, -1, block_hash, raw))
        self._tell(proposal, self.peers)
        self.keep(proposal)

    def receive(self, sender: int, packet: object) -> None:
        """Answer a proposal with all votes of its round."""
        if isinstance(packet, Proposal) and packet.block_hash not in self.seen:
            self._vote(packet)
        super().receive(sender, packet)

    def cast(self, effect: CastVote) -> None:
        """The engine's votes stay in the house; nil precommits are told to the others."""
        vote = self.sign(effect.kind, effect.round, effect.block_hash)
        if not vote.block_hash:
            self._tell(vote, [peer for peer in self.peers if peer != self._favourite])
        self.keep(vote)

    def say(self, message: Message, receivers: Iterable[int]) -> None:
        """Say again what was said, to whom it was said; of the others' words nothing."""
        told, engine = self._told, self.engine
        self._told = [t for t in told if engine and t[1].height == engine.height][-100:]
        for receiver, said in self._told[-12:]:
            super().say(said, [receiver])

    def _vote(self, proposal: Proposal) -> None:
        if self.engine is None or proposal.height != self.engine.height:
            return
        round, value = proposal.round, proposal.block_hash
        self._tell(self.sign(PREVOTE, round, value), self.peers)
        self._tell(self.sign(PRECOMMIT, round, value), [self._favourite])
        others = [peer for peer in self.peers if peer != self._favourite]
        self._tell(self.sign(PRECOMMIT, round, b""), others)

    def _tell(self, message: Message, receivers: Iterable[int]) -> None:
        for receiver in receivers:
            self._told.append((receiver, message))
            super().say(message, [receiver])


@dataclass(frozen=True, slots=True)
class Whispered:
    """A packet from one face of a two-faced node to the like face of another one."""

    side: int
    packet: Packet


class Face(SimulatedNode):
    """One face of a `TwoFaced`: a correct node that knows half of the correct ones."""

    def __init__(self, whole: TwoFacedNode, side: int, peers: list[int], alike: list[int]) -> None:
        application = whole.world.make_application(whole.index)
        super().__init__(whole.index, whole.key, application, whole.world)
        self.peers = peers
        self._side = side
        self._alike = alike

    def send(self, receiver: int, packet: Packet) -> None:
        """To other two-faced nodes on the quiet."""
        if receiver in self._alike:
            self.world.send(self.index, receiver, Whispered(self._side, packet))
        else:
            super().send(receiver, packet)


class TwoFacedNode(SimulatedNode):
    """Is two correct validators with one key, each of them towards one half of the others.

    The halves are the same for all two-faced nodes of a run, and like faces know each other.
    With a third of the power they can split the chain.
    """

    def __init__(
        self, index: int, key: KeyPair, application: BlockApplication, world: SimulationEnvironment
    ) -> None:
        super().__init__(index, key, application, world)
        alike = [i for i, kind in world.scenario.faulty if kind == "two-faced"]
        correct = [i for i in range(len(world.scenario.powers)) if i not in alike]
        half = len(correct) // 2
        halves = (correct[:half], correct[half:])
        self._faces = [
            Face(self, side, sorted({*some, *alike} - {index}), alike)
            for side, some in enumerate(halves)
        ]
        self.application = self._faces[0].application

    def boot(self) -> None:
        """Both faces come up."""
        for face in self._faces:
            face.boot()

    def crash(self) -> None:
        """Both faces go down."""
        for face in self._faces:
            face.crash()

    def receive(self, sender: int, packet: object) -> None:
        """Each face hears those that it knows."""
        if isinstance(packet, Whispered):
            self._faces[packet.side].receive(sender, packet.packet)
            return
        for face in self._faces:
            if sender in face.peers:
                face.receive(sender, packet)


BYZANTINE_NODES: dict[str, type[SimulatedNode]] = {
    "equivocator": Equivocator,
    "withholder": Withholder,
    "nil-voter": NilVoter,
    "random-voter": RandomVoter,
    "splitter": LockSplitter,
    "flooder": Flooder,
    "forgetful": ForgetfulNode,
    "yes-man": EveryBlockVoter,
    "saboteur": DecisionSplitter,
    "two-faced": TwoFacedNode,
}
"""A class for each of `scenario.KINDS`."""
