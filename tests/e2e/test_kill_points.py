"""Nodes that end at each point of each write: they start again, and nothing is lost."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fedcoin.data.artifacts.manifest import compute_artifact_id
from fedcoin.data.failpoints import Failpoint
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.v1.block_pb2 import PAYMENT_KIND_DEPOSIT_BURNED
from fedcoin.v1.views_pb2 import TRANSACTION_STATUS_FINAL
from tests.support.e2e.campaigns import Campaign, check_paid, reached
from tests.support.e2e.eavesdropper import eavesdropping
from tests.support.e2e.materials import Round
from tests.support.e2e.network import BOND, BRISK, IDLE_MINER, Network, Node, pay
from tests.support.keys import ALICE, key_of
from tests.support.paths import ROOT
from tests.support.processes.killed_node import KILLED
from tests.support.programs import Program, Stage

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

SETTINGS = {**IDLE_MINER, "snapshots.every": 2}
TRANSACTION = (
    Failpoint.TRANSACTION_BEGUN,
    Failpoint.TRANSACTION_WRITTEN,
    Failpoint.TRANSACTION_COMMITTED,
)
FILE = (
    Failpoint.FILE_WRITTEN,
    Failpoint.FILE_SYNCED,
    Failpoint.FILE_RENAMED,
    Failpoint.FILE_DONE,
)
CHUNKS = [bytes([number]) * 3_000_000 for number in range(1, 8)]


@dataclass(frozen=True)
class KillPoint:
    """Where a process ends."""

    point: Failpoint
    subject: str
    hits: int


def voting_points() -> Iterator[KillPoint]:
    """All points of a validator that votes, stores blocks and makes snapshots."""
    for hits in range(1, 20):
        for point in TRANSACTION:
            yield KillPoint(point, "votes", hits)
            yield KillPoint(point, "blocks", hits)
        yield KillPoint(Failpoint.MARK_WRITTEN, "*.votes", hits)
    for hits in range(1, 4):
        yield KillPoint(Failpoint.CHUNK_WRITTEN, "snapshot", hits)
        for point in FILE:
            yield KillPoint(point, "snapshot", hits)


@dataclass
class Lives:
    """One node that is killed again and again, and what it acknowledged."""

    stage: Stage
    network: Network
    node: Node
    options: tuple[str, ...] = ()
    final: dict[str, int] = field(default_factory=dict)
    """Height of each final transfer, by its hash."""
    killed: int = 0

    def start(self, kill: KillPoint) -> Program:
        """Start the node so that it ends at a point."""
        home = self.node.home.root
        words = [sys.executable, "-m", "tests.support.processes.killed_node", kill.point.value]
        words += [f"'{kill.subject}'", str(kill.hits), "start", "--home", str(home), *self.options]
        line = " ".join(words)
        program = self.stage.typed(f"life-{self.killed}", line, ROOT, {"PYTHONPATH": str(ROOT)})
        self.killed += 1
        return program.start()

    async def pay_until_killed(self, kill: KillPoint) -> None:
        """Pay one transfer after the other until the node has ended."""
        program = self.start(kill)
        ended = asyncio.ensure_future(program.ended(120))
        with suppress(RpcError):
            await self.node.ready()
        while not ended.done():
            with suppress(RpcError):
                async with self.node.client() as client:
                    while not ended.done():
                        view = await pay(client, ALICE, key_of("collector").address, 1, seconds=5)
                        self.final[view.hash] = view.height
            await asyncio.sleep(0.02)
        assert await ended == KILLED, (kill, program.said()[-2000:])

    async def check(self) -> None:
        """Start the node as it is, and check that it has every final transfer."""
        await self.node.start()
        async with self.node.client() as client:
            for hash_, height in self.final.items():
                view = await client.get_transaction(hash_)
                assert (view.status, view.height) == (TRANSACTION_STATUS_FINAL, height)
            await pay(client, ALICE, key_of("collector").address, 1)
            bonds = {v.public_key: v.bond for v in await client.list_validators()}
        assert bonds == {key.hex(): bond for key, bond in self.network.bonds.items()}


@asynccontextmanager
async def validator(root: Path) -> AsyncIterator[Lives]:
    """One validator; on leaving, its chain, its votes and its coins are checked."""
    with Stage(root) as stage:
        network = Network(stage, [BOND], BRISK, settings=SETTINGS)
        lives = Lives(stage, network, network.nodes[0], ("--mine",))
        await network.start()
        network.nodes[0].program.stop()
        yield lives
        await lives.check()
        network.finish()


@pytest.mark.parametrize("share", range(6))
async def test_a_validator_killed_at_each_point_loses_nothing(tmp_path: Path, share: int) -> None:
    points = list(voting_points())[share::6]
    async with validator(tmp_path) as lives, eavesdropping(lives.network):
        for point in points:
            await lives.pay_until_killed(point)
    assert lives.killed == len(points)


# The lease, and the first vote of it. Later leases are written over this file.
@pytest.mark.parametrize("hits", [1, 2])
@pytest.mark.parametrize("point", FILE)
async def test_a_validator_killed_while_it_writes_its_first_mark_votes_on(
    tmp_path: Path, point: Failpoint, hits: int
) -> None:
    with Stage(tmp_path) as stage:
        network = Network(stage, [BOND], BRISK, settings=SETTINGS)
        lives = Lives(stage, network, network.nodes[0], ("--mine",))
        await lives.pay_until_killed(KillPoint(point, "*.votes", hits))
        await lives.check()
        network.finish()


async def test_a_node_killed_while_it_fetches_blocks_goes_on(tmp_path: Path) -> None:
    points = [KillPoint(point, "blocks", 1 + n % 2) for n in range(15) for point in TRANSACTION]
    with Stage(tmp_path) as stage:
        network = Network(stage, [BOND], BRISK, settings=IDLE_MINER)
        follower = network.add("follower", key_of("follower"))
        lives = Lives(stage, network, follower)
        await network.nodes[0].start()
        for kill in points:
            async with network.nodes[0].client() as client:
                for _ in range(3):
                    await pay(client, ALICE, key_of("collector").address, 1)
            program = lives.start(kill)
            # It fetches the three blocks, and follows those that come then.
            ended = asyncio.ensure_future(program.ended(120))
            while not ended.done():
                async with network.nodes[0].client() as client:
                    await pay(client, ALICE, key_of("collector").address, 1)
                await asyncio.sleep(0.1)
            assert await ended == KILLED, (kill, program.said()[-2000:])
        await follower.start()
        await network.wait_for_one_state()
        network.finish()


async def test_an_upload_killed_at_each_point_ends_whole(tmp_path: Path) -> None:
    points = [KillPoint(Failpoint.CHUNK_WRITTEN, "*.data", hits) for hits in (1, 2, 3)]
    points += [KillPoint(point, "*.data", 1) for point in FILE]
    async with validator(tmp_path) as lives:
        for content, kill in zip(CHUNKS, points, strict=True):
            program = lives.start(kill)
            await lives.node.ready()
            with pytest.raises(RpcError):
                async with lives.node.client() as client:
                    await client.upload_artifact(content)
            assert await program.ended() == KILLED
            await lives.node.start()
            async with lives.node.client() as client:
                artifact = compute_artifact_id(content)
                assert await client.upload_artifact(content) == artifact
                assert await client.download_artifact(artifact) == content
            lives.node.program.stop()


@pytest.mark.parametrize("point", FILE)
async def test_a_miner_killed_while_it_keeps_its_work_burns_nothing(
    tmp_path: Path, point: Failpoint
) -> None:
    with Stage(tmp_path) as stage:
        network = Network(stage, [BOND] * 4, BRISK)
        *_, victim = network.nodes
        await network.start()
        victim.program.stop()
        lives = Lives(stage, network, victim, ("--mine",))
        program = lives.start(KillPoint(point, "*.work", 1))
        await victim.ready()
        async with network.nodes[0].client() as client:
            campaign = Campaign(client, network.chain, Round(3))
            await campaign.upload()
            await campaign.open()
            task_id = await campaign.open_task(commit_window_ms=60_000, reveal_window_ms=30_000)
            assert await program.ended(120) == KILLED
            await victim.start()
            view = await reached(client, task_id, "SETTLED")
            check_paid(view)
            assert all(miner.revealed for miner in view.miners if miner.committed)
            kinds = {payment.kind for payment in await client.list_payments(task_id)}
            assert PAYMENT_KIND_DEPOSIT_BURNED not in kinds
            bonds = {v.public_key: v.bond for v in await client.list_validators()}
        assert bonds == {key.hex(): bond for key, bond in network.bonds.items()}
        await network.wait_for_one_state()
        network.finish()


def unreached(points: Sequence[KillPoint]) -> set[Failpoint]:
    return set(Failpoint) - {kill.point for kill in points}


def test_the_validators_points_cover_every_kind() -> None:
    assert not unreached(list(voting_points()))
    assert len(list(voting_points())) + 45 + len(CHUNKS) + 2 * len(FILE) >= 200
