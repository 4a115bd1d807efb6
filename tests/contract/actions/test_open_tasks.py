"""OpenTask: the round's order, its terms, and its updates."""

from __future__ import annotations

from typing import Any

import pytest

from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.state import records
from fedcoin.data.crypto import merkle
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.errors import DataCode
from fedcoin.data.messages.updates import sign_update
from fedcoin.incentive.errors import IncentiveCode
from fedcoin.v1 import task_pb2
from fedcoin.v1.task_pb2 import ClientUpdate, EvaluationShard, RoundPrices, Sampling
from tests.support.genesis import FDC, OTHER_GENESIS_HASH
from tests.support.keys import ALICE, BOB, key_of
from tests.support.ledger_campaign import (
    COMMIT,
    SHARDS,
    WEIGHTS,
    LedgerCampaign,
    additive,
    aggregate,
)
from tests.support.ledger_chain import LedgerChain


@pytest.fixture
def job() -> LedgerCampaign:
    job = LedgerCampaign(LedgerChain.create(2, max_clients=20))
    job.open_campaign(rounds=3, budget=9 * FDC)
    return job


def refuses(job: LedgerCampaign, code: Any, field: str, **changes: Any) -> None:
    opening = job.chain.sign(BOB, job.task_terms(**changes))
    job.chain.refuses(code, opening, field=field)


def test_a_task_begins_with_its_commit_window(job: LedgerCampaign) -> None:
    job.open_task(commit_window_ms=5_000)
    chain = job.chain
    assert job.task.phase == COMMIT
    assert job.task.deadline_ms == chain.time_ms + 5_000 == chain.ledger.next_deadline_ms()
    assert (job.task.opened_height, job.task.opened_ms) == (chain.height, chain.time_ms)
    assert job.task.difficulty_nano == chain.genesis.parameters.initial_difficulty_nano
    assert records.TERMS.get(chain.state, job.task_id) == job.terms
    campaign = chain.campaign(job.campaign_id)
    assert campaign.open_task_id == job.task_id
    assert (campaign.last_round, campaign.last_base) == (0, b"")
    assert campaign.last_aggregate == b""


def test_only_the_server_opens_the_next_round_of_a_campaign(job: LedgerCampaign) -> None:
    chain = job.chain
    refuses(job, LedgerCode.UNKNOWN_CAMPAIGN, "campaign_id", campaign_id=b"\1" * 32)
    requester = chain.sign(ALICE, job.task_terms())
    chain.refuses(LedgerCode.NOT_THE_SERVER, requester, field="campaign_id")
    for number in (0, 2, 3, 2**32 - 1):
        terms = job.task_terms(1)
        terms.round = number
        chain.refuses(LedgerCode.WRONG_ROUND, chain.sign(BOB, terms), field="round")
    job.open_task()
    second = chain.sign(BOB, job.task_terms(round=2))
    chain.refuses(LedgerCode.TASK_STILL_OPEN, second, field="campaign_id")


def test_rounds_are_linked_by_their_weights(job: LedgerCampaign) -> None:
    refuses(job, LedgerCode.WRONG_BASE, "base", base=aggregate(1))
    refuses(job, LedgerCode.WRONG_BASE, "base", base=b"")
    job.open_task()
    job.settle({m: additive(3, 2, 1) for m in job.chain.miners})
    refuses(job, LedgerCode.WRONG_BASE, "base", base=sha256(b"elsewhere"))
    # The next round may build on the previous aggregate or on its base.
    for base in (aggregate(1), WEIGHTS):
        updates = [job.update(client, 2, base=base) for client in job.clients]
        opening = job.chain.sign(BOB, job.task_terms(base=base, updates=updates))
        job.chain.ledger.execute(job.chain.context(), [opening])


@pytest.mark.parametrize(
    ("code", "field", "changes"),
    [
        (LedgerCode.BAD_HASH, "aggregate", {"aggregate": b"\1" * 20}),
        (LedgerCode.BAD_UTILITY, "utility", {"utility": 0}),
        (LedgerCode.BAD_UTILITY, "utility", {"utility": 2}),
        (LedgerCode.BAD_EMPTY_COALITION, "empty_coalition", {"empty_coalition": 0}),
        (LedgerCode.BAD_AVERAGING, "averaging", {"averaging": 4}),
        (LedgerCode.BAD_WINDOW, "commit_window_ms", {"commit_window_ms": 1_999}),
        (LedgerCode.BAD_WINDOW, "commit_window_ms", {"commit_window_ms": 86_400_001}),
        (LedgerCode.BAD_WINDOW, "reveal_window_ms", {"reveal_window_ms": 1_999}),
        (LedgerCode.BAD_ATTEMPTS, "max_attempts", {"max_attempts": 0}),
        (LedgerCode.BAD_ATTEMPTS, "max_attempts", {"max_attempts": 17}),
        (LedgerCode.NO_CLIENTS, "updates", {"updates": []}),
        (IncentiveCode.BAD_PLAN, "schedule", {"sampling": Sampling()}),
        (IncentiveCode.BAD_PLAN, "schedule", {"sampling": Sampling(schedule=9)}),  # type: ignore[arg-type]
        (
            IncentiveCode.BAD_PLAN,
            "max_samples",
            {"sampling": Sampling(schedule=task_pb2.SCHEDULE_EXACT, max_samples=1)},
        ),
        (
            IncentiveCode.BAD_PLAN,
            "max_samples",
            {"sampling": Sampling(schedule=task_pb2.SCHEDULE_ANTITHETIC)},
        ),
        (
            IncentiveCode.BAD_PLAN,
            "truncation",
            {
                "sampling": Sampling(
                    schedule=task_pb2.SCHEDULE_PERMUTATION, max_samples=9, truncation=101
                )
            },
        ),
    ],
)
def test_terms_that_cannot_be_are_refused(
    job: LedgerCampaign, code: Any, field: str, changes: dict[str, Any]
) -> None:
    refuses(job, code, field, **changes)


def test_prices_must_be_the_round_s_share(job: LedgerCampaign) -> None:
    due = job.task_terms().prices
    for train, com, sap in ((1, 0, 0), (0, 1, 0), (0, 0, 1), (-1, 1, 0), (1, -1, 0)):
        prices = RoundPrices(
            training=due.training + train,
            aggregation=due.aggregation + com,
            mining=due.mining + sap,
        )
        refuses(job, LedgerCode.WRONG_PRICES, "prices", prices=prices)


def test_the_evaluation_set_must_be_the_campaign_s(job: LedgerCampaign) -> None:
    path = merkle.audit_path(SHARDS, 1)
    good = {"artifact": SHARDS[1], "index": 1, "path": path, "size": 100}
    for code, field, changes in (
        (LedgerCode.BAD_HASH, "evaluation.artifact", {"artifact": b""}),
        (LedgerCode.WRONG_SHARD, "evaluation.path", {"artifact": SHARDS[0]}),
        (LedgerCode.WRONG_SHARD, "evaluation.path", {"index": 0}),
        (LedgerCode.WRONG_SHARD, "evaluation.path", {"index": 3}),
        (LedgerCode.WRONG_SHARD, "evaluation.path", {"path": path[:1]}),
        (LedgerCode.WRONG_SHARD, "evaluation.path", {"path": [*path, bytes(32)]}),
        (LedgerCode.WRONG_SHARD, "evaluation.path", {"path": [bytes(32)] * 33}),
        (IncentiveCode.BAD_PLAN, "evaluation_size", {"size": 0}),
        (IncentiveCode.BAD_PLAN, "evaluation_size", {"size": 10_000_001}),
    ):
        shard = EvaluationShard(**{**good, **changes})  # type: ignore[arg-type]
        refuses(job, code, field, evaluation=shard)


def test_the_number_of_clients_is_limited(job: LedgerCampaign) -> None:
    crowd = sorted((key_of(f"client {i}") for i in range(21)), key=lambda k: k.address)
    updates = [job.update(client, 1) for client in crowd]
    sampling = job.sampled()
    refuses(job, LedgerCode.TOO_MANY_CLIENTS, "updates", updates=updates, sampling=sampling)
    refuses(job, LedgerCode.TOO_MANY_CLIENTS, "updates", updates=updates[:17])
    for changes in ({"updates": updates[:20], "sampling": sampling}, {"updates": updates[:16]}):
        opening = job.chain.sign(BOB, job.task_terms(**changes))
        job.chain.ledger.execute(job.chain.context(), [opening])


def test_a_task_whose_reveals_could_not_travel_is_refused() -> None:
    job = LedgerCampaign(LedgerChain.create(2, max_transaction_bytes=20_000))
    job.open_campaign()
    refuses(job, DataCode.TOO_LARGE, "sampling", sampling=job.sampled(samples=1_000_000))
    job.open_task(sampling=job.sampled(samples=10))


def test_each_update_must_be_for_this_round_of_this_campaign(job: LedgerCampaign) -> None:
    _, second, third = job.clients
    signed = [job.update(client, 1) for client in job.clients]
    elsewhere = sha256(b"elsewhere")
    for code, field, update in (
        (
            LedgerCode.UPDATE_OF_OTHER_CAMPAIGN,
            "updates[1].campaign_id",
            job.update(second, 1, campaign_id=elsewhere),
        ),
        (LedgerCode.UPDATE_OF_OTHER_ROUND, "updates[1].round", job.update(second, 2, base=WEIGHTS)),
        (LedgerCode.UPDATE_OF_OTHER_BASE, "updates[1].base", job.update(second, 1, base=elsewhere)),
        (DataCode.BAD_ADDRESS, "updates[1].address", job.update(second, 1, address=third.address)),
        (DataCode.MALFORMED, "updates[1].num_samples", job.update(second, 1, num_samples=0)),
        (LedgerCode.DUPLICATE_CLIENT, "updates[1].address", signed[0]),
        (LedgerCode.CLIENTS_OUT_OF_ORDER, "updates[2].address", signed[2]),
    ):
        updates = [signed[0], update, signed[2] if update is not signed[2] else signed[1]]
        refuses(job, code, field, updates=updates)
    forged = job.update(second, 1)
    forged.signature = signed[0].signature
    updates = [signed[0], forged, signed[2]]
    refuses(job, DataCode.BAD_SIGNATURE, "updates[1].signature", updates=updates)


def test_an_update_signed_for_another_chain_is_refused(job: LedgerCampaign) -> None:
    client = job.clients[0]
    body = ClientUpdate.FromString(job.update(client, 1).body)
    foreign = sign_update(body, client, OTHER_GENESIS_HASH)
    assert sign_update(body, client, job.chain.genesis.hash) == job.update(client, 1)
    refuses(job, DataCode.BAD_SIGNATURE, "updates[0].signature", updates=[foreign])


def test_a_single_client_is_enough(job: LedgerCampaign) -> None:
    job.open_task(updates=[job.update(job.clients[0], 1)])
    assert job.task.phase == COMMIT
