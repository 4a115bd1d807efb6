"""A chain in memory for tests: real keys, signatures, blocks, certificates and evidence.

``MiniChain`` produces blocks the way a network of honest validators would and checks each by the
block rules before it takes it. ``Job`` plays a campaign on it: clients sign updates, miners compute
real evidence for a game whose utilities are given by a function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import Message

from fedcoin.consensus.certificates import make_certificate
from fedcoin.contract import records
from fedcoin.contract.admission import least_fee
from fedcoin.contract.block_rules import check_block, header_of
from fedcoin.contract.genesis import genesis_changes
from fedcoin.contract.ledger import Execution, Ledger
from fedcoin.contract.scope import BlockContext
from fedcoin.contract.state import MemoryState
from fedcoin.data import merkle
from fedcoin.data.addresses import format_address
from fedcoin.data.blocks import Block, build_block, decode_block
from fedcoin.data.genesis import Genesis, parse_genesis, render_genesis
from fedcoin.data.hashing import sha256
from fedcoin.data.keys import KeyPair
from fedcoin.data.receipts import decode_receipt
from fedcoin.data.store import ChainStore
from fedcoin.data.transactions import Transaction, sign_transaction
from fedcoin.data.updates import sign_update
from fedcoin.data.votes import PRECOMMIT, sign_vote
from fedcoin.incentive.challenge import challenged_leaves
from fedcoin.incentive.evidence import EvidenceTree, build_tree, commitment
from fedcoin.incentive.payout import round_price
from fedcoin.incentive.sampling import SamplingPlan, plan_of
from fedcoin.v1 import block_pb2, genesis_pb2, task_pb2
from fedcoin.v1.block_pb2 import BlockHeader, PaymentReceipt
from fedcoin.v1.state_pb2 import CampaignState, MinerState, TaskState
from fedcoin.v1.task_pb2 import (
    ClientUpdate,
    EvaluationShard,
    OpenCampaign,
    OpenTask,
    PriceSplit,
    RoundPrices,
    Sampling,
    SignedUpdate,
)
from fedcoin.v1.transaction_pb2 import (
    Bond,
    CloseCampaign,
    CommitShapley,
    ReportEquivocation,
    RevealShapley,
    TransactionBody,
    Transfer,
    TransferOutput,
    Unbond,
)

CHAIN_ID = "fedcoin-test"
GENESIS_MS = 1_700_000_000_000
FDC = 100_000_000

COMMIT = block_pb2.TASK_PHASE_COMMIT
CHALLENGE = block_pb2.TASK_PHASE_CHALLENGE
REVEAL = block_pb2.TASK_PHASE_REVEAL
SETTLE = block_pb2.TASK_PHASE_SETTLE
SETTLED = block_pb2.TASK_PHASE_SETTLED
FAILED = block_pb2.TASK_PHASE_FAILED

_FIELDS: dict[type[Message], str] = {
    Transfer: "transfer",
    Bond: "bond",
    Unbond: "unbond",
    OpenCampaign: "open_campaign",
    OpenTask: "open_task",
    CloseCampaign: "close_campaign",
    CommitShapley: "commit_shapley",
    RevealShapley: "reveal_shapley",
    ReportEquivocation: "report_equivocation",
}


def key(name: str) -> KeyPair:
    """The same key for the same name, always."""
    return KeyPair.from_seed(sha256(name.encode()))


def make_genesis(
    bonds: Mapping[KeyPair, int], balances: Mapping[KeyPair, int], **parameters: int
) -> Genesis:
    """A network with these bonds and balances, in sap."""
    message = genesis_pb2.Genesis(
        chain_id=CHAIN_ID,
        time_ms=GENESIS_MS,
        parameters=genesis_pb2.Parameters(**parameters),
        accounts=[
            genesis_pb2.GenesisAccount(address=format_address(k.address), balance=balance)
            for k, balance in balances.items()
        ],
        validators=[
            genesis_pb2.GenesisValidator(public_key=k.public_key.hex(), bond=bond)
            for k, bond in bonds.items()
        ],
    )
    return parse_genesis(render_genesis(message))


def transfer(*outputs: tuple[bytes, int]) -> Transfer:
    """To each of these addresses so many sap."""
    return Transfer(outputs=[TransferOutput(recipient=to, amount=n) for to, n in outputs])


class MiniChain:
    """A chain of final blocks, with the keys of all its validators."""

    def __init__(
        self, genesis: Genesis, keys: Iterable[KeyPair], store: ChainStore | None = None
    ) -> None:
        self.genesis = genesis
        self.keys = {k.address: k for k in keys}
        self.store = store
        self.memory = MemoryState()
        if store is None:
            self.memory.apply(genesis_changes(genesis))
        else:
            store.initialise(genesis_changes(genesis))
        self.state = self.memory if store is None else store
        self.ledger = Ledger(self.state, genesis)
        self.blocks: list[Block] = []
        self.certificates: list[bytes] = []
        self.executions: list[Execution] = []

    @classmethod
    def create(
        cls,
        validators: int = 4,
        *,
        bonds: Sequence[int] | None = None,
        users: Sequence[str] = ("alice", "bob"),
        balance: int = 1_000 * FDC,
        folder: Path | None = None,
        **parameters: int,
    ) -> MiniChain:
        """Validators "miner 0" and so on, with balances too, and users with balances.

        With `folder`, blocks and state are kept in a real store.
        """
        miners = [key(f"miner {i}") for i in range(validators)]
        bonded = dict(zip(miners, bonds or [10 * FDC] * validators, strict=True))
        everyone = [*miners, *(key(name) for name in users)]
        genesis = make_genesis(bonded, dict.fromkeys(everyone, balance), **parameters)
        store = None if folder is None else ChainStore.open(folder / "chain.sqlite", genesis)
        return cls(genesis, miners, store)

    @property
    def height(self) -> int:
        """The latest block's height."""
        return len(self.blocks)

    @property
    def header(self) -> BlockHeader | None:
        """The latest block's header; None before the first."""
        return self.blocks[-1].header if self.blocks else None

    @property
    def hash(self) -> bytes:
        """The latest block's hash."""
        return self.blocks[-1].hash if self.blocks else self.genesis.hash

    @property
    def time_ms(self) -> int:
        """The latest block's time."""
        return self.blocks[-1].header.time_ms if self.blocks else GENESIS_MS

    @property
    def miners(self) -> list[KeyPair]:
        """The keys of the present validators, by address."""
        return [self.keys[v.address] for v in self.ledger.validators()]

    def balance(self, owner: KeyPair | bytes) -> int:
        """In sap."""
        address = owner if isinstance(owner, bytes) else owner.address
        return self.ledger.account(address).balance

    def sign(
        self,
        signer: KeyPair,
        action: Message,
        *,
        ahead: int = 0,
        nonce: int | None = None,
        fee: int | None = None,
        expiry: int | None = None,
        chain_id: str = CHAIN_ID,
    ) -> Transaction:
        """A transaction that fits the latest block; `ahead` of the sender's own others."""
        due = self.ledger.account(signer.address).nonce + ahead
        body = TransactionBody(
            chain_id=chain_id,
            nonce=due if nonce is None else nonce,
            expiry_height=self.height + 100 if expiry is None else expiry,
        )
        getattr(body, _FIELDS[type(action)]).CopyFrom(action)
        # The fee's own bytes count: at most ten.
        body.fee = least_fee(self.genesis.parameters, body.ByteSize() + 10) if fee is None else fee
        return sign_transaction(body, signer)

    def context(self, *, after_ms: int = 10, round: int = 0) -> BlockContext:
        """What the next block depends on."""
        return BlockContext(
            height=self.height + 1,
            time_ms=self.time_ms + after_ms,
            proposer=self.ledger.proposer(self.height + 1, round).address,
            last_certificate=self.certificates[-1] if self.certificates else b"",
        )

    def draft(
        self, *transactions: Transaction, after_ms: int = 10, round: int = 0, **header: Any
    ) -> Block:
        """The next block with these transactions, fields of its header changed at will."""
        context = self.context(after_ms=after_ms, round=round)
        execution = self.ledger.execute(context, transactions)
        filled = header_of(context, self.hash, self.genesis, execution)
        for name, value in header.items():
            if isinstance(value, Message):
                getattr(filled, name).CopyFrom(value)
            else:
                setattr(filled, name, value)
        raws = [transaction.raw for transaction in transactions]
        return build_block(filled, context.last_certificate, raws)

    def certify(self, block: Block, *, round: int = 0, signers: int | None = None) -> bytes:
        """A certificate by all validators, or the first so many."""
        votes = [
            sign_vote(PRECOMMIT, block.height, round, block.hash, k, CHAIN_ID)
            for k in self.miners[:signers]
        ]
        return make_certificate(votes)

    def check(self, block: Block, **options: Any) -> Execution:
        """What the block rules say."""
        raw = decode_block(block.raw, self.genesis.parameters.max_block_bytes)
        return check_block(raw, self.header, self.genesis, self.ledger, **options)

    def add(self, block: Block, certificate: bytes, *, round: int = 0) -> Execution:
        """Check a block and take it."""
        execution = self.check(block, round=round, now_ms=block.header.time_ms)
        if self.store is None:
            self.memory.apply(execution.changes)
        else:
            self.store.append(block, certificate, execution.receipts, execution.changes)
        self.ledger.adopt(execution)
        self.blocks.append(block)
        self.certificates.append(certificate)
        self.executions.append(execution)
        assert self.ledger.total_supply() == self.genesis.supply
        return execution

    def produce(
        self,
        *transactions: Transaction,
        after_ms: int = 10,
        round: int = 0,
        signers: int | None = None,
    ) -> Execution:
        """Make the next block final. Raises the refusal of the first transaction that is bad."""
        block = self.draft(*transactions, after_ms=after_ms, round=round)
        return self.add(block, self.certify(block, round=round, signers=signers), round=round)

    def payments(self, height: int | None = None) -> list[PaymentReceipt]:
        """What a block paid, the latest by default."""
        execution = self.executions[-1 if height is None else height - 1]
        receipts = [decode_receipt(raw) for raw in execution.receipts]
        return [receipt.payment for receipt in receipts if receipt.HasField("payment")]

    def task(self, task_id: bytes) -> TaskState:
        """A task's record."""
        task = records.TASKS.get(self.state, task_id)
        assert task is not None
        return task

    def miner(self, task_id: bytes, miner: KeyPair) -> MinerState | None:
        """A miner's record."""
        return records.MINERS.get(self.state, task_id, miner.address)

    def campaign(self, campaign_id: bytes) -> CampaignState:
        """A campaign's record."""
        campaign = records.CAMPAIGNS.get(self.state, campaign_id)
        assert campaign is not None
        return campaign


Game = Callable[[np.ndarray], np.ndarray]
"""Right answers, int64 (m,), of coalitions, bool (m, n)."""

SHARDS = tuple(sha256(b"shard", bytes([i])) for i in range(3))
WEIGHTS = sha256(b"initial weights")


def additive(*worth: int, base: int = 10) -> Game:
    """Each client is worth so many right answers, whoever else takes part."""
    gains = np.array(worth, dtype=np.int64)
    return lambda coalitions: coalitions @ gains + base


def evidence_tree(plan: SamplingPlan, game: Game, samples: int) -> EvidenceTree:
    """What an honest miner computes."""
    count = plan.fixed_samples or samples
    rows = [game(plan.coalitions(index)) for index in range(count)]
    ends = game(np.array([[True] * plan.clients, [False] * plan.clients]))
    empty = 0 if plan.empty_is_zero else int(ends[1])
    return build_tree(plan, np.array(rows), int(ends[0]), empty)


@dataclass
class Job:
    """A campaign on a chain, driven round by round."""

    chain: MiniChain
    clients: list[KeyPair] = field(
        default_factory=lambda: sorted(
            (key(f"client {i}") for i in range(3)), key=lambda k: k.address
        )
    )
    requester: KeyPair = field(default_factory=lambda: key("alice"))
    server: KeyPair = field(default_factory=lambda: key("bob"))
    campaign_id: bytes = b""
    task_id: bytes = b""
    terms: OpenTask = field(default_factory=OpenTask)

    def campaign_terms(self, **changes: Any) -> OpenCampaign:
        """Two rounds for 10 FDC, split as in the paper, unless changed."""
        given: dict[str, Any] = {
            "server": self.server.address,
            "model": sha256(b"model"),
            "initial_weights": WEIGHTS,
            "rounds": 2,
            "budget": 10 * FDC,
            "spread": task_pb2.BUDGET_SPREAD_EQUAL,
            "split": PriceSplit(train=7, com=1, sap=2),
            "mining_reward": task_pb2.MINING_REWARD_WINNER,
            "evaluation_root": merkle.root(SHARDS),
            "evaluation_shards": len(SHARDS),
        }
        return OpenCampaign(**given | changes)

    def open_campaign(self, **changes: Any) -> bytes:
        """Open it in a block of its own."""
        opening = self.chain.sign(self.requester, self.campaign_terms(**changes))
        self.chain.produce(opening)
        self.campaign_id = opening.hash
        return self.campaign_id

    def update(self, client: KeyPair, round: int, **changes: Any) -> SignedUpdate:
        """What a client signs."""
        given: dict[str, Any] = {
            "campaign_id": self.campaign_id,
            "round": round,
            "base": self.base(round),
            "update": sha256(b"update", client.address),
            "num_samples": 100,
            "address": client.address,
        }
        return sign_update(ClientUpdate(**given | changes), client, CHAIN_ID)

    def base(self, round: int) -> bytes:
        """From which weights a round starts."""
        return WEIGHTS if round == 1 else aggregate(round - 1)

    def task_terms(self, round: int | None = None, **changes: Any) -> OpenTask:
        """The next round's task, EXACT, unless changed."""
        campaign = self.chain.campaign(self.campaign_id)
        number = campaign.last_round + 1 if round is None else round
        job = campaign.terms
        due = round_price(
            job.budget, job.rounds, job.spread, min(number, job.rounds), job.split
        )
        shard = (number - 1) % len(SHARDS)
        given: dict[str, Any] = {
            "campaign_id": self.campaign_id,
            "round": number,
            "base": self.base(number),
            "aggregate": aggregate(number),
            "updates": [self.update(client, number) for client in self.clients],
            "evaluation": EvaluationShard(
                artifact=SHARDS[shard], index=shard, path=merkle.path(SHARDS, shard), size=100
            ),
            "utility": task_pb2.UTILITY_ACCURACY,
            "empty_coalition": task_pb2.EMPTY_COALITION_BASE_MODEL,
            "averaging": task_pb2.AVERAGING_FIXED_DENOMINATOR,
            "sampling": Sampling(schedule=task_pb2.SCHEDULE_EXACT),
            "prices": RoundPrices(train=due.train, com=due.com, sap=due.sap),
            "commit_window_ms": 10_000,
            "reveal_window_ms": 10_000,
            "max_attempts": 2,
        }
        return OpenTask(**given | changes)

    def open_task(self, **changes: Any) -> bytes:
        """Open the next round's task in a block of its own."""
        self.terms = self.task_terms(**changes)
        opening = self.chain.sign(self.server, self.terms)
        self.chain.produce(opening)
        self.task_id = opening.hash
        return self.task_id

    def sampled(self, samples: int = 50, truncation: int = 0) -> Sampling:
        """The paper's schedule."""
        return Sampling(
            schedule=task_pb2.SCHEDULE_PERMUTATION, max_samples=samples, truncation=truncation
        )

    @property
    def task(self) -> TaskState:
        """The task's record."""
        return self.chain.task(self.task_id)

    def plan(self, miner: KeyPair) -> SamplingPlan:
        """What a miner is to compute."""
        return plan_of(self.terms, self.task_id, miner.public_key)

    def tree(self, miner: KeyPair, game: Game, samples: int = 50) -> EvidenceTree:
        """What a miner has computed."""
        return evidence_tree(self.plan(miner), game, samples)

    def commit(self, miner: KeyPair, tree: EvidenceTree, **changes: Any) -> Transaction:
        """Commit to what was computed."""
        attempt = self.task.attempt
        given: dict[str, Any] = {
            "task_id": self.task_id,
            "attempt": attempt,
            "commitment": commitment(
                tree.sums(), salt(miner), self.task_id, attempt, miner.address
            ),
            "deposit": self.chain.genesis.parameters.commit_deposit,
        }
        return self.chain.sign(miner, CommitShapley(**given | changes))

    def reveal(self, miner: KeyPair, tree: EvidenceTree, **changes: Any) -> Transaction:
        """Open the commitment and answer the challenge."""
        task = self.task
        due = challenged_leaves(
            task.challenge,
            miner.public_key,
            tree.samples,
            self.chain.genesis.parameters.challenge_leaves,
        )
        given: dict[str, Any] = {
            "task_id": self.task_id,
            "attempt": task.attempt,
            "salt": salt(miner),
            "evidence": tree.prove(due),
        }
        return self.chain.sign(miner, RevealShapley(**given | changes))

    def run(
        self,
        games: Mapping[KeyPair, Game],
        *,
        samples: Mapping[KeyPair, int] | None = None,
        withheld: Sequence[KeyPair] = (),
    ) -> None:
        """Play one attempt: these miners commit, all but some reveal, windows run out.

        Ends when the task waits for settlement, or is in its next attempt, or has failed.
        """
        chain = self.chain
        amounts = samples or {}
        trees = {m: self.tree(m, game, amounts.get(m, 50)) for m, game in games.items()}
        chain.produce(*(self.commit(miner, tree) for miner, tree in trees.items()))
        if self.task.phase == COMMIT:
            chain.produce(after_ms=self.terms.commit_window_ms)
        if self.task.phase != CHALLENGE:
            return
        chain.produce()
        assert self.task.phase == REVEAL
        chain.produce(*(self.reveal(m, t) for m, t in trees.items() if m not in withheld))
        if self.task.phase == REVEAL:
            chain.produce(after_ms=self.terms.reveal_window_ms)

    def settle(self, games: Mapping[KeyPair, Game], **options: Any) -> None:
        """Play one attempt and settle it."""
        self.run(games, **options)
        assert self.task.phase == SETTLE
        self.chain.produce()
        assert self.task.phase == SETTLED


def aggregate(round: int) -> bytes:
    """The artifact id of a round's aggregated weights."""
    return sha256(b"aggregate", round.to_bytes(4, "big"))


def salt(miner: KeyPair) -> bytes:
    """A miner's salt."""
    return sha256(b"salt", miner.address)
