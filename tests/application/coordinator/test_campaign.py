from __future__ import annotations

from dataclasses import replace

import pytest

from fedcoin.application.coordinator.campaign import Campaign, CampaignPhase, EvaluationShard
from fedcoin.application.coordinator.campaign_file import campaign_from_json, campaign_to_json
from fedcoin.application.coordinator.round_record import ClientOutcome, RoundRecord
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.client_list import ListedClient
from fedcoin.data.messages.updates import Update, decode_update, sign_update
from fedcoin.v1.task_pb2 import ClientUpdate
from tests.support.genesis import GENESIS_HASH

KEYS = [KeyPair.from_seed(bytes([number]) * 32) for number in range(1, 5)]
ID, BASE, NEXT = b"c" * 32, b"b" * 32, b"n" * 32


def campaign(clients: int = 2, max_clients: int = 3) -> Campaign:
    made = Campaign(
        "chain",
        GENESIS_HASH,
        2,
        max_clients,
        b"m" * 32,
        BASE,
        (EvaluationShard(b"e" * 32, 10), EvaluationShard(b"f" * 32, 11)),
    )
    made.campaign_id = ID
    for key in KEYS[:clients]:
        made.register(key.public_key)
    return made


def update(key: KeyPair, **changes: object) -> Update:
    fields: dict[str, object] = {
        "campaign_id": ID,
        "round": 1,
        "base": BASE,
        "update": b"u" * 32,
        "num_samples": 5,
        "address": key.address,
    }
    message = ClientUpdate(**{**fields, **changes})  # type: ignore[arg-type]
    return decode_update(sign_update(message, key, GENESIS_HASH), GENESIS_HASH)


def code_of(made: Campaign, given: Update) -> ApplicationCode:
    before = replace(made, announced=dict(made.announced), updates=dict(made.updates))
    with pytest.raises(RefusalError) as caught:
        made.check_update(given)
    assert made == before
    assert isinstance(caught.value.code, ApplicationCode)
    return caught.value.code


def record(number: int, adopted: bool = True) -> RoundRecord:
    outcome = ClientOutcome(b"a" * 20, 5, 7, 9)
    return RoundRecord(number, b"t" * 32, True, adopted, 3, 10, (outcome,))


def test_joining_is_bounded_and_idempotent() -> None:
    made = campaign(clients=0, max_clients=2)
    for key in (*KEYS[:2], *KEYS[:2]):
        assert made.register(key.public_key) == key.address
    with pytest.raises(RefusalError) as caught:
        made.register(KEYS[2].public_key)
    assert caught.value.code is ApplicationCode.CAMPAIGN_FULL
    made.phase = CampaignPhase.FINISHED
    made.register(KEYS[0].public_key)
    with pytest.raises(RefusalError) as caught:
        made.register(KEYS[2].public_key)
    assert caught.value.code is ApplicationCode.CAMPAIGN_FINISHED


def test_an_update_is_taken_once() -> None:
    made = campaign()
    made.begin_training(1000)
    given = update(KEYS[0])
    assert code_of(made, given) is ApplicationCode.NOT_ANNOUNCED
    assert made.announce(given) == 1
    assert made.check_update(given)
    made.accept_update(given)
    assert not made.check_update(given)
    assert code_of(made, update(KEYS[0], num_samples=6)) is ApplicationCode.ALREADY_SUBMITTED
    assert made.awaited_clients() == {KEYS[1].address}


def test_a_list_of_clients_holds_for_registrations_and_examples() -> None:
    made = campaign(clients=0)
    made.listed = (ListedClient(KEYS[0].address, 5),)
    made.register(KEYS[0].public_key)
    with pytest.raises(RefusalError) as caught:
        made.register(KEYS[1].public_key)
    assert caught.value.code is ApplicationCode.NOT_LISTED
    made.begin_training(1000)
    assert made.announce(update(KEYS[0])) == 1
    with pytest.raises(RefusalError) as caught:
        made.announce(update(KEYS[0], num_samples=6))
    assert (caught.value.code, caught.value.limit) == (ApplicationCode.NOT_LISTED, "5")


def test_announcements_keep_their_order() -> None:
    made = campaign(clients=3)
    with pytest.raises(RefusalError):
        made.announce(update(KEYS[0]))
    made.begin_training(1000)
    for number, key in enumerate(KEYS[:3]):
        assert made.announce(update(key, update=bytes([number]) * 32)) == number + 1
    assert made.announce(update(KEYS[1], update=b"\1" * 32)) == 2
    for number in range(3):
        made.check_upload(bytes([number]) * 32)
    # Who announces something else is the last, and its first weights are not taken any more.
    assert made.announce(update(KEYS[0], update=b"\1" * 32)) == 3
    assert list(made.announced) == [KEYS[n].address for n in (1, 2, 0)]
    for artifact in (bytes(32), b"x" * 32):
        with pytest.raises(RefusalError) as caught:
            made.check_upload(artifact)
        assert caught.value.code is ApplicationCode.NOT_ANNOUNCED
    made.accept_update(made.announced[KEYS[2].address])
    with pytest.raises(RefusalError) as caught:
        made.announce(update(KEYS[2], update=b"x" * 32))
    assert caught.value.code is ApplicationCode.ALREADY_SUBMITTED
    made.end_training()
    with pytest.raises(RefusalError):
        made.check_upload(b"\1" * 32)
    made.end_round(record(1))
    assert made.announced == {}


def test_updates_for_something_else_are_refused() -> None:
    made = campaign()
    assert code_of(made, update(KEYS[0])) is ApplicationCode.ROUND_NOT_OPEN
    made.begin_training(1000)
    assert code_of(made, update(KEYS[2])) is ApplicationCode.NOT_REGISTERED
    other = b"x" * 32
    assert code_of(made, update(KEYS[0], campaign_id=other)) is ApplicationCode.WRONG_CAMPAIGN
    assert code_of(made, update(KEYS[0], round=2)) is ApplicationCode.WRONG_ROUND
    assert code_of(made, update(KEYS[0], base=other)) is ApplicationCode.WRONG_BASE
    made.accept_update(update(KEYS[1]))
    made.end_training()
    assert code_of(made, update(KEYS[0])) is ApplicationCode.ROUND_NOT_OPEN


def test_a_client_that_missed_a_round_is_not_waited_for_until_it_is_back() -> None:
    made = campaign(clients=3)
    made.begin_training(1000)
    made.accept_update(update(KEYS[0]))
    assert [given.address for given in made.end_training()] == [KEYS[0].address]
    made.aggregate = NEXT
    made.end_round(record(1))
    assert (made.round, made.base, made.phase) == (2, NEXT, CampaignPhase.WAITING)
    made.begin_training(2000)
    assert made.awaited_clients() == {KEYS[0].address}
    made.register(KEYS[1].public_key)
    assert made.awaited_clients() == {KEYS[0].address, KEYS[1].address}
    late = update(KEYS[2], round=2, base=NEXT)
    made.announce(late)
    assert made.check_update(late)
    made.accept_update(late)
    assert not made.clients[KEYS[2].address].missed


def test_updates_come_in_order_of_addresses() -> None:
    made = campaign(clients=3)
    made.begin_training(1000)
    for key in KEYS[:3]:
        made.accept_update(update(key))
    addresses = [given.address for given in made.end_training()]
    assert addresses == sorted(key.address for key in KEYS[:3])


def test_a_round_without_updates_waits_again() -> None:
    made = campaign()
    made.begin_training(1000)
    assert made.end_training() == ()
    assert made.phase is CampaignPhase.WAITING
    assert made.round == 1


def test_unpaid_work_is_not_built_upon_and_the_last_round_ends_it() -> None:
    made = campaign()
    for number, settled in ((1, False), (2, True)):
        made.begin_training(1000)
        made.accept_update(update(KEYS[0], round=number))
        made.end_training()
        assert made.phase is CampaignPhase.SETTLING
        made.aggregate = NEXT
        made.end_round(record(number, settled))
        assert made.base == (NEXT if settled else BASE)
        assert made.updates == {}
    assert made.phase is CampaignPhase.FINISHED
    assert [r.round for r in made.history] == [1, 2]


def test_shards_take_turns() -> None:
    made = campaign()
    assert made.shard.size == 10
    made.round = 2
    assert made.shard.size == 11
    made.round = 3
    assert made.shard_index == 0


def test_a_client_that_did_much_harm_is_left_out_of_later_rounds() -> None:
    """It cannot be paired with one that is paid for repairing the harm, round after round."""
    made = campaign(clients=2)
    made.rounds, made.max_harm_nano = 3, 50_000_000
    harmful, other = (key.address for key in KEYS[:2])
    for number, harm in ((1, -30_000_000), (2, -20_000_001)):
        made.begin_training(0)
        assert made.awaited_clients() == {harmful, other}
        outcomes = (
            ClientOutcome(harmful, 5, harm, 0),
            ClientOutcome(other, 5, -50_000_000 * (number == 2), 0),
            ClientOutcome(bytes(20), 5, 60_000_000, 0),
        )
        made.end_round(RoundRecord(number, b"t" * 32, True, False, 3, 10, outcomes))
    made.begin_training(0)
    assert made.awaited_clients() == {other}
    with pytest.raises(RefusalError) as caught:
        made.register(KEYS[0].public_key)
    assert (caught.value.code, caught.value.limit) == (ApplicationCode.LEFT_OUT, "-50000000")
    assert code_of(made, update(KEYS[0], round=3)) is ApplicationCode.LEFT_OUT
    made.announce(update(KEYS[1], round=3))
    # A restarted coordinator knows it from the history.
    again = campaign_from_json(campaign_to_json(made))
    again.max_harm_nano = made.max_harm_nano
    assert code_of(again, update(KEYS[0], round=3)) is ApplicationCode.LEFT_OUT
    again.max_harm_nano = 10**9
    again.register(KEYS[0].public_key)
