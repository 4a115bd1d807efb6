"""`fedcoin-node keys policy`: accounts of several keys."""

from __future__ import annotations

from pathlib import Path

import click

from fedcoin.application.cli.shared.options import Parsed, example, json_option
from fedcoin.application.cli.shared.output import print_fields, print_json
from fedcoin.application.cli.shared.policy_options import POLICY
from fedcoin.data.atomic_files import refuse_existing, replace_file
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.key_policies import KeyPolicy


def _parse_key(value: str) -> bytes:
    from fedcoin.application.wallet.key_policy_file import read_small_file
    from fedcoin.data.crypto.keys import PUBLIC_KEY_BYTES, is_public_key

    path = Path(value).expanduser()
    text = read_small_file(path).strip() if path.is_file() else value
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(text) != 2 * PUBLIC_KEY_BYTES or not is_public_key(key):
        raise ValueError(
            "is neither a public key (64 hex digits) nor a file with one: `fedcoin-node keys show"
            " NAME --public-key` prints it"
        )
    return key


PUBLIC_KEY = Parsed("key", _parse_key)
"""Reads the 32 bytes of a public key, from hex digits or from a file."""


@click.group(
    epilog=example(
        "fedcoin-node keys policy create --threshold 2 a.pub b.pub c.pub --out purse.json",
        "fedcoin-node keys policy show purse.json --address",
    )
)
def policy() -> None:
    """Make and show accounts of several keys, k of n of which must sign.

    The address stands for the keys and the threshold. Coins can be sent to it at once. Whoever has
    the file can prepare transactions of the account, and nobody can spend with it.
    """


@policy.command(
    epilog=example(
        "fedcoin-node keys policy create --threshold 2 a.pub b.pub c.pub --out purse.json"
    )
)
@click.argument("keys", nargs=-1, required=True, type=PUBLIC_KEY, metavar="KEY...")
@click.option(
    "--threshold", type=int, required=True, metavar="K", help="How many of the keys must sign."
)
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, metavar="FILE", help="The file."
)
@json_option
def create(keys: tuple[bytes, ...], threshold: int, out: Path, as_json: bool) -> None:
    """Write the file of an account of several keys, and print its address.

    KEY is a public key, 64 hex digits, or a file with one. The order does not matter.
    """
    from fedcoin.application.wallet.key_policy_file import render_policy
    from fedcoin.data.crypto.key_policies import make_policy

    made = make_policy(threshold, sorted(keys))
    refuse_existing(out)
    replace_file(out, render_policy(made).encode())
    _show(made, as_json)


@policy.command(name="show", epilog=example("fedcoin-node keys policy show purse.json"))
@click.argument("file", type=POLICY)
@click.option("--address", "only", is_flag=True, help="Print the address alone.")
@json_option
def show_policy(file: KeyPolicy, only: bool, as_json: bool) -> None:
    """Check the file of an account of several keys, and show its keys and its address."""
    if only:
        click.echo(format_address(file.address))
    else:
        _show(file, as_json)


def _show(made: KeyPolicy, as_json: bool) -> None:
    keys = [key.hex() for key in made.public_keys]
    address = format_address(made.address)
    if as_json:
        print_json({"address": address, "threshold": made.threshold, "public_keys": keys})
        return
    print_fields({"address": address, "must sign": str(made)})
    for key in keys:
        click.echo(f"key        {key}")
