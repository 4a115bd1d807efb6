"""Nodes find each other, stay connected, and find back."""

from __future__ import annotations

from pathlib import Path

from tests.network.peers.nodes import MINERS, Node, make_genesis, running, until


async def test_both_can_call_each_other_though_one_dialled(tmp_path: Path) -> None:
    genesis = make_genesis()
    first = Node(tmp_path / "0", genesis, MINERS[0])
    async with running(first):
        second = Node(tmp_path / "1", genesis, MINERS[1], seeds=[first.address])
        async with running(second):
            await until(lambda: first.linked() == second.linked() == 1)
            assert [info.outbound for info in first.network.peers()] == [False]
            assert [info.outbound for info in second.network.peers()] == [True]
            assert first.network.peers()[0].address == second.address
            assert first.network.peers()[0].node_key == MINERS[1].public_key
