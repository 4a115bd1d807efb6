"""Four validators agree: all present, one missing, and after crashes."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedcoin.application.node.voting.vote_signer import VoteSigner
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.blocks import decode_block
from fedcoin.data.messages.votes import Proposal, Vote
from tests.support.in_memory_nodes import InMemoryNode, InMemoryWire, make_nodes, reach
from tests.support.keys import BOB, MINERS, STRANGER
from tests.support.node_core import NodeCore, make_network_genesis
from tests.support.transfers import sign_transfer
from tests.support.waiting import let_others_run, until


def assert_agree(members: list[InMemoryNode]) -> None:
    height = min(member.chain.height() for member in members)
    blocks = {member.chain.block(height).raw for member in members}  # type: ignore[union-attr]
    assert len(blocks) == 1


async def test_a_transfer_becomes_final_everywhere(tmp_path: Path) -> None:
    members = make_nodes(tmp_path, make_network_genesis(), InMemoryWire())
    for member in members:
        member.start()
    await let_others_run()
    assert [member.chain.height() for member in members] == [0] * 4, "nothing to do, no block"
    await members[0].pool.submit(sign_transfer(0, genesis_hash=members[0].chain.genesis.hash))
    await reach(members, 1)
    assert_agree(members)
    for member in members:
        assert member.chain.ledger.account(BOB.address).balance == 1000
        assert member.chain.ledger.total_supply() == member.chain.genesis.supply
        assert member.pool.pending() == []
        await member.stop()


async def test_votes_of_other_validators_are_passed_to_listeners(tmp_path: Path) -> None:
    members = make_nodes(tmp_path, make_network_genesis(), InMemoryWire())
    signers: set[bytes] = set()
    members[0].agreement.on_vote(lambda vote: signers.add(vote.public_key))
    for member in members:
        member.start()
    await members[0].pool.submit(sign_transfer(0, genesis_hash=members[0].chain.genesis.hash))
    await reach(members, 1)
    await until(lambda: signers >= {miner.public_key for miner in MINERS[1:]})
    for member in members:
        await member.stop()


class SilentWire:
    """Sends nothing. Implements `Broadcaster`."""

    def broadcast(self, message: Proposal | Vote) -> None:
        """Send nothing."""

    def status_changed(self) -> None:
        """Send nothing."""


async def test_a_key_without_a_bond_is_not_asked_whether_it_may_sign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []

    def may_sign(signer: VoteSigner, height: int) -> bool:
        asked.append(signer.public_key)
        return False

    monkeypatch.setattr(VoteSigner, "may_sign", may_sign)
    genesis = make_network_genesis()
    member, stranger = (
        NodeCore(tmp_path / name, genesis, key)
        for name, key in (("member", MINERS[0]), ("stranger", STRANGER))
    )
    for node in (member, stranger):
        node.agreement.start(SilentWire())
        await node.stop()
    assert asked == [MINERS[0].public_key]


async def test_three_of_four_go_on_and_the_fourth_catches_up(tmp_path: Path) -> None:
    members = make_nodes(tmp_path, make_network_genesis(), InMemoryWire())
    absent = members.pop()
    await absent.stop()
    for member in members:
        member.start()
    for nonce in range(6):
        await members[0].pool.submit(
            sign_transfer(nonce, genesis_hash=members[0].chain.genesis.hash)
        )
        await reach(members, members[0].chain.height() + 1)
    assert members[0].chain.ledger.account(BOB.address).balance == 6000
    again = InMemoryNode(
        members[0].wire, members[0].chain.genesis, tmp_path / "3.sqlite", MINERS[3]
    )
    again.start()
    for height in range(1, members[0].chain.height() + 1):
        stored = members[0].chain.block(height)
        assert stored is not None
        await again.chain.import_block(decode_block(stored.raw), stored.certificate)
    await members[0].pool.submit(sign_transfer(6, genesis_hash=members[0].chain.genesis.hash))
    await reach([*members, again], members[0].chain.height() + 1)
    assert_agree([*members, again])
    for member in [*members, again]:
        await member.stop()


async def test_a_restarted_validator_keeps_its_word(tmp_path: Path) -> None:
    wire = InMemoryWire()
    members = make_nodes(tmp_path, make_network_genesis(), wire)
    wire.drops = lambda sender, receiver: True
    for member in members:
        member.start()
        await member.pool.submit(sign_transfer(0, genesis_hash=member.chain.genesis.hash))
    await until(lambda: all(member.store.votes.list_at(1) for member in members))
    assert [member.chain.height() for member in members] == [0] * 4
    said = [member.store.votes.list_at(1) for member in members]
    genesis = members[0].chain.genesis
    for member in members:
        await member.stop()
    wire.drops = lambda sender, receiver: False
    again = make_nodes(tmp_path, genesis, wire)
    for member in again:
        member.start()
    await again[0].pool.submit(sign_transfer(0, genesis_hash=genesis.hash))

    def decided() -> bool:
        wire.repeat()
        return all(member.chain.height() for member in again)

    await until(decided)
    assert_agree(again)
    for member, before in zip(again, said, strict=True):
        kept = member.store.votes.list_at(1)
        assert [vote for vote in kept if vote in before] == before
        assert len({(v.kind, v.round) for v in kept}) == len(kept)
        await member.stop()


async def test_an_import_with_a_bad_certificate_changes_nothing(tmp_path: Path) -> None:
    members = make_nodes(tmp_path, make_network_genesis(), InMemoryWire())
    behind = members.pop()
    members[0].wire.members.remove(behind)
    for member in members:
        member.start()
    await members[0].pool.submit(sign_transfer(0, genesis_hash=members[0].chain.genesis.hash))
    await reach(members, 1)
    stored = members[0].chain.block(1)
    assert stored is not None
    for certificate in (b"", stored.certificate[:-9], b"\x00" * 64):
        with pytest.raises(RefusalError):
            await behind.chain.import_block(decode_block(stored.raw), certificate)
    assert behind.chain.height() == 0
    await behind.chain.import_block(decode_block(stored.raw), stored.certificate)
    assert behind.chain.height() == 1
    behind.wire.members.append(behind)
    for member in [*members, behind]:
        await member.stop()
