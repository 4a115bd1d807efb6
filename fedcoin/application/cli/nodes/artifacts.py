"""`fedcoin-node artifacts`: list and delete a home's artifacts, and fetch one from a node."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fedcoin.application.cli.shared.connect import node_client, open_wallet, run_async, server_key
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
from fedcoin.application.cli.shared.output import note, print_json, print_table, size
from fedcoin.application.cli.shared.passphrases import passphrase_option
from fedcoin.application.configuration.home import Home
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError
from fedcoin.data.plurals import format_count

if TYPE_CHECKING:
    from fedcoin.application.retention.artifact_retention import StoredArtifact


@click.group(
    epilog=example(
        "fedcoin-node artifacts list --home a",
        "fedcoin-node artifacts prune --home a --older-than 24",
        "fedcoin-node artifacts get 7be2...90 --out weights",
    )
)
def artifacts() -> None:
    """List and delete the models, weights and evaluation sets that a home keeps, or fetch one.

    An artifact is needed while an open task or campaign refers to it. A running node deletes the
    others after storage.artifact_retention_hours.
    """


@artifacts.command(name="list", epilog=example("fedcoin-node artifacts list --home a"))
@home_option
@json_option
def list_command(home: Home, as_json: bool) -> None:
    """List the complete artifacts of a home. The node may be running."""
    _show(_find(home), as_json)


@artifacts.command(epilog=example("fedcoin-node artifacts prune --home a --older-than 24"))
@home_option
@click.option(
    "--older-than",
    type=click.FloatRange(min=0),
    metavar="HOURS",
    help="Delete what nothing has needed for this many hours [storage.artifact_retention_hours].",
)
@click.option("--dry-run", is_flag=True, help="List what would be deleted, and delete nothing.")
@json_option
def prune(home: Home, older_than: float | None, dry_run: bool, as_json: bool) -> None:
    """Delete artifacts that no open task or campaign needs. The node must not run.

    `verify --recompute` cannot evaluate the tasks whose artifacts are deleted.
    """
    from fedcoin.application.retention.artifact_retention import ArtifactKeeper
    from fedcoin.data.artifacts.store import ArtifactStore
    from fedcoin.data.storage.chain_store import ChainStore

    config = home.config(os.environ)
    hours = config.storage.artifact_retention_hours if older_than is None else older_than
    genesis = home.genesis()
    home.refuse_without_chain()
    with home.locked():
        if dry_run:
            idle = [
                one for one in _find(home) if not one.needed and one.idle_seconds > hours * 3600
            ]
        else:
            store = ArtifactStore(home.artifacts_path, config.limits.artifacts_total_bytes)
            with ChainStore.open(home.chain_path, genesis) as chain:
                idle = ArtifactKeeper(home, store, chain, hours * 3600).sweep()
    _show(idle, as_json)
    if not as_json:
        total = size(sum(one.num_bytes for one in idle))
        verb = "would be deleted" if dry_run else "deleted"
        note(f"{format_count(len(idle), 'artifact')}, {total}: {verb}")


@artifacts.command(
    epilog=example(
        "fedcoin-node artifacts get 7be2...90 --out weights",
        "fedcoin-node artifacts get 7be2...90 --out weights --campaign 3c9a...41 --key auditor "
        "--node 10.0.0.5:7051 --node-key 9d61...7f",
    )
)
@click.argument("id", type=HASH, metavar="ARTIFACT")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The file to write, which must not exist.",
)
@click.option(
    "--campaign",
    "campaign_id",
    type=HASH,
    metavar="CAMPAIGN",
    help="The private campaign that it belongs to; the key must be one of its readers'.",
)
@home_option
@node_option
@node_key_option
@genesis_option
@key_option()
@passphrase_option
def get(
    id: str, out: Path, campaign_id: str | None, home: Home, node: str | None, **given: Any
) -> None:
    """Fetch an artifact from a node, and write it to a file."""
    from fedcoin.application.wallet.reader_prover import make_prover

    if out.exists():
        raise RefusalError(
            ApplicationCode.BAD_ARGUMENT, f"{out} exists: name a file that does not", field="--out"
        )

    async def work() -> bytes:
        if campaign_id is None:
            async with node_client(home, node) as client:
                return await client.download_artifact(id)
        names = ("key_name", "passphrase", "genesis_hash")
        async with open_wallet(home, node, *(given[name] for name in names)) as (wallet, client):
            server = server_key(client, given["node_key"])
            campaign = bytes.fromhex(campaign_id)
            network = wallet.chain.genesis_hash
            prove = await make_prover(client, wallet.key, network, campaign, server=server)
            return await client.download_artifact(id, prove=prove)

    content = run_async(work())
    out.write_bytes(content)
    note(f"{out}: {size(len(content))}")


def _find(home: Home) -> list[StoredArtifact]:
    from fedcoin.application.retention.artifact_retention import find_needed, list_artifacts
    from fedcoin.data.storage.chain_store import ChainStore

    genesis = home.genesis()
    home.refuse_without_chain()
    with ChainStore.open(home.chain_path, genesis) as chain:
        needed = find_needed(home, chain)
    return list_artifacts(home.artifacts_path, needed, time.time())


def _show(listed: list[StoredArtifact], as_json: bool) -> None:
    if as_json:
        described: list[dict[str, Any]] = [
            {
                "id": one.id.hex(),
                "bytes": one.num_bytes,
                "needed": one.needed,
                "idle_seconds": round(one.idle_seconds),
                "private_campaign": one.campaign_id.hex(),
            }
            for one in listed
        ]
        print_json(described)
        return
    rows = [
        (
            one.id.hex(),
            size(one.num_bytes),
            "yes" if one.needed else "no",
            _hours(one.idle_seconds),
            one.campaign_id.hex()[:12] or "-",
        )
        for one in listed
    ]
    print_table(("ARTIFACT", "SIZE", "NEEDED", "IDLE", "PRIVATE TO"), rows, "lrlrl")


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds else "-"
