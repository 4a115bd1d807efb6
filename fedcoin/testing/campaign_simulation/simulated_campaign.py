"""Validators in the consensus simulator, each with a ledger of its own, and what happens to them.

Blocks are built, checked, voted on and executed by the product's code. The transactions' gossip is
a pool that everybody sees at once; votes and proposals travel with the simulator's delays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from google.protobuf.message import Message

from fedcoin.consensus.effects import Equivocation
from fedcoin.consensus.validators import ValidatorSet
from fedcoin.contract.admission import min_fee
from fedcoin.contract.blocks.ledger import Execution
from fedcoin.contract.errors import PREMATURE_CODES
from fedcoin.contract.state import records
from fedcoin.contract.state.overlay import MemoryState
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.receipts import decode_receipt
from fedcoin.data.messages.transactions import Transaction, action_name, sign_transaction
from fedcoin.incentive.proof.audit import compare_counts, compute_tolerance, list_audited_coalitions
from fedcoin.incentive.proof.sampling_plan import build_plan
from fedcoin.testing.campaign_simulation.campaign_setting import (
    BOND,
    CampaignSetting,
    MinerTally,
    SettledTask,
    make_study_genesis,
)
from fedcoin.testing.campaign_simulation.ledger_application import LedgerApplication
from fedcoin.testing.campaign_simulation.simulated_coordinator import SimulatedCoordinator
from fedcoin.testing.campaign_simulation.simulated_miner import Action, SimulatedMiner
from fedcoin.testing.consensus_simulation.packet_network import FinalBlock, VirtualClock
from fedcoin.testing.consensus_simulation.scenario import Scenario
from fedcoin.testing.consensus_simulation.simulated_node import CHAIN_ID
from fedcoin.testing.consensus_simulation.simulator import (
    ConsensusSimulation,
    SimulationReport,
    validator_key,
)
from fedcoin.testing.dishonest.dishonest_proposals import MINING_ACTIONS
from fedcoin.v1 import block_pb2
from fedcoin.v1.transaction_pb2 import (
    CommitShapley,
    ReportEquivocation,
    RevealShapley,
    TransactionBody,
)

_FIELDS = {
    "CommitShapley": "commit_shapley",
    "RevealShapley": "reveal_shapley",
    "OpenCampaign": "open_campaign",
    "OpenTask": "open_task",
    "ReportEquivocation": "report_equivocation",
}


class CampaignSimulation:
    """A network with its miners, clients and server; ``run`` it once."""

    def __init__(self, setting: CampaignSetting) -> None:
        self.setting = setting
        self.game = setting.game
        count = len(setting.strategies)
        self.powers = tuple(setting.powers) or (BOND,) * count
        self.server = SimulatedCoordinator(setting.game.clients, setting, CHAIN_ID)
        self.genesis = make_study_genesis(self.powers, setting.parameters, self.server.key.address)
        deposit = self.genesis.parameters.commit_deposit
        leaves = self.genesis.parameters.challenge_leaves
        self.agents = [
            SimulatedMiner(validator_key(i), self.game, strategy, deposit, leaves)
            for i, strategy in enumerate(setting.strategies)
        ]
        self.tallies = [MinerTally() for _ in self.agents]
        self.settled: list[SettledTask] = []
        self.failed = 0
        self.refusals: Counter[str] = Counter()
        self.paid: Counter[bytes] = Counter()
        self.turns = self.tries = self.challenges = 0
        """Grinders' turns with openings to choose from, the blocks that they built in these, and
        the most challenges that those of one turn fixed."""
        self.left_out: dict[bytes, frozenset[bytes]] = {}
        """By block: commitments, openings and reveals that it could have held and does not."""
        self._waited: Counter[bytes] = Counter()
        self._pool: dict[bytes, Transaction] = {}
        self._actions: list[tuple[bytes, CommitShapley | RevealShapley]] = []
        self._verdicts: dict[bytes, RefusalError | None] = {}
        self.nodes: list[LedgerApplication] = []
        self._clock = VirtualClock()
        self.finals: list[FinalBlock] = []

    def run(self, deadline_ms: int = 100_000_000) -> SimulationReport:
        """Play until the campaign is over on every node."""
        scenario = Scenario(
            seed=self.setting.seed,
            powers=self.powers,
            heights=1 << 30,
            calm_delay_ms=10,
            vote_ms=100,
            propose_ms=200,
            resend_ms=self.setting.resend_ms,
            deadline_ms=deadline_ms,
            faulty=tuple(self.setting.faulty.items()),
        )
        simulation = _Campaign(scenario, self)
        self._clock = simulation.clock
        self.finals = simulation.nodes[0].disk.final_blocks
        return simulation.run()

    @property
    def over(self) -> bool:
        """Is the last round closed?"""
        return len(self.settled) + self.failed >= self.setting.rounds

    # What nodes ask for.

    def make(self, index: int, validators: ValidatorSet) -> LedgerApplication:
        """The ledger of one validator."""
        node = LedgerApplication(self, index)
        self.nodes.append(node)
        if index == 0:
            for signer, action in self.server.act(node.state):
                self.submit(node, signer, action)
        return node

    def ready(self, node: LedgerApplication) -> list[Transaction]:
        """What could be in this node's next block: sound, or its own all the same."""
        found = []
        for transaction in self._pool.values():
            if transaction.body.nonce < node.ledger.account(transaction.sender).nonce:
                continue
            sound = self._verdict(transaction, node.state) is None
            if sound or transaction.sender == node.key.address:
                found.append(transaction)
        return found

    def drop(self, refused: Sequence[tuple[Transaction, RefusalError]]) -> None:
        """What the ledger refused is forgotten."""
        for transaction, refusal in refused:
            if self._pool.pop(transaction.hash, None) is not None:
                self.refusals[refusal.code.value] += 1

    def audit(self, transaction: Transaction, state: MemoryState) -> None:
        """The voting rule. Raises Refusal AUDIT_FAILED."""
        refusal = self._verdict(transaction, state)
        if refusal is not None:
            raise refusal

    def ground(self, tries: int, challenges: int) -> None:
        """A grinder had a turn."""
        if tries > 1:
            self.turns += 1
            self.tries += tries
            self.challenges = max(self.challenges, challenges)

    def accuse(self, reporter: int, effect: Equivocation) -> None:
        """A validator saw another one vote twice, and reports it."""
        if reporter in self.setting.faulty:
            return
        action = ReportEquivocation(first=effect.first.envelope, second=effect.second.envelope)
        self.submit(self.nodes[reporter], validator_key(reporter), action)

    def after_block(self, node: LedgerApplication, execution: Execution) -> None:
        """Everybody reacts to its own node's block; the first node's is counted."""
        if node.index == 0:
            self._count(node, execution)
            self._count_waits(node, execution)
            for signer, action in self.server.act(node.state):
                self.submit(node, signer, action)
        agent = self.agents[node.index]
        if execution.settlement is not None:
            agent.last_settled_nano = tuple(execution.settlement.mean_shapley_nano)
        rivals = [action for sender, action in self._actions if sender != agent.key.address]
        self._review(node)
        before = agent.evaluations
        for action in agent.act(node.state, rivals):
            self._submit_later(node, agent, action, agent.evaluations - before)
        del self._actions[:-200]

    def _submit_later(
        self, node: LedgerApplication, agent: SimulatedMiner, action: Action, effort: int
    ) -> None:
        """Computing takes time, if the setting says how much."""
        speed = self.setting.speed
        if speed is None or not isinstance(action, CommitShapley):
            self.submit(node, agent.key, action)
            return
        round = len(self.settled) + self.failed + 1
        delay = int(1000 * effort / (speed * self.setting.faster(round)))
        self._clock.schedule(delay, lambda: self._submit(node, agent.key, action))

    def _submit(self, node: LedgerApplication, signer: KeyPair, action: Message) -> None:
        self.submit(node, signer, action)

    def submit(
        self, node: LedgerApplication, signer: KeyPair, action: Message
    ) -> Transaction | None:
        """Sign and put into the pool, if the ledger would take it."""
        pending = self._pending(node, signer.address)
        nonce = node.ledger.account(signer.address).nonce
        body = TransactionBody(
            chain_id=CHAIN_ID, nonce=nonce + len(pending), expiry_height=node.height() + 900
        )
        getattr(body, _FIELDS[type(action).__name__]).CopyFrom(action)
        body.fee = min_fee(self.genesis.parameters, body.ByteSize() + 10)
        transaction = sign_transaction(body, signer)
        time_ms = node.time_ms() + 1
        refusal = node.ledger.check_all([*pending, transaction], node.height(), time_ms)[-1]
        if refusal is not None:
            self.refusals[refusal.code.value] += 1
            return None
        self._pool[transaction.hash] = transaction
        if isinstance(action, (CommitShapley, RevealShapley)):
            self._actions.append((signer.address, action))
        return transaction

    # Inside.

    def _pending(self, node: LedgerApplication, sender: bytes) -> list[Transaction]:
        """What of a sender's waits, by nonce; what is behind this node's ledger is left out."""
        due = node.ledger.account(sender).nonce
        waiting = (t for t in self._pool.values() if t.sender == sender and t.body.nonce >= due)
        return sorted(waiting, key=lambda transaction: transaction.body.nonce)

    def _review(self, node: LedgerApplication) -> None:
        """Forget what every node applied, and what can never be applied any more."""
        for hash, transaction in list(self._pool.items()):
            nonces = [n.ledger.account(transaction.sender).nonce for n in self.nodes]
            if min(nonces) > transaction.body.nonce:
                del self._pool[hash]
        for sender in {transaction.sender for transaction in self._pool.values()}:
            pending = self._pending(node, sender)
            found = node.ledger.check_all(pending, node.height(), node.time_ms() + 1)
            for transaction, refusal in zip(pending, found, strict=True):
                if refusal is not None and refusal.code not in PREMATURE_CODES:
                    self.drop([(transaction, refusal)])

    def _verdict(self, transaction: Transaction, state: MemoryState) -> RefusalError | None:
        if action_name(transaction.body) != "reveal_shapley":
            return None
        if not transaction.body.reveal_shapley.evidence.leaves:
            return None
        if transaction.hash not in self._verdicts:
            self._verdicts[transaction.hash] = self._recomputed(transaction, state)
        return self._verdicts[transaction.hash]

    def _recomputed(self, transaction: Transaction, state: MemoryState) -> RefusalError | None:
        action = transaction.body.reveal_shapley
        terms = records.TERMS.get(state, action.task_id)
        assert terms is not None
        plan = build_plan(terms, action.task_id, transaction.public_key)
        tolerance = compute_tolerance(
            terms.evaluation.size, self.genesis.parameters.utility_tolerance
        )
        try:
            counts = self.game(list_audited_coalitions(action.evidence, plan))
            compare_counts(action.evidence, plan, counts, tolerance)
        except RefusalError as refusal:
            self.refusals[refusal.code.value] += 1
            return refusal
        return None

    def _count_waits(self, node: LedgerApplication, execution: Execution) -> None:
        assert node.tip is not None
        self._waited.update(self.left_out.pop(node.tip.hash, ()))
        index = {agent.key.address: i for i, agent in enumerate(self.agents)}
        for transaction in execution.transactions:
            if action_name(transaction.body) in MINING_ACTIONS:
                waits = self.tallies[index[transaction.sender]].waits
                waits[self._waited.pop(transaction.hash, 0)] += 1

    def _count(self, node: LedgerApplication, execution: Execution) -> None:
        index = {agent.key.address: i for i, agent in enumerate(self.agents)}
        if execution.settlement is not None:
            settlement = execution.settlement
            self.tallies[index[settlement.winner]].wins += 1
            task = records.TASKS.get(node.state, settlement.task_id)
            assert task is not None
            self.settled.append(
                SettledTask(
                    settlement.winner,
                    tuple(settlement.mean_shapley_nano),
                    task.opened_height,
                    task.closed_height,
                    task.opened_ms,
                    task.closed_ms,
                    task.attempt + 1,
                )
            )
            for address, miner in records.MINERS.scan(node.state, settlement.task_id):
                self.tallies[index[address]].revealed += miner.revealed
        for raw in execution.receipts:
            receipt = decode_receipt(raw)
            if receipt.task.phase == block_pb2.TASK_PHASE_FAILED:
                self.failed += 1
            payment = receipt.payment
            if not receipt.HasField("payment"):
                continue
            if payment.kind == block_pb2.PAYMENT_KIND_MINING:
                self.tallies[index[payment.address]].rewards += payment.amount
            elif payment.kind == block_pb2.PAYMENT_KIND_DEPOSIT_BURNED:
                self.tallies[index[payment.address]].burned += payment.amount
            elif payment.kind == block_pb2.PAYMENT_KIND_TRAINING:
                self.paid[payment.address] += payment.amount
            elif payment.kind == block_pb2.PAYMENT_KIND_BOND_BURNED:
                self.tallies[index[payment.address]].bond_burned += payment.amount
                self.tallies[index[payment.address]].slashed_height = node.height()
            elif payment.kind == block_pb2.PAYMENT_KIND_REPORT_REWARD:
                self.tallies[index[payment.address]].reported += payment.amount
        for tally, agent in zip(self.tallies, self.agents, strict=True):
            tally.evaluations = agent.evaluations


class _Campaign(ConsensusSimulation):
    """Ends with the campaign, and not at a height."""

    def __init__(self, scenario: Scenario, arena: CampaignSimulation) -> None:
        self._arena = arena
        super().__init__(scenario, arena.make)

    def note_equivocation(self, index: int, effect: Equivocation) -> None:
        super().note_equivocation(index, effect)
        self._arena.accuse(index, effect)

    def _is_done(self) -> bool:
        return self._arena.over
