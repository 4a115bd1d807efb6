"""Run one dishonest node: `python -m fedcoin.testing.dishonest KIND --home DIR`.

`fedcoin-node devnet --adversary KIND` starts dishonest miners with this command. The home is that
of an honest miner; nothing in it names the kind.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import sys

import click

from fedcoin.application.cli.entry import run
from fedcoin.application.cli.shared.log_output import configure_logging
from fedcoin.application.cli.shared.options import home_option
from fedcoin.application.cli.shared.passphrases import passphrase_option
from fedcoin.application.cli.shared.service import parent_option, serve
from fedcoin.application.configuration.home import Home
from fedcoin.application.node.node_runner import run_node
from fedcoin.testing.dishonest.node_components import KINDS, dishonest_components

log = logging.getLogger("fedcoin.testing.dishonest")


@click.command()
@click.argument("kind", type=click.Choice(KINDS), metavar="KIND")
@home_option
@passphrase_option
@parent_option
def start(kind: str, home: Home, passphrase: str | None, stop_with_stdin: bool) -> None:
    """Run a miner's node that is dishonest in the way that KIND names, until it is interrupted.

    Settings come from FEDCOIN_<TABLE>_<SETTING> variables, then from config.toml. The node mines,
    even if miner.enabled is false.
    """
    config = home.config(os.environ, {"miner.enabled": True})
    configure_logging(config.log.level, config.log.format)
    opened = dataclasses.replace(home, passphrase=passphrase)
    components = dishonest_components(kind, opened.key(config.miner.key))
    log.warning("this node is dishonest on request: %s", kind)
    serve(
        lambda stop: run_node(config, opened, stop, components=components),
        with_stdin=stop_with_stdin,
    )


if __name__ == "__main__":
    sys.exit(run(command=start, program="python -m fedcoin.testing.dishonest"))
