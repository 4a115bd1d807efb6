"""``fedcoin-node snapshot``: making, checking and beginning from snapshots."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fedcoin.application.cli.options import example, home_option, json_option
from fedcoin.application.cli.output import moment, print_fields, print_json, print_table, size
from fedcoin.application.cli.progress import progress
from fedcoin.application.configuration.home import Home
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError

if TYPE_CHECKING:
    from fedcoin.contract.snapshots.verifier import SnapshotVerifier
    from fedcoin.data.messages.genesis import Genesis

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(
    epilog=example(
        "fedcoin-node snapshot create --home a state.snapshot",
        "fedcoin-node snapshot verify state.snapshot --genesis genesis.json",
        "fedcoin-node snapshot restore --home c state.snapshot",
    )
)
def snapshot() -> None:
    """Make, check and begin from snapshots of the state.

    A snapshot is all of the state after one block, and what proves it from the genesis: whoever
    made it need not be trusted. A running node makes some by itself (snapshots.every), and gives
    them to new nodes, which take one if they are told to (snapshots.join_behind).
    """


@snapshot.command(epilog=example("fedcoin-node snapshot create --home a state.snapshot"))
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@home_option
@json_option
def create(file: Path, home: Home, as_json: bool) -> None:
    """Write the snapshot of a home's latest block to FILE. The node may be running."""
    from fedcoin.contract.blocks.validator_history import ValidatorHistory
    from fedcoin.contract.snapshots.writer import write_snapshot
    from fedcoin.data.atomic_files import publish_file
    from fedcoin.data.storage.chain_store import ChainStore

    genesis = home.genesis()
    home.refuse_without_chain()
    if file.exists():
        raise FileExistsError(f"{file} is there already; name a file that is not")
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
    show(file, check(file, genesis), as_json)


@snapshot.command(name="list", epilog=example("fedcoin-node snapshot list --home a"))
@home_option
@json_option
def list_snapshots(home: Home, as_json: bool) -> None:
    """List the snapshots that a home's node has made, or begun from."""
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
    """Check FILE with nothing but the genesis.

    It begins with every change of validators, each certified by those before; the last ones
    certified the block; its app_hash commits to every entry of the state.
    """
    from fedcoin.data.messages.genesis import parse_genesis

    known = home.genesis() if genesis is None else parse_genesis(genesis.read_bytes())
    found = check(file, known)
    show(file, found, as_json)
    if not as_json:
        click.echo("The snapshot holds.")


@snapshot.command(epilog=example("fedcoin-node snapshot restore --home c state.snapshot"))
@click.argument("file", type=_FILE)
@home_option
@json_option
def restore(file: Path, home: Home, as_json: bool) -> None:
    """Begin a home's chain from FILE, which is checked first.

    The home must have been made by `init` and hold no blocks. Blocks up to the snapshot's height
    will not be there. All of the state is written at once, or nothing.
    """
    from fedcoin.application.node.snapshot_maker import refuse_chain, restore_snapshot
    from fedcoin.data.storage.chain_store import ChainStore
    from fedcoin.data.storage.snapshot_files import SnapshotFolder

    genesis = home.genesis()
    with home.locked(), ChainStore.open(home.chain_path, genesis) as store:
        refuse_chain(store)
        found = check(file, genesis)
        assert found.header is not None, "a snapshot that is whole has a head"
        # `fedcoin-node verify` begins with it later on.
        folder = SnapshotFolder(home.snapshots_path)
        shutil.copyfile(file, folder.making)
        kept = folder.publish(folder.making, found.header.height)
        restore_snapshot(kept, store, genesis)
    show(file, found, as_json)
    if not as_json:
        click.echo(f"Next: fedcoin-node start --home {home.root}")


def check(file: Path, genesis: Genesis) -> SnapshotVerifier:
    """Check a whole file, and show how far it is."""
    from fedcoin.application.node.snapshot_maker import check_snapshot
    from fedcoin.data.storage.snapshot_files import count_parts

    with progress("parts", count_parts(file)) as advance:
        return check_snapshot(file, genesis, advance)


def show(file: Path, found: SnapshotVerifier, as_json: bool) -> None:
    """What is in a snapshot."""
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
        "validator_changes": found.changes,
        "entries": found.entries,
        "chunks": found.chunks,
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
            "validators": f"followed from genesis, {found.changes} changes",
            "state": f"{found.entries} entries in {found.chunks} chunks, {described['app_hash']}",
        }
    )
