"""When a validator's vote is overdue, and what its status and health say then."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from fedcoin.application.node import node as node_module
from fedcoin.application.node.node import open_node
from fedcoin.application.node.voting.vote_signer import VoteSigner
from fedcoin.application.node.watching import vote_watch
from fedcoin.application.node.watching.vote_watch import VoteWatch, VotingPosition, longest_vote_ms
from fedcoin.consensus.effects import CastVote
from fedcoin.data.messages.parameters import Parameters
from fedcoin.network.api.backend import OwnVotes
from fedcoin.network.client.node_client import NodeClient
from tests.support.training_site import node_home
from tests.support.waiting import until

LIMIT_MS = 90_000


@dataclass
class Site:
    """A validator at height 10, between two blocks, with a clock that a test sets."""

    now_ms: int = 1_000_000
    watch: VoteWatch = field(init=False)

    def __post_init__(self) -> None:
        self.watch = VoteWatch(LIMIT_MS, lambda: self.now_ms)
        assert not self.observe(10, is_started=False)

    def observe(
        self, height: int, round: int = 0, *, is_started: bool = True, is_validator: bool = True
    ) -> bool:
        return self.watch.observe(VotingPosition(height, round, is_started, is_validator))

    def vote(self, height: int, round: int = 0) -> None:
        vote: Any = SimpleNamespace(height=height, round=round)
        self.watch.note_vote(vote)


def test_a_vote_is_overdue_after_the_limit() -> None:
    site = Site()
    assert not site.observe(10)
    site.now_ms += LIMIT_MS - 1
    assert not site.observe(10)
    site.now_ms += 1
    assert site.observe(10)
    assert site.watch.own_votes().is_overdue
    site.vote(10)
    assert not site.observe(10)
    assert site.watch.own_votes() == OwnVotes(10, site.now_ms, False)


def test_nothing_is_owed_between_blocks() -> None:
    site = Site()
    site.now_ms += 100 * LIMIT_MS
    assert not site.observe(10, is_started=False)
    site.vote(10)
    site.now_ms += 100 * LIMIT_MS
    assert not site.observe(11, is_started=False)


def test_who_has_voted_in_a_round_may_wait_for_the_others() -> None:
    site = Site()
    site.vote(10, 3)
    site.now_ms += 100 * LIMIT_MS
    assert not site.observe(10, 3)
    assert not site.observe(10, 4)
    site.now_ms += LIMIT_MS
    assert site.observe(10, 4)


def test_blocks_that_others_decide_are_owed_also_between_them() -> None:
    site = Site()
    assert not site.observe(12, is_started=False)
    site.now_ms += LIMIT_MS
    assert site.observe(13, is_started=False)


def test_a_late_validator_that_votes_is_not_overdue() -> None:
    site = Site()
    for height in range(10, 60):
        assert not site.observe(height + 3)
        site.now_ms += LIMIT_MS // 2
        site.vote(height)


def test_others_owe_nothing() -> None:
    site = Site()
    for height in (10, 20):
        site.now_ms += 2 * LIMIT_MS
        assert not site.observe(height, is_validator=False)
    assert not site.observe(20)
    site.now_ms += LIMIT_MS
    assert site.observe(20)


def test_the_limit_is_above_all_timers() -> None:
    assert longest_vote_ms(Parameters()) == LIMIT_MS
    assert longest_vote_ms(Parameters(propose_timeout_ms=600_000)) == 630_000


async def test_health_follows_a_signer_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the disk that stores the votes does not answer."""
    goes_on, sign = threading.Event(), VoteSigner.sign

    def sign_later(self: VoteSigner, height: int, effect: CastVote) -> Any:
        goes_on.wait(60)
        return sign(self, height, effect)

    monkeypatch.setattr(VoteSigner, "sign", sign_later)
    monkeypatch.setattr(vote_watch, "CHECK_SECONDS", 0.02)
    monkeypatch.setattr(node_module, "longest_vote_ms", lambda parameters: 300)
    home = node_home(tmp_path, max_block_interval_ms=200)
    config = home.config({}, {"miner.warm": False})
    statuses = health_pb2.HealthCheckResponse
    async with (
        open_node(config, home, asyncio.Event()) as node,
        grpc.aio.insecure_channel(node.api.address) as channel,
        NodeClient(node.api.address) as client,
    ):
        stub = health_pb2_grpc.HealthStub(channel)

        async def health_is(status: int) -> bool:
            reply = await stub.Check(health_pb2.HealthCheckRequest())
            return bool(reply.status == status)

        try:
            assert await health_is(statuses.SERVING)
            await until(lambda: health_is(statuses.NOT_SERVING), "the vote is overdue")
            status = await client.get_status()
            assert (status.vote_overdue, status.last_vote_ms) == (True, 0)
            goes_on.set()
            await until(lambda: health_is(statuses.SERVING), "it votes again")
            status = await client.get_status()
            assert not status.vote_overdue
            assert status.last_vote_height >= 1
            assert status.last_vote_ms > 0
        finally:
            goes_on.set()


async def test_a_validator_that_restarts_while_others_are_silent_owes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It voted before, and signs no second vote in the round that cannot end."""
    monkeypatch.setattr(vote_watch, "CHECK_SECONDS", 0.02)
    monkeypatch.setattr(node_module, "longest_vote_ms", lambda parameters: 300)
    home = node_home(tmp_path, silent_bond=10**10, max_block_interval_ms=200)
    # No peer comes that could say that the chain has no blocks.
    config = home.config({}, {"miner.warm": False, "miner.vote_without_record": True})

    async with open_node(config, home, asyncio.Event()) as node:
        await until(lambda: node.votes.own_votes().last_height == 1, "it votes on the first block")
    async with open_node(config, home, asyncio.Event()) as node:
        await until(lambda: node.agreement.is_started, "it takes part in the voting again")
        await asyncio.sleep(0.6)
        assert not node.votes.own_votes().is_overdue
