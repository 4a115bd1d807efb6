"""The transactions that a coordinator makes from its settings."""

from __future__ import annotations

import pytest

from fedcoin.application.coordinator import chain_messages
from fedcoin.application.coordinator.campaign import Campaign, EvaluationShard
from fedcoin.application.coordinator.round_record import ClientOutcome, RoundRecord
from fedcoin.contract.actions.campaigns import check_terms
from fedcoin.data.crypto import merkle
from fedcoin.data.messages.client_list import ListedClient, build_client_list, is_admitted
from fedcoin.data.messages.updates import decode_update, sign_update
from fedcoin.v1 import task_pb2
from fedcoin.v1.task_pb2 import ClientUpdate
from tests.support.genesis import GENESIS_HASH
from tests.support.keys import key_of
from tests.support.training_site import settings


def campaign() -> Campaign:
    shards = tuple(EvaluationShard(bytes([number]) * 32, 10 + number) for number in range(3))
    return Campaign("chain", GENESIS_HASH, 5, 4, b"m" * 32, b"b" * 32, shards, initial=b"b" * 32)


def test_every_choice_of_a_campaign_is_sound() -> None:
    for spread in ("equal", "decreasing"):
        for reward in ("winner", "pro_rata"):
            config = settings(spread=spread, reward=reward, budget="5fdc", split=(7, 1, 2))
            offer = chain_messages.build_open_campaign(config, b"s" * 20, campaign())
            check_terms(offer)
            assert (offer.rounds, offer.budget) == (5, 500_000_000)


def test_each_round_has_its_shard_and_its_price() -> None:
    made = campaign()
    config = settings(spread="decreasing", budget="15fdc", training_reward="proportional")
    ids = [shard.artifact for shard in made.shards]
    prices = []
    for number in range(1, 6):
        made.round = number
        task = chain_messages.build_open_task(config, made, [])
        shard = task.evaluation
        assert shard.size == 10 + shard.index == 10 + (number - 1) % 3
        assert merkle.verify_path(shard.artifact, shard.index, 3, shard.path, merkle.root(ids))
        prices.append(task.prices.training + task.prices.aggregation + task.prices.mining)
    assert prices == [number * 100_000_000 for number in (5, 4, 3, 2, 1)]


def test_a_list_of_clients_goes_into_the_campaign_and_its_tasks() -> None:
    made, config = campaign(), settings()
    key = key_of("listed")
    made.listed = (ListedClient(bytes(20), 3), ListedClient(key.address, 7))
    clients = chain_messages.build_open_campaign(config, b"s" * 20, made).clients
    assert clients == build_client_list(made.listed)
    message = ClientUpdate(
        campaign_id=b"c" * 32,
        round=1,
        base=b"b" * 32,
        update=b"u" * 32,
        num_samples=7,
        address=key.address,
    )
    update = decode_update(sign_update(message, key, b"g" * 32), b"g" * 32)
    task = chain_messages.build_open_task(config, made, [update])
    (admission,) = task.admissions
    assert admission.max_samples == 7
    assert is_admitted(admission, key.address, clients)
    assert not is_admitted(admission, bytes(20), clients)


def test_with_a_unit_price_a_round_offers_what_is_left_of_the_fund() -> None:
    made, config = campaign(), settings(budget="50fdc")
    offer = chain_messages.build_open_campaign(config, b"s" * 20, made)
    check_terms(offer)
    # By default the whole fund is the price of a unit.
    assert offer.unit_price == 35 * 100_000_000
    priced = settings(budget="50fdc", unit_price="2fdc")
    assert chain_messages.build_open_campaign(priced, b"s" * 20, made).unit_price == 2 * 100_000_000
    fund = 35 * 100_000_000
    for number, payout in ((1, 7), (2, 11)):
        made.round = number
        prices = chain_messages.build_open_task(config, made, []).prices
        assert (prices.training, prices.aggregation, prices.mining) == (fund, 10**8, 2 * 10**8)
        outcome = ClientOutcome(b"a" * 20, 1, 1, payout)
        made.history.append(RoundRecord(number, b"t" * 32, True, True, 1, 1, (outcome,)))
        fund -= payout


@pytest.mark.parametrize(
    ("schedule", "clients", "expected"),
    [
        ("auto", 12, task_pb2.SCHEDULE_EXACT),
        ("auto", 13, task_pb2.SCHEDULE_ANTITHETIC),
        ("exact", 16, task_pb2.SCHEDULE_EXACT),
        ("permutation", 3, task_pb2.SCHEDULE_PERMUTATION),
        ("antithetic", 3, task_pb2.SCHEDULE_ANTITHETIC),
    ],
)
def test_schedules(schedule: str, clients: int, expected: int) -> None:
    config = settings(schedule=schedule, max_samples=50, truncation=3)
    sampling = chain_messages.build_sampling(config, clients)
    assert sampling.schedule == expected
    exact = expected == task_pb2.SCHEDULE_EXACT
    assert (sampling.max_samples, sampling.truncation) == ((0, 0) if exact else (50, 3))


def test_a_similarity_limit_goes_into_the_campaign_and_its_tasks() -> None:
    made, config = campaign(), settings(similarity_limit=0.95)
    offer = chain_messages.build_open_campaign(config, b"s" * 20, made)
    check_terms(offer)
    assert offer.similarity_limit_ppm == 950_000
    task = chain_messages.build_open_task(config, made, [], (0, 1, 0))
    assert list(task.groups) == [0, 1, 0]
    # Members share the weight of their group, whatever they claim.
    assert chain_messages.count_in_average(config, [5, 6, 7], (0, 1, 0)) == (
        360_360,
        720_720,
        360_360,
    )
    without = settings()
    assert not chain_messages.build_open_campaign(without, b"s" * 20, made).similarity_limit_ppm
    assert chain_messages.count_in_average(without, [5, 6, 7], ()) == (1, 1, 1)
    by_examples = settings(averaging="fixed")
    assert chain_messages.count_in_average(by_examples, [5, 6, 7], ()) == (5, 6, 7)
