"""A validator that acts as two correct validators with one key, each towards half of the nodes."""

from __future__ import annotations

from dataclasses import dataclass

from fedcoin.data.crypto.keys import KeyPair
from fedcoin.testing.consensus_simulation.block_application import BlockApplication
from fedcoin.testing.consensus_simulation.packet_network import Packet
from fedcoin.testing.consensus_simulation.simulated_node import SimulatedNode
from fedcoin.testing.consensus_simulation.simulation_environment import SimulationEnvironment


@dataclass(frozen=True, slots=True)
class _FacePacket:
    """A packet from a face of one two-faced node to the face of another with the same side."""

    side: int
    packet: Packet


class _Face(SimulatedNode):
    """A correct node that knows one half of the correct nodes, and all two-faced nodes."""

    def __init__(self, node: TwoFacedNode, side: int, peers: list[int], two_faced: list[int]):
        application = node.environment.make_application(node.index)
        super().__init__(node.index, node.key, application, node.environment)
        self.peers = peers
        self._side = side
        self._two_faced = two_faced

    def send(self, receiver: int, packet: Packet) -> None:
        """Implement `SimulatedNode.send`: send to the same side of two-faced nodes."""
        if receiver in self._two_faced:
            self.environment.send(self.index, receiver, _FacePacket(self._side, packet))
        else:
            super().send(receiver, packet)


class TwoFacedNode(SimulatedNode):
    """Acts as two correct validators with one key, each towards one half of the correct nodes.

    All two-faced nodes of a run divide the correct nodes into the same halves. The faces that show
    themselves to one half also exchange messages with each other. Two-faced nodes with a third of
    the power can split the chain.
    """

    def __init__(
        self,
        index: int,
        key: KeyPair,
        application: BlockApplication,
        environment: SimulationEnvironment,
    ) -> None:
        """Make a node as `SimulatedNode` does, with its two faces.

        Args:
            index: The node's index in the scenario.
            key: The node's validator key.
            application: Replaced by that of its first face.
            environment: The simulation that the node is part of.
        """
        super().__init__(index, key, application, environment)
        scenario = environment.scenario
        two_faced = [i for i, kind in scenario.faulty if kind == "two-faced"]
        correct = [i for i in range(len(scenario.powers)) if i not in two_faced]
        half = len(correct) // 2
        self._faces = [
            _Face(self, side, sorted({*group, *two_faced} - {index}), two_faced)
            for side, group in enumerate((correct[:half], correct[half:]))
        ]
        self.application = self._faces[0].application

    def start(self) -> None:
        """Start both of the validators that this node pretends to be."""
        for face in self._faces:
            face.start()

    def crash(self) -> None:
        """Crash both of the validators that this node pretends to be."""
        for face in self._faces:
            face.crash()

    def receive(self, sender: int, packet: object) -> None:
        """Implement `SimulatedNode.receive`: give a packet to the faces that know its sender."""
        if isinstance(packet, _FacePacket):
            self._faces[packet.side].receive(sender, packet.packet)
            return
        for face in self._faces:
            if sender in face.peers:
                face.receive(sender, packet)
