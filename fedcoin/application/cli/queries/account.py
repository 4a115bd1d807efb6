"""`fedcoin-node account`."""

from __future__ import annotations

import click

from fedcoin.application.cli.shared.connect import ask
from fedcoin.application.cli.shared.options import (
    ADDRESS,
    example,
    home_option,
    json_option,
    node_option,
)
from fedcoin.application.cli.shared.output import as_plain, coins, print_fields, print_json
from fedcoin.application.cli.shared.watched import watch_option
from fedcoin.application.configuration.home import NODE_KEY, Home


@click.command(
    epilog=example("fedcoin-node account", "fedcoin-node account fc1... --node 127.0.0.1:7051")
)
@click.argument("address", type=ADDRESS, required=False)
@click.option(
    "--key",
    "key_name",
    default=NODE_KEY,
    show_default=True,
    metavar="NAME",
    help="The home's key whose address is shown when no address is given.",
)
@home_option
@node_option
@json_option
@watch_option
def account(
    address: bytes | None,
    key_name: str,
    home: Home,
    node: str | None,
    as_json: bool,
) -> None:
    """Show an address: balance, bond and nonce. Without one, the address of the home's key."""
    whose = address if address is not None else home.key_info(key_name).address
    view = ask(home, node, lambda client: client.get_account(whose))
    if as_json:
        print_json(as_plain(view))
        return
    several = {"must sign": f"{view.threshold} of {view.num_keys} keys"} if view.num_keys else {}
    print_fields(
        {
            "address": view.address,
            **several,
            "balance": coins(view.balance),
            "bond": coins(view.bond),
            "unbonding": coins(view.unbonding),
            "next nonce": view.nonce,
        }
    )
