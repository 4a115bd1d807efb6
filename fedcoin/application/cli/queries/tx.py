"""`fedcoin-node tx`."""

from __future__ import annotations

import click

from fedcoin.application.cli.shared.connect import ask
from fedcoin.application.cli.shared.id_prefixes import HASH_PREFIX
from fedcoin.application.cli.shared.ledger_output import print_transaction
from fedcoin.application.cli.shared.options import (
    example,
    home_option,
    json_option,
    node_option,
)
from fedcoin.application.cli.shared.output import as_plain, print_json
from fedcoin.application.cli.shared.watched import watch_option
from fedcoin.application.configuration.home import Home


@click.command(epilog=example("fedcoin-node tx 6b1f...e2"))
@click.argument("hash_", type=HASH_PREFIX, metavar="HASH")
@home_option
@node_option
@json_option
@watch_option
def tx(hash_: str, home: Home, node: str | None, as_json: bool) -> None:
    """Show a transaction: its status and its action. The first 8 digits of its hash are enough.

    While it waits for a block, its sender may replace it (send --replace HASH).
    """
    view = ask(home, node, lambda client: client.get_transaction(hash_))
    if as_json:
        print_json(as_plain(view))
        return
    print_transaction(view)
