"""`fedcoin-node validators`."""

from __future__ import annotations

import click

from fedcoin.application.cli.shared.connect import ask
from fedcoin.application.cli.shared.options import example, home_option, json_option, node_option
from fedcoin.application.cli.shared.output import as_plain, coins, print_json, print_table
from fedcoin.application.cli.shared.watched import watch_option
from fedcoin.application.configuration.home import Home


@click.command(epilog=example("fedcoin-node validators"))
@home_option
@node_option
@json_option
@watch_option
def validators(home: Home, node: str | None, as_json: bool) -> None:
    """Show the validators of the next block and their voting power."""
    found = ask(home, node, lambda client: client.list_validators())
    if as_json:
        print_json([as_plain(validator) for validator in found])
        return
    total = sum(validator.bond for validator in found)
    print_table(
        ("ADDRESS", "BOND", "POWER", "PROPOSES NEXT"),
        [
            (
                v.address,
                coins(v.bond),
                f"{100 * v.bond / total:.1f} %",
                "yes" if v.next_proposer else "",
            )
            for v in found
        ],
        right=" rr",
    )
