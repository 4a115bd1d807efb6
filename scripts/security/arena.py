"""Validators in the consensus simulator, each with a ledger of its own, and what happens to them.

Blocks are built, checked, voted on and executed by the product's code. The transactions' gossip is
a pool that everybody sees at once; votes and proposals travel with the simulator's delays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from google.protobuf.message import Message

from fedcoin.application.adversaries.strategies import HONEST, Strategy
from fedcoin.consensus.simulation.network import Clock
from fedcoin.consensus.simulation.node import CHAIN_ID
from fedcoin.consensus.simulation.scenario import Scenario
from fedcoin.consensus.simulation.world import Report, Simulation, key_of
from fedcoin.consensus.validators import Validator, ValidatorSet
from fedcoin.contract import records
from fedcoin.contract.admission import least_fee
from fedcoin.contract.block_rules import check_block, header_of
from fedcoin.contract.errors import EARLY
from fedcoin.contract.genesis import genesis_changes
from fedcoin.contract.ledger import Execution, Ledger
from fedcoin.contract.scope import BlockContext
from fedcoin.contract.state import MemoryState
from fedcoin.data.addresses import format_address
from fedcoin.data.blocks import Block, build_block, decode_block
from fedcoin.data.errors import Refusal
from fedcoin.data.genesis import Genesis, parse_genesis, render_genesis
from fedcoin.data.keys import KeyPair
from fedcoin.data.receipts import decode_receipt
from fedcoin.data.transactions import Transaction, action_name, sign_transaction
from fedcoin.incentive.audit import coalitions_to_check, compare, tolerance_of
from fedcoin.incentive.sampling import plan_of
from fedcoin.v1 import block_pb2, genesis_pb2, task_pb2
from fedcoin.v1.transaction_pb2 import CommitShapley, RevealShapley, TransactionBody
from scripts.security.agents import Action, Agent
from scripts.security.games import Game
from scripts.security.proposers import FAIR, Proposing
from scripts.security.server import Server

FDC = 100_000_000
BOND = 10 * FDC
BALANCE = 1_000 * FDC
GENESIS_MS = 1_700_000_000_000
FIXED_D = dict.fromkeys(
    ("initial_difficulty_nano", "min_difficulty_nano", "max_difficulty_nano"), 30_000_000
)
"""Computing takes no virtual time here, so D is held where it is."""

_FIELDS = {
    "CommitShapley": "commit_shapley",
    "RevealShapley": "reveal_shapley",
    "OpenCampaign": "open_campaign",
    "OpenTask": "open_task",
}


@dataclass
class Setting:
    """One run: a validator for each strategy, clients of a game, and so many rounds."""

    strategies: Sequence[Strategy] = (HONEST,) * 4
    proposing: Mapping[int, Proposing] = field(default_factory=dict)
    powers: Sequence[int] = ()
    game: Game = field(default_factory=lambda: Game(5))
    rounds: int = 100
    schedule: int = task_pb2.SCHEDULE_PERMUTATION
    max_samples: int = 200
    reward: int = task_pb2.MINING_REWARD_WINNER
    commit_window_ms: int = 10_000
    reveal_window_ms: int = 10_000
    resend_ms: int = 500
    speed: float | None = None
    """Coalitions that a miner computes in a second; None: no time passes."""
    faster: Callable[[int], float] = lambda round: 1.0
    """How many times faster everybody is in a round."""
    seed: int = 1
    parameters: Mapping[str, int] = field(default_factory=lambda: FIXED_D)


@dataclass
class Tally:
    """What came of one miner; coins in sap."""

    wins: int = 0
    rewards: int = 0
    burned: int = 0
    evaluations: int = 0
    revealed: int = 0


@dataclass
class Settled:
    """One settled task."""

    winner: bytes
    mean_shapley_nano: tuple[int, ...]
    opened_height: int
    closed_height: int
    opened_ms: int
    closed_ms: int
    attempts: int


class LedgerNode:
    """One validator's ledger; an ``Application`` of the simulator."""

    def __init__(self, arena: Arena, index: int) -> None:
        self.arena = arena
        self.key = key_of(index)
        self.index = index
        self.proposing = arena.setting.proposing.get(index, FAIR)
        self.state = MemoryState()
        self.state.apply(genesis_changes(arena.genesis))
        self.ledger = Ledger(self.state, arena.genesis)
        self.tip: Block | None = None
        self.certificate = b""
        self._known: dict[bytes, Execution] = {}

    def height(self) -> int:
        return self.tip.height if self.tip else 0

    def validators(self) -> ValidatorSet:
        return self.ledger.validators()

    def proposer(self, round: int) -> Validator:
        return self.ledger.proposer(self.height() + 1, round)

    def time_ms(self) -> int:
        return self.tip.header.time_ms if self.tip else GENESIS_MS

    def wants_block(self, now_ms: int) -> bool:
        deadline = self.ledger.next_deadline_ms()
        late = deadline is not None and GENESIS_MS + now_ms >= deadline
        return late or self.ledger.needs_block() or bool(self.arena.ready(self))

    def build(self, round: int, now_ms: int) -> tuple[bytes, bytes]:
        time_ms = GENESIS_MS + now_ms + self.proposing.ahead_ms
        context = BlockContext(
            height=self.height() + 1,
            time_ms=max(time_ms, self.time_ms() + 1),
            proposer=self.key.address,
            last_certificate=self.certificate,
        )
        candidates = self.proposing.chosen(self.arena.ready(self), self.key.address)
        most = self.arena.genesis.parameters.max_block_bytes
        built = self.ledger.build(context, candidates, most)
        self.arena.drop(built.refused)
        parent = self.tip.hash if self.tip else self.arena.genesis.hash
        header = header_of(context, parent, self.arena.genesis, built.execution)
        raws = [transaction.raw for transaction in built.transactions]
        block = build_block(header, self.certificate, raws)
        self._known = {block.hash: built.execution}
        return block.hash, block.raw

    def check(self, raw: bytes, now_ms: int) -> bool:
        try:
            execution = self._execute(decode_block(raw, len(raw)), GENESIS_MS + now_ms)
            for transaction in execution.transactions:
                self.arena.audit(transaction, self.state)
        except Refusal as refusal:
            self.arena.refusals[refusal.code.value] += 1
            return False
        return True

    def adopt(self, raw: bytes, certificate: bytes) -> None:
        block = decode_block(raw, len(raw))
        execution = self._execute(block, None)
        self.state.apply(execution.changes)
        self.ledger.adopt(execution)
        self.tip, self.certificate, self._known = block, certificate, {}
        self.arena.after_block(self, execution)

    def _execute(self, block: Block, now_ms: int | None) -> Execution:
        if block.hash not in self._known:
            self._known[block.hash] = check_block(
                block,
                self.tip.header if self.tip else None,
                self.arena.genesis,
                self.ledger,
                now_ms=now_ms,
            )
        return self._known[block.hash]


class Arena:
    """A network with its miners, clients and server; ``run`` it once."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.game = setting.game
        count = len(setting.strategies)
        self.powers = tuple(setting.powers) or (BOND,) * count
        self.server = Server(setting.game.clients, setting, CHAIN_ID)
        self.genesis = self._genesis()
        deposit = self.genesis.parameters.commit_deposit
        leaves = self.genesis.parameters.challenge_leaves
        self.agents = [
            Agent(key_of(i), self.game, strategy, deposit, leaves)
            for i, strategy in enumerate(setting.strategies)
        ]
        self.tallies = [Tally() for _ in self.agents]
        self.settled: list[Settled] = []
        self.failed = 0
        self.refusals: Counter[str] = Counter()
        self.paid: Counter[bytes] = Counter()
        self._pool: dict[bytes, Transaction] = {}
        self._actions: list[tuple[bytes, CommitShapley | RevealShapley]] = []
        self._verdicts: dict[bytes, Refusal | None] = {}
        self.nodes: list[LedgerNode] = []
        self._clock = Clock()

    def run(self, deadline_ms: int = 100_000_000) -> Report:
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
        )
        simulation = _Campaign(scenario, self)
        self._clock = simulation.clock
        return simulation.run()

    @property
    def over(self) -> bool:
        """Is the last round closed?"""
        return len(self.settled) + self.failed >= self.setting.rounds

    # What nodes ask for.

    def make(self, index: int, validators: ValidatorSet) -> LedgerNode:
        """The ledger of one validator."""
        node = LedgerNode(self, index)
        self.nodes.append(node)
        if index == 0:
            for signer, action in self.server.act(node.state):
                self.submit(node, signer, action)
        return node

    def ready(self, node: LedgerNode) -> list[Transaction]:
        """What could be in this node's next block: sound, or its own all the same."""
        found = []
        for transaction in self._pool.values():
            if transaction.body.nonce < node.ledger.account(transaction.sender).nonce:
                continue
            sound = self._verdict(transaction, node.state) is None
            if sound or transaction.sender == node.key.address:
                found.append(transaction)
        return found

    def drop(self, refused: Sequence[tuple[Transaction, Refusal]]) -> None:
        """What the ledger refused is forgotten."""
        for transaction, refusal in refused:
            if self._pool.pop(transaction.hash, None) is not None:
                self.refusals[refusal.code.value] += 1

    def audit(self, transaction: Transaction, state: MemoryState) -> None:
        """The voting rule. Raises Refusal AUDIT_FAILED."""
        refusal = self._verdict(transaction, state)
        if refusal is not None:
            raise refusal

    def after_block(self, node: LedgerNode, execution: Execution) -> None:
        """Everybody reacts to its own node's block; the first node's is counted."""
        if node.index == 0:
            self._count(node, execution)
            for signer, action in self.server.act(node.state):
                self.submit(node, signer, action)
        agent = self.agents[node.index]
        if execution.settlement is not None:
            agent.heard = tuple(execution.settlement.mean_shapley_nano)
        rivals = [action for sender, action in self._actions if sender != agent.key.address]
        self._review(node)
        before = agent.evaluations
        for action in agent.act(node.state, rivals):
            self._submit_later(node, agent, action, agent.evaluations - before)
        del self._actions[:-200]

    def _submit_later(self, node: LedgerNode, agent: Agent, action: Action, effort: int) -> None:
        """Computing takes time, if the setting says how much."""
        speed = self.setting.speed
        if speed is None or not isinstance(action, CommitShapley):
            self.submit(node, agent.key, action)
            return
        round = len(self.settled) + self.failed + 1
        delay = int(1000 * effort / (speed * self.setting.faster(round)))
        self._clock.after(delay, lambda: self._submit(node, agent.key, action))

    def _submit(self, node: LedgerNode, signer: KeyPair, action: Message) -> None:
        self.submit(node, signer, action)

    def submit(self, node: LedgerNode, signer: KeyPair, action: Message) -> Transaction | None:
        """Sign and put into the pool, if the ledger would take it."""
        pending = self._pending(node, signer.address)
        nonce = node.ledger.account(signer.address).nonce
        body = TransactionBody(
            chain_id=CHAIN_ID, nonce=nonce + len(pending), expiry_height=node.height() + 900
        )
        getattr(body, _FIELDS[type(action).__name__]).CopyFrom(action)
        body.fee = least_fee(self.genesis.parameters, body.ByteSize() + 10)
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

    def _pending(self, node: LedgerNode, sender: bytes) -> list[Transaction]:
        """What of a sender's waits, by nonce; what is behind this node's ledger is left out."""
        due = node.ledger.account(sender).nonce
        waiting = (t for t in self._pool.values() if t.sender == sender and t.body.nonce >= due)
        return sorted(waiting, key=lambda transaction: transaction.body.nonce)

    def _review(self, node: LedgerNode) -> None:
        """Forget what every node applied, and what can never be applied any more."""
        for hash, transaction in list(self._pool.items()):
            nonces = [n.ledger.account(transaction.sender).nonce for n in self.nodes]
            if min(nonces) > transaction.body.nonce:
                del self._pool[hash]
        for sender in {transaction.sender for transaction in self._pool.values()}:
            pending = self._pending(node, sender)
            found = node.ledger.check_all(pending, node.height(), node.time_ms() + 1)
            for transaction, refusal in zip(pending, found, strict=True):
                if refusal is not None and refusal.code not in EARLY:
                    self.drop([(transaction, refusal)])

    def _verdict(self, transaction: Transaction, state: MemoryState) -> Refusal | None:
        if action_name(transaction.body) != "reveal_shapley":
            return None
        if not transaction.body.reveal_shapley.evidence.leaves:
            return None
        if transaction.hash not in self._verdicts:
            self._verdicts[transaction.hash] = self._recomputed(transaction, state)
        return self._verdicts[transaction.hash]

    def _recomputed(self, transaction: Transaction, state: MemoryState) -> Refusal | None:
        action = transaction.body.reveal_shapley
        terms = records.TERMS.get(state, action.task_id)
        assert terms is not None
        plan = plan_of(terms, action.task_id, transaction.public_key)
        tolerance = tolerance_of(terms.evaluation.size, self.genesis.parameters.utility_tolerance)
        try:
            counts = self.game(coalitions_to_check(action.evidence, plan))
            compare(action.evidence, plan, counts, tolerance)
        except Refusal as refusal:
            self.refusals[refusal.code.value] += 1
            return refusal
        return None

    def _count(self, node: LedgerNode, execution: Execution) -> None:
        index = {agent.key.address: i for i, agent in enumerate(self.agents)}
        if execution.settlement is not None:
            settlement = execution.settlement
            self.tallies[index[settlement.winner]].wins += 1
            task = records.TASKS.get(node.state, settlement.task_id)
            assert task is not None
            self.settled.append(
                Settled(
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
            if payment.kind == block_pb2.PAYMENT_KIND_SAP:
                self.tallies[index[payment.address]].rewards += payment.amount
            elif payment.kind == block_pb2.PAYMENT_KIND_DEPOSIT_BURNED:
                self.tallies[index[payment.address]].burned += payment.amount
            elif payment.kind == block_pb2.PAYMENT_KIND_TRAIN:
                self.paid[payment.address] += payment.amount
        for tally, agent in zip(self.tallies, self.agents, strict=True):
            tally.evaluations = agent.evaluations

    def _genesis(self) -> Genesis:
        keys = [key_of(i) for i in range(len(self.powers))]
        owners = {k.address: BALANCE for k in keys}
        owners |= {self.server.key.address: 100_000 * FDC}
        message = genesis_pb2.Genesis(
            chain_id=CHAIN_ID,
            time_ms=GENESIS_MS,
            parameters=genesis_pb2.Parameters(**dict(self.setting.parameters)),
            accounts=[
                genesis_pb2.GenesisAccount(address=format_address(address), balance=balance)
                for address, balance in owners.items()
            ],
            validators=[
                genesis_pb2.GenesisValidator(public_key=k.public_key.hex(), bond=bond)
                for k, bond in zip(keys, self.powers, strict=True)
            ],
        )
        return parse_genesis(render_genesis(message))


class _Campaign(Simulation):
    """Ends with the campaign, and not at a height."""

    def __init__(self, scenario: Scenario, arena: Arena) -> None:
        self._arena = arena
        super().__init__(scenario, arena.make)

    def _is_done(self) -> bool:
        return self._arena.over
