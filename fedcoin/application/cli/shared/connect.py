"""Connect a command to a node: find its address, open a client or a wallet."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from fedcoin.application.cli.shared.api_token import find_token
from fedcoin.application.cli.shared.options import DEFAULT_HOME
from fedcoin.application.cli.shared.output import note
from fedcoin.application.cli.shared.passphrases import find_passphrase
from fedcoin.application.configuration.config import NodeConfig, TlsConfig
from fedcoin.application.configuration.fields import dialable
from fedcoin.application.configuration.home import Home
from fedcoin.application.configuration.tls import client_credentials
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError

if TYPE_CHECKING:
    from fedcoin.application.wallet.wallet import Wallet
    from fedcoin.data.messages.chain_identity import ChainIdentity
    from fedcoin.network.client.node_client import NodeClient
    from fedcoin.network.peers.connections.tls_files import TlsFiles

T = TypeVar("T")

_TLS_SOURCES: Final = "fedcoin.tls_sources"
"""Where a command's context keeps the TLS files that it has opened, by their settings."""


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run the asynchronous part of a command.

    Args:
        work: The coroutine, which is run on a new event loop.

    Returns:
        The result of the coroutine.
    """
    return asyncio.run(work)


def node_address(home: Home, node: str | None, config: NodeConfig) -> str:
    """Choose the node that a command calls.

    Args:
        home: The home of the command.
        node: The value of `--node`; None when it was not given.
        config: The settings of the home.

    Returns:
        `node`, or the API address of the home's own node, as host:port.

    Raises:
        RefusalError: NO_HOME when `node` was not given, and the folder that was named as home
            holds no file of one, so that its node would be the one at the default address.
    """
    if node:
        return node
    if not home.is_home and home.root != Path(DEFAULT_HOME).expanduser():
        raise RefusalError(
            ApplicationCode.NO_HOME,
            f"{home.root} holds no config.toml, genesis.json or keys, so that no node belongs to"
            " it: name the home of a node with --home, or a node with --node",
            field="home",
        )
    return dialable(config.api.listen)


@asynccontextmanager
async def node_client(home: Home, node: str | None) -> AsyncIterator[NodeClient]:
    """Open a client of a node. The first call dials it.

    Args:
        home: The home of the command; its settings give TLS files and the default node.
        node: The value of `--node`; None when it was not given.

    Yields:
        A client of `--node`, else of the home's own node; it is closed when the `with` block ends.
    """
    from fedcoin.network.client.node_client import NodeClient

    config = home.config(os.environ)
    target = node_address(home, node, config)
    credentials, token = _caller_credentials(config.tls), find_token(config)
    client = NodeClient(target, credentials=credentials, token=token, proxy=config.api.proxy)
    async with client:
        yield client


def _caller_credentials(tls: TlsConfig) -> TlsFiles | None:
    """Open the TLS files, once for each run of a command.

    A command that looks again and again (`--watch`) goes on with the files that it read before
    while the new ones are half written. Those that are bad from the start end it.
    """
    context = click.get_current_context(silent=True)
    if context is None:
        return client_credentials(tls)
    sources: dict[TlsConfig, TlsFiles | None] = context.meta.setdefault(_TLS_SOURCES, {})
    if tls not in sources:
        sources[tls] = client_credentials(tls)
    return sources[tls]


def server_key(client: NodeClient, given: str | None) -> bytes:
    """Choose the key that the proof of a reader names as the server.

    Args:
        client: A client of the node that is asked.
        given: The value of `--node-key`; None when it was not given.

    Returns:
        The node's key, 32 bytes; empty for a node of this machine, which is asked for its key.

    Raises:
        RefusalError: BAD_ARGUMENT when the node is beyond this machine and its key was not given.
    """
    from fedcoin.network.host_groups import is_on_loopback

    if given:
        return bytes.fromhex(given)
    if not is_on_loopback(client.target):
        raise RefusalError(
            ApplicationCode.BAD_ARGUMENT,
            f"{client.target} is beyond this machine: name the node's key with --node-key (its"
            " operator reads it in `fedcoin-node status`)",
            field="--node-key",
        )
    return b""


def ask(home: Home, node: str | None, question: Callable[[NodeClient], Awaitable[T]]) -> T:
    """Call a node once.

    Args:
        home: The home of the command.
        node: The value of `--node`; None when it was not given.
        question: Takes the client and makes one call.

    Returns:
        The result of the call.

    Raises:
        RpcError: The call failed.
    """

    async def work() -> T:
        async with node_client(home, node) as client:
            return await question(client)

    return run_async(work())


@asynccontextmanager
async def open_wallet(
    home: Home,
    node: str | None,
    key_name: str,
    passphrase: str | None,
    genesis_hash: bytes | None = None,
) -> AsyncIterator[tuple[Wallet, NodeClient]]:
    """Open a wallet: a key of the home, and a client of the node that takes its transactions.

    The wallet signs for the network of `trusted_chain`, whatever network the node names.

    Args:
        home: The home that holds the key.
        node: The value of `--node`; None when it was not given.
        key_name: The key's name.
        passphrase: Opens an encrypted key.
        genesis_hash: The value of `--genesis`, 32 bytes; None when it was not given.

    Yields:
        The wallet and the client.

    Raises:
        RefusalError: WRONG_NETWORK when the node belongs to another network than the home signs
            for; BAD_GENESIS or BAD_STATE when the home's genesis or pin is malformed; NO_KEY,
            NO_PASSPHRASE, BAD_KEY_FILE or WRONG_PASSPHRASE when the key cannot be opened.
        RpcError: The node cannot be reached.
    """
    from fedcoin.application.wallet.wallet import Wallet

    key = home.key(key_name, find_passphrase(home, [key_name], passphrase))
    async with node_client(home, node) as client:
        yield Wallet(client, key, await trusted_chain(home, client, genesis_hash)), client


async def trusted_chain(
    home: Home, client: NodeClient, genesis_hash: bytes | None
) -> ChainIdentity:
    """Decide for which network a home's signatures are, and check that the node belongs to it.

    A home without a genesis keeps the first network that it uses, and refuses all others later.

    Args:
        home: The home whose key signs.
        client: A client of the node that takes the transactions.
        genesis_hash: The value of `--genesis`, 32 bytes; None when it was not given.

    Returns:
        The network's name and genesis hash.

    Raises:
        RefusalError: WRONG_NETWORK when the node belongs to another network, or `genesis_hash`
            differs from the home's; BAD_GENESIS or BAD_STATE when the home's genesis or pin is
            malformed.
        RpcError: The node cannot be reached.
    """
    from fedcoin.application.configuration.pinned_genesis import (
        check_network,
        find_genesis_hash,
        pin_genesis,
    )
    from fedcoin.data.messages.chain_identity import ChainIdentity

    trusted = find_genesis_hash(home, genesis_hash)
    status = await client.get_status()
    if trusted is None:
        trusted = bytes.fromhex(status.genesis_hash)
        note(
            f"Warning: {home.root} has no genesis, so {client.target} is trusted to name the "
            f"network: {status.chain_id} with genesis {status.genesis_hash}. Compare it with the "
            "network's genesis.json (sha256sum genesis.json); later commands sign for it alone."
        )
    check_network(trusted, status, client.target)
    pin_genesis(home, trusted)
    return ChainIdentity(status.chain_id, trusted)
