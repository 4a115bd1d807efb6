"""`fedcoin-node artifacts`: list and delete the artifacts of a home."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import click

from fedcoin.application.cli.shared.options import example, home_option, json_option
from fedcoin.application.cli.shared.output import note, print_json, print_table, size
from fedcoin.application.configuration.home import Home
from fedcoin.data.plurals import format_count

if TYPE_CHECKING:
    from fedcoin.application.retention.artifact_retention import StoredArtifact


@click.group(
    epilog=example(
        "fedcoin-node artifacts list --home a",
        "fedcoin-node artifacts prune --home a --older-than 24",
    )
)
def artifacts() -> None:
    """List and delete the models, weights and evaluation sets that a home keeps.

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
    help="Delete what nothing has needed for so long [storage.artifact_retention_hours].",
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


def _find(home: Home) -> list[StoredArtifact]:
    from fedcoin.application.retention.artifact_retention import find_needed, list_artifacts
    from fedcoin.data.storage.chain_store import ChainStore

    genesis = home.genesis()
    home.refuse_without_chain()
    with ChainStore.open(home.chain_path, genesis) as chain:
        needed = find_needed(home, chain)
    return list_artifacts(home.artifacts_path, needed, time.time())


def _show(found: list[StoredArtifact], as_json: bool) -> None:
    if as_json:
        described: list[dict[str, Any]] = [
            {
                "id": one.id.hex(),
                "bytes": one.num_bytes,
                "needed": one.needed,
                "idle_seconds": round(one.idle_seconds),
            }
            for one in found
        ]
        print_json(described)
        return
    rows = [
        (one.id.hex(), size(one.num_bytes), "yes" if one.needed else "no", _hours(one.idle_seconds))
        for one in found
    ]
    print_table(("ARTIFACT", "SIZE", "NEEDED", "IDLE"), rows, "lrlr")


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds else "-"
