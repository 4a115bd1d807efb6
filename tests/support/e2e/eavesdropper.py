"""A peer of every node that reads all votes, and checks that no validator votes twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.votes import decode_vote
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.network.peers.connections.endpoints import parse_endpoint
from fedcoin.network.peers.connections.link import Introduction, open_link
from fedcoin.network.peers.connections.security import Security
from fedcoin.v1.consensus_service_pb2 import (
    ConsensusMessage,
    ConsensusStatus,
    ExchangeRequest,
    ExchangeResponse,
)
from tests.support.e2e.network import Network, Node
from tests.support.keys import key_of

AGAIN_SECONDS = 0.1


class Eavesdropper:
    """Collects the block hashes that each validator voted for, by height, round and kind."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._said: dict[tuple[bytes, int, int, int], set[bytes]] = {}

    def check(self) -> None:
        """Check that two thirds of the validators were heard, and that none voted twice."""
        heard = {place[0] for place in self._said}
        assert 3 * len(heard) > 2 * len(self._network.bonds)
        for place, hashes in self._said.items():
            assert len(hashes) == 1, f"voted twice: {place}"

    async def listen(self, node: Node) -> None:
        """Read one node's votes, and connect again whenever the node restarts."""
        while True:
            with suppress(RefusalError, RpcError):
                await self._attend(node)
            await asyncio.sleep(AGAIN_SECONDS)

    async def _attend(self, node: Node) -> None:
        genesis = node.home.genesis()
        introduction = Introduction(
            genesis, key_of(f"ear at {node.name}"), "ear/1", lambda: "", lambda: 0
        )
        security = Security(None, insecure=False)
        link = await open_link(parse_endpoint(node.peers), introduction, security, 5.0)
        try:
            stream = link.exchange()
            status = ConsensusMessage(status=ConsensusStatus(height=1))
            await stream.write(ExchangeRequest(messages=[status]).SerializeToString())
            async for raw in stream:
                for message in ExchangeResponse.FromString(raw).messages:
                    if message.WhichOneof("kind") == "vote":
                        vote = decode_vote(message.vote, genesis.hash)
                        place = (vote.public_key, vote.height, vote.round, vote.kind)
                        self._said.setdefault(place, set()).add(vote.block_hash)
        finally:
            await link.close()


@asynccontextmanager
async def eavesdropping(network: Network) -> AsyncIterator[Eavesdropper]:
    """Read all nodes' votes while inside; on leaving, check that no validator voted twice."""
    ear = Eavesdropper(network)
    tasks = [asyncio.create_task(ear.listen(node)) for node in network.nodes]
    try:
        yield ear
        assert not [task for task in tasks if task.done()], "an ear went deaf"
        ear.check()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
