"""Payment proofs that need only the genesis, on a chain whose validators changed."""

from __future__ import annotations

import asyncio
import copy
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode

from fedcoin.application.verification.proof_file import MAX_BYTES, check_file, fetch_document
from fedcoin.consensus.certificates import make_certificate
from fedcoin.consensus.validators import Validator, ValidatorSet
from fedcoin.contract.blocks.validator_history import ValidatorHistory
from fedcoin.data.crypto import merkle
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages import canonical
from fedcoin.data.messages.blocks import decode_header
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.messages.votes import PRECOMMIT, PREVOTE, sign_vote
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.v1 import node_service_pb2 as pb
from fedcoin.v1 import node_service_pb2_grpc as rpc
from fedcoin.v1.block_pb2 import PAYMENT_KIND_TRAINING, Receipt
from fedcoin.v1.snapshot_pb2 import ValidatorChange
from fedcoin.v1.transaction_pb2 import Bond, ReportEquivocation, Unbond
from tests.support.genesis import FDC, make_genesis
from tests.support.keys import ALICE, CAROL, STRANGER, key_of
from tests.support.ledger_campaign import LedgerCampaign, additive
from tests.support.ledger_chain import LedgerChain
from tests.support.second_certificates import with_second_certificate
from tests.support.served_api import ServedApi, serve_api

GAME = additive(5, 3, 0)


def play(chain: LedgerChain) -> LedgerCampaign:
    """Change the validators four times, with a settled round between and after the changes."""
    chain.keys |= {k.address: k for k in (ALICE, CAROL)}
    first, second = chain.miners[:2]
    chain.produce(chain.sign(ALICE, Bond(amount=30 * FDC)), chain.sign(first, Unbond(amount=FDC)))
    job = LedgerCampaign(chain)
    job.open_campaign()
    job.open_task()
    chain.produce(chain.sign(CAROL, Bond(amount=20 * FDC)))
    votes = [
        sign_vote(PREVOTE, 2, 0, sha256(word), second, chain.genesis.hash).envelope
        for word in (b"a", b"b")
    ]
    chain.produce(chain.sign(CAROL, ReportEquivocation(first=votes[0], second=votes[1])))
    # One miner bonded after the task was opened.
    job.settle({m: GAME for m in chain.miners if m != CAROL})
    chain.produce(chain.sign(ALICE, Unbond(amount=30 * FDC)))
    return job


@pytest.fixture(scope="module")
def proved(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[dict[str, Any], Genesis, LedgerCampaign]:
    async def ask() -> tuple[dict[str, Any], Genesis, LedgerCampaign]:
        async with serve_api(tmp_path_factory.mktemp("live"), validators=3) as live:
            job = play(live.chain)
            found = await fetch_document(live.node, job.task_id.hex(), job.clients[0].address)
            return found, live.chain.genesis, job

    return asyncio.run(ask())


def check(document: Any, genesis: Genesis) -> Any:
    return check_file(json.dumps(document).encode(), genesis)


def test_a_proof_from_genesis(proved: Any) -> None:
    document, genesis, job = proved
    found = check(document, genesis)
    assert (found.task_id, found.address) == (job.task_id, job.clients[0].address)
    (payment,) = found.payments
    assert payment.payment.amount == 5 * FDC * 7 // 10 * 5 // 8
    assert payment.payment.kind == PAYMENT_KIND_TRAINING
    assert payment.header.settlement.task_id == job.task_id
    # Bonding and unbonding, another bond, a slashing. Changes after the payment are left out.
    assert found.num_validator_changes == 3
    assert len(json.dumps(document)) < 10_000


async def test_history_is_that_of_the_ledger(live: ServedApi) -> None:
    play(live.chain)
    live.chain.produce()
    history = ValidatorHistory(live.port.store, live.chain.genesis)
    expected = []
    before = live.chain.executions[0].next_validators
    for height, execution in enumerate(live.chain.executions, start=1):
        if height > 1 and execution.next_validators != before:
            expected.append((height, execution.next_validators))
        before = execution.next_validators
    early = history.changes(4)
    found = history.changes(10**9)
    assert early == [change for change in found if change.height < 4]
    assert found[0].height == 1
    assert [(c.height, ValidatorSet.from_members(c.validators)) for c in found[1:]] == expected
    assert len(found) == 4


async def test_changes_in_pages(live: ServedApi) -> None:
    play(live.chain)
    stub = rpc.NodeServiceStub(live.node.channel)
    whole = (await stub.ListValidatorChanges(pb.ListValidatorChangesRequest())).changes
    seen: list[ValidatorChange] = []
    token = ""
    while True:
        request = pb.ListValidatorChangesRequest(page_size=1, page_token=token)
        reply = await stub.ListValidatorChanges(request)
        seen += reply.changes
        token = reply.next_page_token
        if not token:
            break
    assert seen == list(whole)
    assert len(seen) == 4
    below = decode_header(whole[2].header).height
    assert await live.node.list_validator_changes(below_height=below) == seen[:2]
    request = pb.ListValidatorChangesRequest(page_size=1)
    token = (await stub.ListValidatorChanges(request)).next_page_token
    other = pb.ListValidatorChangesRequest(page_token=token, below_height=3)
    with pytest.raises(RpcError) as caught:
        await live.node.call(stub.ListValidatorChanges, other)
    assert caught.value.code == "BAD_PAGE_TOKEN"


async def test_no_proof_of_what_was_not_paid(live: ServedApi) -> None:
    job = play(live.chain)
    with pytest.raises(RpcError) as caught:
        await fetch_document(live.node, job.task_id.hex(), key_of("nobody").address)
    assert (caught.value.status, caught.value.code) == (StatusCode.NOT_FOUND, "PAYMENT_NOT_FOUND")


# What is changed --------------------------------------------------------------------------


def leaves(node: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Return the paths of all values that are neither objects nor lists."""
    items: Any = ()
    if isinstance(node, dict):
        items = node.items()
    elif isinstance(node, list):
        items = enumerate(node)
    else:
        yield place
    for name, value in items:
        yield from leaves(value, (*place, name))


def at(node: Any, place: tuple[Any, ...]) -> Any:
    for step in place:
        node = node[step]
    return node


def changed(value: Any, rng: random.Random) -> Iterator[Any]:
    if isinstance(value, int):
        yield from (value + 1, value - 1, -value - 1, str(value), float(value), 10**30, None)
        return
    yield from (value.upper() if value != value.upper() else value + " ", value[:-1], value + "0")
    yield from ("", None, 7, [value], {})
    for _ in range(6):
        place = rng.randrange(len(value))
        new = rng.choice([c for c in "0123456789abcdef" if c != value[place]])
        yield value[:place] + new + value[place + 1 :]


def test_every_changed_field_is_detected(proved: Any) -> None:
    document, genesis, _ = proved
    rng = random.Random(5)
    codes = set()
    for place in leaves(document):
        for value in changed(at(document, place), rng):
            forged = copy.deepcopy(document)
            at(forged, place[:-1])[place[-1]] = value
            with pytest.raises(RefusalError) as caught:
                check(forged, genesis)
            assert caught.value.field, place
            assert len(caught.value.message) < 500, place
            codes.add(caught.value.code.name)
        forged = copy.deepcopy(document)
        del at(forged, place[:-1])[place[-1]]
        with pytest.raises(RefusalError):
            check(forged, genesis)
    assert codes == {
        *("MALFORMED", "WRONG_CHAIN", "WRONG_GENESIS", "WRONG_VALIDATORS_HASH"),
        *("BAD_CERTIFICATE", "BAD_ROOT", "BAD_PROOF"),
    }


def test_random_digits(proved: Any) -> None:
    document, genesis, _ = proved
    text = json.dumps(document)
    digits = [match.start() for match in re.finditer(r"[0-9a-f]", text)]
    rng = random.Random(6)
    for _ in range(500):
        place = rng.choice(digits)
        new = rng.choice([c for c in "0123456789abcdef" if c != text[place]])
        forged = text[:place] + new + text[place + 1 :]
        with pytest.raises(RefusalError):
            check_file(forged.encode(), genesis)


def test_what_is_added_or_moved_is_found(proved: Any) -> None:
    document, genesis, _ = proved
    more = {"note": "paid in full"}

    def with_more(place: tuple[Any, ...]) -> Any:
        forged = copy.deepcopy(document)
        at(forged, place).update(more)
        return forged

    for place in ((), ("payments", 0), ("validator_changes", 0), ("payments", 0, "path", 0)):
        with refused_named("BAD_PROOF", "note"):
            check(with_more(place), genesis)
    twice = {**document, "payments": document["payments"] * 2}
    with refused_named("MALFORMED", "payments[1]"):
        check(twice, genesis)
    with refused_named("MALFORMED", "payments"):
        check({**document, "payments": []}, genesis)
    changes = document["validator_changes"]
    with refused_named("BAD_CERTIFICATE", "validator_changes[0]"):
        check({**document, "validator_changes": changes[1:]}, genesis)
    with refused_named("BAD_CERTIFICATE", "payments[0]"):
        check({**document, "validator_changes": []}, genesis)
    with refused_named("MALFORMED", "validator_changes[1]"):
        check({**document, "validator_changes": [changes[0], *changes]}, genesis)


def test_a_payment_counts_once_whatever_certificates_its_block_has(proved: Any) -> None:
    document, genesis, job = proved
    item = document["payments"][0]
    again = with_second_certificate(item, job.chain.keys.values(), genesis.hash)
    assert again != item
    for one in (item, again):
        assert len(check({**document, "payments": [one]}, genesis).payments) == 1
    with refused_named("MALFORMED", "payments[1]"):
        check({**document, "payments": [item, again]}, genesis)


class refused_named:
    def __init__(self, code: str, where: str) -> None:
        self.code, self.where = code, where

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        assert isinstance(error, RefusalError), error
        assert error.code.name == self.code, error
        assert self.where in error.field + error.message, error
        return True


def forged_by(chain: LedgerChain, signers: list[Any], document: dict[str, Any]) -> dict[str, Any]:
    """Return the proof of a larger payment, in a block that these keys signed."""
    forged = copy.deepcopy(document)
    item = forged["payments"][0]
    receipt = Receipt.FromString(bytes.fromhex(item["receipt"]))
    receipt.payment.amount *= 2
    raw = canonical.encode(receipt)
    header = decode_header(bytes.fromhex(item["header"]))
    header.receipts_root = merkle.root([raw])
    written = canonical.encode(header)
    votes = [
        sign_vote(PRECOMMIT, header.height, 0, sha256(written), signer, chain.genesis.hash)
        for signer in signers
    ]
    item |= {
        "receipt": raw.hex(),
        "header": written.hex(),
        "certificate": make_certificate(votes).hex(),
        "path": [],
        "amount": receipt.payment.amount,
    }
    return forged


def test_former_and_self_made_validators_prove_nothing(proved: Any) -> None:
    document, genesis, job = proved
    gone = [key_of(f"miner {i}") for i in range(3)]
    with refused_named("BAD_CERTIFICATE", "payments[0]"):
        check(forged_by(job.chain, gone, document), genesis)
    # A forged validator set in between, which no set certified.
    stranger = STRANGER
    forged = forged_by(job.chain, [stranger], document)
    last = forged["validator_changes"][-1]
    header = decode_header(bytes.fromhex(last["header"]))
    own = ValidatorSet.from_members([Validator.from_key(stranger.public_key, FDC)])
    header.next_validators_hash = own.hash()
    last["header"] = canonical.encode(header).hex()
    last["validators"] = [{"public_key": stranger.public_key.hex(), "power": FDC}]
    with refused_named("BAD_CERTIFICATE", "validator_changes[2]"):
        check(forged, genesis)


def test_another_genesis(proved: Any) -> None:
    document, genesis, _ = proved
    other = make_genesis({key_of("miner 9"): 10 * FDC}, {ALICE: FDC})
    assert other.chain_id == genesis.chain_id
    with refused_named("WRONG_GENESIS", "genesis_hash"):
        check(document, other)
    with refused_named("BAD_CERTIFICATE", "validator_changes[0]"):
        check({**document, "genesis_hash": other.hash.hex()}, other)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff",
        b"[]",
        b"null",
        b"{}",
        b"1" * 5_000,
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"format": NaN}',
        b'{"format": 1, "format": 2}',
    ],
    ids=range(10),
)
def test_nonsense(raw: bytes, proved: Any) -> None:
    with refused_named("MALFORMED", ""):
        check_file(raw, proved[1])


def test_too_large(proved: Any) -> None:
    with refused_named("TOO_LARGE", "proof"):
        check_file(b" " * (MAX_BYTES + 1), proved[1])


async def test_two_payments_of_one_task(tmp_path: Path) -> None:
    """A miner gets its reward and its deposit in one block."""
    async with serve_api(tmp_path, validators=2) as live:
        job = LedgerCampaign(live.chain)
        job.open_campaign()
        job.open_task()
        job.settle(dict.fromkeys(live.chain.miners, GAME))
        winner = live.chain.blocks[-1].header.settlement.winner
        document = await fetch_document(live.node, job.task_id, winner)
        found = check(document, live.chain.genesis)
        assert len(found.payments) == 2
        assert found.num_validator_changes == 0
        assert {item["kind"] for item in document["payments"]} == {"mining", "deposit_returned"}
