"""`fedcoin-node task close`: close a campaign, and get the rest of its budget back."""

from __future__ import annotations

from typing import Any

import click

from fedcoin.application.cli.shared.id_prefixes import ID_PREFIX, require_campaign_id
from fedcoin.application.cli.shared.options import example
from fedcoin.application.cli.shared.signed_action import execute, signing_options


@click.command(epilog=example("fedcoin-node task close 3c9a...41 --key coordinator"))
@click.argument("campaign_id", type=ID_PREFIX, metavar="CAMPAIGN")
@signing_options
def close(campaign_id: str, **given: Any) -> None:
    """Close a campaign, so that the rest of its budget returns; its requester signs.

    The coins return at once in a campaign without receipts, else when clients can register none
    any more (coordinator.receipt_seconds). A round that is being valued must end before.
    """
    from fedcoin.v1.transaction_pb2 import CloseCampaign

    id = require_campaign_id(campaign_id, given["home"], given["node"])
    execute(CloseCampaign(campaign_id=id), given)
