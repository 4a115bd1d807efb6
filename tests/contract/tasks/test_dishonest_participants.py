"""Dishonest coordinators and clients: what the ledger refuses, and what they are paid."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fedcoin.contract.errors import LedgerCode
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.errors import DataCode
from fedcoin.data.messages.updates import sign_update
from fedcoin.incentive.payout import split_training_price
from fedcoin.shapley import estimate
from fedcoin.v1 import block_pb2
from fedcoin.v1.task_pb2 import ClientUpdate, OpenTask
from tests.conftest import ReportAttack
from tests.support.genesis import FDC, OTHER_GENESIS_HASH
from tests.support.keys import ALICE, key_of
from tests.support.ledger_campaign import LedgerCampaign, additive
from tests.support.ledger_chain import LedgerChain

TRAINING = block_pb2.PAYMENT_KIND_TRAINING


@pytest.fixture
def job() -> LedgerCampaign:
    job = LedgerCampaign(LedgerChain.create(2))
    job.open_campaign()
    return job


def swapped(terms: OpenTask, job: LedgerCampaign) -> None:
    """Replaces a client's weights without its signature."""
    body = ClientUpdate.FromString(terms.updates[0].body)
    body.update = sha256(b"worse weights")
    terms.updates[0].body = body.SerializeToString(deterministic=True)


def exchanged(terms: OpenTask, job: LedgerCampaign) -> None:
    """Puts one client's signature under another's update."""
    first, second = terms.updates[0].signature, terms.updates[1].signature
    terms.updates[0].signature, terms.updates[1].signature = second, first


def doubled(terms: OpenTask, job: LedgerCampaign) -> None:
    terms.updates.insert(1, terms.updates[0])


def reordered(terms: OpenTask, job: LedgerCampaign) -> None:
    turned = [*terms.updates][::-1]
    del terms.updates[:]
    terms.updates.extend(turned)


def cheaper(terms: OpenTask, job: LedgerCampaign) -> None:
    terms.prices.training -= 1
    terms.prices.aggregation += 1


def replayed(terms: OpenTask, job: LedgerCampaign) -> None:
    """Uses a client's update of another round."""
    terms.updates[0].CopyFrom(job.update(job.clients[0], 2))


def of_another_campaign(terms: OpenTask, job: LedgerCampaign) -> None:
    terms.updates[0].CopyFrom(job.update(job.clients[0], 1, campaign_id=sha256(b"other")))


def of_another_base(terms: OpenTask, job: LedgerCampaign) -> None:
    terms.updates[0].CopyFrom(job.update(job.clients[0], 1, base=sha256(b"other")))


def of_another_network(terms: OpenTask, job: LedgerCampaign) -> None:
    body = ClientUpdate.FromString(terms.updates[0].body)
    terms.updates[0].CopyFrom(sign_update(body, job.clients[0], OTHER_GENESIS_HASH))


@pytest.mark.attack
@pytest.mark.parametrize(
    ("lie", "code"),
    [
        (swapped, DataCode.BAD_SIGNATURE),
        (exchanged, DataCode.BAD_SIGNATURE),
        (doubled, LedgerCode.DUPLICATE_CLIENT),
        (reordered, LedgerCode.CLIENTS_OUT_OF_ORDER),
        (cheaper, LedgerCode.WRONG_PRICES),
        (replayed, LedgerCode.UPDATE_OF_OTHER_ROUND),
        (of_another_campaign, LedgerCode.UPDATE_OF_OTHER_CAMPAIGN),
        (of_another_base, LedgerCode.UPDATE_OF_OTHER_BASE),
        (of_another_network, DataCode.BAD_SIGNATURE),
    ],
)
def test_a_coordinator_cannot(
    job: LedgerCampaign,
    lie: Callable[[OpenTask, LedgerCampaign], None],
    code: LedgerCode | DataCode,
    report_attack: ReportAttack,
) -> None:
    terms = job.task_terms()
    lie(terms, job)
    job.chain.refuses(code, job.chain.sign(job.server, terms))
    how = lie.__name__.replace("_", " ")
    report_attack(
        f"a coordinator hands in updates or prices that are not as agreed ({how})",
        "no more than now",
        f"a refused transaction: `{code.name}`",
    )


@pytest.mark.attack
def test_a_coordinator_can_leave_a_client_out(
    job: LedgerCampaign, report_attack: ReportAttack
) -> None:
    """Not prevented: the coordinator chooses who takes part."""
    terms = job.task_terms()
    del terms.updates[0]
    job.chain.produce(job.chain.sign(job.server, terms))
    report_attack(
        "a coordinator leaves the update of a client out",
        "no more than now",
        "the round without it: nothing stops that",
    )


def test_only_the_server_opens_a_task(job: LedgerCampaign) -> None:
    stranger = job.chain.sign(ALICE, job.task_terms())
    job.chain.refuses(LedgerCode.NOT_THE_SERVER, stranger)


def test_a_transaction_of_another_network_is_refused(job: LedgerCampaign) -> None:
    terms = job.task_terms()
    stale = job.chain.sign(job.server, terms, chain_id="another-chain")
    job.chain.refuses(DataCode.WRONG_CHAIN, stale)
    old = job.chain.sign(job.server, terms, expiry=job.chain.height)
    job.chain.refuses(LedgerCode.EXPIRED, old)


@pytest.mark.attack
def test_a_free_rider_earns_nothing(job: LedgerCampaign, report_attack: ReportAttack) -> None:
    job.open_task()
    job.settle(dict.fromkeys(job.chain.miners, additive(30, 20, 0)))
    mean = job.task.settlement.mean_shapley_nano
    assert mean[2] == 0
    assert job.chain.balance(job.clients[2]) == 0
    assert job.chain.balance(job.clients[0]) > job.chain.balance(job.clients[1]) > 0
    report_attack(
        "a client whose update changes nothing",
        "no more than now",
        "no pay",
    )


def learnt(parts: NDArray[Any]) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Makes a utility: the mean share of each piece of knowledge that a coalition holds."""
    return lambda coalitions: np.minimum(coalitions @ parts, 1.0).mean(axis=1)


def shares(parts: NDArray[Any]) -> list[float]:
    """Returns each client's share of the payouts for its exact value."""
    values = estimate(learnt(parts), len(parts), method="exact").values
    paid, _ = split_training_price([round(value * 1e9) for value in values], 10**9)
    return [amount / 1e9 for amount in paid]


@pytest.mark.attack
def test_a_replicator_shares_the_pay_of_the_client_that_it_copied(
    report_attack: ReportAttack,
) -> None:
    """Not prevented: the Shapley value divides the worth of data between all that hold it."""
    alone = shares(np.eye(3))
    copied = shares(np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]], dtype=float))
    assert alone == pytest.approx([1 / 3] * 3)
    assert copied[2] == pytest.approx(copied[3])
    assert copied[2] + copied[3] == pytest.approx(1 / 3)
    assert copied[0] == pytest.approx(1 / 3)
    report_attack(
        "a client trains on a copy of another's data",
        "no more than now",
        "half of what the data is worth: nothing stops that",
    )


def test_a_sybil_that_splits_an_additive_share_gains_nothing() -> None:
    """The pay of additive parts adds up."""
    whole = shares(np.array([[0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5]]))
    split = shares(np.array([[0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.25], [0, 0, 0.25]]))
    assert split[2] + split[3] == pytest.approx(whole[2])


@pytest.mark.attack
def test_a_sybil_gains_where_its_parts_overlap_with_others(report_attack: ReportAttack) -> None:
    """Not prevented: two addresses with the same data get two of three equal shares."""
    fair = shares(np.array([[1.0], [1.0]]))
    sybil = shares(np.array([[1.0], [1.0], [1.0]]))
    assert fair[1] == pytest.approx(1 / 2)
    assert sybil[1] + sybil[2] == pytest.approx(2 / 3)
    report_attack(
        "a client takes part under two addresses, without a list of clients",
        "no more than now",
        "two thirds in place of a half: nothing stops that",
    )


@pytest.mark.attack
def test_many_small_keys_whose_owner_picks_vectors_pay_no_client_more(
    report_attack: ReportAttack,
) -> None:
    """Their vectors are honest: those keys alone commit whose samples favour the first client."""
    bonds = [1_000 * FDC] * 4 + [FDC] * 48
    fair, picked = (pay_first_client(bonds, num_picked) for num_picked in (0, 16))
    gain = picked / fair - 1
    assert abs(gain) < 0.001
    report_attack(
        "of 48 keys with 1 % of the power, 16 commit: those whose samples favour one client",
        "7 % more pay for the client",
        f"{100 * gain:.2f} % more",
    )


def pay_first_client(bonds: list[int], num_picked: int) -> int:
    job = LedgerCampaign(LedgerChain.create(len(bonds), bonds=bonds))
    job.open_campaign()
    job.open_task(sampling=job.sampled(64))
    keys = [key_of(f"miner {i}") for i in range(len(bonds))]
    rich, small = keys[:4], keys[4:]
    totals = {m: job.tree(m, saturating, 64).total[0] for m in small}
    favourable = sorted(small, key=lambda m: totals[m])[len(small) - num_picked :]
    miners = [*rich, *favourable]
    job.settle(dict.fromkeys(miners, saturating), samples=dict.fromkeys(miners, 64))
    pays = {p.address: p.amount for p in job.chain.payments() if p.kind == TRAINING}
    return pays[job.clients[0].address]


def saturating(coalitions: NDArray[Any]) -> NDArray[Any]:
    """Return the game in which the first client of a coalition adds the most."""
    return np.array([10, 21, 25, 26])[coalitions.sum(axis=-1)]
