"""`fedcoin-node init`: make a home."""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import Any

import click

from fedcoin.application.cli.shared.options import (
    ADDRESS,
    AMOUNT,
    ENDPOINT,
    NODE_ADDRESS,
    example,
    json_option,
    new_home_option,
    pairs,
)
from fedcoin.application.cli.shared.output import coins, print_fields, print_json
from fedcoin.application.cli.shared.passphrases import (
    choose_passphrase,
    encrypt_option,
    passphrase_option,
)
from fedcoin.application.configuration.genesis_file import write_genesis
from fedcoin.application.configuration.home import NODE_KEY, Home
from fedcoin.data.clock import unix_ms
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.key_files import KeyFileInfo
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.amounts import SAP_PER_FDC
from fedcoin.data.messages.genesis import parse_genesis

_Whose = KeyPair | KeyFileInfo
HEX_KEY = re.compile(r"[0-9a-f]{64}")
"""Matches a public key as 64 lower-case hex digits."""


def parse_public_key(value: str) -> bytes:
    """Read a public key.

    Args:
        value: 64 lower-case hex digits.

    Returns:
        The key, 32 bytes.

    Raises:
        ValueError: The text is no key. The message is the end of a sentence.
    """
    if not HEX_KEY.fullmatch(value):
        raise ValueError("must name an Ed25519 public key as 64 lower-case hex digits")
    return bytes.fromhex(value)


def parse_whole(value: str) -> int:
    """Read a whole number.

    Args:
        value: Decimal digits.

    Returns:
        The number.

    Raises:
        ValueError: The text is no number. The message is the end of a sentence.
    """
    if not value.isascii() or not value.isdigit():
        raise ValueError("must end in a whole number")
    return int(value)


@click.command(
    epilog=example(
        "fedcoin-node init --home a --fund coordinator=500fdc     a new network",
        "fedcoin-node init --home b --genesis a/genesis.json \\",
        "    --seed $(fedcoin-node keys show --home a --public-key)@127.0.0.1:7050 \\",
        "    --peers-listen 127.0.0.1:7060 --api-listen 127.0.0.1:7061     one more node for it",
    )
)
@new_home_option
@click.option(
    "--genesis",
    "genesis_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Join the network of this genesis.json. Without it, a new network is made.",
)
@click.option("--chain-id", help="New network: its name [fedcoin- and six random digits].")
@click.option(
    "--bond", type=AMOUNT, help="New network: the bond of this node's key [1000fdc]; 0fdc: none."
)
@click.option(
    "--balance", type=AMOUNT, help="New network: the balance of the node's key [1000000fdc]."
)
@click.option(
    "--fund",
    multiple=True,
    metavar="NAME=AMOUNT",
    type=pairs("NAME=AMOUNT", str, AMOUNT.parse),
    help="New network: make a key of this name in the home, with coins. Repeatable.",
)
@click.option(
    "--account",
    multiple=True,
    metavar="ADDRESS=AMOUNT",
    type=pairs("ADDRESS=AMOUNT", ADDRESS.parse, AMOUNT.parse),
    help="New network: give coins to an address. Repeatable.",
)
@click.option(
    "--validator",
    multiple=True,
    metavar="PUBKEY=AMOUNT",
    type=pairs("PUBKEY=AMOUNT", parse_public_key, AMOUNT.parse),
    help="New network: give a bond to another node's key (`keys new`). Repeatable.",
)
@click.option(
    "--parameter",
    multiple=True,
    metavar="NAME=NUMBER",
    type=pairs("NAME=NUMBER", str, parse_whole),
    help="New network: a network parameter that differs from its default. Repeatable.",
)
@click.option("--seed", multiple=True, type=NODE_ADDRESS, help="A node to dial. Repeatable.")
@click.option("--peers-listen", type=ENDPOINT, help="Where peers reach this node [127.0.0.1:7050].")
@click.option(
    "--api-listen", type=ENDPOINT, help="Where wallets and tools reach this node [127.0.0.1:7051]."
)
@passphrase_option
@encrypt_option
@json_option
def init(
    home: Home,
    genesis_file: Path | None,
    seed: tuple[str, ...],
    peers_listen: str | None,
    api_listen: str | None,
    passphrase: str | None,
    encrypt: bool | None,
    as_json: bool,
    **founding: Any,
) -> None:
    """Make a home folder: settings, a key, and a genesis.

    Without --genesis this makes a new network, whose only validator is this node. Give its
    genesis.json to the other nodes. A key "node" that `keys new` made before is kept.
    """
    given = [f"--{name.replace('_', '-')}" for name, value in founding.items() if value]
    if genesis_file is not None and given:
        raise click.UsageError(f"{given[0]} is for a new network, and --genesis names one.")
    home.refuse_if_initialised()
    for name, _ in founding["fund"]:
        home.refuse_if_taken(name)
        if name == NODE_KEY:
            raise click.UsageError(f"The key {NODE_KEY} gets its coins by --balance, not --fund.")
    fresh = None if NODE_KEY in home.key_names() else KeyPair.generate()
    key: _Whose = fresh or home.key_info()
    funded = {name: KeyPair.generate() for name, _ in founding["fund"]}
    chosen = choose_passphrase(passphrase, encrypt) if fresh or funded else None
    if genesis_file is not None:
        genesis = genesis_file.read_bytes()
    else:
        genesis = _new_genesis(key, funded, founding)
    parse_genesis(genesis)
    if fresh is not None:
        home.add_key(NODE_KEY, fresh, chosen, is_unused=True)
    for name, other in funded.items():
        home.add_key(name, other, chosen, is_unused=True)
    settings = {"peers.seeds": seed, "peers.listen": peers_listen, "api.listen": api_listen}
    home.write(genesis, {name: value for name, value in settings.items() if value})
    _show(home, genesis, {NODE_KEY: key, **funded}, as_json)


def _new_genesis(key: _Whose, funded: dict[str, KeyPair], founding: dict[str, Any]) -> bytes:
    balance, bond = founding["balance"], founding["bond"]
    balances = {key.address: 1_000_000 * SAP_PER_FDC if balance is None else balance}
    bonds = {key.public_key: 1_000 * SAP_PER_FDC if bond is None else bond}
    gifts = [(funded[name].address, amount) for name, amount in founding["fund"]]
    for address, amount in [*gifts, *founding["account"]]:
        balances[address] = balances.get(address, 0) + amount
    bonds.update(founding["validator"])
    return write_genesis(
        founding["chain_id"] or f"fedcoin-{secrets.token_hex(3)}",
        unix_ms(),
        balances={address: amount for address, amount in balances.items() if amount},
        bonds={public: amount for public, amount in bonds.items() if amount},
        parameters=dict(founding["parameter"]),
    )


def _show(home: Home, raw: bytes, keys: dict[str, _Whose], as_json: bool) -> None:
    genesis = parse_genesis(raw)
    addresses = {name: format_address(key.address) for name, key in keys.items()}
    if as_json:
        print_json(
            {
                "home": str(home.root),
                "chain_id": genesis.chain_id,
                "genesis_hash": genesis.hash.hex(),
                "supply": genesis.supply,
                "keys": addresses,
                "public_key": keys[NODE_KEY].public_key.hex(),
            }
        )
        return
    print_fields(
        {
            "home": home.root,
            "chain": genesis.chain_id,
            "genesis": genesis.hash.hex(),
            "supply": coins(genesis.supply),
            **{f"key {name}": address for name, address in addresses.items()},
        }
    )
    click.echo(f"Settings are in {home.config_path}. Next: fedcoin-node start --home {home.root}")
