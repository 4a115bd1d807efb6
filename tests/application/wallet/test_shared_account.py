"""A program that waits until the people of an account have signed and sent its transaction."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from fedcoin.application.errors import ApplicationCode
from fedcoin.application.wallet import shared_account
from fedcoin.application.wallet.delivery import Delivery
from fedcoin.application.wallet.key_policy_file import render_policy
from fedcoin.application.wallet.prepared_transaction import PreparedTransaction, read_prepared
from fedcoin.application.wallet.shared_account import (
    SharedAccount,
    open_shared_account,
    prepare_transaction,
)
from fedcoin.contract.errors import LedgerCode
from fedcoin.data.errors import RefusalError
from fedcoin.v1.transaction_pb2 import Bond
from tests.support.genesis import FDC
from tests.support.keys import ALICE, BOB, CAROL
from tests.support.served_api import ServedApi, serve_api
from tests.support.shared_accounts import MEMBERS, PURSE, sign_on
from tests.support.transfers import transfer_to
from tests.support.waiting import until

PAY = transfer_to((BOB.address, FDC))
FILE = "transfer.json"


def fund(live: ServedApi) -> None:
    live.chain.produce(live.chain.sign(ALICE, transfer_to((PURSE.address, 10 * FDC))))


def make_account(live: ServedApi, lines: list[str]) -> SharedAccount:
    identity = live.chain.genesis.identity
    return SharedAccount(PURSE, Delivery(live.node, CAROL, identity, lines.append))


def send(live: ServedApi, prepared: PreparedTransaction) -> None:
    """Have two people sign, and put the transaction into a block."""
    live.chain.produce(prepared.sign(MEMBERS[2]).sign(MEMBERS[0]).assemble())


async def test_it_prepares_again_when_the_nonce_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_account, "LOOK_S", 0.02)
    path, lines = tmp_path / FILE, list[str]()
    async with serve_api(tmp_path) as live:
        fund(live)
        waiting = asyncio.create_task(make_account(live, lines).await_signed(PAY, tmp_path))
        await until(path.exists)
        first = read_prepared(path)
        assert (first.body.nonce, first.num_missing) == (0, 2)
        live.chain.produce(sign_on(live.chain, transfer_to((CAROL.address, FDC))))
        await until(lambda: read_prepared(path).body.nonce == 1)
        assert not waiting.done()
        send(live, read_prepared(path))
        assert await asyncio.wait_for(waiting, 10) == read_prepared(path).hash
        assert first.hash != read_prepared(path).hash
    assert [line.split(" ")[0] for line in lines] == ["2", "transaction", "2"]


async def test_it_goes_on_with_the_file_that_people_may_have_signed(tmp_path: Path) -> None:
    async with serve_api(tmp_path) as live:
        fund(live)
        account, identity = make_account(live, []), live.chain.genesis.identity
        prepared = await prepare_transaction(live.node, PURSE, identity, PAY, fee=77_000)
        (tmp_path / FILE).write_text(prepared.render())
        send(live, prepared)
        # The program was restarted: what it finds is final already.
        assert await account.await_signed(PAY, tmp_path) == prepared.hash
        with pytest.raises(RefusalError) as caught:
            await prepare_transaction(live.node, PURSE, identity, Bond(amount=FDC))
        assert caught.value.code is LedgerCode.NEEDS_ONE_KEY


async def test_the_account_is_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "purse.json"
    path.write_text(render_policy(PURSE))
    async with serve_api(tmp_path) as live:
        delivery = Delivery(live.node, CAROL, live.chain.genesis.identity, print)
        assert await open_shared_account("", delivery) is None
        assert await open_shared_account(str(path), delivery) is not None
        with pytest.raises(RefusalError) as caught:
            await open_shared_account(str(tmp_path / "missing"), delivery)
        assert caught.value.code is ApplicationCode.NO_FILE
