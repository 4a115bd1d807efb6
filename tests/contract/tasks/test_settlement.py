"""Payments of a settled task, to the last sap."""

from __future__ import annotations

import pytest

from fedcoin.consensus import posap
from fedcoin.contract.tasks.settlement import client_addresses
from fedcoin.data.messages.receipts import decode_receipt
from fedcoin.incentive.payout import split_training_price
from fedcoin.v1 import block_pb2, task_pb2
from fedcoin.v1.block_pb2 import PaymentReceipt
from fedcoin.v1.task_pb2 import PriceSplit
from tests.support.genesis import FDC
from tests.support.keys import key_of
from tests.support.ledger_campaign import SETTLED, Game, LedgerCampaign, additive
from tests.support.ledger_chain import LedgerChain

TRAIN = block_pb2.PAYMENT_KIND_TRAINING
COM = block_pb2.PAYMENT_KIND_AGGREGATION
SAP = block_pb2.PAYMENT_KIND_MINING
REFUND = block_pb2.PAYMENT_KIND_REFUND
RETURNED = block_pb2.PAYMENT_KIND_DEPOSIT_RETURNED
BURNED = block_pb2.PAYMENT_KIND_DEPOSIT_BURNED


def settled(game: Game, validators: int = 4, **campaign: object) -> LedgerCampaign:
    """Settle a campaign's first round with miners that agree on this game."""
    job = LedgerCampaign(LedgerChain.create(validators))
    job.open_campaign(**campaign)
    job.open_task()
    job.settle(dict.fromkeys(job.chain.miners, game))
    return job


def paid(job: LedgerCampaign, kind: int) -> list[PaymentReceipt]:
    return [payment for payment in job.chain.payments() if payment.kind == kind]


def test_clients_and_miners_are_paid_in_one_block() -> None:
    job = settled(additive(5, 10, -3))
    prices = job.terms.prices
    assert (prices.training, prices.aggregation, prices.mining) == (35 * FDC // 10, FDC // 2, FDC)
    values = (50_000_000, 100_000_000, -30_000_000)
    payouts, refund = split_training_price(values, prices.training)
    assert refund == 0
    train = paid(job, TRAIN)
    # The third client's value is negative: it gets nothing, and no receipt.
    assert [(p.address, p.amount, p.shapley_nano) for p in train] == [
        (client.address, payout, value)
        for client, payout, value in zip(job.clients, payouts, values, strict=True)
        if payout
    ]
    assert sum(p.amount for p in train) == prices.training
    assert train[1].amount in (2 * train[0].amount, 2 * train[0].amount - 1)
    (com,) = paid(job, COM)
    assert (com.address, com.amount) == (job.server.address, prices.aggregation)
    (sap,) = paid(job, SAP)
    assert (sap.address, sap.amount) == (job.task.settlement.winner, prices.mining)
    assert len(paid(job, RETURNED)) == 4
    assert not paid(job, REFUND)
    for payment in job.chain.payments():
        assert payment.campaign_id == job.campaign_id
        assert (payment.task_id, payment.round) == (job.task_id, 1)
    assert [job.chain.balance(client) for client in job.clients] == list(payouts)
    assert job.chain.campaign(job.campaign_id).escrow == 5 * FDC
    assert client_addresses(job.terms) == [client.address for client in job.clients]


def test_payouts_of_a_sap_reach_clients_that_have_no_account() -> None:
    """A transfer of a sap to a new account costs more than a sap; a payout costs nothing."""
    job = settled(additive(1, 1, 1), budget=14)
    amounts = sorted(payment.amount for payment in paid(job, TRAIN))
    assert amounts == [1, 2, 2]
    assert sorted(job.chain.balance(client) for client in job.clients) == amounts
    assert not paid(job, REFUND)


@pytest.mark.parametrize("worth", [(-5, -10, -1), (0, 0, 0)])
def test_when_no_value_is_positive_the_training_price_goes_back(worth: tuple[int, ...]) -> None:
    job = settled(additive(*worth, base=50))
    assert not paid(job, TRAIN)
    (refund,) = paid(job, REFUND)
    assert (refund.address, refund.amount) == (job.requester.address, job.terms.prices.training)
    assert len(paid(job, COM)) == len(paid(job, SAP)) == 1


def test_one_client_gets_all_or_nothing() -> None:
    for worth, kind in ((7, TRAIN), (-7, REFUND)):
        job = LedgerCampaign(LedgerChain.create(), clients=[key_of("client 0")])
        job.open_campaign()
        job.open_task()
        job.settle({m: additive(worth, base=20) for m in job.chain.miners})
        (payment,) = paid(job, kind)
        assert payment.amount == job.terms.prices.training


def test_one_miner_is_enough() -> None:
    job = settled(additive(1, 2, 3), validators=1)
    (miner,) = job.chain.miners
    assert job.task.settlement.winner == miner.address
    record = job.chain.miner(job.task_id, miner)
    assert record is not None
    assert record.inlier
    assert record.reward == job.terms.prices.mining


def test_a_withheld_reveal_burns_the_deposit() -> None:
    job = LedgerCampaign(LedgerChain.create())
    job.open_campaign(mining_reward=task_pb2.MINING_REWARD_PRO_RATA)
    job.open_task()
    miners = job.chain.miners
    job.settle({m: additive(1, 2, 3) for m in miners}, withheld=miners[:1])
    (burned,) = paid(job, BURNED)
    deposit = job.deposit
    assert (burned.address, burned.amount) == (miners[0].address, deposit)
    assert job.chain.penalties == deposit
    assert {p.address for p in paid(job, RETURNED)} == {m.address for m in miners[1:]}


def test_the_tie_of_an_exact_task_is_drawn_from_the_challenge() -> None:
    job = settled(additive(5, 10, -3))
    reveals = [
        posap.Reveal(m.address, 10 * FDC, 8, (50_000_000, 100_000_000, -30_000_000))
        for m in job.chain.miners
    ]
    outcome = posap.compute_outcome(
        reveals, 20_000_000, job.task.challenge, is_drawn=True, min_samples_percent=25
    )
    assert outcome is not None
    assert outcome.winner == job.task.settlement.winner


def test_the_inliers_share_by_samples_up_to_the_median_where_the_campaign_says_so() -> None:
    job = LedgerCampaign(LedgerChain.create())
    job.open_campaign(mining_reward=task_pb2.MINING_REWARD_PRO_RATA)
    job.open_task(sampling=job.sampled(1_000))
    miners = job.chain.miners
    game = additive(5, 10, -3)
    outlier = additive(-30, 60, 0, base=30)
    amounts = dict(zip(miners, (100, 200, 300, 1_000), strict=True))
    job.settle({m: outlier if m is miners[3] else game for m in miners}, samples=amounts)
    sap = job.terms.prices.mining
    assert [(p.address, p.amount) for p in paid(job, SAP)] == [
        (miners[0].address, sap // 5),
        (miners[1].address, 2 * sap // 5),
        (miners[2].address, 2 * sap // 5),
    ]
    inliers = [job.chain.miner(job.task_id, m) for m in miners]
    assert [m is not None and m.inlier for m in inliers] == [True, True, True, False]
    assert [m is not None and m.reward > 0 for m in inliers] == [True, True, True, False]
    # The outlier claimed the most samples, and did not move the result.
    assert list(job.task.settlement.mean_shapley_nano) == [50_000_000, 100_000_000, -30_000_000]
    # It revealed validly: an outlier may be an honest miner on a broken machine.
    assert len(paid(job, RETURNED)) == 4


@pytest.mark.parametrize(("percent", "least"), [(0, 50), (25, 50), (50, 100), (100, 200)])
def test_a_miner_with_few_samples_is_no_inlier_and_gets_its_deposit_back(
    percent: int, least: int
) -> None:
    """The lower median of the counts is 200; a genesis that sets no share gets a quarter."""
    for samples in (least - 1, least):
        job = LedgerCampaign(LedgerChain.create(min_samples_percent=percent))
        job.open_campaign(mining_reward=task_pb2.MINING_REWARD_PRO_RATA)
        job.open_task(sampling=job.sampled(1_000))
        amounts = dict(zip(job.chain.miners, (samples, 200, 300, 1_000), strict=True))
        job.settle(dict.fromkeys(job.chain.miners, additive(5, 10, -3)), samples=amounts)
        lazy = job.chain.miner(job.task_id, job.chain.miners[0])
        assert lazy is not None
        assert lazy.revealed
        assert (lazy.inlier, lazy.reward > 0) == (samples == least, samples == least)
        assert len(paid(job, RETURNED)) == 4
        assert not paid(job, BURNED)


def test_a_price_of_nothing_leaves_no_receipt() -> None:
    job = settled(additive(1, 2, 3), split=PriceSplit(training=1))
    assert not paid(job, COM)
    assert not paid(job, SAP)
    assert sum(p.amount for p in paid(job, TRAIN)) == 5 * FDC
    nothing_for_clients = settled(additive(1, 2, 3), split=PriceSplit(mining=1))
    assert not paid(nothing_for_clients, TRAIN)
    assert not paid(nothing_for_clients, REFUND)


def test_a_slashed_or_gone_client_is_paid_where_it_said() -> None:
    """A payment needs no account: its address may never have been used."""
    job = settled(additive(1, 1, 1))
    for client in job.clients:
        account = job.chain.ledger.account(client.address)
        assert account.nonce == 0
        assert account.balance > 0


def test_receipts_say_which_phase_was_entered_behind_what_was_paid() -> None:
    job = settled(additive(1, 2, 3))
    receipts = [decode_receipt(raw) for raw in job.chain.executions[-1].receipts]
    kinds = [receipt.WhichOneof("kind") for receipt in receipts]
    assert kinds == ["payment"] * (len(kinds) - 1) + ["task"]
    assert receipts[-1].task.phase == SETTLED
