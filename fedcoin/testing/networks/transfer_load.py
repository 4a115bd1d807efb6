"""Transfers through random nodes of a network, and which of them a node called final."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence

from fedcoin.application.wallet.wallet import Wallet
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.chain_identity import ChainIdentity
from fedcoin.network.client.node_client import NodeClient
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.v1.transaction_pb2 import Transfer, TransferOutput

AMOUNT = 7
"""What each transfer pays, in sap."""

_CALL_SECONDS = 3.0
_FINAL_SECONDS = 8.0


class TransferLoad:
    """Pays from a few accounts, each with one transfer at a time.

    Attributes:
        final: The height of each transfer that a node called final, by its hash.
        num_tried: How many transfers were tried. One that no node called final may be final.
    """

    def __init__(
        self, apis: Mapping[str, str], chain: ChainIdentity, recipient: bytes, seed: int
    ) -> None:
        """Pay nothing yet.

        Args:
            apis: Where the nodes' APIs are, as host:port, by name.
            chain: The network to sign for.
            recipient: The address that is paid, 20 bytes.
            seed: Decides which node gets which transfer.
        """
        self.final: dict[str, int] = {}
        self.num_tried = 0
        self._apis = dict(apis)
        self._chain = chain
        self._recipient = recipient
        self._random = random.Random(seed)

    async def run(self, payers: Sequence[KeyPair], per_second: float) -> None:
        """Pay until cancelled.

        Args:
            payers: The accounts.
            per_second: How many transfers are begun in a second, if nodes answer in time.
        """
        pause = len(payers) / per_second
        await asyncio.gather(*(self._pay_on(payer, pause) for payer in payers))

    async def pay_through(self, node: str, payer: KeyPair, seconds: float) -> bool:
        """Pay once, through one node.

        Args:
            node: The node's name.
            payer: The account.
            seconds: How long to wait until the transfer is final, in seconds.

        Returns:
            Whether the node called the transfer final in time.
        """
        self.num_tried += 1
        transfer = Transfer(outputs=[TransferOutput(recipient=self._recipient, amount=AMOUNT)])
        try:
            async with NodeClient(self._apis[node], timeout=_CALL_SECONDS) as client:
                view = await Wallet(client, payer, self._chain).execute(transfer, seconds)
        except RpcError:
            # The node is down or cut off, or it lost its mempool.
            return False
        self.final[view.hash] = view.height
        return True

    async def _pay_on(self, payer: KeyPair, pause: float) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + self._random.uniform(0.0, pause)
        while True:
            await asyncio.sleep(due - loop.time())
            await self.pay_through(self._random.choice(list(self._apis)), payer, _FINAL_SECONDS)
            due = max(due + pause, loop.time())
