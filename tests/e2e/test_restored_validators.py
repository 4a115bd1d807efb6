"""A validator that is restored from an old copy keeps silent until it cannot contradict itself."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from fedcoin.application.configuration.home import NODE_KEY
from fedcoin.application.node.voting.signing_guard import LEASED_HEIGHTS
from fedcoin.data.storage.chain_store import ChainStore
from tests.conftest import ReportAttack
from tests.support.e2e.network import BOND, BRISK, IDLE_MINER, Network, Node, pay
from tests.support.keys import ALICE, BOB
from tests.support.programs import Stage
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(300)


def heights_voted(node: Node) -> set[int]:
    with ChainStore.open(node.home.chain_path, node.home.genesis()) as store:
        return {h for h in range(1, store.height() + 2) if store.votes.list_at(h)}


def is_in_certificates(public_key: bytes, database: Path) -> bool:
    """Tell whether a certificate of a running node's last blocks holds a vote of a key."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT certificate FROM blocks ORDER BY height DESC LIMIT 9")
        return any(public_key in certificate for (certificate,) in rows)


async def test_a_restored_validator_votes_again_when_the_chain_has_passed_its_votes(
    tmp_path: Path,
) -> None:
    with Stage(tmp_path) as stage:
        network = Network(stage, [BOND] * 4, BRISK, settings=IDLE_MINER)
        restored, copy = network.nodes[3], tmp_path / "copy"
        await network.start()

        async def make_blocks(count: int) -> int:
            async with network.nodes[0].client() as client:
                for _ in range(count):
                    height = (await pay(client, ALICE, BOB.address, 1)).height
            return height

        await restored.caught_up(await make_blocks(2))
        restored.program.stop()
        known = heights_voted(restored)
        shutil.copytree(restored.home.root, copy)
        await restored.start()
        await restored.caught_up(await make_blocks(5))
        restored.program.stop()
        # Of some blocks it may have learnt when the others had decided them.
        assert heights_voted(restored) - known, "it voted for none of five blocks"
        mark = next(restored.home.keys_path.glob("*.votes")).name
        kept = (restored.home.keys_path / mark).read_bytes()
        shutil.rmtree(restored.home.root)
        shutil.copytree(copy, restored.home.root)
        # The folder of keys was not restored with the rest.
        (restored.home.keys_path / mark).write_bytes(kept)
        await restored.start()
        top = await make_blocks(LEASED_HEIGHTS + 5)
        await restored.caught_up(top)
        assert "is silent at height" in restored.program.said()
        restored.program.stop()
        voted = heights_voted(restored)
        assert not voted & set(range(3, LEASED_HEIGHTS + 1))
        assert max(voted) > LEASED_HEIGHTS


@pytest.mark.attack
async def test_a_validator_that_missed_the_first_blocks_keeps_the_network_going(
    tmp_path: Path, report_attack: ReportAttack
) -> None:
    """It has no record of votes, as one whose disk was lost, but the note that it never voted."""
    with Stage(tmp_path) as stage:
        network = Network(stage, [BOND] * 4, BRISK, settings=IDLE_MINER)
        *others, late = network.nodes
        for node in others:
            node.program.start()
        for node in others:
            await node.ready()
        async with others[0].client() as client:
            height = (await pay(client, ALICE, BOB.address, 1)).height
            await late.start()
            await late.caught_up(height)
            others[2].program.kill()
            # Three of four make this block, so that the late one has to vote.
            paid = await pay(client, ALICE, BOB.address, 1)
        await late.caught_up(paid.height)
        late.program.stop()
        assert paid.height in heights_voted(late)
        assert not late.home.unused_key(NODE_KEY).path.exists()
    report_attack(
        "a validator of four starts after the first block, and another one dies at once",
        "the late one is silent until the chain has moved on for 10 s, which it cannot: a halt",
        "it knows that its key has signed nothing, and votes",
    )


async def test_a_key_that_voted_elsewhere_is_not_unused_where_it_was_made(tmp_path: Path) -> None:
    """The note beside it holds: file and start of the machine are those of then."""
    with Stage(tmp_path) as stage:
        brisk = {**BRISK, "max_clock_drift_ms": 500}
        network = Network(stage, [BOND] * 4, brisk, settings=IDLE_MINER)
        *others, first = network.nodes
        moved = tmp_path / "moved"
        shutil.copytree(first.home.root, moved)
        elsewhere = stage.program("moved", "start", "--home", moved, "--mine")
        for node in others:
            node.program.start()
        elsewhere.start()
        # The copy serves at the addresses of the home that it was copied from.
        for node in network.nodes:
            await node.ready()
        async with others[0].client() as client:

            async def make_block() -> int:
                return (await pay(client, ALICE, BOB.address, 1)).height

            async def has_voted() -> bool:
                await make_block()
                return is_in_certificates(first.key.public_key, others[0].home.chain_path)

            await until(has_voted, "a certificate holds a vote from elsewhere", seconds=60)
            elsewhere.stop()
            assert first.home.unused_key(NODE_KEY).holds()
            await first.start()
            await first.caught_up(await make_block())
        assert "is silent at height" in first.program.said()
