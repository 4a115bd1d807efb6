"""`fedcoin-node transaction`: sign what several keys must sign, on several machines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fedcoin.application.cli.shared.connect import node_client, run_async, trusted_chain
from fedcoin.application.cli.shared.ledger_output import print_transaction, with_units
from fedcoin.application.cli.shared.options import (
    Parsed,
    example,
    genesis_option,
    home_option,
    json_option,
    key_option,
    node_option,
)
from fedcoin.application.cli.shared.output import as_plain, coins, note, print_fields, print_json
from fedcoin.application.cli.shared.passphrases import find_passphrase, passphrase_option
from fedcoin.application.cli.shared.waiting import explained_wait
from fedcoin.application.configuration.home import Home
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.errors import RefusalError

if TYPE_CHECKING:
    from fedcoin.application.wallet.prepared_transaction import PreparedTransaction
    from fedcoin.v1.transaction_pb2 import TransactionBody


def _read(value: str) -> tuple[Path, PreparedTransaction]:
    from fedcoin.application.wallet.prepared_transaction import read_prepared

    path = Path(value).expanduser()
    return path, read_prepared(path)


PREPARED = Parsed("file", _read)
"""Reads a prepared transaction, with the file's path."""


@click.group(
    epilog=example(
        "fedcoin-node send fc1... 5fdc --policy purse.json --prepare payment.json",
        "fedcoin-node transaction sign payment.json --key alice     each signer, without a node",
        "fedcoin-node transaction combine payment.json from-bob.json --out payment.json",
        "fedcoin-node transaction send payment.json",
    )
)
def transaction() -> None:
    """Sign and send transactions of accounts of several keys (`keys policy`).

    A command that changes the ledger writes the transaction to a file with --prepare. Each signer
    signs the file, or a copy, and anybody sends it once enough have signed.
    """


@transaction.command(epilog=example("fedcoin-node transaction show payment.json"))
@click.argument("file", type=PREPARED)
@json_option
def show(file: tuple[Path, PreparedTransaction], as_json: bool) -> None:
    """Check a prepared transaction, and show what it does and who has signed."""
    _show(file[1], as_json)


@transaction.command(
    epilog=example(
        "fedcoin-node transaction sign payment.json --key alice",
        "fedcoin-node transaction sign payment.json --key bob --out from-bob.json --yes",
    )
)
@click.argument("file", type=PREPARED)
@home_option
@genesis_option
@key_option()
@passphrase_option
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", help="Write this file [FILE itself]."
)
@click.option("--yes", is_flag=True, help="Sign without asking.")
@json_option
def sign(
    file: tuple[Path, PreparedTransaction],
    home: Home,
    genesis_hash: bytes | None,
    key_name: str,
    passphrase: str | None,
    out: Path | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Sign a prepared transaction with a key of this home. Needs no node.

    The home, or --genesis, says for which network. What the transaction does is shown first.
    """
    path, prepared = file
    _check_network(prepared, home, genesis_hash)
    if not yes:
        _show(prepared, False)
        question = f"Sign this with the key {key_name!r}? (--yes: without asking)"
        click.confirm(question, abort=True, err=True)
    key = home.key(key_name, find_passphrase(home, [key_name], passphrase))
    signed = prepared.sign(key)
    _write(signed, out or path)
    if as_json:
        _show(signed, True)
    else:
        click.echo(_state(signed))


@transaction.command(
    epilog=example("fedcoin-node transaction combine from-alice.json from-bob.json --out all.json")
)
@click.argument("files", nargs=-1, required=True, type=PREPARED, metavar="FILE...")
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, metavar="FILE", help="The new file."
)
@json_option
def combine(files: tuple[tuple[Path, PreparedTransaction], ...], out: Path, as_json: bool) -> None:
    """Put the signatures of several copies of one prepared transaction into one file."""
    combined = reduce(lambda first, second: first.combine(second), (each for _, each in files))
    _write(combined, out)
    if as_json:
        _show(combined, True)
    else:
        click.echo(_state(combined))


@transaction.command(epilog=example("fedcoin-node transaction send payment.json"))
@click.argument("file", type=PREPARED)
@home_option
@node_option
@genesis_option
@click.option("--no-wait", is_flag=True, help="Do not wait until the transaction is final.")
@click.option(
    "--timeout",
    type=click.FloatRange(0.1, 86_400),
    default=60.0,
    show_default=True,
    help="How long to wait, in seconds.",
)
@json_option
def send(
    file: tuple[Path, PreparedTransaction],
    home: Home,
    node: str | None,
    genesis_hash: bytes | None,
    no_wait: bool,
    timeout: float,
    as_json: bool,
) -> None:
    """Send a transaction that enough keys have signed. Needs no key."""
    signed = file[1].assemble()

    async def work() -> Any:
        async with node_client(home, node) as client:
            _check_same(file[1], (await trusted_chain(home, client, genesis_hash)).genesis_hash)
            await client.submit_transaction(signed.raw)
            if no_wait:
                return await client.get_transaction(signed.hash)
            note(f"Submitted {signed.hash.hex()}, waiting for its block")
            async with explained_wait(client):
                return await client.wait_until_final(signed.hash, timeout)

    view = run_async(work())
    if as_json:
        print_json(as_plain(view))
    else:
        print_transaction(view)


def _check_network(prepared: PreparedTransaction, home: Home, given: bytes | None) -> None:
    """Check that a transaction is for the network that the home's owner trusts."""
    from fedcoin.application.configuration.pinned_genesis import find_genesis_hash

    trusted = find_genesis_hash(home, given)
    if trusted is None:
        raise RefusalError(
            ApplicationCode.NO_GENESIS,
            f"{home.root} does not say for which network its keys sign: give the network's"
            " genesis.json with --genesis",
            field="genesis",
        )
    _check_same(prepared, trusted)


def _check_same(prepared: PreparedTransaction, trusted: bytes) -> None:
    if prepared.genesis_hash != trusted:
        raise RefusalError(
            ApplicationCode.WRONG_NETWORK,
            f"the transaction is for {prepared.body.chain_id[:64]!r} with genesis"
            f" {prepared.genesis_hash.hex()}; this home is of genesis {trusted.hex()}: do not sign"
            " or send it here",
            field="genesis_hash",
            limit=trusted.hex(),
        )


def _write(prepared: PreparedTransaction, path: Path) -> None:
    from fedcoin.data.atomic_files import replace_file

    replace_file(path, prepared.render().encode())


def _state(prepared: PreparedTransaction) -> str:
    num_signed = len(prepared.signatures)
    if prepared.num_missing:
        return f"{num_signed} signed; {prepared.num_missing} more must"
    return f"{num_signed} signed, which is enough: `fedcoin-node transaction send`"


def _show(prepared: PreparedTransaction, as_json: bool) -> None:
    if as_json:
        print_json(json.loads(prepared.render()))
        return
    body = prepared.body
    details = json.loads(prepared.render())["transaction"]["details"]
    print_fields(
        {
            "network": f"{body.chain_id}, genesis {prepared.genesis_hash.hex()}",
            "account": f"{format_address(prepared.policy.address)}, {prepared.policy} keys",
            "does": "; ".join(describe_action(body)),
            "fee": coins(body.fee),
            "nonce": body.nonce,
            "expires at": f"height {body.expiry_height}",
            "details": json.dumps(with_units(details)),
            "hash": prepared.hash.hex(),
            "signatures": _state(prepared),
        }
    )
    for key in prepared.policy.public_keys:
        click.echo(f"{'signed' if key in prepared.signatures else 'not yet':<10}  {key.hex()}")


def describe_action(body: TransactionBody) -> Sequence[str]:
    """Say in words what a transaction does.

    Args:
        body: The transaction's body.

    Returns:
        One phrase for each part, beginning with a verb.
    """
    return list(_phrases(body))


def _phrases(body: TransactionBody) -> Iterator[str]:
    action = body.WhichOneof("action")
    if action == "transfer":
        for output in body.transfer.outputs:
            yield f"pays {coins(output.amount)} to {_address(output.recipient)}"
    elif action == "open_campaign":
        terms = body.open_campaign
        yield (
            f"puts {coins(terms.budget)} in escrow for a campaign of {terms.rounds} rounds,"
            f" whose tasks {_address(terms.server)} opens"
        )
    elif action == "close_campaign":
        campaign = body.close_campaign.campaign_id.hex()
        yield f"closes campaign {campaign}, the rest of whose budget returns to the account"
    elif action == "set_clients":
        change = body.set_clients
        who = f"{change.clients.count} listed clients" if change.clients.root else "anybody"
        yield f"lets {who} take part in campaign {change.campaign_id.hex()}"
    elif action == "set_readers":
        readers = body.set_readers
        who = ", ".join(map(_address, readers.readers.addresses)) or "nobody else"
        yield f"lets {who} read the artifacts of campaign {readers.campaign_id.hex()}"
    else:
        yield f"{action}, which an account of several keys cannot do"


def _address(raw: bytes) -> str:
    return format_address(raw) if len(raw) == 20 else f"no address ({raw.hex()[:64]})"
