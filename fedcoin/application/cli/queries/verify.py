"""`fedcoin-node verify`."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fedcoin.application.cli.shared.connect import node_client, server_key
from fedcoin.application.cli.shared.options import (
    example,
    home_option,
    json_option,
    node_key_option,
)
from fedcoin.application.cli.shared.output import (
    as_plain,
    coins,
    moment,
    nano,
    print_fields,
    print_json,
    print_table,
)
from fedcoin.application.cli.shared.passphrases import passphrase_option
from fedcoin.application.cli.shared.progress import progress
from fedcoin.application.configuration.home import Home
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError
from fedcoin.data.plurals import format_count

if TYPE_CHECKING:
    from fedcoin.application.verification.reveal_check import RevealCheck
    from fedcoin.data.messages.genesis import Genesis
    from fedcoin.data.storage.chain_store import ChainStore

_FROM_SNAPSHOT = "Earlier blocks were not replayed: certificates prove the snapshot's state."
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(
    epilog=example(
        "fedcoin-node verify --home a",
        "fedcoin-node verify --home a --recompute",
        "fedcoin-node verify --home a --recompute --node 10.0.0.5:7051 --key auditor --node-key "
        "9d61...7f",
        "fedcoin-node verify --proof proof.json --genesis genesis.json",
        "fedcoin-node verify --campaign campaign.json --genesis genesis.json",
    )
)
@home_option
@click.option(
    "--recompute",
    is_flag=True,
    help="Evaluate the coalitions of all challenged leaves again, from the home's artifacts.",
)
@click.option(
    "--node",
    metavar="HOST:PORT",
    help="With --recompute: fetch the artifacts that the home lacks from this node.",
)
@click.option(
    "--key",
    "key_name",
    metavar="NAME",
    help="With --node: the key in keys/ that is a reader of private campaigns.",
)
@node_key_option
@passphrase_option
@click.option("--proof", "proof", type=_FILE, help="Check this payment proof instead of a chain.")
@click.option("--campaign", "campaign", type=_FILE, help="Check this campaign's file instead.")
@click.option("--genesis", "genesis", type=_FILE, help="The network's genesis.json [the home's].")
@json_option
def verify(
    home: Home,
    recompute: bool,
    proof: Path | None,
    campaign: Path | None,
    genesis: Path | None,
    as_json: bool,
    **source: Any,
) -> None:
    """Check the stored chain offline, or a payment proof, or a campaign's file.

    Every signature, certificate, root and payout is checked and every block is executed again,
    from genesis or from the snapshot that the chain started from. The node must not be running.
    A payment proof (of `task proof`) and a campaign's file (of `campaign export`) need the genesis
    alone.
    """
    if campaign is not None:
        _refuse_both(recompute, "--recompute", "--campaign")
        _refuse_both(proof is not None, "--proof", "--campaign")
        _verify_campaign(campaign, _genesis(home, genesis), as_json)
        return
    if proof is not None:
        _refuse_both(recompute, "--recompute", "--proof")
        _verify_proof(proof, _genesis(home, genesis), as_json)
        return
    _refuse_both(genesis is not None, "--genesis", "a home")
    if not recompute and source["node"] is not None:
        raise RefusalError(
            ApplicationCode.BAD_ARGUMENT, "--node has a meaning with --recompute", field="node"
        )
    if source["node"] is None and source["key_name"] is not None:
        raise RefusalError(
            ApplicationCode.BAD_ARGUMENT, "--key has a meaning with --node", field="key"
        )
    _verify_chain(home, recompute, as_json, source)


def _verify_chain(home: Home, recompute: bool, as_json: bool, source: dict[str, Any]) -> None:
    from fedcoin.application.verification.replay import replay
    from fedcoin.data.storage.chain_store import ChainStore
    from fedcoin.data.storage.snapshot_files import SnapshotFolder

    genesis, folder = home.genesis(), SnapshotFolder(home.snapshots_path)
    home.refuse_without_chain()
    again = None
    with _held(home), ChainStore.open(home.chain_path, genesis) as store:
        with progress("blocks", store.height() - store.base_height()) as advance:
            found = replay(store, genesis, lambda height: advance(), folder)
        if recompute:
            again = _recomputed(home, genesis, store, found.reveals, source)
    if as_json:
        extra = {} if again is None else {"recomputed": dataclasses.asdict(again)}
        print_json({**dataclasses.asdict(found), **extra})
        return
    since = f", executed from {found.first_height} on" if found.first_height > 1 else ""
    shown = {
        "chain": found.chain_id,
        "height": f"{found.height}{since}",
        "transactions": found.transactions,
        "settled tasks": found.settlements,
        "state": f"{format_count(found.entries, 'entry', 'entries')}, {found.app_hash}",
        "supply": f"{coins(found.supply)}, burned {coins(found.burned)}",
    }
    if again is not None:
        shown["recomputed"] = (
            f"{format_count(again.coalitions, 'coalition')} of "
            f"{format_count(again.leaves, 'leaf', 'leaves')} in {again.reveals} of "
            f"{format_count(found.reveals, 'reveal')}"
        )
    print_fields(shown)
    if again is not None and again.missing:
        tasks = format_count(len(again.missing), "task")
        click.echo(f"{tasks} could not be checked, since artifacts are missing:")
        for task in again.missing:
            click.echo(f"  task {task.task_id} (block {task.height}) lacks {task.artifact}")
        click.echo("Everything else is valid.")
        return
    click.echo("Everything is valid." if not since else f"{_FROM_SNAPSHOT} Everything is valid.")


@contextmanager
def _held(home: Home) -> Iterator[None]:
    try:
        with home.locked():
            yield
    except RefusalError as refusal:
        if refusal.code is not ApplicationCode.HOME_IN_USE:
            raise
        raise RefusalError(
            ApplicationCode.HOME_IN_USE,
            f"{home.root} is in use, probably by its node, and verify reads a chain that does not "
            "grow meanwhile: stop the node, or verify a copy of its database (docs/OPERATIONS.md, "
            "Checking a chain)",
            field="home",
        ) from None


def _recomputed(
    home: Home, genesis: Genesis, store: ChainStore, reveals: int, source: dict[str, Any]
) -> RevealCheck:
    from fedcoin.application.verification.missing_artifacts import MissingArtifacts
    from fedcoin.application.verification.reveal_check import check_reveals

    async def work(on_reveal: Callable[[], None]) -> RevealCheck:
        check = partial(check_reveals, store, genesis, home.artifacts_path, on_reveal)
        if source["node"] is None:
            return await check()
        name = source["key_name"]
        key = None if name is None else home.key(name, source["passphrase"])
        async with node_client(home, source["node"]) as client:
            server = server_key(client, source["node_key"]) if key else b""
            return await check(MissingArtifacts(client, key, genesis.hash, server).fetch)

    with progress("reveals", reveals) as advance:
        return asyncio.run(work(advance))


def _verify_proof(path: Path, genesis: Genesis, as_json: bool) -> None:
    from fedcoin.application.verification.proof_file import MAX_BYTES, check_file
    from fedcoin.data.crypto.addresses import format_address

    with path.open("rb") as file:
        found = check_file(file.read(MAX_BYTES + 1), genesis)
    if as_json:
        payments: list[dict[str, Any]] = [
            {
                "height": each.header.height,
                "block_hash": each.block_hash.hex(),
                "time_ms": each.header.time_ms,
                **as_plain(each.payment),
                "address": format_address(each.payment.address),
            }
            for each in found.payments
        ]
        print_json(
            {
                "chain_id": genesis.chain_id,
                "changes": found.num_validator_changes,
                "payments": payments,
            }
        )
        return
    fields: dict[str, object] = {
        "chain": genesis.chain_id,
        "task": found.task_id.hex(),
        "address": format_address(found.address),
        "validators": "followed from genesis, "
        + format_count(found.num_validator_changes, "change"),
    }
    print_fields(fields)
    for each in found.payments:
        plain = as_plain(each.payment)
        click.echo(
            f"{coins(plain['amount'])} ({plain['kind']}), block {each.header.height}"
            f" {each.block_hash.hex()}, {moment(each.header.time_ms)}"
        )
    click.echo("The proof is valid.")


def _verify_campaign(path: Path, genesis: Genesis, as_json: bool) -> None:
    from fedcoin.application.verification.campaign_record import MAX_BYTES, check_record

    with path.open("rb") as file:
        found = check_record(file.read(MAX_BYTES + 1), genesis)
    summary = found.summary
    if as_json:
        print_json(
            {
                "chain_id": genesis.chain_id,
                "campaign_id": found.campaign_id.hex(),
                "blocks": found.num_blocks,
                "changes": found.num_validator_changes,
                **summary,
            }
        )
        return
    fields: dict[str, object] = {
        "chain": genesis.chain_id,
        "campaign": found.campaign_id.hex(),
        "requester": summary["requester"],
        "server": summary["server"],
        "budget": f"{coins(summary['budget'])}, paid or returned {coins(summary['paid'])}",
        "blocks": found.num_blocks,
        "validators": "followed from genesis, "
        + format_count(found.num_validator_changes, "change"),
    }
    print_fields(fields)
    for task in summary["tasks"]:
        click.echo(f"\nround {task['round']}, {task['phase']}, task {task['task_id']}")
        rows = [
            (each["address"], each["update"], nano(each["value_nano"]), coins(each["paid"]))
            for each in task["updates"]
        ]
        print_table(("client", "update", "value", "paid"), rows, "  rr")
    if summary["not_paid"]:
        click.echo(
            f"\n{coins(summary['not_paid'])} of the budget are neither paid nor returned in this"
            " file: the campaign goes on, or blocks were left out."
        )
    click.echo("The file is valid.")


def _genesis(home: Home, path: Path | None) -> Genesis:
    from fedcoin.data.messages.genesis import parse_genesis

    return home.genesis() if path is None else parse_genesis(path.read_bytes())


def _refuse_both(both: bool, one: str, other: str) -> None:
    if both:
        raise RefusalError(
            ApplicationCode.BAD_ARGUMENT,
            f"{one} has no meaning together with {other}",
            field=one.lstrip("-"),
        )
