"""A pending transaction is replaced by one with a higher fee, on every node."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fedcoin.application.wallet.wallet import Wallet
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.messages.transactions import Transaction
from fedcoin.network.client.node_client import NodeClient
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.v1.transaction_pb2 import Transfer, TransferOutput
from fedcoin.v1.views_pb2 import TRANSACTION_STATUS_DROPPED, TRANSACTION_STATUS_PENDING
from tests.support.e2e.network import BOND, BRISK, FDC, FUNDS, IDLE_MINER, Network, wallet_on
from tests.support.keys import ALICE, BOB, key_of
from tests.support.programs import Stage, attempted, fedcoin
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(180)


def transfer(amount: int) -> Transfer:
    return Transfer(outputs=[TransferOutput(recipient=BOB.address, amount=amount)])


async def waits(node: NodeClient, transaction: Transaction) -> None:
    async def there() -> bool:
        return any(
            view.hash == transaction.hash.hex() for view in await node.list_pending_transactions()
        )

    await until(there, f"{transaction.hash.hex()[:16]} waits at {node.target}")


async def dropped(node: NodeClient, transaction: Transaction) -> str:
    """Wait until a node has dropped a transaction; returns the reason."""

    async def there() -> str:
        view = await node.get_transaction(transaction.hash)
        return view.reason if view.status == TRANSACTION_STATUS_DROPPED else ""

    return await until(there, f"{transaction.hash.hex()[:16]} is dropped by {node.target}")


async def test_a_replacement_reaches_every_node(tmp_path: Path) -> None:
    with Stage(tmp_path) as stage:
        network = Network(stage, [BOND], BRISK, settings=IDLE_MINER)
        (miner,) = network.nodes
        here, there = (network.add(name, key_of(name)) for name in ("here", "there"))
        await network.start()
        # The only validator is stopped, so transactions stay pending and in no proposal.
        miner.program.stop()
        async with here.client() as near, there.client() as far:
            wallet = Wallet(near, ALICE, network.chain)
            first = await wallet.submit(transfer(5 * FDC))
            second = await wallet.submit(transfer(FDC))
            for node in (near, far):
                await waits(node, first)
                await waits(node, second)

            view = await near.get_transaction(first.hash)
            cheap = first.body.fee + first.body.fee // 10
            with pytest.raises(RpcError) as caught:
                await wallet.submit(transfer(7 * FDC), fee=cheap, replaces=view)
            assert caught.value.code == "REPLACEMENT_UNDERPRICED"
            assert f"pay at least {2 * first.body.fee} to replace it" in caught.value.message
            # The replacement reaches all nodes.
            replacement = await (await wallet_on(far, ALICE)).submit(
                transfer(7 * FDC), replaces=view
            )
            assert replacement.body.nonce == first.body.nonce
            assert replacement.body.fee == 2 * first.body.fee
            for node in (near, far):
                await waits(node, replacement)
                assert replacement.hash.hex() in await dropped(node, first)
                assert {v.hash for v in await node.list_pending_transactions()} == {
                    replacement.hash.hex(),
                    second.hash.hex(),
                }
            with pytest.raises(RpcError) as caught:
                await near.wait_until_final(first.hash)
            assert caught.value.code == "DROPPED"
            await miner.start()
            for transaction in (replacement, second):
                await near.wait_until_final(transaction.hash)
            assert (await near.get_account(BOB.address)).balance == FUNDS + 8 * FDC
            spent = 8 * FDC + replacement.body.fee + second.body.fee
            assert (await near.get_account(ALICE.address)).balance == FUNDS - spent
        await network.wait_for_one_state()
        network.finish()


async def test_the_command_replaces_a_transaction(tmp_path: Path) -> None:
    with Stage(tmp_path) as stage:
        network = Network(stage, [BOND], BRISK, settings=IDLE_MINER)
        (miner,) = network.nodes
        observer = network.add("observer", key_of("observer"))
        observer.home.add_key("alice", ALICE)
        await network.start()
        miner.program.stop()
        home, bob = ("--home", observer.home.root), format_address(BOB.address)
        signed = ("--key", "alice", "--no-wait", "--json", *home)
        sent = json.loads(fedcoin("send", bob, "2fdc", *signed))
        again = ("send", bob, "3fdc", "--replace", sent["hash"], *signed)
        code, _, complaint = attempted(*again, "--fee", f"{sent['fee']}sap")
        assert (code, "[REPLACEMENT_UNDERPRICED]" in complaint) == (1, True)
        replacement = json.loads(fedcoin(*again))
        assert replacement["nonce"] == sent["nonce"]
        shown = fedcoin("tx", sent["hash"], *home)
        assert "dropped" in shown
        assert f"replaced it by transaction {replacement['hash']}" in shown
        # The first transaction is no longer pending, and another account's key cannot replace one.
        code, _, complaint = attempted(*again)
        assert (code, "it is no longer pending [NOT_REPLACEABLE]" in complaint) == (1, True)
        fedcoin("keys", "new", "stranger", *home)
        foreign = ("--replace", replacement["hash"], "--key", "stranger", "--no-wait", *home)
        code, _, complaint = attempted("send", bob, "1sap", *foreign)
        assert (code, "its sender is" in complaint) == (1, True)
        async with observer.client() as node:
            view = await node.get_transaction(replacement["hash"])
            assert view.status == TRANSACTION_STATUS_PENDING
            await miner.start()
            await node.wait_until_final(replacement["hash"])
            assert (await node.get_account(BOB.address)).balance == FUNDS + 3 * FDC
