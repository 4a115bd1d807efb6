from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages.amounts import MAX_AMOUNT
from fedcoin.data.messages.genesis import MAX_GENESIS_BYTES, Genesis, parse_genesis, render_genesis
from fedcoin.data.messages.parameters import Parameters
from fedcoin.v1 import genesis_pb2
from tests.support.genesis import CHAIN_ID, GENESIS_MS
from tests.support.keys import ALICE, BOB, CAROL
from tests.support.paths import read_vectors


def refused(raw: bytes) -> RefusalError:
    with pytest.raises(RefusalError) as caught:
        parse_genesis(raw)
    assert caught.value.code is DataCode.BAD_GENESIS
    return caught.value


def test_written_arrays_are_read() -> None:
    message = genesis_pb2.Genesis(
        chain_id=CHAIN_ID,
        time_ms=GENESIS_MS,
        accounts=[
            genesis_pb2.GenesisAccount(address=format_address(key.address), balance=10**12)
            for key in (ALICE, BOB)
        ],
        validators=[
            genesis_pb2.GenesisValidator(public_key=key.public_key.hex(), bond=10**10)
            for key in (ALICE, CAROL)
        ],
    )
    raw = render_genesis(message)
    read = parse_genesis(raw)
    assert read.chain_id == CHAIN_ID
    assert read.hash == sha256(raw)
    assert read.parameters == Parameters()
    assert read.accounts == ((ALICE.address, 10**12), (BOB.address, 10**12))
    assert read.validators == ((ALICE.public_key, 10**10), (CAROL.public_key, 10**10))
    assert read.supply == 2 * 10**12 + 2 * 10**10


def test_golden_genesis() -> None:
    vector = read_vectors("genesis")
    read = parse_genesis(vector["raw"].encode())
    assert read.hash.hex() == vector["hash"]
    assert read.chain_id == vector["chain_id"]
    assert [a.hex() for a, _ in read.accounts] == vector["accounts"]


def test_a_blank_makes_another_network(genesis: Genesis) -> None:
    assert parse_genesis(genesis.raw + b"\n").hash != genesis.hash


def test_numbers_may_be_numbers(genesis: Genesis) -> None:
    content = json.loads(genesis.raw)
    content["time_ms"] = int(content["time_ms"])
    assert parse_genesis(json.dumps(content).encode()).time_ms == genesis.time_ms


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda g: g.pop("chain_id"), "chain_id"),
        (lambda g: g.update(chain_id="Fed Coin"), "chain_id"),
        (lambda g: g.update(chain_id="x" * 65), "chain_id"),
        (lambda g: g.update(chain_id="x\n"), "chain_id"),
        (lambda g: g.pop("time_ms"), "time_ms"),
        (lambda g: g.update(time_ms=-5), "time_ms"),
        (lambda g: g.update(time_ms=10**15), "time_ms"),
        (lambda g: g.update(parameters={"base_fee": 10**18}), "parameters.base_fee"),
        (lambda g: g["accounts"][1].update(address="fc1nobody"), "accounts[1].address"),
        (lambda g: g["accounts"][1].pop("address"), "accounts[1].address"),
        (lambda g: g["accounts"].append(g["accounts"][0]), "accounts[2].address"),
        (lambda g: g["accounts"][0].update(balance=str(2**63)), "accounts[0].balance"),
        (lambda g: g["accounts"][0].update(balance=str(MAX_AMOUNT)), "accounts"),
        (lambda g: g.pop("validators"), "validators"),
        (lambda g: g.update(parameters={"max_validators": 1}), "validators"),
        (lambda g: g["validators"][0].update(public_key="00"), "validators[0].public_key"),
        (lambda g: g["validators"][0].update(public_key="g" * 64), "validators[0].public_key"),
        (lambda g: g["validators"].append(g["validators"][1]), "validators[2].public_key"),
        (lambda g: g["validators"][1].update(bond=99_999_999), "validators[1].bond"),
        (lambda g: g["validators"][1].update(bond=2**63), "validators[1].bond"),
        (lambda g: g.update(surprise=1), "genesis"),
        (lambda g: g["accounts"][0].update(surprise=1), "genesis"),
        (lambda g: g["accounts"][0].update(balance="-1"), "genesis"),
        (lambda g: g["accounts"][0].update(balance=1.5), "genesis"),
        (lambda g: g["accounts"][0].update(balance=2**64), "genesis"),
        (lambda g: g.update(accounts={}), "genesis"),
        (lambda g: g.update(chain_id=5), "genesis"),
    ],
)
def test_each_error_names_its_field(genesis: Genesis, change: Change, field: str) -> None:
    content = json.loads(genesis.raw)
    change(content)
    refusal = refused(json.dumps(content).encode())
    assert refusal.field == field
    assert refusal.message.startswith(field)


def test_an_unknown_field_is_named(genesis: Genesis) -> None:
    content = json.loads(genesis.raw)
    content["accounts"][0]["surprise"] = 1
    assert "surprise" in refused(json.dumps(content).encode()).message


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"5",
        b"{",
        b'{"chain_id": "a", "chain_id": "b"}',
        b'{"chain_id": "a", "chainId": "b"}',
        b'{"chain_id": "\\ud800"}',
        b'{"time_ms": ' + b"9" * 10_000 + b"}",
        b"[" * 100_000,
        b'{"accounts":' * 50_000,
        b'{"time_ms": NaN}',
        b" " * (MAX_GENESIS_BYTES + 1),
    ],
    ids=range(14),
)
def test_what_is_no_genesis(raw: bytes) -> None:
    assert refused(raw).field == "genesis"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["chain_id", "time_ms", "parameters", "accounts", "address", "bond"])
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(JSON)
def test_any_json_is_refused(content: object) -> None:
    refused(json.dumps(content).encode())
