"""A task with groups of look-alikes through a network of two miners: wrong groups are refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from fedcoin.data.artifacts.tensors import decode_tensors, encode_tensors
from fedcoin.learning.model.look_alikes import group_weights, measure_similarities
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.v1 import task_pb2
from tests.support.e2e.campaigns import Campaign, check_paid, reached
from tests.support.e2e.materials import Round, average, id_of
from tests.support.e2e.network import BOND, BRISK, Network, serving

LIMIT = 0.98
GROUPS = (0, 1, 0)


def copied() -> Round:
    """Return a round of three clients, of which the last sends a near copy of the first."""
    work = Round(3, size=100)
    first = decode_tensors(work.updates[0])
    rng = np.random.default_rng(0)
    noisy = {n: (a + rng.normal(0, 1e-3, a.shape)).astype(np.float32) for n, a in first.items()}
    work.updates[2] = encode_tensors(noisy)
    return work


WORK = copied()


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with serving(tmp_path_factory.mktemp("alike"), [BOND] * 2, BRISK) as network:
        yield network


def grouped(*groups: int) -> tuple[bytes, dict[str, Any]]:
    """Return the aggregate of these groups, and the terms of their task."""
    aggregate = average(WORK.updates, group_weights(groups))
    averaging = task_pb2.AVERAGING_EQUAL
    terms = {"groups": groups, "aggregate": id_of(aggregate), "averaging": averaging}
    return aggregate, terms


async def test_only_sound_groups_are_voted_for(network: Network) -> None:
    base, *updates = (decode_tensors(raw) for raw in (WORK.base, *WORK.updates))
    similarities = measure_similarities(base, updates)
    assert similarities[0, 2] > LIMIT > similarities[0, 1]
    async with network.nodes[0].client() as client:
        campaign = Campaign(client, network.chain, WORK)
        # A near copy apart from its owner, an honest client among them, and no groups at all.
        wrong = ((0, 1, 2), (0, 0, 0), (0, 1, 1))
        await campaign.upload(*(grouped(*groups)[0] for groups in (*wrong, GROUPS)))
        await campaign.open(similarity_limit_ppm=round(LIMIT * 1_000_000))
        for groups in wrong:
            with pytest.raises(RpcError) as caught:
                await campaign.submit_task(**grouped(*groups)[1])
            assert caught.value.code == "WRONG_GROUPS", groups
        with pytest.raises(RpcError) as caught:
            await campaign.submit_task()
        assert caught.value.code == "BAD_GROUPS"
        # Sound groups, and the average in which each address counts.
        per_address = id_of(grouped(0, 1, 2)[0])
        with pytest.raises(RpcError) as caught:
            await campaign.submit_task(**{**grouped(*GROUPS)[1], "aggregate": per_address})
        assert caught.value.code == "WRONG_AGGREGATE"
        task_id = await campaign.open_task(**grouped(*GROUPS)[1])
        view = await reached(client, task_id, "SETTLED")
    check_paid(view)
    assert [client.group for client in view.clients] == list(GROUPS)
    owner, other, copier = (client.shapley_nano for client in view.clients)
    assert abs(owner - copier) <= 1
    assert other > owner > 0
    assert len([miner for miner in view.miners if miner.inlier]) == 2
