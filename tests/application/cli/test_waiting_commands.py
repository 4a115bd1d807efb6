"""Commands that wait end with 1 and a code when what they waited for does not come."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import click

from fedcoin.application.cli.root_command import cli
from fedcoin.application.configuration.home import Home
from fedcoin.application.wallet.prepared_transaction import PreparedTransaction
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.messages.client_list import ListedClient, build_client_list
from fedcoin.data.messages.transactions import Transaction, encode_body
from fedcoin.v1.task_pb2 import ReaderList
from tests.application.cli.conftest import CommandLine
from tests.support.genesis import FDC
from tests.support.keys import ALICE, BOB, MINERS
from tests.support.ledger_campaign import COMMIT, LedgerCampaign, additive
from tests.support.ledger_chain import LedgerChain
from tests.support.served_api import ServedApi, serve_api
from tests.support.shared_accounts import MEMBERS, PURSE, sign_on
from tests.support.transfers import transfer_to
from tests.support.waiting import until

NOBODY = ReaderList()
"""The readers of a private campaign that names none."""

NODE = "waits for a node of this machine to stop, which it does when its commitments have ended"
TRANSACTION = "ends when its transaction is dropped, with DROPPED"
TASK = "ends when its task fails, with TASK_FAILED or TASK_GAVE_WAY"
CAMPAIGN = "ends when its campaign ends early, with CAMPAIGN_ENDED, GAVE_UP or UNMINED_ROUND"

WAITING = {
    "drain": NODE,
    "send": TRANSACTION,
    "bond": TRANSACTION,
    "unbond": TRANSACTION,
    "task close": TRANSACTION,
    "task clients set": TRANSACTION,
    "task readers set": TRANSACTION,
    "transaction send": TRANSACTION,
    "task receipts register": TRANSACTION,
    "task publish": TASK,
    "task receipts open": TASK,
    "task watch": TASK,
    "train client": CAMPAIGN,
    "train clients": CAMPAIGN,
    "train server": CAMPAIGN,
}
"""What each command that waits does when it waits in vain."""


def commands(command: click.Command = cli, *names: str) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield " ".join(names), command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None
        yield from commands(found, *names, name)


def test_every_command_with_an_option_to_wait_is_in_the_table() -> None:
    with_option = {
        name
        for name, command in commands()
        if any(option in ("--wait", "--no-wait") for each in command.params for option in each.opts)
    }
    followers = {"task watch", "train client", "train clients", "train server"}
    assert with_option | followers == set(WAITING)


def pay_bob(chain: LedgerChain, signer: str) -> Transaction:
    """Sign the next transaction of an account, which takes the place of one that waits."""
    payment = transfer_to((BOB.address, 2))
    if signer == "purse":
        return sign_on(chain, payment)
    return chain.sign({"alice": ALICE, "miner": MINERS[0]}[signer], payment)


def write_signed(path: Path, chain: LedgerChain) -> Path:
    """Write a payment that two of the purse's three keys have signed."""
    body = encode_body(sign_on(chain, transfer_to((BOB.address, 1))).body)
    prepared = PreparedTransaction(chain.genesis.hash, PURSE, body)
    path.write_text(prepared.sign(MEMBERS[0]).sign(MEMBERS[1]).render())
    return path


async def fail_while_waiting(
    served: ServedApi, fedcoin: CommandLine, signer: str, arguments: tuple[object, ...]
) -> tuple[int, str]:
    """Run a command, and make a block with another transaction of its signer."""
    key = ("--key", signer) if signer != "purse" else ()
    node = ("--node", served.server.address, "--timeout", "30", *key)
    running = asyncio.create_task(asyncio.to_thread(fedcoin, *arguments, *node))
    await until(lambda: bool(served.pool.pending()) or running.done())
    assert not running.done(), running.result()
    served.chain.produce(pay_bob(served.chain, signer))
    done = await running
    return done.code, done.err


async def test_a_dropped_transaction_is_an_error(tmp_path: Path, fedcoin: CommandLine) -> None:
    home, listed = Home(tmp_path / "home"), tmp_path / "clients"
    home.add_key("alice", ALICE)
    home.add_key("miner", MINERS[0])
    listed.write_text(f"{format_address(BOB.address)} 5\n")
    async with serve_api(tmp_path / "api", validators=4) as served:
        served.chain.produce(served.chain.sign(ALICE, transfer_to((PURSE.address, FDC))))
        terms = {"clients": build_client_list([ListedClient(BOB.address, 5)]), "readers": NOBODY}
        campaign = LedgerCampaign(served.chain).open_campaign(**terms).hex()
        options = ("--home", home.root, "--genesis", served.chain.genesis.hash.hex())
        cases = {
            "send": ("alice", (format_address(BOB.address), "1fdc")),
            "bond": ("alice", ("200fdc",)),
            "unbond": ("miner", ("1fdc",)),
            "task close": ("alice", (campaign,)),
            "task clients set": ("alice", (campaign, listed)),
            "task readers set": ("alice", (campaign, format_address(BOB.address))),
            "transaction send": ("purse", (write_signed(tmp_path / "payment", served.chain),)),
        }
        # `task receipts register` signs and waits by the same function.
        expected = {name for name, kind in WAITING.items() if kind == TRANSACTION}
        assert set(cases) == expected - {"task receipts register"}
        for name, (signer, arguments) in cases.items():
            given = (*name.split(), *arguments, *options)
            code, said = await fail_while_waiting(served, fedcoin, signer, given)
            assert (code, "was dropped" in said, "[DROPPED]" in said) == (1, True, True), name


async def test_a_task_that_fails_is_an_error(tmp_path: Path, fedcoin: CommandLine) -> None:
    async with serve_api(tmp_path / "api") as served:
        watch = ("task", "watch", "--json", "--node", served.server.address)
        failed = LedgerCampaign(served.chain)
        failed.open_campaign()
        failed.open_task()
        while failed.task.phase == COMMIT:
            failed.wait(COMMIT, failed.terms.commit_window_ms)
        done = await asyncio.to_thread(fedcoin, *watch, failed.task_id.hex())
        assert (done.code, "[TASK_FAILED]" in done.err) == (1, True), done.err
        assert '"phase": "failed"' in done.out
        settled = LedgerCampaign(served.chain)
        settled.open_campaign(budget=11 * FDC)
        settled.open_task()
        settled.settle(dict.fromkeys(served.chain.miners, additive(5, 3, 0)))
        done = await asyncio.to_thread(fedcoin, *watch, settled.task_id.hex())
        assert done.code == 0, done.err
