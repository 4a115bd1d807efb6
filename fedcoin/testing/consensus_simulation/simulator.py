"""Run a scenario, and check that the correct nodes stayed correct."""

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
    GENESIS_HASH,
    ApplicationFactory,
    BlockApplication,
    SimulatedLedger,
)
from fedcoin.testing.consensus_simulation.byzantine_nodes import BYZANTINE_NODES
from fedcoin.testing.consensus_simulation.importing_node import ImportingNode
from fedcoin.testing.consensus_simulation.local_facts import is_forged
from fedcoin.testing.consensus_simulation.packet_network import (
    FinalBlock,
    PacketNetwork,
    VirtualClock,
)
from fedcoin.testing.consensus_simulation.scenario import Scenario
from fedcoin.testing.consensus_simulation.simulated_node import SimulatedNode


@dataclass(slots=True)
class SimulationReport:
    """The result of one simulated run of the consensus."""

    # What was simulated.
    scenario: Scenario
    # One sentence each: two final blocks at one height, a forged claim in one, a correct node that
    # refused a final block, contradicted itself or was accused, no progress. Empty if all is well.
    violations: list[str] = field(default_factory=list)
    # The hash of the final block of each height, as the first correct node saw it.
    blocks: dict[int, bytes] = field(default_factory=dict)
    # The height that each node reached.
    heights: tuple[int, ...] = ()
    # Indices of nodes that were found to contradict themselves.
    accused: tuple[int, ...] = ()
    # The length of the run in virtual ms.
    elapsed_ms: int = 0
    # How many packets were sent.
    packets: int = 0

    def __str__(self) -> str:
        violations = "; ".join(self.violations) or "all well"
        return f"{self.scenario}: {violations} (heights {self.heights}, {self.elapsed_ms} ms)"


@lru_cache(maxsize=256)
def validator_key(index: int) -> KeyPair:
    """Derive a node's key, which is the same in every run.

    Args:
        index: The node's index.

    Returns:
        An Ed25519 key pair.
    """
    return KeyPair.from_seed(sha256(b"simulation", index.to_bytes(4, "big")))


class ConsensusSimulation:
    """One run of one scenario. Implements `simulation_environment.SimulationEnvironment`."""

    def __init__(
        self,
        scenario: Scenario,
        make_application: ApplicationFactory | None = None,
        genesis_hash: bytes = GENESIS_HASH,
    ) -> None:
        """Make all nodes, at height 0.

        Args:
            scenario: The run's faults.
            make_application: Makes the application of each node.
            genesis_hash: The hash for which votes and proposals are signed, 32 bytes.
        """
        self.scenario = scenario
        self.genesis_hash = genesis_hash
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
        self._faulty = dict(scenario.faulty)
        self.nodes = [
            BYZANTINE_NODES.get(self._faulty.get(index, ""), SimulatedNode)(
                index, validator_key(index), self.make_application(index), self
            )
            for index in range(len(scenario.powers))
        ]
        self._correct = [node for node in self.nodes if node.index not in self._faulty]
        # Validators and importing nodes, by index.
        self._everybody: list[SimulatedNode | ImportingNode] = [*self.nodes]
        for _ in range(scenario.followers):
            self._everybody.append(self._make_importer(len(self._everybody)))

    def run(self) -> SimulationReport:
        """Run until each correct node has reached the scenario's height, or until the deadline.

        Returns:
            The report, which counts a missed deadline as a violation.
        """
        for node in self._everybody:
            self.clock.schedule(self.rng.randrange(300), node.start)
        for crash in self.scenario.crashes:
            crash_node = partial(self.nodes[crash.node].crash_for, crash.down_ms)
            self.clock.schedule(crash.at_ms, crash_node)
        while not self._is_done() and self.clock.step(self.scenario.deadline_ms):
            pass
        self._start_late_nodes()
        report = self.report
        report.heights = tuple(node.application.height() for node in self.nodes)
        report.elapsed_ms, report.packets = self.clock.now_ms, self._network.num_sent
        if not self._is_done():
            report.violations.append(f"no progress: heights {report.heights}")
        return report

    def _is_done(self) -> bool:
        heights = self.scenario.heights
        return all(
            node.application.height() >= heights
            for node in self._everybody
            if node.index not in self._faulty
        )

    def _make_importer(self, index: int) -> ImportingNode:
        return ImportingNode(index, self.make_application(index), self)

    def _start_late_nodes(self) -> None:
        """Let nodes that start now import the chain of each correct validator."""
        first = len(self._everybody)
        for i in range(self.scenario.followers):
            for node in self._correct:
                late = self._make_importer(first + i)
                for final in node.disk.final_blocks:
                    late.import_block(final)

    # What the nodes use.

    def send(self, sender: int, receiver: int, packet: object) -> None:
        """Implement `SimulationEnvironment.send`: send a packet."""
        self._network.send(sender, receiver, packet)

    def make_application(self, index: int) -> BlockApplication:
        """Implement `SimulationEnvironment.make_application`: make an application at height 0."""
        if self._make_application is not None:
            return self._make_application(index, self._validators)
        scenario = self.scenario
        return SimulatedLedger(index, self._validators, scenario.claims, scenario.facts_of(index))

    def is_calm(self) -> bool:
        """Implement `SimulationEnvironment.is_calm`: tell whether faults have ended."""
        return self._network.is_calm

    def note_signed(self, index: int, message: Message) -> None:
        """Implement `SimulationEnvironment.note_signed`: report contradictions of correct nodes."""
        if index in self._faulty:
            return
        kind = "proposal" if isinstance(message, Proposal) else message.kind
        first = self._signed.setdefault(
            (index, kind, message.height, message.round), message.block_hash
        )
        if first != message.block_hash:
            self.report.violations.append(
                f"node {index} signed two of {kind} at {message.height}/{message.round}"
            )

    def note_final(self, index: int, final: FinalBlock) -> None:
        """Implement `SimulationEnvironment.note_final`: report two final blocks at one height."""
        if index in self._faulty:
            return
        first = self.report.blocks.setdefault(final.height, final.block.hash)
        if first != final.block.hash:
            self.report.violations.append(f"two final blocks at height {final.height}")
        if any(is_forged(claim) for claim in final.block.transactions):
            self.report.violations.append(f"a forged claim is final at height {final.height}")

    def note_refused_final(self, index: int, final: FinalBlock) -> None:
        """Implement `SimulationEnvironment.note_refused_final`: correct nodes accept them all."""
        if index not in self._faulty:
            self.report.violations.append(
                f"node {index} refused the final block of height {final.height}"
            )

    def note_equivocation(self, index: int, effect: Equivocation) -> None:
        """Implement `SimulationEnvironment.note_equivocation`: report an accused correct node."""
        keys = [node.key.public_key for node in self.nodes]
        accused = keys.index(effect.first.public_key)
        if accused not in self.report.accused:
            self.report.accused += (accused,)
        if index not in self._faulty and accused not in self._faulty:
            self.report.violations.append(f"node {index} accused {accused}, which is correct")

    def _deliver(self, sender: int, receiver: int, packet: object) -> None:
        self._everybody[receiver].receive(sender, packet)


def simulate(
    scenario: Scenario, make_application: ApplicationFactory | None = None
) -> SimulationReport:
    """Run a scenario to its end.

    Args:
        scenario: The run's faults.
        make_application: Makes the application of each node; by default one without accounts.

    Returns:
        The result, which is the same for the same arguments.
    """
    return ConsensusSimulation(scenario, make_application).run()
