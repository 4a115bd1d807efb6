"""What a node downloads for tasks that nobody has paid for."""

from __future__ import annotations

import asyncio

import pytest

from fedcoin.application.errors import ApplicationCode
from fedcoin.application.node import unpaid_downloads
from fedcoin.application.node.unpaid_downloads import (
    MAX_DOWNLOADS,
    MAX_OWNER_DOWNLOADS,
    UnpaidDownloads,
)
from fedcoin.contract.errors import LedgerCode
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.errors import DataCode
from fedcoin.data.messages.amounts import SAP_PER_FDC
from fedcoin.data.messages.transactions import Transaction
from fedcoin.v1.transaction_pb2 import Transfer, TransferOutput
from tests.conftest import ReportAttack
from tests.support.keys import ALICE
from tests.support.ledger_chain import refused
from tests.support.mining_site import MiningSite, OpenMiningSite
from tests.support.waiting import let_others_run, until

pytestmark = pytest.mark.asyncio(loop_scope="module")


def unknown_task(here: MiningSite, number: int = 0, **changes: int) -> Transaction:
    """Sign a task with an artifact that nobody has."""
    terms = here.job.terms(aggregate=sha256(b"unknown", bytes([number])))
    return here.chain.sign(here.job.server, terms, **changes)


def payment(here: MiningSite, amount: int, **changes: int) -> Transaction:
    """Sign a payment by the server."""
    action = Transfer(outputs=[TransferOutput(recipient=ALICE.address, amount=amount)])
    return here.chain.sign(here.job.server, action, **changes)


def balance(here: MiningSite) -> int:
    return here.chain.chain.ledger.account(here.job.server.address).balance


async def test_nothing_is_downloaded_for_a_task_before_its_deposit_is_there(
    site: OpenMiningSite, report_attack: ReportAttack
) -> None:
    here = site()
    await here.job.open_campaign()
    # The payment that comes first is replaced by one of all coins when the task was looked into.
    first = payment(here, 1)
    assert here.pool.add_relayed(first)
    task = unknown_task(here)
    assert here.pool.add_relayed(task)
    await let_others_run()
    assert task in here.pool.pending()
    nonce, fee = first.body.nonce, 2 * first.body.fee
    everything = payment(here, balance(here) - 10 * fee, nonce=nonce, fee=fee)
    assert here.pool.add_relayed(everything)
    for _ in range(3):
        await here.chain.produce()
        await let_others_run()
    assert balance(here) < 10 * fee
    with refused(LedgerCode.INSUFFICIENT_BALANCE):
        await here.auditor.check_transaction(task)
    assert here.fetched == []
    report_attack(
        "Have validators download for a task whose deposit is gone before it can be in a block",
        "all artifacts of the task, for the fee of a payment",
        "nothing: the latest state must cover deposit, fee and escrow first",
    )


async def test_a_task_is_downloaded_for_once_its_sender_can_pay(site: OpenMiningSite) -> None:
    here = site()
    await here.job.open_campaign()
    assert here.pool.add_relayed(payment(here, 1))
    task = unknown_task(here)
    submitting = asyncio.create_task(here.pool.submit(task))
    await let_others_run()
    assert here.fetched == []
    await here.chain.produce()
    with refused(DataCode.UNKNOWN_ARTIFACT):
        await submitting
    assert here.fetched == [[task.body.open_task.aggregate]]


async def test_a_round_is_downloaded_for_a_few_times(
    site: OpenMiningSite, report_attack: ReportAttack
) -> None:
    here = site()
    await here.job.open_campaign()
    nonce, fee = here.chain.pool.pending_nonce(here.job.server.address), 10**6
    for number in range(MAX_DOWNLOADS + 3):
        fee += fee // 2
        task = unknown_task(here, number, nonce=nonce, fee=fee)
        assert here.pool.add_relayed(task)
        fetched = min(number + 1, MAX_DOWNLOADS)
        await until(lambda fetched=fetched: len(here.fetched) == fetched)  # type: ignore[misc]
        await let_others_run()
    with refused(ApplicationCode.TOO_MANY_DOWNLOADS):
        await here.auditor.check_transaction(task)
    assert len(here.fetched) == MAX_DOWNLOADS
    # What needs no download is looked into as before, and may take the place of the last one.
    sound = here.chain.sign(here.job.server, here.job.terms(), nonce=nonce, fee=2 * fee)
    await here.pool.submit(sound)
    assert here.pool.ready() == [sound]
    report_attack(
        "Replace a waiting task again and again, each time with other artifacts",
        "all artifacts of each, for the fee of the last one",
        f"those of {MAX_DOWNLOADS} for each round of a campaign (`TOO_MANY_DOWNLOADS`)",
    )


async def test_a_requester_with_many_campaigns_is_downloaded_for_a_few_times(
    site: OpenMiningSite, monkeypatch: pytest.MonkeyPatch, report_attack: ReportAttack
) -> None:
    monkeypatch.setattr(unpaid_downloads, "MAX_OWNER_DOWNLOADS", 3)
    here = site()
    here.job.budget = SAP_PER_FDC // 2
    passed = 0.0
    downloads = UnpaidDownloads(here.chain.chain, lambda: passed)
    tasks = []
    for number in range(4):
        await here.job.open_campaign()
        tasks.append(unknown_task(here, number))
    for task in tasks[:3]:
        downloads.admit(task)
    with refused(ApplicationCode.TOO_MANY_DOWNLOADS):
        downloads.admit(tasks[3])
    # A transaction that was admitted is not counted again.
    downloads.admit(tasks[0])
    # What is in escrow, what is in a block, and an hour each give room for more.
    here.job.budget = 2 * SAP_PER_FDC
    await here.job.open_campaign()
    sound = here.chain.sign(here.job.server, here.job.terms())
    dear = [unknown_task(here, number) for number in (11, 12)]
    downloads.admit(sound)
    downloads.admit(dear[0])
    with refused(ApplicationCode.TOO_MANY_DOWNLOADS):
        downloads.admit(dear[1])
    await here.pool.submit(sound)
    await here.chain.produce()
    assert here.chain.chain.store.index.find_transaction(sound.hash) is not None
    downloads.admit(dear[1])
    with refused(ApplicationCode.TOO_MANY_DOWNLOADS):
        downloads.admit(tasks[3])
    passed = 3_600.0
    downloads.admit(tasks[3])
    report_attack(
        "One requester opens many campaigns, to have validators download for a task of each",
        "all artifacts of each, for the fees of a campaign",
        f"those of {MAX_OWNER_DOWNLOADS} an hour, and one for each FDC in escrow"
        " (`TOO_MANY_DOWNLOADS`)",
    )
