"""Equal updates share one value, through the ledger."""

from __future__ import annotations

import pytest

from fedcoin.contract.queries.task_queries import get_task
from fedcoin.v1 import block_pb2
from fedcoin.v1.task_pb2 import ClientUpdate
from tests.conftest import ReportAttack
from tests.support.genesis import FDC
from tests.support.ledger_campaign import LedgerCampaign, additive
from tests.support.ledger_chain import LedgerChain


@pytest.mark.attack
def test_a_copier_that_claims_many_examples_gets_no_more_than_the_owner(
    report_attack: ReportAttack,
) -> None:
    """The copy has nine tenths of the pair's examples, and so of its value in the average."""
    job = LedgerCampaign(LedgerChain.create())
    job.open_campaign()
    owner, copier, other = job.clients
    update = job.update(owner, 1)
    artifact = ClientUpdate.FromString(update.body).update
    job.open_task(
        updates=[
            update,
            job.update(copier, 1, update=artifact, num_samples=900),
            job.update(other, 1),
        ]
    )
    job.settle(dict.fromkeys(job.chain.miners, additive(4, 36, 30)))
    kind = block_pb2.PAYMENT_KIND_TRAINING
    payments = {p.address: p for p in job.chain.payments() if p.kind == kind}
    assert [payments[c.address].shapley_nano for c in job.clients] == [
        200_000_000,
        200_000_000,
        300_000_000,
    ]
    assert payments[owner.address].amount == payments[copier.address].amount == FDC
    view = get_task(job.chain.state, job.task_id)
    assert view is not None
    assert [(c.shapley_nano, c.payout) for c in view.clients] == [
        (payments[c.address].shapley_nano, payments[c.address].amount) for c in job.clients
    ]
    # The block still shows what the miners agreed on.
    assert list(job.task.settlement.mean_shapley_nano) == [40_000_000, 360_000_000, 300_000_000]
    report_attack(
        "a client hands in another's update and claims nine times its examples",
        "90 % of what both are worth",
        f"{payments[copier.address].amount / (2 * FDC):.0%} of it, as much as the owner",
    )
