"""From a command to a node: which one, how, and what runs while it is open."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

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
    """Runs the asynchronous part of a command."""
    return asyncio.run(work)


def node_address(home: Home, node: str | None, config: NodeConfig) -> str:
    """Whom to ask: what was given, or where the home's own node listens."""
    if node:
        return node
    return dialable(config.api.listen)


@asynccontextmanager
async def node_client(home: Home, node: str | None) -> AsyncIterator[NodeClient]:
    """A client of the node that is meant; nothing is dialled before the first call."""
    from fedcoin.network.client.node_client import NodeClient

    config = home.config(os.environ)
    target = node_address(home, node, config)
    async with NodeClient(target, credentials=client_credentials(config.tls)) as client:
        yield client


def ask(home: Home, node: str | None, question: Callable[[NodeClient], Awaitable[T]]) -> T:
    """Puts one question to the node that is meant."""

    async def work() -> T:
        async with node_client(home, node) as client:
            return await question(client)

    return run_async(work())


@asynccontextmanager
async def open_wallet(
    home: Home, node: str | None, key_name: str, passphrase: str | None
) -> AsyncIterator[tuple[Wallet, NodeClient]]:
    """A key of the home and the node that takes its transactions.

    Where the home knows its network, the wallet signs for that one and no other, whatever the
    node says. Raises WRONG_NETWORK when the node is of another.
    """
    from fedcoin.application.wallet.wallet import Wallet

    key = home.key(key_name, passphrase)
    genesis = home.genesis() if home.is_initialised else None
    async with node_client(home, node) as client:
        if genesis is not None:
            refuse_other_network(genesis, await client.status(), client.target)
        yield Wallet(client, key, genesis.chain_id if genesis else ""), client


def refuse_other_network(genesis: Genesis, status: GetStatusResponse, target: str) -> None:
    """Raises WRONG_NETWORK: two networks may have the same name."""
    if status.genesis_hash != genesis.hash.hex():
        raise RefusalError(
            ApplicationCode.WRONG_NETWORK,
            f"{target} is a node of {status.chain_id} with genesis {status.genesis_hash}; this "
            f"home is of {genesis.chain_id} with genesis {genesis.hash.hex()}",
            field="node",
        )
