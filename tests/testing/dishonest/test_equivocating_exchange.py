"""One of four real nodes votes twice: it is reported, and each chain slashes its bond."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from fedcoin.application.node.local_access import LocalAccess
from fedcoin.application.wallet.transaction_submitter import TransactionSubmitter
from fedcoin.contract.state import records
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.votes import PRECOMMIT, PREVOTE, Vote, sign_vote
from fedcoin.network.peers.peer_network import PeerNetwork
from fedcoin.testing.dishonest.equivocating_exchange import (
    EquivocatingExchange,
    contradict_vote,
)
from fedcoin.v1.transaction_pb2 import ReportEquivocation
from tests.conftest import ReportAttack
from tests.support import peer_nodes
from tests.support.keys import MINERS
from tests.support.node_core import make_network_genesis
from tests.support.peer_nodes import PeerNode, running
from tests.support.transfers import sign_transfer
from tests.support.waiting import until

EQUIVOCATOR = MINERS[3]
GENESIS_HASH = sha256(b"genesis")


@pytest.mark.parametrize("kind", [PREVOTE, PRECOMMIT])
@pytest.mark.parametrize("value", [b"h" * 32, b""])
def test_a_contradiction_is_slashable(kind: int, value: bytes) -> None:
    vote = sign_vote(kind, 7, 1, value, EQUIVOCATOR, GENESIS_HASH)
    other = contradict_vote(vote, EQUIVOCATOR, GENESIS_HASH)
    assert (other.kind, other.height, other.round) == (kind, 7, 1)
    assert bool(other.block_hash) != bool(value)


class Reporting:
    """Collects contradicting votes that a node finds, and reports them as a miner does."""

    def __init__(self, node: PeerNode) -> None:
        self.node = node
        self.seen: list[tuple[Vote, Vote]] = []
        self.wallet = TransactionSubmitter(
            LocalAccess(node.chain, node.pool), node.key, node.genesis.identity
        )
        node.agreement.on_equivocation(self)

    def __call__(self, first: Vote, second: Vote) -> None:
        self.seen.append((first, second))
        self.node.owner.start(self.report(first, second), "report")

    async def report(self, first: Vote, second: Vote) -> None:
        action = ReportEquivocation(first=first.envelope, second=second.envelope)
        with suppress(RefusalError):  # It is slashed already, and voted twice again meanwhile.
            await self.wallet.submit(action)


@pytest.mark.attack
async def test_a_validator_that_votes_twice_is_reported_and_slashed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, report_attack: ReportAttack
) -> None:
    genesis = make_network_genesis()
    honest = [PeerNode(tmp_path / f"{i}", genesis, key) for i, key in enumerate(MINERS[:3])]

    equivocating = partial(PeerNetwork, make_consensus=partial(EquivocatingExchange, EQUIVOCATOR))
    monkeypatch.setattr(peer_nodes, "PeerNetwork", equivocating)
    equivocator = PeerNode(tmp_path / "equivocator", genesis, EQUIVOCATOR)
    reporting = Reporting(honest[0])
    everyone = [*honest, equivocator]
    async with running(*everyone):
        for place, node in enumerate(everyone):
            for other in everyone[:place]:
                await node.network.add(other.address)
        await until(lambda: all(node.linked() == 3 for node in everyone))
        await honest[0].pool.submit(sign_transfer(0, genesis_hash=genesis.hash))

        def slashed(node: PeerNode) -> bool:
            bond = records.BONDS.get(node.chain.ledger.reader, EQUIVOCATOR.address)
            return bond is not None and bond.slashed and not bond.bond

        await until(lambda: all(slashed(node) for node in everyone), seconds=20)
        first, second = reporting.seen[0]
        assert first.public_key == second.public_key == EQUIVOCATOR.public_key
        # The other three go on, and only the equivocator loses coins.
        height = honest[0].chain.height()
        await honest[0].pool.submit(sign_transfer(1, genesis_hash=genesis.hash))
        await until(lambda: all(node.chain.height() > height for node in everyone), seconds=20)
        assert len(honest[0].chain.ledger.validators()) == 3
        assert honest[0].chain.ledger.total_supply() == genesis.supply
        assert len({node.chain.ledger.app_hash for node in everyone}) == 1
    report_attack(
        "a validator sends contradicting votes to different peers (`equivocator`)",
        "no more than now",
        "is reported and loses its whole bond; the others go on",
    )
