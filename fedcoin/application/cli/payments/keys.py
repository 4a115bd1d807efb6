"""`fedcoin-node keys`: make and show keys."""

from __future__ import annotations

from typing import Any

import click

from fedcoin.application.cli.payments.policy import policy
from fedcoin.application.cli.shared.options import (
    example,
    home_option,
    json_option,
    new_home_option,
)
from fedcoin.application.cli.shared.output import print_fields, print_json, print_table
from fedcoin.application.cli.shared.passphrases import (
    choose_passphrase,
    encrypt_option,
    passphrase_option,
)
from fedcoin.application.configuration.home import NODE_KEY, Home
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.key_files import KeyFileInfo
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.network.peers.connections.node_addresses import tls_name


@click.group(
    epilog=example("fedcoin-node keys new alice", "fedcoin-node keys show alice --address")
)
def keys() -> None:
    """Make and show the keys of a home.

    A key is an Ed25519 key pair in keys/NAME.key. Only its owner can read the file, which is
    encrypted when it was made with a passphrase. The key "node" belongs to the node: it is its
    identity among peers, holds its bond and receives its income.
    """


keys.add_command(policy)


def _describe(name: str, key: KeyPair | KeyFileInfo) -> dict[str, Any]:
    return {
        "name": name,
        "address": format_address(key.address),
        "public_key": key.public_key.hex(),
        "tls_name": tls_name(key.public_key),
    }


@keys.command(epilog=example("fedcoin-node keys new alice", "fedcoin-node keys new bob --encrypt"))
@click.argument("name", default=NODE_KEY)
@new_home_option
@passphrase_option
@encrypt_option
@json_option
def new(name: str, home: Home, passphrase: str | None, encrypt: bool | None, as_json: bool) -> None:
    """Make a key. NAME is "node" by default."""
    home.refuse_if_taken(name)
    key = KeyPair.generate()
    home.add_key(name, key, choose_passphrase(passphrase, encrypt), is_unused=True)
    _show_key(_describe(name, key), as_json)


@keys.command(name="list", epilog=example("fedcoin-node keys list --home ./a"))
@home_option
@json_option
def list_keys(home: Home, as_json: bool) -> None:
    """List the keys of a home."""
    found = [_describe(name, home.key_info(name)) for name in home.key_names()]
    if as_json:
        print_json(found)
    elif found:
        print_table(("NAME", "ADDRESS"), [(key["name"], key["address"]) for key in found])
    else:
        click.echo(f"{home.root} has no keys: make one with `fedcoin-node keys new`", err=True)


@keys.command(
    epilog=example(
        "fedcoin-node keys show", "fedcoin-node send $(fedcoin-node keys show bob --address) 5fdc"
    )
)
@click.argument("name", default=NODE_KEY)
@home_option
@click.option("--address", "only", flag_value="address", help="Print the address alone.")
@click.option("--public-key", "only", flag_value="public_key", help="Print the public key alone.")
@click.option(
    "--tls-name",
    "only",
    flag_value="tls_name",
    help="Print its name in TLS certificates alone.",
)
@json_option
def show(name: str, home: Home, only: str | None, as_json: bool) -> None:
    """Show a key's address, public key and name in TLS certificates. NAME is "node" by default."""
    about = _describe(name, home.key_info(name))
    if only:
        click.echo(about[only])
    else:
        _show_key(about, as_json)


def _show_key(about: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(about)
    else:
        print_fields(
            {"name": about["name"], "address": about["address"], "public key": about["public_key"]}
        )
