"""The interface of the simulation to its nodes: time, randomness, network and checks."""

from __future__ import annotations

from random import Random
from typing import Protocol

from fedcoin.consensus.effects import Equivocation, Message
from fedcoin.testing.consensus_simulation.block_application import BlockApplication
from fedcoin.testing.consensus_simulation.packet_network import FinalBlock, VirtualClock
from fedcoin.testing.consensus_simulation.scenario import Scenario


class SimulationEnvironment(Protocol):
    """The interface of a simulation to its nodes."""

    @property
    def scenario(self) -> Scenario:
        """The run's faults."""

    @property
    def genesis_hash(self) -> bytes:
        """The hash for which votes and proposals are signed, 32 bytes."""

    @property
    def clock(self) -> VirtualClock:
        """Virtual time."""

    @property
    def rng(self) -> Random:
        """The only source of randomness."""

    def send(self, sender: int, receiver: int, packet: object) -> None:
        """Send a packet.

        Args:
            sender: The sender's index.
            receiver: The receiver's index.
            packet: The packet that the receiver gets.
        """

    def make_application(self, index: int) -> BlockApplication:
        """Make an application at height 0.

        Args:
            index: The node's index.

        Returns:
            A new application.
        """

    def is_calm(self) -> bool:
        """Tell whether packets arrive and nodes no longer crash."""

    def note_signed(self, index: int, message: Message) -> None:
        """Note that a node signed a proposal or vote.

        Args:
            index: The node's index.
            message: The proposal or vote that the node signed.
        """

    def note_final(self, index: int, final: FinalBlock) -> None:
        """Note that a node made a block final.

        Args:
            index: The node's index.
            final: The block and its certificate.
        """

    def note_refused_final(self, index: int, final: FinalBlock) -> None:
        """Note that a node refused a block that has a certificate.

        Args:
            index: The node's index.
            final: The block and its certificate.
        """

    def note_equivocation(self, index: int, effect: Equivocation) -> None:
        """Note that a node found two contradicting messages of one validator.

        Args:
            index: The index of the node that found them.
            effect: The two contradicting messages.
        """
