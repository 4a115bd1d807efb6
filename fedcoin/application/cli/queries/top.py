"""`fedcoin-node top`."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Iterator

import click

from fedcoin.application.cli.queries.overview import fetch_overview, render
from fedcoin.application.cli.shared.connect import node_client, run_async
from fedcoin.application.cli.shared.options import example, home_option, node_option
from fedcoin.application.configuration.home import Home
from fedcoin.data.clock import unix_ms


@click.command(epilog=example("fedcoin-node top", "fedcoin-node top --node 10.0.0.5:7051 --once"))
@click.option("--once", is_flag=True, help="Print it once, and end.")
@click.option(
    "--interval", type=click.FloatRange(0.2, 3600), default=1.0, show_default=True,
    metavar="SECONDS", help="The time between two looks at the node.",
)  # fmt: skip
@home_option
@node_option
def top(once: bool, interval: float, home: Home, node: str | None) -> None:
    """Watch a node and its network: height, peers, pool, validators, campaigns and rounds.

    q or Ctrl-C ends it.
    """
    # The end of watching is no failure.
    with contextlib.suppress(KeyboardInterrupt):
        run_async(_print_once(home, node) if once else _follow(home, node, interval))


async def _print_once(home: Home, node: str | None) -> None:
    from rich.console import Console

    async with node_client(home, node) as client:
        Console(soft_wrap=True).print(render(await fetch_overview(client), unix_ms()))


async def _follow(home: Home, node: str | None, interval: float) -> None:
    from rich.live import Live
    from rich.text import Text

    from fedcoin.network.client.rpc_error import RpcError

    quit_asked = asyncio.Event()
    async with node_client(home, node) as client:
        shown = render(await fetch_overview(client), unix_ms())
        with _quit_key(quit_asked), Live(shown, screen=True, auto_refresh=False) as live:
            while not quit_asked.is_set():
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(quit_asked.wait(), interval)
                try:
                    live.update(render(await fetch_overview(client), unix_ms()), refresh=True)
                except RpcError as error:
                    if not error.is_transient:
                        raise
                    live.update(Text(f"{error.target}: {error.message}"), refresh=True)


@contextlib.contextmanager
def _quit_key(quit_asked: asyncio.Event) -> Iterator[None]:
    """Set the event when q is pressed at the terminal; without a terminal, never."""
    if not sys.stdin.isatty():
        yield
        return
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    loop = asyncio.get_running_loop()

    def pressed() -> None:
        if sys.stdin.read(1) in ("q", "Q", ""):
            quit_asked.set()

    tty.setcbreak(descriptor)
    loop.add_reader(descriptor, pressed)
    try:
        yield
    finally:
        loop.remove_reader(descriptor)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
