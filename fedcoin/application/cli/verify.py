"""``fedcoin-node verify``."""

from __future__ import annotations

import dataclasses

import click

from fedcoin.application.cli.options import example, home_option, json_option
from fedcoin.application.cli.output import coins, print_fields, print_json
from fedcoin.application.cli.progress import progress
from fedcoin.application.home import Home


@click.command(epilog=example("fedcoin-node verify --home a"))
@home_option
@json_option
def verify(home: Home, as_json: bool) -> None:
    """Check the stored chain from its first block, offline.

    Every signature, certificate, root and payout is checked, and every block executed afresh.
    The node must not be running.
    """
    from fedcoin.application.replay import replay
    from fedcoin.data.store import ChainStore

    genesis = home.genesis()
    home.refuse_without_chain()
    with (
        home.locked(),
        ChainStore.open(home.chain_path, genesis) as store,
        progress("blocks", store.height()) as advance,
    ):
        found = replay(store, genesis, lambda height: advance())
    if as_json:
        print_json(dataclasses.asdict(found))
        return
    print_fields(
        {
            "chain": found.chain_id,
            "height": found.height,
            "transactions": found.transactions,
            "settled tasks": found.settlements,
            "state": f"{found.entries} entries, {found.app_hash}",
            "supply": f"{coins(found.supply)}, burned {coins(found.burned)}",
        }
    )
    click.echo("Everything holds.")
