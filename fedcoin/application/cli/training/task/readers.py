"""`fedcoin-node task readers`: show and replace the readers of a private campaign."""

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
    ADDRESS,
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


@click.group(
    epilog=example(
        "fedcoin-node task readers show 3c9a...41",
        "fedcoin-node task readers set 3c9a...41 fc1q...8x fc1z...0p --key coordinator",
    )
)
def readers() -> None:
    """Show or replace who may fetch the artifacts of a private campaign.

    Its requester, its server and the miners of its tasks may in any case; docs/PRIVACY.md says what
    that keeps from whom.
    """


@readers.command(
    name="set",
    epilog=example(
        "fedcoin-node task readers set 3c9a...41 fc1q...8x --key coordinator",
        "fedcoin-node task readers set 3c9a...41 --nobody --key coordinator",
    ),
)
@click.argument("campaign_id", type=ID_PREFIX, metavar="CAMPAIGN")
@click.argument("addresses", type=ADDRESS, nargs=-1, metavar="[ADDRESS]...")
@click.option(
    "--nobody",
    cls=AlternativeOption,
    alternative="addresses",
    is_flag=True,
    help="Name no reader.",
)
@signing_options
@click.pass_context
def set_readers(
    ctx: click.Context,
    /,
    campaign_id: str,
    addresses: tuple[bytes, ...],
    nobody: bool,
    **given: Any,
) -> None:
    """Replace the readers; the campaign's requester signs.

    It works after the campaign's end as well, for as long as nodes keep the artifacts. What a
    former reader has fetched stays with it.
    """
    from fedcoin.v1.task_pb2 import ReaderList
    from fedcoin.v1.transaction_pb2 import SetReaders

    if bool(addresses) is nobody:
        raise click.UsageError("Give either addresses or --nobody.", ctx)
    listed = ReaderList(addresses=sorted(set(addresses)))
    id = require_campaign_id(campaign_id, given["home"], given["node"])
    execute(SetReaders(campaign_id=id, readers=listed), given)


@readers.command(name="show", epilog=example("fedcoin-node task readers show 3c9a...41"))
@click.argument("campaign_id", type=ID_PREFIX, metavar="CAMPAIGN")
@home_option
@node_option
@json_option
def show_readers(campaign_id: str, home: Home, node: str | None, as_json: bool) -> None:
    """Show whether a campaign is private, and its readers."""

    async def find(client: NodeClient) -> CampaignView:
        return await client.get_campaign(await complete_campaign_id(client, campaign_id))

    view = ask(home, node, find)
    if as_json:
        shown = {"campaign_id": view.campaign_id, "private": view.is_private}
        print_json({**shown, "readers": list(view.readers)})
    elif not view.is_private:
        click.echo("not private: nodes send its artifacts to everybody")
    elif not view.readers:
        click.echo("private; no readers beside requester, server and miners")
    else:
        click.echo("private; readers beside requester, server and miners:")
        for address in view.readers:
            click.echo(f"  {address}")
