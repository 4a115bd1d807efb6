"""`fedcoin-node task clients`: show and replace the list of a campaign's clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fedcoin.application.cli.shared.connect import ask
from fedcoin.application.cli.shared.id_prefixes import (
    ID_PREFIX,
    complete_campaign_id,
    require_campaign_id,
)
from fedcoin.application.cli.shared.options import (
    AlternativeOption,
    example,
    home_option,
    json_option,
    node_option,
)
from fedcoin.application.cli.shared.output import print_json
from fedcoin.application.cli.shared.signed_action import execute, signing_options
from fedcoin.application.configuration.home import Home

if TYPE_CHECKING:
    from fedcoin.network.client.node_client import NodeClient
    from fedcoin.v1.views_pb2 import CampaignView

_FILE_HELP = "an address and the largest number of examples that it may claim on each line"


@click.group(
    epilog=example(
        "fedcoin-node task clients show 3c9a...41",
        "fedcoin-node task clients set 3c9a...41 clients.txt --key coordinator",
    )
)
def clients() -> None:
    """Show or replace the list of the clients that may take part in a campaign.

    The chain knows the list by its Merkle root. A campaign without a list lets anybody take part.
    """


@clients.command(
    name="set",
    epilog=example(
        "fedcoin-node task clients set 3c9a...41 clients.txt --key coordinator",
        "fedcoin-node task clients set 3c9a...41 --anybody",
    ),
)
@click.argument("campaign_id", type=ID_PREFIX, metavar="CAMPAIGN")
@click.argument("file", type=click.Path(), required=False, metavar="[FILE]")
@click.option(
    "--anybody",
    cls=AlternativeOption,
    alternative="file",
    is_flag=True,
    help="Remove the list: anybody may take part.",
)
@signing_options
@click.pass_context
def set_list(
    ctx: click.Context, /, campaign_id: str, file: str | None, anybody: bool, **given: Any
) -> None:
    """Replace the list for tasks that are opened later; the campaign's requester signs.

    FILE has an address and the largest number of examples that it may claim on each line. A
    coordinator that runs replaces its campaign's list by itself when coordinator.clients_file has
    changed.
    """
    from fedcoin.application.coordinator.clients_file import read_clients_file
    from fedcoin.data.messages.client_list import build_client_list
    from fedcoin.v1.transaction_pb2 import SetClients

    if (file is None) is not anybody:
        raise click.UsageError("Give either a file or --anybody.", ctx)
    listed = build_client_list(read_clients_file(file or "", field="FILE"))
    id = require_campaign_id(campaign_id, given["home"], given["node"])
    execute(SetClients(campaign_id=id, clients=listed), given)


@clients.command(
    name="show", epilog=example("fedcoin-node task clients show 3c9a...41 --file mine")
)
@click.argument("campaign_id", type=ID_PREFIX, metavar="CAMPAIGN")
@click.option("--file", metavar="FILE", help=f"Compare the list with this file: {_FILE_HELP}.")
@home_option
@node_option
@json_option
def show_list(
    campaign_id: str, file: str | None, home: Home, node: str | None, as_json: bool
) -> None:
    """Show a campaign's list: the number of its clients, and its root."""
    from fedcoin.application.coordinator.clients_file import read_clients_file
    from fedcoin.data.messages.client_list import build_client_list

    mine = build_client_list(read_clients_file(file, field="--file")) if file else None

    async def find(client: NodeClient) -> CampaignView:
        return await client.get_campaign(await complete_campaign_id(client, campaign_id))

    view = ask(home, node, find)
    is_same = mine is not None and mine.root.hex() == view.clients_root
    if as_json:
        shown = {
            "campaign_id": view.campaign_id,
            "root": view.clients_root,
            "count": view.clients_count,
        }
        print_json(shown if mine is None else {**shown, "matches_file": is_same})
        return
    if view.clients_root:
        click.echo(f"{view.clients_count} listed, root {view.clients_root}")
    else:
        click.echo("no list: anybody may take part")
    if mine is not None:
        click.echo(f"{file} is {'' if is_same else 'not '}this list")
