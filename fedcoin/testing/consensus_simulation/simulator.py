"""Runs a scenario and judges what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache, partial
from random import Random

from fedcoin.consensus.effects import Equivocation, Message
from fedcoin.consensus.validators import Validator, ValidatorSet
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.votes import Proposal
from fedcoin.testing.consensus_simulation.block_application import (
    ApplicationFactory,
    BlockApplication,
    OpaqueBlockApplication,
)
from fedcoin.testing.consensus_simulation.byzantine_nodes import BYZANTINE_NODES
from fedcoin.testing.consensus_simulation.packet_network import (
    FinalBlock,
    PacketNetwork,
    VirtualClock,
)
from fedcoin.testing.consensus_simulation.scenario import Scenario
from fedcoin.testing.consensus_simulation.simulated_node import SimulatedNode


@dataclass(slots=True)
class SimulationReport:
    """What came of a run.

    `violations` are sentences, none when all is well: two final blocks at one height, a
    correct validator that contradicted itself or was accused, or no progress. `blocks` holds
    the final block of each height, `heights` how far each node came, `elapsed_ms` the virtual
    time and `packets` what was sent; `accused` are faulty nodes that were caught.
    """

    scenario: Scenario
    violations: list[str] = field(default_factory=list)
    blocks: dict[int, bytes] = field(default_factory=dict)
    heights: tuple[int, ...] = ()
    accused: tuple[int, ...] = ()
    elapsed_ms: int = 0
    packets: int = 0

    def __str__(self) -> str:
        found = "; ".join(self.violations) or "all well"
        return f"{self.scenario}: {found} (heights {self.heights}, {self.elapsed_ms} ms)"


@lru_cache(maxsize=256)
def validator_key(index: int) -> KeyPair:
    """The key of the node with this index, the same in each run."""
    return KeyPair.from_seed(sha256(b"simulation", index.to_bytes(4, "big")))


class ConsensusSimulation:
    """One run of one scenario; `node.World` for its nodes."""

    def __init__(self, scenario: Scenario, make_application: ApplicationFactory) -> None:
        self.scenario = scenario
        self.clock = VirtualClock()
        self.rng = Random(scenario.seed)
        self.report = SimulationReport(scenario)
        self._network = PacketNetwork(scenario, self.clock, self.rng, self._deliver)
        self._signed: dict[tuple[object, ...], bytes] = {}
        self._make_application = make_application
        self._validators = ValidatorSet.from_members(
            Validator.from_key(validator_key(index).public_key, power)
            for index, power in enumerate(scenario.powers)
        )
        kinds = dict(scenario.faulty)
        self.nodes = [
            BYZANTINE_NODES.get(kinds.get(index, ""), SimulatedNode)(
                index, validator_key(index), self.make_application(index), self
            )
            for index in range(len(scenario.powers))
        ]
        self._correct = [node for node in self.nodes if node.index not in kinds]

    def run(self) -> SimulationReport:
        """Run until each correct node has its blocks, or the deadline has come."""
        for node in self.nodes:
            self.clock.after(self.rng.randrange(300), node.boot)
        for crash in self.scenario.crashes:
            self.clock.after(crash.at_ms, partial(self.nodes[crash.node].crash_for, crash.down_ms))
        while not self._is_done() and self.clock.step(self.scenario.deadline_ms):
            pass
        report = self.report
        report.heights = tuple(node.application.height() for node in self.nodes)
        report.elapsed_ms, report.packets = self.clock.now_ms, self._network.sent
        if not self._is_done():
            report.violations.append(f"no progress: heights {report.heights}")
        return report

    def _is_done(self) -> bool:
        heights = self.scenario.heights
        return all(node.application.height() >= heights for node in self._correct)

    # What the nodes see.

    def send(self, sender: int, receiver: int, packet: object) -> None:
        """Send a packet."""
        self._network.send(sender, receiver, packet)

    def make_application(self, index: int) -> BlockApplication:
        """A new application for a node, at height 0."""
        return self._make_application(index, self._validators)

    def is_calm(self) -> bool:
        """Do messages flow, and does nobody crash any more?"""
        return self._network.is_calm

    def note_signed(self, index: int, message: Message) -> None:
        """A node signed this; a correct one never contradicts itself."""
        if index in dict(self.scenario.faulty):
            return
        kind = "proposal" if isinstance(message, Proposal) else message.kind
        said = self._signed.setdefault(
            (index, kind, message.height, message.round), message.block_hash
        )
        if said != message.block_hash:
            self.report.violations.append(
                f"node {index} signed two of {kind} at {message.height}/{message.round}"
            )

    def note_final(self, index: int, final: FinalBlock) -> None:
        """A node took this for final; all correct ones must take the same."""
        if index in dict(self.scenario.faulty):
            return
        first = self.report.blocks.setdefault(final.height, final.block_hash)
        if first != final.block_hash:
            self.report.violations.append(f"two final blocks at height {final.height}")

    def note_equivocation(self, index: int, effect: Equivocation) -> None:
        """A node has caught another one, which must be a faulty one."""
        keys = [node.key.public_key for node in self.nodes]
        culprit = keys.index(effect.first.public_key)
        if culprit not in self.report.accused:
            self.report.accused += (culprit,)
        faulty = dict(self.scenario.faulty)
        if index not in faulty and culprit not in faulty:
            self.report.violations.append(f"node {index} accused {culprit}, which is correct")

    def _deliver(self, sender: int, receiver: int, packet: object) -> None:
        self.nodes[receiver].receive(sender, packet)


def simulate(
    scenario: Scenario, make_application: ApplicationFactory = OpaqueBlockApplication
) -> SimulationReport:
    """Run a scenario to its end."""
    return ConsensusSimulation(scenario, make_application).run()
