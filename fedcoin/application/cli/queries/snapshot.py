"""`fedcoin-node snapshot`: make, check and restore snapshots."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fedcoin.application.cli.shared.options import example, home_option, json_option
from fedcoin.application.cli.shared.output import (
    moment,
    print_fields,
    print_json,
    print_table,
    size,
)
from fedcoin.application.cli.shared.progress import progress
from fedcoin.application.configuration.home import Home
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError
from fedcoin.data.plurals import format_count

if TYPE_CHECKING:
    from fedcoin.contract.snapshots.verifier import SnapshotVerifier
    from fedcoin.data.messages.genesis import Genesis

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(
    epilog=example(
        "fedcoin-node snapshot create --home a state.snapshot",
        "fedcoin-node snapshot verify state.snapshot --genesis genesis.json",
        "fedcoin-node snapshot restore --home c state.snapshot",
        "fedcoin-node snapshot prune --home a",
    )
)
def snapshot() -> None:
    """Make, check and restore snapshots of the state.

    A snapshot is the whole state after one block, with a proof from the genesis, so that its maker
    need not be trusted. A running node makes snapshots (snapshots.every) and serves them to new
    nodes, which fetch one when they are configured to (snapshots.join_behind).
    """


@snapshot.command(epilog=example("fedcoin-node snapshot create --home a state.snapshot"))
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@home_option
@json_option
def create(file: Path, home: Home, as_json: bool) -> None:
    """Write the snapshot of a home's latest block to FILE. The node may be running."""
    from fedcoin.contract.blocks.validator_history import ValidatorHistory
    from fedcoin.contract.snapshots.writer import write_snapshot
    from fedcoin.data.atomic_files import publish_file, refuse_existing
    from fedcoin.data.storage.chain_store import ChainStore

    genesis = home.genesis()
    home.refuse_without_chain()
    refuse_existing(file)
    part = file.with_name(file.name + ".part")
    part.unlink(missing_ok=True)
    with ChainStore.open(home.chain_path, genesis) as store, store.open_state_view() as state:
        if not state.height:
            raise RefusalError(
                ApplicationCode.NO_CHAIN, f"{home.root} holds no block yet", field="home"
            )
        history = ValidatorHistory(store, genesis)
        write_snapshot(part, state, store, genesis.hash, history)
    publish_file(part, file)
    _show(file, _check(file, genesis), as_json)


@snapshot.command(name="list", epilog=example("fedcoin-node snapshot list --home a"))
@home_option
@json_option
def list_snapshots(home: Home, as_json: bool) -> None:
    """List the snapshots of a home: those that its node made or started from."""
    from fedcoin.data.storage.snapshot_files import SnapshotFolder

    home.genesis()
    folder = SnapshotFolder(home.snapshots_path)
    found: list[dict[str, Any]] = [
        {"height": height, "bytes": path.stat().st_size, "file": str(path)}
        for height in folder.heights()
        if (path := folder.path(height)).exists()
    ]
    if as_json:
        print_json(found)
        return
    rows = [(one["height"], size(one["bytes"]), one["file"]) for one in found]
    print_table(("HEIGHT", "SIZE", "FILE"), rows, "rr")


@snapshot.command(
    epilog=example("fedcoin-node snapshot verify state.snapshot --genesis genesis.json")
)
@click.argument("file", type=_FILE)
@home_option
@click.option("--genesis", "genesis", type=_FILE, help="The network's genesis.json [the home's].")
@json_option
def verify(file: Path, home: Home, genesis: Path | None, as_json: bool) -> None:
    """Check FILE with the genesis alone.

    FILE begins with every change of the validator set, each certified by the validators before it.
    The last validators certified the block, whose app_hash commits to every entry of the state.
    """
    from fedcoin.data.messages.genesis import parse_genesis

    known = home.genesis() if genesis is None else parse_genesis(genesis.read_bytes())
    found = _check(file, known)
    _show(file, found, as_json)
    if not as_json:
        click.echo("The snapshot is valid.")


@snapshot.command(epilog=example("fedcoin-node snapshot restore --home c state.snapshot"))
@click.argument("file", type=_FILE)
@home_option
@json_option
def restore(file: Path, home: Home, as_json: bool) -> None:
    """Start a home's chain from FILE, after checking it.

    The home must have been made by `init` and hold no blocks. The chain will not have the blocks up
    to the snapshot's height. The state is written in one transaction.
    """
    from fedcoin.application.node.snapshot_maker import refuse_chain, restore_snapshot
    from fedcoin.data.storage.chain_store import ChainStore
    from fedcoin.data.storage.snapshot_files import SnapshotFolder

    genesis = home.genesis()
    with home.locked(), ChainStore.open(home.chain_path, genesis) as store:
        refuse_chain(store)
        found = _check(file, genesis)
        assert found.header is not None, "a snapshot that is whole has a head"
        # `fedcoin-node verify` needs the file later.
        folder = SnapshotFolder(home.snapshots_path)
        shutil.copyfile(file, folder.making)
        kept = folder.publish(folder.making, found.header.height)
        restore_snapshot(kept, store, genesis)
    _show(file, found, as_json)
    if not as_json:
        click.echo(f"Next: fedcoin-node start --home {home.root}")


@snapshot.command(epilog=example("fedcoin-node snapshot prune --home a"))
@home_option
@json_option
def prune(home: Home, as_json: bool) -> None:
    """Delete the blocks of a home up to its latest snapshot. The node must not run.

    The home then answers HISTORY_NOT_KEPT for older blocks, payments and proofs, as one that
    started from the snapshot. Keep some nodes with the whole history. A home with storage.archive
    is refused.
    """
    import os

    from fedcoin.application.retention.chain_pruning import prune_chain

    home.genesis()
    home.refuse_without_chain()
    if home.config(os.environ).storage.archive:
        raise RefusalError(
            ApplicationCode.ARCHIVE,
            f"{home.root} is an archive: set storage.archive = false to delete its blocks",
            field="storage.archive",
        )
    with home.locked():
        done = prune_chain(home)
    if as_json:
        print_json(dataclasses.asdict(done))
        return
    print_fields(
        {
            "blocks": f"{done.first_height} to {done.height}",
            "database": f"{size(done.bytes_after)}, before {size(done.bytes_before)}",
        }
    )


def _check(file: Path, genesis: Genesis) -> SnapshotVerifier:
    from fedcoin.application.node.snapshot_maker import check_snapshot
    from fedcoin.data.storage.snapshot_files import count_parts

    with progress("parts", count_parts(file)) as advance:
        return check_snapshot(file, genesis, advance)


def _show(file: Path, found: SnapshotVerifier, as_json: bool) -> None:
    from fedcoin.data.crypto.hashing import sha256

    header, head = found.header, found.head
    assert header is not None, "a snapshot that is whole has a head"
    assert head is not None, "a snapshot that is whole has a head"
    described: dict[str, Any] = {
        "file": str(file),
        "chain_id": header.chain_id,
        "height": header.height,
        "block_hash": sha256(head.header).hex(),
        "app_hash": header.app_hash.hex(),
        "time_ms": header.time_ms,
        "validator_changes": found.num_changes,
        "entries": found.num_entries,
        "chunks": found.num_chunks,
        "bytes": file.stat().st_size,
    }
    if as_json:
        print_json(described)
        return
    print_fields(
        {
            "file": f"{file}, {size(described['bytes'])}",
            "chain": header.chain_id,
            "block": f"{header.height}, {described['block_hash']}, {moment(header.time_ms)}",
            "validators": f"followed from genesis, {format_count(found.num_changes, 'change')}",
            "state": f"{format_count(found.num_entries, 'entry', 'entries')} in "
            f"{format_count(found.num_chunks, 'chunk')}, {described['app_hash']}",
        }
    )
