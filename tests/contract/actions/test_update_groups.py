"""Groups of look-alikes: their form in the ledger, and how their members are paid."""

from __future__ import annotations

from typing import Any

import pytest

from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.queries.task_queries import get_campaign, get_task
from fedcoin.data.crypto.hashing import sha256
from fedcoin.v1 import block_pb2, task_pb2
from fedcoin.v1.task_pb2 import Sampling
from tests.support.genesis import FDC
from tests.support.ledger_campaign import Game, LedgerCampaign, additive
from tests.support.ledger_chain import LedgerChain

LIMIT = 950_000


def campaign(**changes: Any) -> LedgerCampaign:
    job = LedgerCampaign(LedgerChain.create())
    job.open_campaign(**{"similarity_limit_ppm": LIMIT, **changes})
    return job


def grouped(*groups: int, **changes: Any) -> dict[str, Any]:
    return {"groups": groups, "averaging": task_pb2.AVERAGING_EQUAL, **changes}


def joined(game: Game, *groups: int) -> Game:
    """Return a game in which all members of a group follow its first one, as evaluators do."""
    return lambda coalitions: game(coalitions[:, list(groups)])


def refused(job: LedgerCampaign, code: LedgerCode, field: str, **changes: Any) -> None:
    opening = job.chain.sign(job.server, job.task_terms(**changes))
    job.chain.refuses(code, opening, field=field)


@pytest.mark.parametrize("limit", [1, 499_999, 1_000_000])
def test_a_limit_out_of_range_is_refused(limit: int) -> None:
    job = LedgerCampaign(LedgerChain.create())
    opening = job.chain.sign(job.requester, job.campaign_terms(similarity_limit_ppm=limit))
    job.chain.refuses(LedgerCode.BAD_SIMILARITY_LIMIT, opening, field="similarity_limit_ppm")


@pytest.mark.parametrize(
    ("groups", "field"),
    [
        ((), "groups"),
        ((0, 1), "groups"),
        ((0, 0, 3), "groups[2]"),
        ((1, 1, 2), "groups[0]"),
        ((0, 0, 1), "groups[2]"),
    ],
)
def test_groups_of_another_form_are_refused(groups: tuple[int, ...], field: str) -> None:
    refused(campaign(), LedgerCode.BAD_GROUPS, field, **grouped(*groups))


def test_groups_are_for_campaigns_with_a_limit() -> None:
    job = campaign(similarity_limit_ppm=0)
    refused(job, LedgerCode.BAD_GROUPS, "groups", **grouped(0, 1, 2))


def test_equal_updates_are_in_one_group() -> None:
    job = campaign()
    updates = [job.update(client, 1, update=sha256(b"equal")) for client in job.clients[:2]]
    updates.append(job.update(job.clients[2], 1))
    refused(job, LedgerCode.BAD_GROUPS, "groups[1]", **grouped(0, 1, 2, updates=updates))
    job.open_task(**grouped(0, 0, 2, updates=updates))


@pytest.mark.parametrize("averaging", ["RENORMALISED", "FIXED_DENOMINATOR"])
def test_groups_need_the_equal_average(averaging: str) -> None:
    value = task_pb2.Averaging.Value(f"AVERAGING_{averaging}")
    refused(campaign(), LedgerCode.BAD_AVERAGING, "averaging", **grouped(0, 0, 2, averaging=value))


@pytest.mark.parametrize("schedule", ["exact", "permutation"])
def test_members_share_the_value_of_their_group(schedule: str) -> None:
    job = campaign()
    sampling = job.sampled() if schedule == "permutation" else None
    sampling = sampling or Sampling(schedule=task_pb2.SCHEDULE_EXACT)
    job.open_task(**grouped(0, 1, 0, sampling=sampling))
    job.settle(dict.fromkeys(job.chain.miners, joined(additive(40, 30, 0), 0, 1, 0)))
    # The miners agreed on the group's value as that of its first member.
    agreed = [400_000_000, 300_000_000, 0]
    assert list(job.task.settlement.mean_shapley_nano) == agreed
    kind = block_pb2.PAYMENT_KIND_TRAINING
    payments = {p.address: p for p in job.chain.payments() if p.kind == kind}
    paid = [payments[client.address] for client in job.clients]
    assert [payment.shapley_nano for payment in paid] == [
        200_000_000,
        300_000_000,
        200_000_000,
    ]
    assert [payment.amount for payment in paid] == [FDC, 3 * FDC // 2, FDC]
    view = get_task(job.chain.state, job.task_id)
    assert view is not None
    assert [client.group for client in view.clients] == [0, 1, 0]
    assert [client.payout for client in view.clients] == [payment.amount for payment in paid]


def test_without_a_limit_each_client_is_its_own_group() -> None:
    job = campaign(similarity_limit_ppm=0)
    job.open_task()
    view = get_task(job.chain.state, job.task_id)
    assert view is not None
    assert [client.group for client in view.clients] == [0, 1, 2]


def test_a_campaign_shows_its_limit() -> None:
    job = campaign()
    view = get_campaign(job.chain.state, job.campaign_id)
    assert view is not None
    assert view.similarity_limit_ppm == LIMIT
