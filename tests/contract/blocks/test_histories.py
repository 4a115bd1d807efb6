"""In random histories, coins are conserved and records are consistent."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fedcoin.contract.blocks.ledger import Ledger
from fedcoin.contract.state import records
from fedcoin.contract.tasks.frozen_power import has_acted, read_power
from fedcoin.contract.tasks.lifecycle import open_tasks
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.transactions import Transaction
from fedcoin.data.messages.votes import PRECOMMIT, sign_vote
from fedcoin.incentive.proof.evidence import EvidenceTree
from fedcoin.v1.transaction_pb2 import Bond, CloseCampaign, ReportEquivocation, Unbond
from tests.support.genesis import FDC
from tests.support.keys import key_of
from tests.support.ledger_campaign import (
    CHALLENGE,
    COMMIT,
    FAILED,
    REVEAL,
    SETTLE,
    SETTLED,
    LedgerCampaign,
    additive,
)
from tests.support.ledger_chain import LedgerChain
from tests.support.transfers import transfer_to

PEOPLE = [key_of(name) for name in ("alice", "bob", "miner 0", "miner 1", "miner 2")]
ANYONE = st.sampled_from(PEOPLE)
AMOUNTS = st.sampled_from([0, 1, 7, FDC // 2, FDC, 3 * FDC, 10 * FDC, 2_000 * FDC, 2**63])
WORTH = st.tuples(*[st.integers(-15, 15)] * 3)
SOME = st.sets(st.integers(0, 4), max_size=5)


class Histories(RuleBasedStateMachine):
    """A chain on which random accounts try every action."""

    @initialize(quorum=st.sampled_from([1, 34, 90]), reward=st.integers(1, 50))
    def begin(self, quorum: int, reward: int) -> None:
        self.chain = LedgerChain.create(
            3,
            bonds=[2 * FDC, 3 * FDC, 5 * FDC],
            balance=50 * FDC,
            reveal_quorum_percent=quorum,
            report_reward_percent=reward,
            unbonding_ms=5_000,
            max_validators=4,
            commit_deposit=FDC // 10,
        )
        self.chain.keys.update({person.address: person for person in PEOPLE})
        self.jobs: list[LedgerCampaign] = []
        self.trees: dict[tuple[bytes, int, bytes], EvidenceTree] = {}

    def attempt(self, *transactions: Transaction, after_ms: int = 10) -> bool:
        """Make a block of the valid transactions; returns whether all were valid."""
        built = self.chain.ledger.build(
            self.chain.context(after_ms=after_ms), transactions, 1 << 20
        )
        before = self.chain.ledger.app_hash
        if built.refused:
            try:
                self.chain.produce(*transactions, after_ms=after_ms)
            except RefusalError:
                assert self.chain.ledger.app_hash == before
            else:
                raise AssertionError("a block with a refused transaction was taken")
        self.chain.produce(*built.transactions, after_ms=after_ms)
        return not built.refused

    @rule(sender=ANYONE, receiver=ANYONE, amount=AMOUNTS, more=AMOUNTS)
    def pay(self, sender: KeyPair, receiver: KeyPair, amount: int, more: int) -> None:
        first = self.chain.sign(sender, transfer_to((receiver.address, amount)))
        second = self.chain.sign(receiver, transfer_to((sender.address, more), (b"\1" * 20, 3)))
        self.attempt(first, second)

    @rule(who=ANYONE, amount=AMOUNTS)
    def bond(self, who: KeyPair, amount: int) -> None:
        self.attempt(self.chain.sign(who, Bond(amount=amount)))

    @rule(who=ANYONE, amount=AMOUNTS, everything=st.booleans())
    def unbond(self, who: KeyPair, amount: int, everything: bool) -> None:
        state = records.BONDS.get(self.chain.state, who.address)
        whole = state.bond if state is not None else amount
        self.attempt(self.chain.sign(who, Unbond(amount=whole if everything else amount)))

    @precondition(lambda self: self.chain.height % 4 == 0)
    @rule(offender=ANYONE, reporter=ANYONE, ago=st.integers(-1, 6))
    def report(self, offender: KeyPair, reporter: KeyPair, ago: int) -> None:
        height = max(1, self.chain.height - ago)
        first, second = (
            sign_vote(
                PRECOMMIT, height, 0, sha256(block), offender, self.chain.genesis.hash
            ).envelope
            for block in (b"one", b"two")
        )
        action = ReportEquivocation(first=first, second=second)
        self.attempt(self.chain.sign(reporter, action))

    @precondition(lambda self: len(self.jobs) < 3)
    @rule(
        requester=ANYONE,
        budget=st.sampled_from([3, 1_000, FDC + 1, 7 * FDC, 60 * FDC]),
        rounds=st.integers(1, 3),
        spread=st.sampled_from([1, 2]),
        reward=st.sampled_from([1, 2]),
        clients=st.integers(1, 3),
    )
    def open_campaign(
        self, requester: KeyPair, budget: int, rounds: int, spread: int, reward: int, clients: int
    ) -> None:
        job = LedgerCampaign(self.chain, requester=requester)
        job.clients = job.clients[:clients]
        terms = job.campaign_terms(
            budget=budget, rounds=rounds, spread=spread, mining_reward=reward
        )
        opening = self.chain.sign(requester, terms)
        if self.attempt(opening):
            job.campaign_id = opening.hash
            self.jobs.append(job)

    @precondition(lambda self: self.jobs)
    @rule(which=st.integers(0, 2), sampled=st.booleans(), attempts=st.integers(1, 3))
    def open_task(self, which: int, sampled: bool, attempts: int) -> None:
        job = self.jobs[which % len(self.jobs)]
        changes: dict[str, Any] = {"sampling": job.sampled(20)} if sampled else {}
        terms = job.task_terms(
            max_attempts=attempts, commit_window_ms=2_000, reveal_window_ms=2_000, **changes
        )
        opening = self.chain.sign(job.server, terms)
        if self.attempt(opening):
            job.terms, job.task_id = terms, opening.hash

    @precondition(lambda self: any(job.task_id for job in self.jobs))
    @rule(which=st.integers(0, 2), worth=WORTH, odd=WORTH, who=SOME, liar=st.integers(0, 9))
    def mine(
        self, which: int, worth: tuple[int, ...], odd: tuple[int, ...], who: set[int], liar: int
    ) -> None:
        """Let some miners commit or reveal; one may have different values."""
        job = self.jobs[which % len(self.jobs)]
        if not job.task_id:
            return
        made: list[Transaction] = []
        for i in sorted(who):
            miner = PEOPLE[i]
            name = (job.task_id, job.task.attempt, miner.address)
            if job.task.phase == COMMIT:
                n = len(job.clients)
                game = additive(*(odd if i == liar else worth)[:n], base=50)
                self.trees.setdefault(name, job.tree(miner, game, 10 + i))
                made.append(job.commit(miner, self.trees[name]))
            elif job.task.phase == CHALLENGE and name in self.trees:
                made.append(job.open(miner, self.trees[name]))
            elif job.task.phase == REVEAL and name in self.trees:
                made.append(job.reveal(miner, self.trees[name]))
        self.attempt(*made)

    @precondition(lambda self: self.jobs)
    @rule(
        which=st.integers(0, 2),
        worth=WORTH,
        odd=WORTH,
        liar=st.just(9) | st.integers(0, 4),
        silent=st.just(set()) | SOME,
        sampled=st.booleans(),
    )
    def play(
        self,
        which: int,
        worth: tuple[int, ...],
        odd: tuple[int, ...],
        liar: int,
        silent: set[int],
        sampled: bool,
    ) -> None:
        """Play an attempt from its present phase; some miners do not reveal."""
        self.open_task(which, sampled, 2)
        everybody = set(range(len(PEOPLE)))
        self.mine(which, worth, odd, everybody, liar)
        self.wait(2_000)
        self.wait(1)
        self.mine(which, worth, odd, everybody, liar)
        self.mine(which, worth, odd, everybody - silent, liar)
        self.wait(2_000)
        self.wait(1)

    @precondition(lambda self: self.jobs)
    @rule(which=st.integers(0, 2), who=ANYONE)
    def close_campaign(self, which: int, who: KeyPair) -> None:
        job = self.jobs[which % len(self.jobs)]
        self.attempt(self.chain.sign(who, CloseCampaign(campaign_id=job.campaign_id)))

    @rule(after_ms=st.sampled_from([1, 500, 2_000, 6_000]))
    def wait(self, after_ms: int) -> None:
        self.attempt(after_ms=after_ms)

    @invariant()
    def coins_are_conserved(self) -> None:
        ledger = self.chain.ledger
        assert ledger.total_supply() == self.chain.genesis.supply == ledger.totals().supply

    @precondition(lambda self: self.chain.height % 8 == 0)
    @invariant()
    def a_ledger_that_starts_anew_agrees(self) -> None:
        self.teardown()

    def teardown(self) -> None:
        """Reading the whole state takes most of the time, so it is done rarely, and at the end."""
        if not hasattr(self, "chain"):
            return
        fresh = Ledger(self.chain.state, self.chain.genesis)
        assert fresh.app_hash == self.chain.ledger.app_hash
        assert fresh.validators() == self.chain.ledger.validators()
        assert fresh.last_validators() == self.chain.ledger.last_validators()
        assert len(fresh.validators()) >= 1

    @invariant()
    def indexes_point_at_what_is_there(self) -> None:
        state = self.chain.state
        unfinished = {
            (task.opened_height, task_id)
            for task_id, task in records.TASKS.scan(state)
            if task.phase not in (SETTLED, FAILED)
        }
        assert set(records.OPEN_TASKS.scan(state)) == unfinished
        offers = {
            (task.offer, task_id)
            for task_id, task in records.TASKS.scan(state)
            if task.phase not in (SETTLED, FAILED)
        }
        assert set(records.OFFERS.scan(state)) == offers
        standing = {(bond.bond, a) for a, bond in records.BONDS.scan(state) if bond.bond}
        assert set(records.STANDING.scan(state)) == standing
        releases = {
            (part.release_ms, address)
            for address, bond in records.BONDS.scan(state)
            for part in bond.unbonding
        }
        assert set(records.UNBONDING.scan(state)) == releases

    @invariant()
    def counts_of_open_tasks_agree_with_their_miners(self) -> None:
        state = self.chain.state
        for task_id, task in open_tasks(state):
            if task.phase == SETTLE:
                continue
            miners = dict(records.MINERS.scan(state, task_id))
            acted = {a: m.power for a, m in miners.items() if has_acted(task, m)}
            assert task.acted_power == sum(acted.values())
            if task.phase == COMMIT:
                powers = read_power(state, task_id)
                due = {address for address, power in powers.items() if power} - set(miners)
            elif task.phase == CHALLENGE:
                due = set(miners) - set(acted)
            else:
                due = {address for address, miner in miners.items() if miner.salt} - set(acted)
            assert task.waiting == len(due)

    @invariant()
    def escrow_covers_what_is_open_and_nothing_else(self) -> None:
        state = self.chain.state
        for campaign_id, campaign in records.CAMPAIGNS.scan(state):
            if campaign.closed:
                assert campaign.escrow == 0
                assert not campaign.open_task_id
            if campaign.open_task_id:
                terms = records.TERMS.get(state, campaign.open_task_id)
                assert terms is not None
                assert terms.campaign_id == campaign_id
                due = terms.prices.training + terms.prices.aggregation + terms.prices.mining
                assert campaign.escrow >= due
        for name, miner in records.MINERS.scan(state):
            task = records.TASKS.get(state, name[:32])
            assert task is not None
            is_open = task.phase not in (SETTLED, FAILED)
            assert bool(miner.deposit) == is_open
            assert miner.attempt == task.attempt
            assert not (miner.inlier and not miner.revealed)


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=15, stateful_step_count=40, deadline=None)


class ManyHistories(Histories):
    """The same machine for more steps."""


TestManyHistories = pytest.mark.timeout(600)(pytest.mark.slow(ManyHistories.TestCase))
TestManyHistories.settings = settings(max_examples=300, stateful_step_count=80, deadline=None)
