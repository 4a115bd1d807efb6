"""Send coins through a node's API, and wait until the transaction is final.

fedcoin-node init --home a && fedcoin-node start --home a --mine     # in another terminal
python examples/wallet.py a 127.0.0.1:7051
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from fedcoin.application.configuration.home import Home
from fedcoin.application.wallet.wallet import Wallet
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.amounts import SAP_PER_FDC, format_amount
from fedcoin.network.client.node_client import NodeClient
from fedcoin.v1.transaction_pb2 import Transfer, TransferOutput


async def send(home: Home, node: str) -> None:
    """Send 2 FDC from the home's key to a new key, and show both balances.

    Args:
        home: A home whose key "node" has coins.
        node: The node's API as host:port.
    """
    recipient = KeyPair.generate()
    async with NodeClient(node) as client:
        wallet = Wallet(client, home.key(), home.genesis().identity)
        output = TransferOutput(recipient=recipient.address, amount=2 * SAP_PER_FDC)
        view = await wallet.execute(Transfer(outputs=[output]))
        print(f"final in block {view.height}, fee {format_amount(view.fee)}")
        for address in (wallet.address, recipient.address):
            account = await client.get_account(address)
            print(format_address(address), format_amount(account.balance))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    asyncio.run(send(Home(Path(sys.argv[1])), sys.argv[2]))
