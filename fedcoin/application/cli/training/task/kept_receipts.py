"""`fedcoin-node task receipts`: what a client does with the receipts for its updates."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from fedcoin.application.cli.shared.connect import (
    node_client,
    open_wallet,
    run_async,
    server_key,
)
from fedcoin.application.cli.shared.id_prefixes import ID_PREFIX, require_campaign_id
from fedcoin.application.cli.shared.options import (
    HASH,
    example,
    genesis_option,
    home_option,
    json_option,
    key_option,
    node_key_option,
    node_option,
)
from fedcoin.application.cli.shared.output import as_plain, note, print_json, print_table
from fedcoin.application.cli.shared.passphrases import passphrase_option
from fedcoin.application.cli.shared.signed_action import execute, signing_options
from fedcoin.application.cli.shared.waiting import explained_wait
from fedcoin.application.cli.training.task.task_display import task_display
from fedcoin.application.cli.training.task.task_output import print_task, refuse_unless_settled
from fedcoin.application.configuration.home import Home

_clients_option = click.option(
    "--clients", metavar="FILE", help="The campaign's list of clients, where it has one."
)


@click.group(
    epilog=example(
        "fedcoin-node task receipts list",
        "fedcoin-node task receipts register 3c9a...41",
        "fedcoin-node task receipts open 3c9a...41 --wait",
        "fedcoin-node task receipts prune",
    )
)
def receipts() -> None:
    """Use the receipts of a home's clients when a coordinator does not open the round.

    A registered receipt obliges the campaign to value the update. When its receipt window has
    passed without a task, a client that registered may open the task itself.
    """


@receipts.command(name="list", epilog=example("fedcoin-node task receipts list --home d"))
@home_option
@genesis_option
@json_option
def list_receipts(home: Home, genesis_hash: bytes | None, as_json: bool) -> None:
    """List the receipts that are kept in the home."""
    from fedcoin.data.crypto.addresses import format_address

    kept = _folder(home, genesis_hash).load()
    rows = [
        {
            "campaign_id": entry.update.campaign_id.hex(),
            "round": entry.update.round,
            "address": format_address(entry.update.address),
            "num_samples": entry.update.num_samples,
            "artifact": entry.update.update.hex(),
            "server": format_address(entry.receipt.server),
            "time_ms": entry.receipt.time_ms,
        }
        for entry in kept
    ]
    if as_json:
        print_json(rows)
        return
    columns = ("round", "num_samples", "address", "server", "campaign_id")
    print_table(
        ("ROUND", "SAMPLES", "CLIENT", "SERVER", "CAMPAIGN"),
        [tuple(row[name] for name in columns) for row in rows],
        right="rr",
    )


@receipts.command(epilog=example("fedcoin-node task receipts register 3c9a...41 --home d"))
@click.argument("campaign_id", type=ID_PREFIX, metavar="CAMPAIGN")
@_clients_option
@click.option(
    "--task",
    "task_id",
    type=HASH,
    metavar="TASK",
    help="The task that the server opened for the update's round, when it has.",
)
@node_key_option
@signing_options
def register(
    campaign_id: str,
    clients: str | None,
    task_id: str | None,
    node_key: str | None,
    **given: Any,
) -> None:
    """Register the receipt for the campaign's next round, and upload its weights to the node.

    Voters fetch the weights from the node: keep it up, or upload them to others as well.

    With --task it is the receipt for that task's round. Where the task lacks the update, the
    round's training price is burned, and the campaign ends.
    """
    from fedcoin.application.client import receipt_claims
    from fedcoin.application.coordinator.clients_file import read_clients_file
    from fedcoin.application.wallet.reader_prover import make_prover

    home: Home = given["home"]
    campaign_id = require_campaign_id(campaign_id, home, given["node"]).hex()
    key = home.key(given["key_name"], given["passphrase"])
    folder = _folder(home, given["genesis_hash"])

    async def prepare() -> Any:
        async with node_client(home, given["node"]) as node:
            if task_id is not None:
                number = (await node.get_task(task_id)).round
            else:
                number = (await node.get_next_round(campaign_id)).round
            kept = receipt_claims.find_receipt(
                folder, bytes.fromhex(campaign_id), number, key.address
            )
            is_private = (await node.get_campaign(campaign_id)).is_private
            if is_private:
                return kept, True, server_key(node, node_key)
            await _upload(node, folder, kept, None)
            return kept, False, b""

    async def send_privately() -> None:
        names = ("key_name", "passphrase", "genesis_hash")
        wallet = open_wallet(home, given["node"], *(given[name] for name in names))
        async with wallet as (signer, node):
            network, campaign = signer.chain.genesis_hash, bytes.fromhex(campaign_id)
            prove = await make_prover(node, key, network, campaign, server=server)
            await _upload(node, folder, kept, prove)

    kept, is_private, server = run_async(prepare())
    listed = read_clients_file(clients or "", field="--clients")
    named = bytes.fromhex(task_id or "")
    execute(receipt_claims.build_registration(kept, listed, named), given)
    if is_private:
        # Nodes take weights of a private campaign from clients whose receipt is registered.
        run_async(send_privately())


@receipts.command(
    name="open", epilog=example("fedcoin-node task receipts open 3c9a...41 --home d --wait")
)
@click.argument("campaign_id", type=ID_PREFIX, metavar="CAMPAIGN")
@_clients_option
@home_option
@node_option
@node_key_option
@genesis_option
@key_option()
@passphrase_option
@click.option(
    "--wait",
    is_flag=True,
    help="Wait until the task is settled, and show its payments; exit code 1 if it fails.",
)
@json_option
def open_round(
    campaign_id: str,
    clients: str | None,
    home: Home,
    node: str | None,
    node_key: str | None,
    genesis_hash: bytes | None,
    key_name: str,
    passphrase: str | None,
    wait: bool,
    as_json: bool,
) -> None:
    """Open the task of the next round with all registered updates, in the server's place.

    The key must have registered a receipt. It leaves the task's deposit, which returns with the
    task, and is paid the aggregation price.
    """
    from fedcoin.application.client.receipt_claims import open_next_round
    from fedcoin.application.coordinator.clients_file import read_clients_file

    campaign = require_campaign_id(campaign_id, home, node)
    listed = read_clients_file(clients or "", field="--clients")

    async def work() -> Any:
        async with open_wallet(home, node, key_name, passphrase, genesis_hash) as (wallet, client):
            async with explained_wait(client):
                name_server = partial(server_key, client, node_key)
                task_id = await open_next_round(client, wallet, campaign, listed, note, name_server)
            view = await client.get_task(task_id)
            if wait:
                with task_display() as show:
                    async for view in client.watch_task(task_id):
                        show(view)
            return view

    view = run_async(work())
    if as_json:
        print_json(as_plain(view))
    else:
        print_task(view)
    if wait:
        refuse_unless_settled(view)


@receipts.command(epilog=example("fedcoin-node task receipts prune --home d"))
@home_option
@node_option
@genesis_option
@json_option
def prune(home: Home, node: str | None, genesis_hash: bytes | None, as_json: bool) -> None:
    """Delete the weights of rounds that are over on the chain. The receipts stay.

    For clients that take part by Flower and do not ask a node themselves.
    """
    folder = _folder(home, genesis_hash)
    campaigns = sorted({kept.update.campaign_id for kept in folder.load()})

    async def work() -> int:
        async with node_client(home, node) as client:
            views = [await client.get_campaign(campaign_id) for campaign_id in campaigns]
        return sum(map(folder.drop_ended, views))

    freed = run_async(work())
    if as_json:
        print_json({"bytes": freed})
    else:
        note(f"deleted {freed:,} bytes of weights")


async def _upload(node: Any, folder: Any, kept: Any, prove: Any) -> None:
    weights = folder.weights_path(kept.update)
    if weights.exists():
        await node.upload_artifact(weights, prove)


def _folder(home: Home, given: bytes | None) -> Any:
    from fedcoin.application.client.receipt_folder import ReceiptFolder
    from fedcoin.application.configuration.pinned_genesis import find_genesis_hash
    from fedcoin.application.errors import ApplicationCode
    from fedcoin.data.errors import RefusalError

    genesis_hash = find_genesis_hash(home, given)
    if genesis_hash is None:
        raise RefusalError(
            ApplicationCode.NO_GENESIS,
            f"{home.root} does not know the genesis of its network: give --genesis",
            field="genesis",
        )
    return ReceiptFolder(home.root, genesis_hash)
