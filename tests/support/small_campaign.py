"""A campaign of one round on a node that runs, for commands that change or close it."""

from __future__ import annotations

import asyncio

from fedcoin.application.wallet.wallet import Wallet
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.messages.amounts import SAP_PER_FDC
from fedcoin.network.client.node_client import NodeClient
from fedcoin.v1 import task_pb2
from fedcoin.v1.task_pb2 import OpenCampaign, PriceSplit
from tests.support.node_process import Live


def open_campaign(live: Live) -> str:
    """Open a campaign of one round without a list, and return its id."""
    key = live.home.key("node")
    terms = OpenCampaign(
        server=key.address,
        model=sha256(b"model"),
        initial_weights=sha256(b"weights"),
        rounds=1,
        budget=SAP_PER_FDC,
        spread=task_pb2.BUDGET_SPREAD_EQUAL,
        split=PriceSplit(training=7, aggregation=1, mining=2),
        mining_reward=task_pb2.MINING_REWARD_PRO_RATA,
        evaluation_root=sha256(b"shards"),
        evaluation_shards=1,
        training_reward=task_pb2.TRAINING_REWARD_UNIT_PRICE,
        unit_price=SAP_PER_FDC,
        utility=task_pb2.UTILITY_ACCURACY,
    )

    async def submit() -> str:
        async with NodeClient(live.api) as node:
            wallet = Wallet(node, key, live.home.genesis().identity)
            opened = await wallet.submit(terms)
            await wallet.wait_until_final(opened, 60)
            return opened.hash.hex()

    return asyncio.run(submit())
