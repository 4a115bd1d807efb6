"""`fedcoin-node genesis`: start a network again with its balances."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fedcoin.application.cli.nodes.init import parse_public_key, parse_whole
from fedcoin.application.cli.shared.options import (
    ADDRESS,
    AMOUNT,
    Parsed,
    example,
    home_option,
    json_option,
    pairs,
)
from fedcoin.application.cli.shared.output import coins, moment, print_fields, print_json
from fedcoin.application.cli.shared.progress import progress
from fedcoin.application.configuration.genesis_file import write_genesis
from fedcoin.application.configuration.home import Home
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.crypto.addresses import derive_address, format_address
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.genesis import Genesis, parse_genesis
from fedcoin.data.messages.parameters import Parameters

if TYPE_CHECKING:
    from fedcoin.contract.state.coin_owners import CoinOwners

_EXAMPLE = "fedcoin-node genesis export --home a --at 120000 genesis.json"


@click.group(epilog=example(_EXAMPLE))
def genesis() -> None:
    """Start a network again, with the balances and bonds that it had."""


@genesis.command(
    epilog=example(
        _EXAMPLE,
        "fedcoin-node genesis export --home a --at 120000 --parameter min_bond=50000000000 \\",
        "    --without $PUBKEY_D genesis.json",
    )
)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@home_option
@click.option(
    "--at",
    "height",
    type=click.IntRange(min=0),
    metavar="HEIGHT",
    help="The block after which the balances are taken [the latest one]. All operators of a network"
    " must take the same one.",
)
@click.option("--chain-id", help="The name of the new network [the old one's].")
@click.option(
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME=NUMBER",
    type=pairs("NAME=NUMBER", str, parse_whole),
    help="A network parameter that changes. Repeatable.",
)
@click.option(
    "--without",
    multiple=True,
    metavar="PUBKEY",
    type=Parsed("public key", parse_public_key),
    help="A validator that does not take part again; its bond becomes balance. Repeatable.",
)
@click.option(
    "--move",
    "moves",
    multiple=True,
    metavar="OLD=NEW",
    type=pairs("OLD=NEW", ADDRESS.parse, ADDRESS.parse),
    help="Give the balance of an address whose key is lost to another address. Repeatable.",
)
@click.option(
    "--min-balance",
    type=AMOUNT,
    default=0,
    metavar="AMOUNT",
    help="Burn smaller balances: anybody can fill the largest genesis file with addresses [0].",
)
@json_option
def export(
    file: Path,
    home: Home,
    height: int | None,
    chain_id: str | None,
    parameters: tuple[tuple[str, int], ...],
    without: tuple[bytes, ...],
    moves: tuple[tuple[bytes, bytes], ...],
    min_balance: int,
    as_json: bool,
) -> None:
    """Write a genesis.json that holds the balances and bonds of a home's chain.

    Every coin goes to its owner: what unbonds, deposits of open tasks, and what campaigns have in
    escrow become balances; burned coins are left out. Nonces, tasks, campaigns and blocks are not
    taken over. From one block and with the same options, every home writes the same bytes.
    """
    from fedcoin.data.atomic_files import refuse_existing, replace_file

    refuse_existing(file)
    old = home.genesis()
    home.refuse_without_chain()
    height, time_ms, owners = _read_owners(home, old, height)
    balances, bonds = dict(owners.balances), dict(owners.bonds)
    _end_bonds(balances, bonds, without)
    _move_balances(balances, moves)
    raw = write_genesis(
        chain_id or old.chain_id,
        time_ms,
        balances={one: sap for one, sap in sorted(balances.items()) if sap >= min_balance},
        bonds=bonds,
        parameters={**_changed(old.parameters), **dict(parameters)},
    )
    replace_file(file, raw)
    new = parse_genesis(raw)
    _show(file, height, new, old.supply - new.supply, as_json)


def _read_owners(home: Home, old: Genesis, height: int | None) -> tuple[int, int, CoinOwners]:
    """Return the block's height, its time in Unix ms, and the owners of all coins after it."""
    from fedcoin.application.verification.past_state import compute_past_state
    from fedcoin.contract.state.coin_owners import find_owners
    from fedcoin.contract.state.overlay import MemoryState
    from fedcoin.data.storage.chain_store import ChainStore
    from fedcoin.data.storage.snapshot_files import SnapshotFolder

    with ChainStore.open(home.chain_path, old) as store:
        if height is None:
            with store.open_state_view() as state:
                height = state.height
                entries = dict(state.sorted_entries(lambda _: 0))
            owners = find_owners(MemoryState(entries))
        else:
            folder = SnapshotFolder(home.snapshots_path)
            with progress("blocks", height) as advance:
                found = compute_past_state(store, old, height, folder, lambda _: advance())
            owners = find_owners(found)
        header = store.header(height)
    return height, old.time_ms if header is None else header.time_ms, owners


def _end_bonds(
    balances: dict[bytes, int], bonds: dict[bytes, int], without: Iterable[bytes]
) -> None:
    for key in without:
        if key not in bonds:
            raise _bad_option("without", f"{key.hex()}: no validator of the block has this key")
        address = derive_address(key)
        balances[address] = balances.get(address, 0) + bonds.pop(key)


def _move_balances(balances: dict[bytes, int], moves: Iterable[tuple[bytes, bytes]]) -> None:
    for old, new in moves:
        amount = balances.pop(old, 0)
        if not amount:
            raise _bad_option("move", f"{format_address(old)} has no balance in the block")
        balances[new] = balances.get(new, 0) + amount


def _bad_option(option: str, problem: str) -> RefusalError:
    return RefusalError(ApplicationCode.BAD_ARGUMENT, f"--{option} {problem}", field=option)


def _changed(parameters: Parameters) -> dict[str, int]:
    default = dataclasses.asdict(Parameters())
    given = dataclasses.asdict(parameters)
    return {name: value for name, value in given.items() if value != default[name]}


def _show(file: Path, height: int, new: Genesis, burned: int, as_json: bool) -> None:
    described: dict[str, Any] = {
        "file": str(file),
        "height": height,
        "chain_id": new.chain_id,
        "genesis_hash": new.hash.hex(),
        "time_ms": new.time_ms,
        "accounts": len(new.accounts),
        "validators": len(new.validators),
        "supply": new.supply,
        "burned": burned,
    }
    if as_json:
        print_json(described)
        return
    print_fields(
        {
            **described,
            "height": f"{height}, {moment(new.time_ms)}",
            "supply": coins(new.supply),
            "burned": f"{coins(burned)}, left out",
        }
    )
    click.echo(f"Next, with a new home for each node: fedcoin-node init --genesis {file}")
