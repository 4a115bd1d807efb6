"""In random histories of receipts, lists, groups and a full room, no coin and no record is lost."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fedcoin.contract.blocks.ledger import Ledger
from fedcoin.contract.state import records
from fedcoin.contract.tasks import room_rent
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.client_list import ListedClient, build_admission, build_client_list
from fedcoin.data.messages.transactions import Transaction
from fedcoin.v1 import block_pb2, task_pb2
from fedcoin.v1.task_pb2 import Admission
from fedcoin.v1.transaction_pb2 import CloseCampaign, RegisterReceipt, SetClients, Transfer
from fedcoin.v1.transaction_pb2 import TransferOutput as Output
from tests.support.genesis import FDC
from tests.support.keys import ALICE
from tests.support.ledger_campaign import CHALLENGE, COMMIT, REVEAL, LedgerCampaign, additive
from tests.support.ledger_chain import LedgerChain
from tests.support.receipt_campaign import FAIR, next_round, receipt_of

WINDOWS = st.sampled_from([0, 1_000, 60_000, 200_000])
WAITS = st.sampled_from([1, 900, 10_000, 30_000, 100_000, 3_600_000])
WHICH = st.integers(0, 4)
CLIENT = st.integers(0, 2)
OVER = (
    block_pb2.TASK_PHASE_SETTLED,
    block_pb2.TASK_PHASE_FAILED,
    block_pb2.TASK_PHASE_GAVE_WAY,
)


class ReceiptHistories(RuleBasedStateMachine):
    """A chain with room for two tasks, on which campaigns and their clients try everything."""

    @initialize()
    def begin(self) -> None:
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(room_rent, "MAX_OPEN_TASKS", 2)
        self.chain = LedgerChain.create(2, max_clients=3)
        self.jobs: list[LedgerCampaign] = []
        self.lists: dict[bytes, list[ListedClient]] = {}
        coins = [Output(recipient=c.address, amount=20 * FDC) for c in self.clients()]
        self.chain.produce(self.chain.sign(ALICE, Transfer(outputs=coins)))
        for window, unit, limit, budget in (
            (60_000, False, False, FDC),
            (1_000, True, False, 30 * FDC),
            (200_000, False, True, 3),
        ):
            self.add_campaign(window, unit, limit, budget, 3, set())

    def clients(self) -> list[KeyPair]:
        return LedgerCampaign(self.chain).clients

    def attempt(self, transaction: Transaction, after_ms: int = 10) -> bool:
        """Make a block with the transaction, or without it if it is refused."""
        try:
            self.chain.produce(transaction, after_ms=after_ms)
        except RefusalError:
            self.chain.produce(after_ms=after_ms)
            return False
        return True

    def job(self, which: int) -> LedgerCampaign:
        return self.jobs[which % len(self.jobs)]

    def admission(self, job: LedgerCampaign, client: KeyPair) -> Admission | None:
        listed = self.lists[job.campaign_id]
        if client.address not in [entry.address for entry in listed]:
            return None
        return build_admission(listed, client.address)

    @precondition(lambda self: len(self.jobs) < 5)
    @rule(
        window=WINDOWS,
        unit=st.booleans(),
        limit=st.booleans(),
        budget=st.sampled_from([3, FDC, 30 * FDC]),
        rounds=st.integers(1, 3),
        listed=st.sets(CLIENT, max_size=3),
    )
    def open_campaign(
        self, window: int, unit: bool, limit: bool, budget: int, rounds: int, listed: set[int]
    ) -> None:
        self.add_campaign(window, unit, limit, budget, rounds, listed)

    def add_campaign(
        self, window: int, unit: bool, limit: bool, budget: int, rounds: int, listed: set[int]
    ) -> None:
        job = LedgerCampaign(self.chain)
        entries = sorted(ListedClient(job.clients[i].address, 100) for i in listed)
        pays = "UNIT_PRICE" if unit else "PROPORTIONAL"
        job.open_campaign(
            receipt_window_ms=window,
            similarity_limit_ppm=900_000 if limit else 0,
            training_reward=task_pb2.TrainingReward.Value(f"TRAINING_REWARD_{pays}"),
            unit_price=10 * FDC if unit else 0,
            budget=budget,
            rounds=rounds,
            clients=build_client_list(entries),
        )
        self.lists[job.campaign_id] = entries
        self.jobs.append(job)

    @precondition(lambda self: self.jobs)
    @rule(which=WHICH, listed=st.sets(CLIENT, max_size=3))
    def set_clients(self, which: int, listed: set[int]) -> None:
        job = self.job(which)
        entries = sorted(ListedClient(job.clients[i].address, 100) for i in listed)
        action = SetClients(campaign_id=job.campaign_id, clients=build_client_list(entries))
        if self.attempt(self.chain.sign(ALICE, action)):
            self.lists[job.campaign_id] = entries

    @precondition(lambda self: self.jobs)
    @rule(which=WHICH, client=CLIENT)
    def register(self, which: int, client: int) -> None:
        job = self.job(which)
        key, campaign = job.clients[client], self.chain.campaign(job.campaign_id)
        update = job.update(key, next_round(job))
        if campaign.last_failed and not campaign.terms.unit_price:
            update = job.update(key, next_round(job), base=campaign.last_base)
        action = RegisterReceipt(
            update=update, receipt=receipt_of(job, update), admission=self.admission(job, key)
        )
        self.attempt(self.chain.sign(key, action))

    @precondition(lambda self: any(job.task_id for job in self.jobs))
    @rule(which=WHICH, client=CLIENT, num_samples=st.sampled_from([100, 100, 99]))
    def show_late(self, which: int, client: int, num_samples: int) -> None:
        """Register a receipt for the last task, which holds the update or does not."""
        job = self.job(which)
        if not job.task_id:
            return
        key = job.clients[client]
        update = job.update(key, job.terms.round, base=job.terms.base, num_samples=num_samples)
        action = RegisterReceipt(
            update=update,
            receipt=receipt_of(job, update),
            admission=self.admission(job, key),
            task_id=job.task_id,
        )
        self.attempt(self.chain.sign(key, action))

    @precondition(lambda self: self.jobs)
    @rule(which=WHICH)
    def close(self, which: int) -> None:
        action = CloseCampaign(campaign_id=self.job(which).campaign_id)
        self.attempt(self.chain.sign(ALICE, action))

    @precondition(lambda self: self.jobs)
    @rule(
        which=WHICH,
        opener=st.integers(-1, 2),
        others=st.sets(CLIENT),
        groups=st.sampled_from([[0, 0, 0], [0, 1, 2], [0, 0, 2], [0, 1, 0], [1, 1, 0]]),
        patient=st.integers(0, 3).map(bool),
    )
    def open_task(
        self, which: int, opener: int, others: set[int], groups: list[int], patient: bool
    ) -> None:
        """Open a task of the registered clients, by the server or one of them, and of others."""
        job = self.job(which)
        campaign = self.chain.campaign(job.campaign_id)
        receipts = records.RECEIPTS
        registered = {
            i
            for i, client in enumerate(job.clients)
            if receipts.get(self.chain.state, job.campaign_id, client.address)
        }
        by_client = opener in registered
        if by_client and patient:
            due = campaign.receipts_since_ms + campaign.terms.receipt_window_ms
            self.chain.produce(after_ms=max(10, due - self.chain.time_ms))
            others = set()
        number, base = campaign.last_round + 1, job.base(campaign.last_round + 1)
        if campaign.last_failed and not campaign.terms.unit_price:
            base = campaign.last_base
        keys = [job.clients[i] for i in sorted(registered | others)]
        proofs = [self.admission(job, key) for key in keys]
        changes: dict[str, Any] = {
            "base": base,
            "updates": [job.update(key, number, base=base) for key in keys],
            "max_room_fee": 8 * FDC,
        }
        if self.lists[job.campaign_id]:
            changes["admissions"] = [proof for proof in proofs if proof is not None]
        if campaign.terms.similarity_limit_ppm:
            changes["groups"] = groups[: len(keys)]
        terms = job.task_terms(**FAIR | changes)
        made = self.chain.sign(job.clients[opener] if by_client else job.server, terms)
        if self.attempt(made):
            job.terms, job.task_id = terms, made.hash

    @precondition(lambda self: any(job.task_id for job in self.jobs))
    @rule(which=WHICH, worth=st.integers(-9, 9), steps=st.integers(1, 3))
    def mine(self, which: int, worth: int, steps: int) -> None:
        job = self.job(which)
        if not job.task_id:
            return
        game = additive(*[worth] * len(job.terms.updates), base=50)
        trees = {miner: job.tree(miner, game) for miner in self.chain.miners}
        step = {COMMIT: job.commit, CHALLENGE: job.open, REVEAL: job.reveal}
        for _ in range(steps):
            for miner, tree in trees.items():
                if job.task.phase in step:
                    self.attempt(step[job.task.phase](miner, tree))

    @rule(after_ms=WAITS)
    def wait(self, after_ms: int) -> None:
        self.chain.produce(after_ms=after_ms)
        self.chain.produce()

    @invariant()
    def receipts_belong_to_open_campaigns(self) -> None:
        state = self.chain.state
        counts: dict[bytes, int] = {}
        for name, receipt in records.RECEIPTS.scan(state):
            counts[name[:32]] = counts.get(name[:32], 0) + 1
            assert receipt.deposit
        closings = set(records.CLOSING.scan(state))
        for campaign_id, campaign in records.CAMPAIGNS.scan(state):
            assert campaign.receipts == counts.get(campaign_id, 0)
            assert bool(campaign.receipts) == bool(campaign.receipts_since_ms)
            if campaign.closed:
                assert (campaign.escrow, campaign.receipts, campaign.open_task_id) == (0, 0, b"")
            elif campaign.closing_ms:
                assert (campaign.closing_ms, campaign_id) in closings

    @invariant()
    def the_room_holds_its_deposits(self) -> None:
        state = self.chain.state
        tasks = dict(records.TASKS.scan(state))
        is_open = {task_id for task_id, task in tasks.items() if task.phase not in OVER}
        assert {task_id for _, task_id in records.OPEN_TASKS.scan(state)} == is_open
        assert len(is_open) <= 2
        assert {task_id for task_id, task in tasks.items() if task.deposit} == is_open
        is_full = bool(records.read_ledger(state).room_full_since_ms)
        assert is_full == (len(is_open) == 2)

    @precondition(lambda self: self.chain.height % 8 == 0)
    @invariant()
    def a_ledger_that_starts_anew_agrees(self) -> None:
        fresh = Ledger(self.chain.state, self.chain.genesis)
        assert fresh.app_hash == self.chain.ledger.app_hash
        assert fresh.next_deadline_ms() == self.chain.ledger.next_deadline_ms()

    def teardown(self) -> None:
        """Give the room its size back."""
        if hasattr(self, "patch"):
            self.patch.undo()


TestReceiptHistories = ReceiptHistories.TestCase
TestReceiptHistories.settings = settings(max_examples=12, stateful_step_count=40, deadline=None)


class ManyReceiptHistories(ReceiptHistories):
    """The same machine for more steps."""


TestManyReceiptHistories = pytest.mark.timeout(600)(pytest.mark.slow(ManyReceiptHistories.TestCase))
TestManyReceiptHistories.settings = settings(
    max_examples=300, stateful_step_count=80, deadline=None
)
