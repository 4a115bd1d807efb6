"""Four validators on four listeners decide blocks, and one that was away catches up."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path

from tests.support.keys import MINERS, STRANGER
from tests.support.node_core import make_network_genesis
from tests.support.peer_nodes import PeerNode, running
from tests.support.transfers import sign_transfer
from tests.support.waiting import until


async def test_a_transfer_is_final_everywhere_in_well_under_a_second(tmp_path: Path) -> None:
    genesis = make_network_genesis()
    first = PeerNode(tmp_path / "0", genesis, MINERS[0])
    async with running(first):
        others = [
            PeerNode(tmp_path / str(i), genesis, MINERS[i], seeds=[first.address])
            for i in range(1, 4)
        ]
        observer = PeerNode(tmp_path / "o", genesis, STRANGER, seeds=[first.address])
        async with running(*others, observer):
            nodes = [first, *others, observer]
            await until(lambda: all(node.linked() == 4 for node in nodes))
            took = []
            for nonce in range(5):
                began = time.monotonic()
                await observer.pool.submit(sign_transfer(nonce, genesis_hash=genesis.hash))
                await asyncio.gather(*(node.chain.wait_above(nonce) for node in nodes))
                took.append(time.monotonic() - began)
            print("final everywhere after", took)
            assert sorted(took)[2] < 0.7
            assert len({node.store.tip_hash() for node in nodes}) == 1


async def test_a_validator_that_was_away_catches_up_and_votes_again(tmp_path: Path) -> None:
    genesis = make_network_genesis()
    first = PeerNode(tmp_path / "0", genesis, MINERS[0])
    async with running(first), contextlib.AsyncExitStack() as stack:
        others = [
            PeerNode(tmp_path / str(i), genesis, MINERS[i], seeds=[first.address]) for i in (1, 2)
        ]
        await stack.enter_async_context(running(*others))
        three = [first, *others]
        for nonce in range(12):
            await first.pool.submit(sign_transfer(nonce, genesis_hash=genesis.hash))
            await asyncio.gather(*(node.chain.wait_above(nonce) for node in three))
        late = PeerNode(tmp_path / "3", genesis, MINERS[3], seeds=[first.address])
        await stack.enter_async_context(running(late))
        await asyncio.wait_for(late.chain.wait_above(11), 10)
        await until(lambda: not late.chain.catching_up)
        # Now one of the other three may be missing.
        await others[1].network.stop(0)
        others[1].agreement.stop()
        await late.pool.submit(sign_transfer(12, genesis_hash=genesis.hash))
        for node in (late, first, others[0]):
            await asyncio.wait_for(node.chain.wait_above(12), 20)
        assert late.store.tip_hash() == first.store.tip_hash()
