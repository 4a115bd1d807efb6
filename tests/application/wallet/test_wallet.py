from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcoin.application.configuration.config_sources import assemble
from fedcoin.application.configuration.genesis_file import write_genesis
from fedcoin.application.configuration.home import Home
from fedcoin.application.node.node import open_node
from fedcoin.application.wallet.transaction_drafts import (
    MAX_FEE_FACTOR,
    action_field,
    compute_min_fee,
    draft_transaction,
)
from fedcoin.application.wallet.wallet import Wallet
from fedcoin.contract.admission import min_fee
from fedcoin.data.clock import unix_ms
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.chain_identity import ChainIdentity
from fedcoin.data.messages.genesis import parse_genesis
from fedcoin.data.messages.transactions import sign_transaction
from fedcoin.network.client.node_client import NodeClient
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.v1.node_service_pb2 import GetFeesResponse
from fedcoin.v1.transaction_pb2 import Bond, TransactionBody, Transfer, TransferOutput
from tests.support.genesis import OTHER_GENESIS_HASH

MINER = KeyPair.from_seed(b"\x01" * 32)
ALICE = KeyPair.from_seed(b"\x02" * 32)
BOB = KeyPair.from_seed(b"\x03" * 32)
FUNDS = 10**12


@dataclass(frozen=True)
class Bank:
    """A live node with one miner, and a client of it."""

    chain: ChainIdentity
    client: NodeClient
    target: str


@pytest.fixture
async def bank(tmp_path: Path) -> AsyncIterator[Bank]:
    home = Home(tmp_path / "home")
    home.add_key("node", MINER)
    genesis = write_genesis(
        "bank",
        unix_ms() - 1000,
        balances={MINER.address: FUNDS, ALICE.address: FUNDS},
        bonds={MINER.public_key: 10**10},
    )
    home.write(genesis, {})
    anywhere = {"peers.listen": "127.0.0.1:0", "api.listen": "127.0.0.1:0"}
    config = assemble({**anywhere, "miner.enabled": True, "miner.warm": False})
    async with (
        open_node(config, home, asyncio.Event()) as node,
        NodeClient(node.api.address) as client,
    ):
        yield Bank(home.genesis().identity, client, node.api.address)


def pay(amount: int, outputs: int = 1) -> Transfer:
    output = TransferOutput(recipient=BOB.address, amount=amount)
    return Transfer(outputs=[output] * outputs)


async def test_a_wallet_fills_in_nonce_fee_and_expiry(bank: Bank) -> None:
    wallet = Wallet(bank.client, ALICE, bank.chain)
    view = await wallet.execute(pay(5))
    assert (view.nonce, view.height, view.action) == (0, 1, "transfer")
    assert (await bank.client.get_account(BOB.address)).balance == 5
    again = await wallet.execute(Bond(amount=10**10))
    assert again.nonce == 1


async def test_many_at_once_take_turns(bank: Bank) -> None:
    wallet = Wallet(bank.client, ALICE, bank.chain)
    views = await asyncio.gather(*(wallet.execute(pay(1)) for _ in range(10)))
    assert sorted(view.nonce for view in views) == list(range(10))


async def test_two_wallets_of_one_key(bank: Bank) -> None:
    async with NodeClient(bank.target) as other:
        wallets = [Wallet(bank.client, ALICE, bank.chain), Wallet(other, ALICE, bank.chain)]
        # With the same amount, both wallets would sign the same bytes, which are one transaction.
        work = [w.execute(pay(amount)) for amount, w in enumerate(wallets, 1) for _ in range(3)]
        views = await asyncio.gather(*work)
    assert sorted(view.nonce for view in views) == list(range(6))


async def test_what_the_ledger_refuses(bank: Bank) -> None:
    wallet = Wallet(bank.client, ALICE, bank.chain)
    with pytest.raises(RpcError) as caught:
        await wallet.submit(pay(2 * FUNDS))
    assert caught.value.code == "INSUFFICIENT_BALANCE"
    with pytest.raises(RpcError) as caught:
        await Wallet(bank.client, ALICE, replace(bank.chain, chain_id="other")).submit(pay(1))
    assert caught.value.code == "WRONG_CHAIN"
    relaunched = replace(bank.chain, genesis_hash=OTHER_GENESIS_HASH)
    with pytest.raises(RpcError) as caught:
        await Wallet(bank.client, ALICE, relaunched).submit(pay(1))
    assert caught.value.code == "BAD_SIGNATURE"


async def test_large_ones_pay_more(bank: Bank) -> None:
    wallet = Wallet(bank.client, ALICE, bank.chain)
    small, large = await wallet.execute(pay(1)), await wallet.execute(pay(1, 200))
    assert large.fee > small.fee


def test_every_action_has_its_field() -> None:
    fields = TransactionBody.DESCRIPTOR.oneofs_by_name["action"].fields
    for field in fields:
        action = getattr(TransactionBody(), field.name)
        assert action_field(action) == field.name
    with pytest.raises(TypeError):
        action_field(TransferOutput())


@given(
    base=st.integers(1, 10**6),
    per_kib=st.integers(0, 10**6),
    outputs=st.integers(1, 256),
    nonce=st.integers(0, 2**63),
)
def test_the_fee_is_the_least(base: int, per_kib: int, outputs: int, nonce: int) -> None:
    body = TransactionBody(chain_id="c", nonce=nonce, transfer=pay(1, outputs))
    fee = compute_min_fee(body, GetFeesResponse(base_fee=base, fee_per_kib=per_kib))
    body.fee = fee
    assert fee >= base + per_kib * -(-body.ByteSize() // 1024)
    body.fee = fee - 1
    assert fee - 1 < base + per_kib * -(-body.ByteSize() // 1024)


@given(replaced=st.integers(1, 10**12), base=st.integers(1, 10**6), per_kib=st.integers(0, 10**6))
def test_the_fee_of_a_replacement_is_the_least(replaced: int, base: int, per_kib: int) -> None:
    body = TransactionBody(chain_id="c", transfer=pay(1))

    def enough(fee: int) -> bool:
        body.fee = fee
        own = base + per_kib * -(-body.ByteSize() // 1024)
        return fee >= replaced + own and 10 * (fee - replaced) >= replaced

    fee = compute_min_fee(body, GetFeesResponse(base_fee=base, fee_per_kib=per_kib), replaced)
    assert enough(fee)
    assert not enough(fee - 1)


def test_it_is_the_ledgers_fee() -> None:
    genesis = write_genesis("c", 1, balances={}, bonds={MINER.public_key: 10**10})
    rules = parse_genesis(genesis).parameters
    fees = GetFeesResponse(base_fee=rules.base_fee, fee_per_kib=rules.fee_per_kib)
    body = TransactionBody(chain_id="c", transfer=pay(1, 100))
    body.fee = compute_min_fee(body, fees)
    assert body.fee == min_fee(rules, body.ByteSize())


def test_the_fee_follows_what_gets_in_up_to_a_limit() -> None:
    fees = GetFeesResponse(base_fee=1_000, fee_per_kib=100, max_expiry_blocks=100)
    minimum = draft_transaction(pay(1), fees, chain_id="c", nonce=0, height=5).fee
    fees.next_block_fee_rate = 20_000
    body = draft_transaction(pay(1), fees, chain_id="c", nonce=0, height=5)
    signed = sign_transaction(body, ALICE, OTHER_GENESIS_HASH)
    assert body.fee > minimum
    assert body.fee * 1024 // len(signed.raw) >= 20_000
    assert body.fee * 1024 // (len(signed.raw) + 16) <= 20_000
    fees.mempool_fee_rate = 10**12
    body = draft_transaction(pay(1), fees, chain_id="c", nonce=0, height=5)
    assert body.fee == MAX_FEE_FACTOR * minimum
