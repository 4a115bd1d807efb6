"""A transaction arrives exactly once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from fedcoin.application.node.node import open_node
from fedcoin.application.wallet.delivery import Delivery
from fedcoin.application.wallet.wallet import Wallet
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.network.client.node_client import NodeClient
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.v1.transaction_pb2 import Transfer, TransferOutput
from tests.support.training_site import CHAIN_ID, FUNDS, SERVER, node_home, site
from tests.support.transfers import sign_transfer
from tests.support.waiting import until

RECEIVER = KeyPair.from_seed(b"r" * 32)


def transfer(amount: int) -> Transfer:
    return Transfer(outputs=[TransferOutput(recipient=RECEIVER.address, amount=amount)])


class Kept:
    """The stored records, in order."""

    def __init__(self) -> None:
        self.raws: list[bytes] = []

    async def __call__(self, raw: bytes) -> None:
        self.raws.append(raw)


async def test_it_is_kept_before_it_is_sent_and_sent_once(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        delivery = Delivery(here.client, SERVER, here.chain, here.lines.append)
        kept = Kept()
        sent = await delivery.deliver(transfer(7), b"", kept)
        assert kept.raws == [sent.raw]
        # After a restart the same transaction is submitted again, which changes nothing.
        again = await delivery.deliver(transfer(7), kept.raws[-1], kept)
        assert again.hash == sent.hash
        assert kept.raws == [sent.raw]
        assert (await here.client.get_account(RECEIVER.address)).balance == 7


async def test_when_another_took_its_nonce_a_new_one_is_signed(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        delivery = Delivery(here.client, SERVER, here.chain, here.lines.append)
        stale = sign_transfer(
            0,
            5,
            sender=SERVER,
            recipient=RECEIVER,
            chain_id=CHAIN_ID,
            genesis_hash=here.chain.genesis_hash,
        )
        await Wallet(here.client, SERVER, here.chain).execute(transfer(100))
        kept = Kept()
        sent = await delivery.deliver(transfer(5), stale.raw, kept)
        assert sent.hash != stale.hash
        assert kept.raws == [b"", sent.raw]
        assert (await here.client.get_account(RECEIVER.address)).balance == 105


async def test_a_refusal_of_the_ledger_is_raised_and_the_transaction_forgotten(
    tmp_path: Path,
) -> None:
    async with site(tmp_path) as here:
        delivery = Delivery(here.client, SERVER, here.chain, here.lines.append)
        kept = Kept()
        with pytest.raises(RpcError) as caught:
            await delivery.deliver(transfer(2 * FUNDS), b"", kept)
        assert caught.value.code == "INSUFFICIENT_BALANCE"
        assert kept.raws[-1] == b""


async def test_a_node_that_is_away_is_waited_for(tmp_path: Path) -> None:
    home = node_home(tmp_path / "node")
    lines: list[str] = []
    async with open_node(home.config({}), home, asyncio.Event()) as node:
        listen = node.api.address
    async with NodeClient(listen) as client:
        delivery = Delivery(client, SERVER, home.genesis().identity, lines.append)
        task = asyncio.create_task(delivery.deliver(transfer(3), b"", Kept()))
        await until(lambda: any("waiting for the node" in line for line in lines))
        config = home.config({}, {"api.listen": listen})
        async with open_node(config, home, asyncio.Event()):
            await asyncio.wait_for(task, 30)
            assert (await client.get_account(RECEIVER.address)).balance == 3
