"""`fedcoin-node version`."""

from __future__ import annotations

import contextlib
import os
import platform
from importlib import metadata

import click

from fedcoin import __version__
from fedcoin.application.cli.shared.options import example, home_option, json_option
from fedcoin.application.cli.shared.output import print_fields, print_json
from fedcoin.application.configuration.home import Home
from fedcoin.data.errors import RefusalError

LIBRARIES = ("grpcio", "protobuf", "pynacl", "numpy", "tensorflow")
"""The distributions whose installed versions are shown."""


@click.command(epilog=example("fedcoin-node version --json"))
@home_option
@json_option
def version(home: Home, as_json: bool) -> None:
    """Show the versions of this program, its protocol and its main libraries.

    If there is a home, also show the address at which other nodes dial its node.
    """
    from fedcoin.data.protocol import PROTOCOL_VERSION

    found: dict[str, object] = {
        "version": __version__,
        "protocol_version": PROTOCOL_VERSION,
        "python": platform.python_version(),
    }
    found.update({name: metadata.version(name) for name in LIBRARIES})
    if home.is_initialised:
        # A faulty home must not hide the versions, which a report of the fault needs.
        with contextlib.suppress(RefusalError):
            found["peer_address"] = home.peer_address(home.config(os.environ))
    if as_json:
        print_json(found)
    else:
        print_fields(found)
