"""Validators whose clocks differ, and one that helps a block to a polka and then keeps silent."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedcoin.contract.blocks.ledger import Ledger
from fedcoin.contract.state.genesis_state import genesis_changes
from fedcoin.contract.state.overlay import MemoryState
from fedcoin.data.clock import unix_ms
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.messages.votes import PREVOTE, Proposal, Vote, sign_vote
from tests.conftest import ReportAttack
from tests.support.in_memory_nodes import InMemoryNode, InMemoryWire
from tests.support.keys import MINERS
from tests.support.node_core import make_network_genesis
from tests.support.transfers import sign_transfer
from tests.support.waiting import until

AHEAD_MS = 4_980
BEHIND_MS = -100


class HelpfulOnceWire(InMemoryWire):
    """Adds a prevote by one more validator to each proposal of round 0, and nothing else."""

    def __init__(self, helper: KeyPair, genesis_hash: bytes) -> None:
        super().__init__()
        self._helper = helper
        self._genesis_hash = genesis_hash

    def send(self, sender: InMemoryNode, message: Proposal | Vote) -> None:
        super().send(sender, message)
        if isinstance(message, Proposal) and message.round == 0:
            prevote = sign_vote(
                PREVOTE,
                message.height,
                0,
                message.block_hash,
                self._helper,
                self._genesis_hash,
                audited=True,
            )
            super().send(sender, prevote)


def in_turn(genesis: Genesis) -> list[KeyPair]:
    """The miners in the order in which they propose the first block."""
    entries = {key: value for key, value in genesis_changes(genesis).items() if value is not None}
    ledger = Ledger(MemoryState(entries), genesis)
    keys = {key.address: key for key in MINERS}
    return [keys[ledger.proposer(round).address] for round in range(4)]


@pytest.mark.attack
async def test_a_clock_that_is_behind_does_not_stop_a_block_with_a_polka(
    tmp_path: Path, report_attack: ReportAttack
) -> None:
    """Two validators lock on the block of a fast clock; the third found its time too far ahead."""
    genesis = make_network_genesis()
    fast, exact, slow, helper = in_turn(genesis)
    wire = HelpfulOnceWire(helper, genesis.hash)
    skews = {fast: AHEAD_MS, exact: 0, slow: BEHIND_MS}
    members = [
        InMemoryNode(
            wire,
            genesis,
            tmp_path / f"{number}.sqlite",
            key,
            clock=lambda skew=skew: unix_ms() + skew,  # type: ignore[misc]
        )
        for number, (key, skew) in enumerate(skews.items())
    ]
    for member in members:
        member.start()
        await member.pool.submit(sign_transfer(0, genesis_hash=genesis.hash))

    def decided() -> bool:
        wire.repeat()
        return all(member.chain.height() for member in members)

    await until(decided)
    blocks = {member.chain.block(1).raw for member in members}  # type: ignore[union-attr]
    assert len(blocks) == 1
    for member in members:
        await member.stop()
    report_attack(
        "a proposer sets its clock so far ahead that some validators refuse its block",
        "the chain halts",
        "the others' polka makes the block final everywhere",
    )
