"""`fedcoin-node explorer`."""

from __future__ import annotations

import asyncio
import re

import click

from fedcoin.application.cli.shared.connect import node_client
from fedcoin.application.cli.shared.options import (
    ENDPOINT,
    Parsed,
    example,
    home_option,
    node_option,
)
from fedcoin.application.cli.shared.output import note
from fedcoin.application.cli.shared.service import parent_option, serve
from fedcoin.application.configuration.fields import endpoint_of
from fedcoin.application.configuration.home import Home

_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


def _parse_name(value: str) -> str:
    if not _HOST_NAME.fullmatch(value):
        raise ValueError("is no host's name, such as chain.example.org (without scheme and port)")
    return value


@click.command(
    epilog=example(
        "fedcoin-node explorer",
        "fedcoin-node explorer --node 10.0.0.5:7051 --listen 127.0.0.1:8000",
        "fedcoin-node explorer --host chain.example.org",
    )
)
@click.option(
    "--listen",
    type=ENDPOINT,
    default="127.0.0.1:7080",
    show_default=True,
    metavar="HOST:PORT",
    help="Where browsers reach the pages; port 0 takes any free one.",
)
@click.option(
    "--host",
    "names",
    multiple=True,
    type=Parsed("name", _parse_name),
    metavar="NAME",
    help="Also answer requests for this host, such as a proxy's name; repeatable. Without it only "
    "for localhost and addresses.",
)
@click.option(
    "--insecure",
    is_flag=True,
    help="Let other machines reach the pages, in plaintext. They can only read.",
)
@home_option
@node_option
@parent_option
def explorer(
    listen: str,
    names: tuple[str, ...],
    insecure: bool,
    home: Home,
    node: str | None,
    stop_with_stdin: bool,
) -> None:
    """Serve pages that show a chain to a browser: blocks, campaigns, values and payments.

    The pages are read through the node's public API and follow the chain. They can only read. A
    payment proof is checked by the browser itself, with the network's genesis.json.
    """
    from fedcoin.application.explorer.serving.web_server import serve_explorer

    async def work(stop: asyncio.Event) -> None:
        async with node_client(home, node) as client:
            await serve_explorer(
                client,
                client.target,
                endpoint_of(listen),
                stop,
                lambda url: note(f"explorer of {client.target}: {url}"),
                names=names,
                insecure=insecure,
            )

    serve(work, with_stdin=stop_with_stdin)
