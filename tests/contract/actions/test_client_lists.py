"""Only listed clients take part, and claim no more examples than the list allows."""

from __future__ import annotations

from typing import Any

import pytest

from fedcoin.contract.errors import LedgerCode
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.messages.client_list import (
    ListedClient,
    build_admission,
    build_client_list,
)
from fedcoin.v1.task_pb2 import ClientList
from fedcoin.v1.transaction_pb2 import CloseCampaign, SetClients
from tests.conftest import ReportAttack
from tests.support.keys import ALICE, BOB, key_of
from tests.support.ledger_campaign import LedgerCampaign, additive
from tests.support.ledger_chain import LedgerChain


def listed(job: LedgerCampaign, cap: int = 100) -> list[ListedClient]:
    """Return a list of the campaign's clients and of two others, in another order."""
    others = [ListedClient(key_of(f"other {i}").address, 5) for i in range(2)]
    return [others[0], *(ListedClient(c.address, cap) for c in reversed(job.clients)), others[1]]


def campaign(clients: ClientList | None = None) -> LedgerCampaign:
    job = LedgerCampaign(LedgerChain.create())
    job.open_campaign(clients=build_client_list(listed(job)) if clients is None else clients)
    return job


def admissions(job: LedgerCampaign, clients: list[ListedClient] | None = None) -> dict[str, Any]:
    given = clients or listed(job)
    return {"admissions": [build_admission(given, c.address) for c in job.clients]}


def test_listed_clients_take_part() -> None:
    job = campaign()
    job.open_task(**admissions(job))
    job.settle(dict.fromkeys(job.chain.miners, additive(3, 2, 1)))
    # The state does not keep the proofs of closed tasks.
    job.open_task(**admissions(job))


@pytest.mark.attack
def test_who_is_not_listed_is_refused(report_attack: ReportAttack) -> None:
    job = campaign()
    job.clients = sorted([*job.clients[:2], key_of("sybil")], key=lambda key: key.address)
    sybil = job.clients.index(key_of("sybil"))
    given = listed(LedgerCampaign(job.chain))
    borrowed = [
        build_admission(given, given[1].address if i == sybil else client.address)
        for i, client in enumerate(job.clients)
    ]
    for proofs, field in ((borrowed, f"admissions[{sybil}]"), ([], "admissions")):
        opening = job.chain.sign(job.server, job.task_terms(admissions=proofs))
        job.chain.refuses(LedgerCode.CLIENT_NOT_LISTED, opening, field=field)
    report_attack(
        "a client comes under a further address, in a campaign with a list of clients",
        "a payment for each address",
        "`CLIENT_NOT_LISTED`",
    )


def test_nobody_claims_more_than_the_list_allows() -> None:
    job = campaign()
    terms = job.task_terms(**admissions(job))
    terms.updates[1].CopyFrom(job.update(job.clients[1], 1, num_samples=101))
    opening = job.chain.sign(job.server, terms)
    job.chain.refuses(LedgerCode.TOO_MANY_EXAMPLES, opening, field="updates[1].num_samples")
    # A larger number in the proof is not what the list says.
    terms.admissions[1].max_samples = 101
    opening = job.chain.sign(job.server, terms)
    job.chain.refuses(LedgerCode.CLIENT_NOT_LISTED, opening, field="admissions[1]")


def test_without_a_list_there_are_no_proofs() -> None:
    job = campaign(ClientList())
    opening = job.chain.sign(job.server, job.task_terms(**admissions(job)))
    job.chain.refuses(LedgerCode.CLIENT_NOT_LISTED, opening, field="admissions")
    job.open_task()


def test_the_requester_replaces_the_list_for_later_rounds() -> None:
    job = campaign()
    job.open_task(**admissions(job))
    raised = listed(job, cap=101)
    change = SetClients(campaign_id=job.campaign_id, clients=build_client_list(raised))
    job.chain.refuses(LedgerCode.NOT_THE_REQUESTER, job.chain.sign(BOB, change))
    unknown = SetClients(campaign_id=bytes(32), clients=change.clients)
    job.chain.refuses(LedgerCode.UNKNOWN_CAMPAIGN, job.chain.sign(ALICE, unknown))
    job.chain.produce(job.chain.sign(ALICE, change))
    job.settle(dict.fromkeys(job.chain.miners, additive(3, 2, 1)))
    old = job.chain.sign(job.server, job.task_terms(**admissions(job)))
    job.chain.refuses(LedgerCode.CLIENT_NOT_LISTED, old, field="admissions[0]")
    job.chain.produce(job.chain.sign(ALICE, SetClients(campaign_id=job.campaign_id)))
    job.open_task()
    job.settle(dict.fromkeys(job.chain.miners, additive(3, 2, 1)))
    job.chain.refuses(LedgerCode.CAMPAIGN_CLOSED, job.chain.sign(ALICE, change))
    closing = CloseCampaign(campaign_id=job.campaign_id)
    job.chain.refuses(LedgerCode.CAMPAIGN_CLOSED, job.chain.sign(ALICE, closing))


@pytest.mark.parametrize(
    ("clients", "field"),
    [
        (ClientList(count=1), "clients.count"),
        (ClientList(root=sha256(b"root")), "clients.count"),
        (ClientList(root=b"short", count=1), "clients.root"),
        (ClientList(root=sha256(b"root"), count=1_000_001), "clients.count"),
    ],
)
def test_lists_that_are_not_well_formed(clients: ClientList, field: str) -> None:
    job = LedgerCampaign(LedgerChain.create())
    opening = job.chain.sign(ALICE, job.campaign_terms(clients=clients))
    job.chain.refuses(LedgerCode.BAD_CLIENT_LIST, opening, field=field)
    job.open_campaign()
    change = SetClients(campaign_id=job.campaign_id, clients=clients)
    job.chain.refuses(LedgerCode.BAD_CLIENT_LIST, job.chain.sign(ALICE, change), field=field)
