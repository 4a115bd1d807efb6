"""Validators that break the protocol, each in one way.

Each runs a real engine, so that it knows the height and round, and sends something else than the
engine asks for. Randomness comes from the simulation alone.
"""

from __future__ import annotations

from collections.abc import Iterable

from fedcoin.consensus.effects import CastVote, Message, SendProposal
from fedcoin.consensus.height_vote_set import ROUNDS_AHEAD
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.blocks import build_block
from fedcoin.data.messages.votes import PRECOMMIT, PREVOTE, Proposal
from fedcoin.testing.consensus_simulation.block_application import (
    BlockApplication,
    SimulatedLedger,
    opaque_block,
)
from fedcoin.testing.consensus_simulation.local_facts import FORGED, make_claim
from fedcoin.testing.consensus_simulation.simulated_node import SimulatedNode
from fedcoin.testing.consensus_simulation.simulation_environment import SimulationEnvironment
from fedcoin.testing.consensus_simulation.two_faced_node import TwoFacedNode
from fedcoin.v1.block_pb2 import BlockHeader

_MAX_ROUND = 2**32 - 2


class ByzantineNode(SimulatedNode):
    """A node that remembers the latest proposed blocks. Subclasses decide what it sends."""

    # Hashes of the latest proposed blocks, at most five.
    proposed: tuple[bytes, ...] = ()

    def receive(self, sender: int, packet: object) -> None:
        """Implement `SimulatedNode.receive`: remember the latest proposed blocks."""
        if isinstance(packet, Proposal) and packet.block_hash not in self.proposed:
            self.proposed = (*self.proposed[-4:], packet.block_hash)
        super().receive(sender, packet)

    def choose_peers(self) -> list[int]:
        """Choose each peer with a probability of one half."""
        return [peer for peer in self.peers if self.environment.rng.random() < 0.5]

    def choose_value(self) -> bytes:
        """Choose a proposed block, nil, or the hash of a block that does not exist."""
        rng = self.environment.rng
        return rng.choice((*self.proposed, b"", sha256(rng.randbytes(8))))

    def count_own(self, message: Message) -> None:
        """Give the node's own engine one of its messages.

        The engine thus never sees the contradicting messages that the node sent to others.

        Args:
            message: A proposal or vote that this node signed.
        """
        self.handle_message(self.index, message)


class Equivocator(ByzantineNode):
    """Proposes two blocks, each to some peers, and votes for both."""

    def propose(self, effect: SendProposal) -> None:
        """Implement `SimulatedNode.propose`: propose two blocks in one round."""
        now_ms = self.environment.clock.now_ms
        second_block = self.application.build(effect.round, now_ms + 1)
        first = self.sign_proposal(effect)
        second = self.sign_proposal(SendProposal(effect.round, -1, second_block))
        self.proposed = (*self.proposed[-3:], first.block_hash, second.block_hash)
        group = self.choose_peers()
        self.send_message(first, group)
        self.send_message(second, [peer for peer in self.peers if peer not in group])
        self.count_own(first)

    def cast(self, effect: CastVote) -> None:
        """Implement `SimulatedNode.cast`: vote for two blocks and for nil, each to some peers."""
        for value in (*self.proposed[-2:], b""):
            self.send_message(self.sign(effect.kind, effect.round, value), self.choose_peers())
        self.count_own(self.sign(effect.kind, effect.round, effect.block_hash))

    def forward(self, message: Message, sender: int) -> None:
        """Implement `SimulatedNode.forward`: forward other nodes' messages only."""
        if message.public_key != self.key.public_key:
            super().forward(message, sender)


class Withholder(ByzantineNode):
    """Keeps to the protocol, but sends each message to some peers only."""

    def send_message(self, message: Message, receivers: Iterable[int]) -> None:
        """Implement `SimulatedNode.send_message`: leave receivers out at random."""
        rng = self.environment.rng
        super().send_message(message, [peer for peer in receivers if rng.random() < 0.4])


class NilVoter(ByzantineNode):
    """Never proposes, and votes for nil always."""

    def propose(self, effect: SendProposal) -> None:
        """Implement `SimulatedNode.propose`: do nothing."""

    def cast(self, effect: CastVote) -> None:
        """Implement `SimulatedNode.cast`: vote for nil."""
        self.store(self.sign(effect.kind, effect.round, b""))


class RandomVoter(ByzantineNode):
    """Votes for random blocks in rounds near the present one; claims polkas that do not exist."""

    def propose(self, effect: SendProposal) -> None:
        """Implement `SimulatedNode.propose`: propose a random block with a random valid round."""
        rng = self.environment.rng
        block = (
            effect.block if rng.random() < 0.5 else opaque_block(rng.randbytes(16), effect.round)
        )
        valid_round = rng.randrange(-1, effect.round) if effect.round else -1
        proposal = self.sign_proposal(SendProposal(effect.round, valid_round, block))
        self.send_message(proposal, self.choose_peers())
        self.count_own(proposal)

    def cast(self, effect: CastVote) -> None:
        """Implement `SimulatedNode.cast`: send three random votes."""
        rng = self.environment.rng
        for _ in range(3):
            kind = rng.choice((PREVOTE, PRECOMMIT))
            round = max(0, effect.round + rng.randrange(-2, 4))
            self.send_message(self.sign(kind, round, self.choose_value()), self.choose_peers())
        self.count_own(self.sign(effect.kind, effect.round, effect.block_hash))


class LockSplitter(ByzantineNode):
    """Sends a prevote to one validator alone, so that only this one locks; sends no precommits."""

    def cast(self, effect: CastVote) -> None:
        """Implement `SimulatedNode.cast`: prevote to one peer, and nil to all others."""
        vote = self.sign(effect.kind, effect.round, effect.block_hash)
        if effect.kind == PREVOTE:
            chosen = self.environment.rng.choice(self.peers)
            self.send_message(vote, [chosen])
            nil = self.sign(effect.kind, effect.round, b"")
            self.send_message(nil, [peer for peer in self.peers if peer != chosen])
        self.count_own(vote)

    def forward(self, message: Message, sender: int) -> None:
        """Implement `SimulatedNode.forward`: forward proposals only."""
        if isinstance(message, Proposal):
            super().forward(message, sender)

    def send_message(self, message: Message, receivers: Iterable[int]) -> None:
        """Implement `SimulatedNode.send_message`: do not repeat other nodes' votes."""
        if isinstance(message, Proposal) or message.public_key == self.key.public_key:
            super().send_message(message, receivers)


class Flooder(ByzantineNode):
    """Sends many votes for blocks that do not exist and for rounds that are far away."""

    def cast(self, effect: CastVote) -> None:
        """Implement `SimulatedNode.cast`: send twelve useless votes to each peer."""
        rng = self.environment.rng
        for _ in range(12):
            kind = rng.choice((PREVOTE, PRECOMMIT))
            ahead = rng.choice((0, 1, ROUNDS_AHEAD, ROUNDS_AHEAD + 1, 10**6, _MAX_ROUND))
            round = min(effect.round + ahead, _MAX_ROUND)
            value = sha256(rng.randbytes(8))
            self.send_message(self.sign(kind, round, value), self.peers)
        self.count_own(self.sign(effect.kind, effect.round, effect.block_hash))


class ForgetfulNode(ByzantineNode):
    """Keeps to the protocol on a disk that loses everything, and crashes often."""

    def cast(self, effect: CastVote) -> None:
        """Implement `SimulatedNode.cast`: vote, and sometimes lose the disk and crash."""
        super().cast(effect)
        if self.environment.rng.random() < 0.3:
            self.disk.signed.clear()
            self.disk.lock = b""
            self.crash_for(self.environment.rng.randrange(500))


class EveryBlockVoter(ByzantineNode):
    """Prevotes and precommits every proposed block, whatever the lock; proposes new ones only."""

    def propose(self, effect: SendProposal) -> None:
        """Implement `SimulatedNode.propose`: propose a new block, even if there is a valid one."""
        block = self.application.build(effect.round, self.environment.clock.now_ms)
        super().propose(SendProposal(effect.round, -1, block))

    def receive(self, sender: int, packet: object) -> None:
        """Implement `SimulatedNode.receive`: prevote and precommit each proposal to some peers."""
        super().receive(sender, packet)
        engine = self.engine
        if isinstance(packet, Proposal) and engine and packet.height == engine.height:
            for kind in (PREVOTE, PRECOMMIT):
                vote = self.sign(kind, packet.round, packet.block_hash)
                self.send_message(vote, self.choose_peers())

    def cast(self, effect: CastVote) -> None:
        """Implement `SimulatedNode.cast`: send nothing, so that no peer receives a vote for nil."""
        self.count_own(self.sign(effect.kind, effect.round, effect.block_hash))

    def forward(self, message: Message, sender: int) -> None:
        """Implement `SimulatedNode.forward`: forward proposals only."""
        if isinstance(message, Proposal):
            super().forward(message, sender)


class DecisionSplitter(ByzantineNode):
    """Helps one validator to decide alone, and the others to go on to another block.

    Its precommit for a block goes to one validator, and the others receive a precommit for nil. It
    prevotes every proposed block, and always proposes a new one.
    """

    def __init__(
        self,
        index: int,
        key: KeyPair,
        application: BlockApplication,
        environment: SimulationEnvironment,
    ) -> None:
        """Make a node as `SimulatedNode` does, and choose the validator that it helps.

        Args:
            index: The node's index in the scenario.
            key: The node's validator key.
            application: The node's ledger, which builds and checks blocks.
            environment: The simulation that the node is part of.
        """
        super().__init__(index, key, application, environment)
        self._helped = environment.rng.choice(self.peers)
        # What was sent to whom, by the receivers' indices.
        self._sent: list[tuple[int, Message]] = []

    def propose(self, effect: SendProposal) -> None:
        """Implement `SimulatedNode.propose`: propose a new block, even if there is a valid one."""
        block = self.application.build(effect.round, self.environment.clock.now_ms)
        proposal = self.sign_proposal(SendProposal(effect.round, -1, block))
        self._send_and_remember(proposal, self.peers)
        self.count_own(proposal)

    def receive(self, sender: int, packet: object) -> None:
        """Implement `SimulatedNode.receive`: answer each proposal with all votes of its round."""
        if isinstance(packet, Proposal) and packet.block_hash not in self.proposed:
            self._vote(packet)
        super().receive(sender, packet)

    def cast(self, effect: CastVote) -> None:
        """Implement `SimulatedNode.cast`: send votes for nil, to all but the helped validator."""
        vote = self.sign(effect.kind, effect.round, effect.block_hash)
        if not vote.block_hash:
            self._send_and_remember(vote, self._others())
        self.count_own(vote)

    def send_message(self, message: Message, receivers: Iterable[int]) -> None:
        """Implement `SimulatedNode.send_message`: repeat what was sent to each receiver before."""
        sent, engine = self._sent, self.engine
        self._sent = [s for s in sent if engine and s[1].height == engine.height][-100:]
        for receiver, previous in self._sent[-12:]:
            super().send_message(previous, [receiver])

    def _others(self) -> list[int]:
        return [peer for peer in self.peers if peer != self._helped]

    def _vote(self, proposal: Proposal) -> None:
        if self.engine is None or proposal.height != self.engine.height:
            return
        round, value = proposal.round, proposal.block_hash
        self._send_and_remember(self.sign(PREVOTE, round, value), self.peers)
        self._send_and_remember(self.sign(PRECOMMIT, round, value), [self._helped])
        self._send_and_remember(self.sign(PRECOMMIT, round, b""), self._others())

    def _send_and_remember(self, message: Message, receivers: Iterable[int]) -> None:
        for receiver in receivers:
            self._sent.append((receiver, message))
            super().send_message(message, [receiver])


class MisnamingProposer(ByzantineNode):
    """Proposes blocks that name a wrong proposer or a wrong round; votes for them as if valid."""

    def propose(self, effect: SendProposal) -> None:
        """Implement `SimulatedNode.propose`: change proposer or round of a new block."""
        if effect.valid_round >= 0:
            super().propose(effect)
            return
        rng, validators = self.environment.rng, self.application.validators()
        header = BlockHeader.FromString(effect.block.header_bytes)
        if rng.random() < 0.7:
            header.proposer = rng.choice(validators.members).address
        else:
            header.round = max(0, effect.round + rng.choice((-1, 1, 2)))
            if rng.random() < 0.5:
                header.proposer = self.application.proposer(header.round).address
        misnamed = build_block(header, b"", effect.block.transactions)
        proposal = self.sign_proposal(SendProposal(effect.round, -1, misnamed))
        self.send_message(proposal, self.peers)
        for kind in (PREVOTE, PRECOMMIT):
            vote = self.sign(kind, effect.round, misnamed.hash)
            self.send_message(vote, self.peers)
            self.count_own(vote)


class Forger(ByzantineNode):
    """Proposes forged claims, and says of every block that it was audited."""

    def propose(self, effect: SendProposal) -> None:
        """Implement `SimulatedNode.propose`: put a forged claim into a new block."""
        if effect.valid_round < 0 and isinstance(self.application, SimulatedLedger):
            claims = [*effect.block.transactions[1:], make_claim(FORGED, 1_000)]
            now_ms = self.environment.clock.now_ms
            block = self.application.build_with(effect.round, now_ms, claims)
            effect = SendProposal(effect.round, -1, block)
        proposal = self.sign_proposal(effect)
        self.send_message(proposal, self.peers)
        self.count_own(proposal)

    def cast(self, effect: CastVote) -> None:
        """Implement `SimulatedNode.cast`: vote for the latest proposed block."""
        value = self.proposed[-1] if self.proposed else effect.block_hash
        for vote in (self.sign(kind, effect.round, value) for kind in (PREVOTE, PRECOMMIT)):
            self.send_message(vote, self.peers)
        self.count_own(self.sign(effect.kind, effect.round, effect.block_hash))


class AuditSplitter(ByzantineNode):
    """Says to some peers that a block was audited, and to the others that it was not."""

    def cast(self, effect: CastVote) -> None:
        """Implement `SimulatedNode.cast`: send two versions of a prevote for a block."""
        if effect.kind != PREVOTE or not effect.block_hash:
            super().cast(effect)
            return
        group = self.choose_peers()
        audited, unaudited = (
            self.sign(effect.kind, effect.round, effect.block_hash, audited=is_audited)
            for is_audited in (True, False)
        )
        self.send_message(audited, group)
        self.send_message(unaudited, [peer for peer in self.peers if peer not in group])
        self.count_own(unaudited)

    def forward(self, message: Message, sender: int) -> None:
        """Implement `SimulatedNode.forward`: forward other nodes' messages only."""
        if message.public_key != self.key.public_key:
            super().forward(message, sender)


BYZANTINE_NODES: dict[str, type[SimulatedNode]] = {
    "equivocator": Equivocator,
    "withholder": Withholder,
    "nil-voter": NilVoter,
    "random-voter": RandomVoter,
    "lock-splitter": LockSplitter,
    "flooder": Flooder,
    "forgetful": ForgetfulNode,
    "every-block-voter": EveryBlockVoter,
    "decision-splitter": DecisionSplitter,
    "two-faced": TwoFacedNode,
    "misnaming-proposer": MisnamingProposer,
    "forger": Forger,
    "audit-splitter": AuditSplitter,
}
"""The class of each of `scenario.FAULT_KINDS`."""
