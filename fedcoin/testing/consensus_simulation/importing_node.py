"""A simulated node that does not vote: it imports final blocks from the validators."""

from __future__ import annotations

from fedcoin.consensus.certificates import verify_certificate
from fedcoin.testing.consensus_simulation.block_application import BlockApplication
from fedcoin.testing.consensus_simulation.packet_network import FinalBlock, HeightAnnouncement
from fedcoin.testing.consensus_simulation.simulation_environment import SimulationEnvironment


class ImportingNode:
    """A correct node that sees certificates and blocks, but no proposals and no single votes."""

    def __init__(
        self, index: int, application: BlockApplication, environment: SimulationEnvironment
    ) -> None:
        """Make a node that has not started yet.

        Args:
            index: Its index, above those of the validators.
            application: Its ledger.
            environment: The simulation: it carries packets and checks what nodes make final.
        """
        self.index = index
        self.application = application
        self.environment = environment
        self._is_stuck = False

    def start(self) -> None:
        """Ask the validators for the next block at intervals."""
        environment = self.environment
        for peer in range(len(environment.scenario.powers)):
            announcement = HeightAnnouncement(self.application.height() + 1)
            environment.send(self.index, peer, announcement)
        delay = environment.scenario.resend_ms
        environment.clock.schedule(delay // 2 + environment.rng.randrange(delay), self.start)

    def receive(self, sender: int, packet: object) -> None:
        """Handle a packet from the network.

        Args:
            sender: The sender's index.
            packet: A final block; anything else is ignored.
        """
        if isinstance(packet, FinalBlock) and not self._is_stuck:
            self.import_block(packet)

    def import_block(self, final: FinalBlock) -> None:
        """Adopt a block of the next height if its certificate and the block itself are valid.

        A valid certificate for a block that this node finds invalid splits the network, so the node
        stops there and reports it.

        Args:
            final: The block with its certificate.
        """
        application = self.application
        if final.height != application.height() + 1:
            return
        round = verify_certificate(
            final.certificate,
            application.validators(),
            self.environment.genesis_hash,
            final.height,
            final.block.hash,
        )
        if not application.check(final.block, round):
            self._is_stuck = True
            self.environment.note_refused_final(self.index, final)
            return
        self.environment.note_final(self.index, final)
        application.adopt(final.block, final.certificate)
