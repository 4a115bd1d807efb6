"""`fedcoin-node token`: who may use the API of a home's node."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fedcoin.application.cli.shared.options import example, home_option, json_option
from fedcoin.application.cli.shared.output import moment, note, print_json, print_table
from fedcoin.application.configuration.home import Home
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.clock import unix_ms
from fedcoin.data.errors import RefusalError

if TYPE_CHECKING:
    from fedcoin.network.api.api_tokens import ApiToken

ROLES = ("read", "submit", "admin")
"""The roles that a token may have."""


@click.group(
    epilog=example(
        "fedcoin-node token create explorer --role read --out explorer.token",
        "fedcoin-node status --node node-a.example.org:7051 --token-file explorer.token",
        "fedcoin-node token revoke explorer",
    )
)
def token() -> None:
    """Make, list and revoke tokens for the API of a home's node.

    Without tokens, everybody who reaches the API may use it. From the first one on, each call needs
    one. A running node notices changes within a second.
    """


@token.command(epilog=example("fedcoin-node token create wallet --role submit --out wallet.token"))
@click.argument("name")
@click.option(
    "--role", type=click.Choice(ROLES), required=True,
    help="read: see everything; submit: also send transactions and artifacts; admin: also operate.",
)  # fmt: skip
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Write the token to this new file (mode 0600) instead of standard output.",
)  # fmt: skip
@home_option
def create(name: str, role: str, out: Path | None, home: Home) -> None:
    """Make a token, and show it this once: the home keeps only its hash."""
    from fedcoin.network.api import api_tokens
    from fedcoin.network.api.permissions import ApiRole

    if not api_tokens.NAME.fullmatch(name):
        raise RefusalError(
            ApplicationCode.BAD_ARGUMENT,
            f"{name!r} is not a token's name: use 1 to 63 lower-case letters, digits, - and _",
            field="name",
        )
    kept = _read(home)
    if any(each.name == name for each in kept):
        raise RefusalError(
            ApplicationCode.BAD_ARGUMENT,
            f"{home.root} has a token {name!r} already: revoke it first, or choose another name",
            field="name",
        )
    text, entry = api_tokens.make_token(name, ApiRole(role), unix_ms())
    if out is None:
        click.echo(text)
    else:
        _write_secret(out, text)
    if not home.tokens_path.exists():
        note(
            "This is the API's first token: from now on, each call needs one, those of this home's"
            " own commands too (--token-file, or api.token_file in config.toml)"
        )
    api_tokens.write_tokens(home.tokens_path, [*kept, entry])
    if entry.role is ApiRole.ADMIN and not any(each.role is ApiRole.ADMIN for each in kept):
        note("The node serves AdminService at its API from its next start on")


@token.command(name="list", epilog=example("fedcoin-node token list --home a"))
@home_option
@json_option
def list_(home: Home, as_json: bool) -> None:
    """List the tokens by their names, with their roles."""
    kept = _read(home)
    if as_json:
        print_json([{**dataclasses.asdict(each), "role": each.role.value} for each in kept])
        return
    rows = [(each.name, each.role.value, moment(each.created_ms)) for each in kept]
    print_table(("NAME", "ROLE", "CREATED"), rows)
    if not home.tokens_path.exists():
        note("There are no tokens: everybody who reaches the API may use it")


@token.command(epilog=example("fedcoin-node token revoke wallet --home a"))
@click.argument("name")
@home_option
def revoke(name: str, home: Home) -> None:
    """Revoke a token. A running node ends the streams that were opened with it."""
    from fedcoin.network.api import api_tokens

    kept = _read(home)
    left = [each for each in kept if each.name != name]
    if len(left) == len(kept):
        known = ", ".join(each.name for each in kept) or "none"
        raise RefusalError(
            ApplicationCode.BAD_ARGUMENT,
            f"{home.root} has no token {name!r} (it has: {known})",
            field="name",
        )
    api_tokens.write_tokens(home.tokens_path, left)
    if not left:
        note(
            "No token is left: the API refuses everybody. To open it to all, stop the node, "
            f"delete {home.tokens_path} and start it again"
        )


def _read(home: Home) -> Sequence[ApiToken]:
    from fedcoin.network.api import api_tokens

    return api_tokens.read_tokens(home.tokens_path) or ()


def _write_secret(path: Path, text: str) -> None:
    if path.exists():
        raise FileExistsError(f"{path} exists: name a file that does not; no token was made")
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(text + "\n")
