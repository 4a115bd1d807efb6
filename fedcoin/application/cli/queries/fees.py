"""`fedcoin-node fees`."""

from __future__ import annotations

import click

from fedcoin.application.cli.shared.connect import ask
from fedcoin.application.cli.shared.options import example, home_option, json_option, node_option
from fedcoin.application.cli.shared.output import as_plain, coins, print_fields, print_json, size
from fedcoin.application.cli.shared.watched import watch_option
from fedcoin.application.configuration.home import Home
from fedcoin.data.plurals import format_count


@click.command(epilog=example("fedcoin-node fees"))
@home_option
@node_option
@json_option
@watch_option
def fees(home: Home, node: str | None, as_json: bool) -> None:
    """Show the lowest fees and deposits, and the fee with which a transaction is admitted now."""
    found = ask(home, node, lambda client: client.get_fees())
    if as_json:
        print_json(as_plain(found))
        return
    waiting = format_count(found.pending_transactions, "transaction")
    print_fields(
        {
            "minimum fee": f"{coins(found.base_fee)} + {coins(found.fee_per_kib)} for each KiB",
            "new account": coins(found.state_fee),
            "waiting": f"{waiting}, {size(found.pending_bytes)}",
            "to be admitted": _describe_rate(found.mempool_fee_rate),
            "to be in the next block": _describe_rate(found.next_block_fee_rate),
            "commitment": f"deposit of at least {coins(found.commit_deposit)}",
            "task": f"deposit of {coins(found.task_deposit)} for each hour and each billion of"
            " evaluations",
            "bond": f"at least {coins(found.min_bond)}",
        }
    )


def _describe_rate(rate: int) -> str:
    return f"{coins(rate)} for each KiB" if rate else "the minimum fee is enough"
