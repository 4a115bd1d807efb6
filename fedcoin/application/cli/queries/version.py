"""`fedcoin-node version`."""

from __future__ import annotations

import platform
from importlib import metadata

import click

from fedcoin import __version__
from fedcoin.application.cli.shared.options import example, json_option
from fedcoin.application.cli.shared.output import print_fields, print_json

LIBRARIES = ("grpcio", "protobuf", "pynacl", "numpy", "tensorflow")


@click.command(epilog=example("fedcoin-node version --json"))
@json_option
def version(as_json: bool) -> None:
    """Show the versions of this program, its protocol and its main libraries."""
    from fedcoin.data.protocol import PROTOCOL_VERSION

    found: dict[str, object] = {
        "version": __version__,
        "protocol_version": PROTOCOL_VERSION,
        "python": platform.python_version(),
    }
    found.update({name: metadata.version(name) for name in LIBRARIES})
    if as_json:
        print_json(found)
    else:
        print_fields(found)
