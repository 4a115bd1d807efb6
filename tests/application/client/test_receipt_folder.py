"""Receipts on a client's disk."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from fedcoin.application.client.receipt_claims import find_receipt
from fedcoin.application.client.receipt_folder import (
    CLAIM_MS,
    KeptReceipt,
    ReceiptFolder,
    check_receipt,
    find_objection,
)
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.update_receipts import sign_receipt
from fedcoin.data.messages.updates import Update, decode_update, sign_update
from fedcoin.v1.federated_learning_service_pb2 import WatchRoundsResponse
from fedcoin.v1.task_pb2 import ClientUpdate, SignedReceipt
from fedcoin.v1.views_pb2 import CampaignView
from tests.conftest import ReportAttack
from tests.support.genesis import GENESIS_HASH, OTHER_GENESIS_HASH

CLIENT = KeyPair.from_seed(bytes(32))
SERVER = KeyPair.from_seed(b"s" * 32)
NOW = 1_700_000_000_000


def update(round: int = 1, weights: bytes = b"u" * 32) -> Update:
    message = ClientUpdate(
        campaign_id=b"c" * 32,
        round=round,
        base=b"b" * 32,
        update=weights,
        num_samples=100,
        address=CLIENT.address,
    )
    return decode_update(sign_update(message, CLIENT, GENESIS_HASH), GENESIS_HASH)


def receipt(round: int = 1, time_ms: int = NOW) -> SignedReceipt:
    return sign_receipt(update(round), time_ms, SERVER, GENESIS_HASH)


def kept(round: int = 1) -> KeptReceipt:
    return check_receipt(receipt(round), update(round), GENESIS_HASH, server=None, now_ms=NOW)


def test_what_was_saved_is_read(tmp_path: Path) -> None:
    folder = ReceiptFolder(tmp_path, GENESIS_HASH)
    assert folder.load() == ()
    folder.save(kept(2), b"two")
    folder.save(kept(1), b"one")
    assert folder.load() == (kept(1), kept(2))
    assert folder.weights_path(update(2)).read_bytes() == b"two"
    folder.drop_weights(update(2))
    folder.drop_weights(update(2))
    assert not folder.weights_path(update(2)).exists()
    assert folder.load() == (kept(1), kept(2))


def test_receipts_that_come_later(tmp_path: Path) -> None:
    folder = ReceiptFolder(tmp_path, GENESIS_HASH)
    for round in (1, 2, 3):
        folder.save_update(update(round), f"weights {round}".encode())
        assert folder.load() == tuple(map(kept, range(1, round)))
        assert folder.add_receipt(receipt(round), NOW) == kept(round)
    assert folder.load() == (kept(1), kept(2), kept(3))
    # A server that trains one round after another proves by it that none of them is over.
    for round in (1, 2, 3):
        assert folder.weights_path(update(round)).read_bytes() == f"weights {round}".encode()
    for wrong in (receipt(3), receipt(4)):
        with pytest.raises(RefusalError, match="no update that this client has signed"):
            folder.add_receipt(wrong, NOW)
    folder.save_update(update(4), b"four")
    with pytest.raises(RefusalError, match="from now"):
        folder.add_receipt(receipt(4, time_ms=NOW - 10**7), NOW)
    forged = receipt(4)
    forged.signature = bytes(64)
    with pytest.raises(RefusalError, match="is invalid"):
        folder.add_receipt(forged, NOW)


@pytest.mark.attack
def test_a_second_update_of_a_round_leaves_the_first_one_s_weights(
    tmp_path: Path, report_attack: ReportAttack
) -> None:
    folder = ReceiptFolder(tmp_path, GENESIS_HASH)
    first, second = update(), update(weights=b"v" * 32)
    folder.save_update(first, b"first")
    folder.add_receipt(receipt(), NOW)
    folder.save_update(second, b"second")
    assert folder.load() == (kept(),)
    assert folder.weights_path(first).read_bytes() == b"first"
    again = sign_receipt(second, NOW + 1, SERVER, GENESIS_HASH)
    folder.add_receipt(again, NOW)
    assert {one.update for one in folder.load()} == {first, second}
    found = find_receipt(folder, first.campaign_id, 1, CLIENT.address)
    assert found.update == second
    folder.weights_path(second).unlink()
    assert find_receipt(folder, first.campaign_id, 1, CLIENT.address).update == first
    folder.drop_weights(second)
    assert not list(tmp_path.glob("*/*.weights"))
    report_attack(
        "a server of Flower clients gives a receipt for an update, has the round trained again, and"
        " opens no task",
        "the update for nothing: the client has only the weights of the second one",
        "the client registers the receipt and the weights that it is for",
    )


@pytest.mark.attack
def test_a_server_that_trains_on_takes_no_weights_from_its_clients(
    tmp_path: Path, report_attack: ReportAttack
) -> None:
    folder = ReceiptFolder(tmp_path, GENESIS_HASH)
    for round in (1, 2, 3):
        folder.save_update(update(round), b"weights")
        folder.add_receipt(receipt(round), NOW)
    campaign = CampaignView(campaign_id=update().campaign_id.hex(), rounds=5)
    found = find_receipt(folder, update().campaign_id, 1, CLIENT.address)
    assert folder.weights_path(found.update).read_bytes() == b"weights"
    other = CampaignView(campaign_id="d" * 64, rounds=5, last_round=3)
    assert folder.drop_ended(other) == folder.drop_ended(campaign) == 0
    assert len(list(tmp_path.glob("*/*.weights"))) == 3
    campaign.last_round = 2
    assert folder.drop_ended(campaign) == 14
    assert [path.name.split("-")[1] for path in tmp_path.glob("*/*.weights")] == ["3"]
    campaign.closed = True
    assert folder.drop_ended(campaign) == 7
    assert len(folder.load()) == 3
    report_attack(
        "a server of Flower clients trains three rounds, gives receipts, and opens no task",
        "the first round's updates for nothing: its clients delete their weights in the third",
        "the clients keep the weights until the chain says that the round is over",
    )


def test_weights_are_kept_within_bounds(tmp_path: Path) -> None:
    folder = ReceiptFolder(tmp_path, GENESIS_HASH)
    for round in range(1, 6):
        folder.save_update(update(round), b"8 bytes.")
        folder.add_receipt(receipt(round), NOW, max_bytes=24)
    kept_rounds = [folder.weights_path(update(round)).exists() for round in range(1, 6)]
    assert kept_rounds == [False, False, True, True, True]
    folder.save_update(update(6), b"8 bytes.")
    folder.add_receipt(receipt(6), NOW, max_bytes=1)
    kept_rounds = [folder.weights_path(update(round)).exists() for round in range(1, 7)]
    assert kept_rounds == [False] * 4 + [True] * 2
    folder.save_update(update(7), b"8 bytes.")
    later = NOW + CLAIM_MS + 1
    folder.add_receipt(receipt(7, later), later)
    assert [path.name.split("-")[1] for path in tmp_path.glob("*/*.weights")] == ["7"]


def test_updates_without_receipts_go_after_an_hour(tmp_path: Path) -> None:
    folder = ReceiptFolder(tmp_path, GENESIS_HASH)
    folder.save_update(update(1), b"one")
    (first,) = tmp_path.glob("*/*.update")
    folder.save_update(update(2), b"two")
    os.utime(first, (first.stat().st_mtime - 3_700,) * 2)
    folder.save_update(update(3), b"three")
    left = sorted(path.name.split("-")[1] for path in tmp_path.glob("*/*"))
    assert left == ["2", "2", "3", "3"]


def test_files_that_are_no_receipts_of_this_network(tmp_path: Path) -> None:
    folder = ReceiptFolder(tmp_path, GENESIS_HASH)
    path = folder.save(kept(), b"weights")
    with pytest.raises(RefusalError, match="signature"):
        ReceiptFolder(tmp_path, OTHER_GENESIS_HASH).load()
    other = json.loads(path.read_bytes())
    other["update"] = update(2).envelope.SerializeToString().hex()
    path.write_text(json.dumps(other))
    with pytest.raises(RefusalError, match="another update"):
        folder.load()
    path.write_text("{}")
    with pytest.raises(RefusalError) as caught:
        folder.load()
    assert caught.value.code is ApplicationCode.BAD_RECEIPT


@pytest.mark.parametrize(
    ("problem", "envelope", "server"),
    [
        ("is invalid", SignedReceipt(), None),
        ("another update", receipt(2), None),
        ("campaign's server is", receipt(), CLIENT.address),
        ("time", receipt(time_ms=NOW - 600_001), None),
        ("time", receipt(time_ms=NOW + 600_001), None),
    ],
)
def test_answers_that_are_not_accepted(
    problem: str, envelope: SignedReceipt, server: bytes | None
) -> None:
    with pytest.raises(RefusalError, match=problem) as caught:
        check_receipt(envelope, update(), GENESIS_HASH, server=server, now_ms=NOW)
    assert caught.value.code is ApplicationCode.BAD_RECEIPT


@pytest.mark.parametrize(
    ("problem", "changes"),
    [
        ("", {}),
        ("", {"unit_price": 0, "best_weights": ""}),
        ("closes", {"closed": True}),
        ("closes", {"closing_ms": 1}),
        ("next round on the chain is 3", {"last_round": 2}),
        ("must start from", {"best_weights": bytes(32).hex()}),
        ("is open already", {"open_task_id": "00" * 32}),
        ("", {"receipts": 1, "receipts_due_ms": NOW + 1}),
        ("until", {"receipts": 1, "receipts_due_ms": NOW}),
    ],
)
def test_rounds_whose_receipts_would_have_no_effect(problem: str, changes: dict[str, Any]) -> None:
    given: dict[str, Any] = {"last_round": 0, "unit_price": 1, "best_weights": (b"b" * 32).hex()}
    objection = find_objection(
        CampaignView(**given | changes), WatchRoundsResponse(round=1, base=b"b" * 32), NOW
    )
    assert problem in objection
    assert bool(objection) == bool(problem)


def test_the_servers_receipt_is_accepted() -> None:
    made = check_receipt(receipt(), update(), GENESIS_HASH, server=SERVER.address, now_ms=NOW)
    assert made.receipt.server == SERVER.address
