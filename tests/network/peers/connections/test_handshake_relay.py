"""A machine in the middle cannot get one honest node banned by another."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fedcoin.data.errors import RefusalError
from fedcoin.network.errors import NetworkCode
from tests.conftest import ReportAttack
from tests.support.handshake_relay import relaying_to
from tests.support.keys import MINERS
from tests.support.node_core import make_network_genesis
from tests.support.peer_nodes import PeerNode, running
from tests.support.waiting import until


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[PeerNode, PeerNode]]:
    """Return two honest nodes that do not know each other."""
    genesis = make_network_genesis()
    caller, target = (PeerNode(tmp_path / f"{i}", genesis, MINERS[i]) for i in range(2))
    async with running(caller, target):
        yield caller, target


@pytest.mark.attack
@pytest.mark.parametrize("is_hidden", [False, True])
async def test_a_relay_gets_nobody_banned(
    pair: tuple[PeerNode, PeerNode], is_hidden: bool, report_attack: ReportAttack
) -> None:
    caller, target = pair
    async with relaying_to(target.address, target.address if is_hidden else "") as relay:
        with pytest.raises(RefusalError) as refused:
            await caller.network.add(relay.address)
        assert not relay.sessions
    # A target that hears which address was dialled refuses to sign; if the relay lies about it,
    # the target's signature is not the one that the caller needs.
    expected = NetworkCode.BAD_PROOF if is_hidden else NetworkCode.WRONG_ADDRESS
    assert refused.value.code is expected
    assert relay.refusals == ([] if is_hidden else ["WRONG_ADDRESS"])
    assert not target.network.peer_set.banned()
    assert not caller.network.peer_set.banned()
    await caller.network.add(target.address)
    await until(lambda: caller.linked() == target.linked() == 1)
    report_attack(
        "a machine in the middle passes the handshake of two nodes on (relay attack)",
        "sessions in the name of each, with which it gets one banned by the other",
        "no session, and nobody is banned",
    )
