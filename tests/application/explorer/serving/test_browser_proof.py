"""The page's check of payment proofs, run by Node.js, whose WebCrypto is that of browsers.

Its verdicts are those of `check_file`, on true proofs and on every kind of forged one.
"""

from __future__ import annotations

import asyncio
import base64
import copy
import json
import random
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from fedcoin.application.verification.proof_file import check_file, fetch_document
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.genesis import Genesis, parse_genesis
from fedcoin.v1.transaction_pb2 import Bond, Unbond
from tests.support.genesis import FDC
from tests.support.keys import ALICE, CAROL
from tests.support.ledger_campaign import LedgerCampaign, additive
from tests.support.paths import TESTS
from tests.support.second_certificates import with_second_certificate
from tests.support.served_api import serve_api

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js"),
]


@dataclass(frozen=True)
class Proved:
    """A proof of a payment after three changes of the validators."""

    document: dict[str, Any]
    genesis: Genesis
    again: dict[str, Any]
    """The payment with another certificate of its block."""


@pytest.fixture(scope="module")
def proved(tmp_path_factory: pytest.TempPathFactory) -> Proved:
    async def play() -> Proved:
        async with serve_api(tmp_path_factory.mktemp("live"), validators=3) as live:
            chain = live.chain
            chain.keys |= {k.address: k for k in (ALICE, CAROL)}
            first = chain.miners[0]
            chain.produce(
                chain.sign(ALICE, Bond(amount=30 * FDC)), chain.sign(first, Unbond(amount=FDC))
            )
            job = LedgerCampaign(chain)
            job.open_campaign()
            job.open_task()
            chain.produce(chain.sign(CAROL, Bond(amount=20 * FDC)))
            job.settle({m: additive(5, 3, 0) for m in chain.miners if m != CAROL})
            document = await fetch_document(live.node, job.task_id, job.clients[0].address)
            payment = document["payments"][0]
            keys = chain.keys.values()
            again = with_second_certificate(payment, keys, chain.genesis.hash)
            return Proved(document, chain.genesis, again)

    return asyncio.run(play())


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the page's scripts to where Node.js takes them for modules."""
    folder = tmp_path_factory.mktemp("scripts")
    (folder / "package.json").write_text('{"type": "module"}')
    assets = resources.files("fedcoin.application.explorer.serving") / "assets"
    for file in assets.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def check_all(scripts: Path, proofs: Sequence[bytes], genesis: bytes) -> list[dict[str, Any]]:
    """Return the answers of the page's script."""
    shared = base64.b64encode(genesis).decode()
    lines = [
        json.dumps({"proof": base64.b64encode(proof).decode(), "genesis": shared})
        for proof in proofs
    ]
    done = subprocess.run(
        ["node", str(TESTS / "support/check_proofs.mjs"), str(scripts)],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def verdict(proof: bytes, genesis: Genesis) -> str:
    """Return the code of `check_file`; empty for a valid proof."""
    try:
        check_file(proof, genesis)
    except RefusalError as refusal:
        return str(refusal.code.value)
    return ""


def test_a_true_proof_is_valid(proved: Proved, scripts: Path) -> None:
    # Spaces and the order of names mean nothing.
    written = [json.dumps(proved.document), json.dumps(proved.document, indent=3, sort_keys=True)]
    found = check_all(scripts, [text.encode() for text in written], proved.genesis.raw)
    (payment,) = found[0]["payments"]
    assert found[0] == found[1]
    assert found[0]["address"] == proved.document["address"]
    assert found[0]["validatorChanges"] == 2
    assert payment["amount"] == str(proved.document["payments"][0]["amount"])
    assert payment["kind"] == "training"
    assert int(payment["power"]) * 3 > int(payment["totalPower"]) * 2


def test_the_golden_vector_is_valid(scripts: Path) -> None:
    vector = json.loads((TESTS / "vectors/payment_proofs.json").read_text())
    document = json.dumps(vector["document"]).encode()
    (found,) = check_all(scripts, [document], vector["genesis"].encode())
    amounts = [payment["amount"] for payment in found["payments"]]
    assert amounts == [str(payment["amount"]) for payment in vector["document"]["payments"]]
    assert found["genesisHash"] == vector["genesis_hash"]


def mutations(document: Any, rng: random.Random) -> list[bytes]:
    """Return documents with one change each: of a digit, a member, or a value's type."""
    text = json.dumps(document)
    found = []
    for _ in range(400):
        at = rng.randrange(len(text))
        new = rng.choice([c for c in '0123456789abcdef" ,}' if c != text[at]])
        found.append((text[:at] + new + text[at + 1 :]).encode())
    for place, value in list(walk(document)):
        bumped = value + 1 if isinstance(value, int) else value
        others: tuple[Any, ...] = (None, 7, "", [], {}, "00", bumped)
        for other in others:
            forged = copy.deepcopy(document)
            node = forged
            for step in place[:-1]:
                node = node[step]
            node[place[-1]] = float(other) if isinstance(other, int) and value == other else other
            found.append(json.dumps(forged).encode())
    return found


def walk(node: Any, place: tuple[Any, ...] = ()) -> Any:
    """Yield the paths and values of all members."""
    items: Any = node.items() if isinstance(node, dict) else enumerate(node)
    for name, value in items:
        if isinstance(value, dict | list):
            yield from walk(value, (*place, name))
        else:
            yield (*place, name), value


def test_forged_proofs_have_the_verdicts_of_the_program(proved: Proved, scripts: Path) -> None:
    proofs = mutations(proved.document, random.Random(3))
    payments = proved.document["payments"]
    for listed in ([proved.again], payments * 2, [*payments, proved.again]):
        proofs.append(json.dumps({**proved.document, "payments": listed}).encode())
    proofs += [b"", b"[]", b"{}", b"\xff", b"null", b"[" * 200, b'{"a":1,"a":1}', b"{} x", b"1e3"]
    answers = check_all(scripts, proofs, proved.genesis.raw)
    assert len(answers) == len(proofs)
    codes = set()
    for proof, answer in zip(proofs, answers, strict=True):
        expected = verdict(proof, proved.genesis)
        assert answer.get("code", "") == expected, (proof[:2000], answer)
        codes.add(expected)
    assert codes >= {
        "", "MALFORMED", "WRONG_CHAIN", "WRONG_GENESIS", "WRONG_VALIDATORS_HASH",
        "BAD_CERTIFICATE", "BAD_ROOT", "BAD_PROOF",
    }  # fmt: skip


def test_another_genesis_and_one_that_is_none(proved: Proved, scripts: Path) -> None:
    proof = json.dumps(proved.document).encode()
    raw = proved.genesis.raw
    spaced = raw + b" "
    assert parse_genesis(spaced).hash != proved.genesis.hash
    for genesis, code in (
        (spaced, "WRONG_GENESIS"),
        (b"{}", "BAD_GENESIS"),
        (b"", "BAD_GENESIS"),
        (raw.replace(b'"validators"', b'"x"'), "BAD_GENESIS"),
        (raw.replace(b"fedcoin-test", b"Other Chain"), "BAD_GENESIS"),
    ):
        (answer,) = check_all(scripts, [proof], genesis)
        assert answer["code"] == code
    camel = raw.replace(b"chain_id", b"chainId").replace(b"public_key", b"publicKey")
    assert parse_genesis(camel).chain_id == proved.genesis.chain_id
    (answer,) = check_all(scripts, [proof], camel)
    assert answer["code"] == "WRONG_GENESIS"


SMALL = {
    "identity": (1).to_bytes(32, "little"),
    "zero": bytes(32),
    "minus one": (2**255 - 20).to_bytes(32, "little"),
    "not canonical": (2**255 - 18).to_bytes(32, "little"),
    "eighth": bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
}


def test_keys_of_small_order_sign_nothing(scripts: Path) -> None:
    """A key of small order has signatures that are valid for any message, unless it is refused."""
    code = """
      import { verify } from "SCRIPTS/signatures.js";
      import { fromHex } from "SCRIPTS/bytes.js";
      for (const [key, signature] of JSON.parse(process.argv[1])) {
        console.log(await verify(fromHex(key), new Uint8Array(32), fromHex(signature)));
      }
    """.replace("SCRIPTS", scripts.as_uri())
    identity = SMALL["identity"] + bytes(32)
    cases = [(key.hex(), identity.hex()) for key in SMALL.values()]
    message = bytes(32)
    from nacl import bindings

    public, secret = bindings.crypto_sign_seed_keypair(b"s" * 32)
    signature = bindings.crypto_sign(message, secret)[:64]
    order = 2**252 + 27742317777372353535851937790883648493
    scalar = int.from_bytes(signature[32:], "little") + order
    cases += [(public.hex(), signature.hex())]
    cases += [(public.hex(), (signature[:32] + scalar.to_bytes(32, "little")).hex())]
    done = subprocess.run(
        ["node", "--input-type=module", "--eval", code, json.dumps(cases)],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stdout.split() == ["false"] * 5 + ["true", "false"]


def test_addresses_are_written_alike(scripts: Path) -> None:
    code = """
      import { formatAddress } from "SCRIPTS/addresses.js";
      for (let i = 0; i < 256; i += 1) {
        console.log(formatAddress(Uint8Array.from({ length: 20 }, (_, j) => (i * (j + 7)) & 255)));
      }
    """.replace("SCRIPTS", scripts.as_uri())
    done = subprocess.run(
        ["node", "--input-type=module", "--eval", code],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    expected = [format_address(bytes((i * (j + 7)) & 255 for j in range(20))) for i in range(256)]
    assert done.stdout.split() == expected
