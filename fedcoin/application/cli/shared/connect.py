"""Connect a command to a node: find its address, open a client or a wallet."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from fedcoin.application.cli.shared.passphrases import find_passphrase
from fedcoin.application.configuration.config import NodeConfig
from fedcoin.application.configuration.fields import dialable
from fedcoin.application.configuration.home import Home
from fedcoin.application.configuration.tls import client_credentials
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError

if TYPE_CHECKING:
    from fedcoin.application.wallet.wallet import Wallet
    from fedcoin.data.messages.genesis import Genesis
    from fedcoin.network.client.node_client import NodeClient
    from fedcoin.v1.node_service_pb2 import GetStatusResponse

T = TypeVar("T")


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run the asynchronous part of a command.

    Args:
        work: The coroutine.

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
    """
    if node:
        return node
    return dialable(config.api.listen)


@asynccontextmanager
async def node_client(home: Home, node: str | None) -> AsyncIterator[NodeClient]:
    """Open a client of a node. The first call dials it.

    Args:
        home: The home of the command; its settings give TLS files and the default node.
        node: The value of `--node`; None when it was not given.

    Yields:
        The client.
    """
    from fedcoin.network.client.node_client import NodeClient

    config = home.config(os.environ)
    target = node_address(home, node, config)
    async with NodeClient(target, credentials=client_credentials(config.tls)) as client:
        yield client


def ask(home: Home, node: str | None, question: Callable[[NodeClient], Awaitable[T]]) -> T:
    """Call a node once.

    Args:
        home: The home of the command.
        node: The value of `--node`; None when it was not given.
        question: Makes the call.

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
    home: Home, node: str | None, key_name: str, passphrase: str | None
) -> AsyncIterator[tuple[Wallet, NodeClient]]:
    """Open a wallet: a key of the home, and a client of the node that takes its transactions.

    A home with a genesis signs for that network only, whatever network the node names.

    Args:
        home: The home that holds the key.
        node: The value of `--node`; None when it was not given.
        key_name: The key's name.
        passphrase: Opens an encrypted key.

    Yields:
        The wallet and the client.

    Raises:
        RefusalError: WRONG_NETWORK when the node belongs to another network than the home, and the
            codes of `Home.key`.
        RpcError: The node cannot be reached.
    """
    from fedcoin.application.wallet.wallet import Wallet

    key = home.key(key_name, find_passphrase(home, [key_name], passphrase))
    genesis = home.genesis() if home.is_initialised else None
    async with node_client(home, node) as client:
        if genesis is not None:
            _refuse_other_network(genesis, await client.get_status(), client.target)
        yield Wallet(client, key, genesis.chain_id if genesis else ""), client


# Two networks may have the same name, so the genesis hash decides.
def _refuse_other_network(genesis: Genesis, status: GetStatusResponse, target: str) -> None:
    if status.genesis_hash != genesis.hash.hex():
        raise RefusalError(
            ApplicationCode.WRONG_NETWORK,
            f"{target} is a node of {status.chain_id} with genesis {status.genesis_hash}; this "
            f"home belongs to {genesis.chain_id} with genesis {genesis.hash.hex()}: give another "
            "--node or --home",
            field="node",
        )
