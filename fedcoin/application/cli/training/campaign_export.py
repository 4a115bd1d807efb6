"""`fedcoin-node campaign`: write a whole campaign to a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fedcoin.application.cli.shared.id_prefixes import ID_PREFIX, MAX_LISTED, choose
from fedcoin.application.cli.shared.options import example, home_option
from fedcoin.application.cli.shared.output import size
from fedcoin.application.cli.shared.progress import progress
from fedcoin.application.configuration.home import Home
from fedcoin.data.crypto.hashing import HASH_BYTES
from fedcoin.data.plurals import format_count

if TYPE_CHECKING:
    from fedcoin.data.storage.chain_store import ChainStore

_EXAMPLE = "fedcoin-node campaign export --home a 7f3e...90 --out campaign.json"


@click.group(epilog=example(_EXAMPLE))
def campaign() -> None:
    """Write a whole campaign to a file, for an auditor."""


@campaign.command(epilog=example(_EXAMPLE))
@click.argument("campaign_id", type=ID_PREFIX, metavar="CAMPAIGN")
@home_option
@click.option(
    "--out",
    "out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The file to write; it must not exist.",
)
def export(campaign_id: str, home: Home, out: Path) -> None:
    """Write a campaign to one file: terms, updates, evidence, values, payments, proofs.

    CAMPAIGN is the campaign's id, or its first digits. The file is JSON. It is read from the home's
    chain; the node may be running. It can be checked with the network's genesis.json, without a
    node and without a chain:
    fedcoin-node verify --campaign campaign.json --genesis genesis.json
    """
    from fedcoin.application.verification.campaign_record import (
        build_record,
        check_record,
        first_height,
    )
    from fedcoin.data.atomic_files import publish_file
    from fedcoin.data.storage.chain_store import ChainStore

    genesis = home.genesis()
    home.refuse_without_chain()
    if out.exists():
        raise FileExistsError(f"{out} exists: name a file that does not")
    with ChainStore.open(home.chain_path, genesis) as store:
        wanted = _complete_id(store, campaign_id)
        count = store.height() + 1 - first_height(store, wanted)
        with progress("blocks", count) as advance:
            record = build_record(store, genesis, wanted, advance)
    raw = (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode()
    # What is handed on must pass the check that its reader will make.
    found = check_record(raw, genesis)
    part = out.with_name(out.name + ".part")
    part.write_bytes(raw)
    publish_file(part, out)
    click.echo(f"{out}: {size(len(raw))}, {format_count(found.num_blocks, 'block')}")


def _complete_id(store: ChainStore, prefix: str) -> bytes:
    """Find the campaign of the home's chain whose id begins with some digits."""
    if len(prefix) == 2 * HASH_BYTES:
        return bytes.fromhex(prefix)
    latest = store.index.list_campaigns(MAX_LISTED)
    return bytes.fromhex(choose("campaign", prefix, [entry.id.hex() for entry in latest]))
