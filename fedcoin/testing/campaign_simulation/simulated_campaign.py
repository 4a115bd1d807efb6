"""Run a campaign: validators in the consensus simulator, each with a ledger of its own."""

from __future__ import annotations

from fedcoin.consensus.effects import Equivocation
from fedcoin.consensus.validators import ValidatorSet
from fedcoin.contract.blocks.execution import Execution
from fedcoin.testing.campaign_simulation.campaign_outcome import CampaignOutcome
from fedcoin.testing.campaign_simulation.campaign_setting import (
    BOND,
    CampaignSetting,
    make_study_genesis,
)
from fedcoin.testing.campaign_simulation.ledger_application import LedgerApplication
from fedcoin.testing.campaign_simulation.shared_mempool import MiningAction, SharedMempool
from fedcoin.testing.campaign_simulation.simulated_coordinator import SimulatedCoordinator
from fedcoin.testing.campaign_simulation.simulated_miner import SimulatedMiner
from fedcoin.testing.consensus_simulation.packet_network import FinalBlock, VirtualClock
from fedcoin.testing.consensus_simulation.scenario import Scenario
from fedcoin.testing.consensus_simulation.simulator import (
    ConsensusSimulation,
    SimulationReport,
    validator_key,
)
from fedcoin.v1.transaction_pb2 import CommitShapley, ReportEquivocation

_UNREACHABLE_HEIGHT = 1 << 30


class CampaignSimulation:
    """A network with its miners, clients and coordinator. `run` it once.

    Implements `ledger_application.CampaignEnvironment`.
    """

    def __init__(self, setting: CampaignSetting) -> None:
        """Make the network, at the genesis.

        Args:
            setting: The setting of the run.
        """
        self.setting = setting
        self.game = setting.game
        self.powers = tuple(setting.powers) or (BOND,) * len(setting.strategies)
        self.coordinator = SimulatedCoordinator(setting.game.clients, setting)
        address = self.coordinator.key.address
        self.genesis = make_study_genesis(self.powers, setting.parameters, address)
        self.coordinator.use_genesis(self.genesis.hash)
        self.miners = [
            SimulatedMiner(
                validator_key(i),
                self.game,
                strategy,
                self.genesis.parameters.commit_deposit,
                self.genesis.parameters.challenge_leaves,
            )
            for i, strategy in enumerate(setting.strategies)
        ]
        self.outcome = CampaignOutcome([miner.key.address for miner in self.miners])
        self.mempool = SharedMempool(self.genesis, self.game, self.outcome.refusals)
        self.nodes: list[LedgerApplication] = []
        # The final blocks of the first node.
        self.final_blocks: list[FinalBlock] = []
        self._clock = VirtualClock()

    def run(self, deadline_ms: int = 100_000_000) -> SimulationReport:
        """Run until the campaign's last round is closed.

        Args:
            deadline_ms: The virtual time, in ms from the start, at which the run ends even if
                rounds are still open.

        Returns:
            The consensus simulation's report, whose violations should be empty.
        """
        scenario = Scenario(
            seed=self.setting.seed,
            powers=self.powers,
            heights=_UNREACHABLE_HEIGHT,
            calm_delay_ms=10,
            vote_ms=100,
            propose_ms=200,
            resend_ms=self.setting.resend_ms,
            deadline_ms=deadline_ms,
            faulty=tuple(self.setting.faulty.items()),
        )
        simulation = _ConsensusOnCampaign(scenario, self)
        self._clock = simulation.clock
        self.final_blocks = simulation.nodes[0].disk.final_blocks
        return simulation.run()

    @property
    def is_over(self) -> bool:
        """True when the last round's task is settled or failed."""
        return self.outcome.num_closed >= self.setting.rounds

    def make_application(self, index: int, validators: ValidatorSet) -> LedgerApplication:
        """Make the ledger of one validator; the first one's coordinator opens the campaign.

        Args:
            index: The validator's index.
            validators: The scenario's validators, which are those of the genesis.

        Returns:
            A ledger at height 0.
        """
        node = LedgerApplication(self, index)
        self.nodes.append(node)
        if index == 0:
            self._act_as_coordinator(node)
        return node

    def report_equivocation(self, reporter: int, effect: Equivocation) -> None:
        """Submit a report of two contradicting votes that a correct validator found.

        Does nothing when the reporting validator is a faulty one.

        Args:
            reporter: The index of the reporting validator.
            effect: Two contradicting messages of another validator.
        """
        if reporter in self.setting.faulty:
            return
        action = ReportEquivocation(first=effect.first.envelope, second=effect.second.envelope)
        self.mempool.submit(self.nodes[reporter], validator_key(reporter), action)

    def after_block(self, node: LedgerApplication, execution: Execution) -> None:
        """Implement `CampaignEnvironment.after_block`: let a miner act on a final block.

        Each miner acts when its own node makes a block final. The coordinator acts, and the
        outcome's counts are updated, when node 0 does.
        """
        if node.index == 0:
            assert node.tip is not None
            self.outcome.count_block(node.tip, execution, node.state)
            for tally, miner in zip(self.outcome.tallies, self.miners, strict=True):
                tally.evaluations = miner.evaluations
            self._act_as_coordinator(node)
        miner = self.miners[node.index]
        if execution.settlement is not None:
            miner.last_settled_nano = tuple(execution.settlement.mean_shapley_nano)
        rival_actions = self.mempool.rival_actions(miner.key.address)
        self.mempool.review(node, self.nodes)
        evaluations = miner.evaluations
        for action in miner.act(node.state, rival_actions):
            self._submit_later(node, miner, action, miner.evaluations - evaluations)
        self.mempool.forget_old_actions()

    def _act_as_coordinator(self, node: LedgerApplication) -> None:
        for signer, action in self.coordinator.act(node.state):
            self.mempool.submit(node, signer, action)

    def _submit_later(
        self, node: LedgerApplication, miner: SimulatedMiner, action: MiningAction, evaluations: int
    ) -> None:
        """Submit a commitment after the time that its evaluations take; other actions at once."""
        speed = self.setting.speed
        if speed is None or not isinstance(action, CommitShapley):
            self.mempool.submit(node, miner.key, action)
            return
        round = self.outcome.num_closed + 1
        delay_ms = int(1000 * evaluations / (speed * self.setting.speedup(round)))

        def submit() -> None:
            self.mempool.submit(node, miner.key, action)

        self._clock.schedule(delay_ms, submit)


class _ConsensusOnCampaign(ConsensusSimulation):
    """A consensus simulation that ends with the campaign instead of at a height."""

    def __init__(self, scenario: Scenario, campaign: CampaignSimulation) -> None:
        self._campaign = campaign
        super().__init__(scenario, campaign.make_application, campaign.genesis.hash)

    def note_equivocation(self, index: int, effect: Equivocation) -> None:
        super().note_equivocation(index, effect)
        self._campaign.report_equivocation(index, effect)

    def _is_done(self) -> bool:
        return self._campaign.is_over
