"""A round's page says when one answer alone is as accurate as the base model."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np

from fedcoin.application.explorer.reading.task_notes import MAX_EVALUATION_BYTES
from fedcoin.data.artifacts.tensors import encode_tensors
from fedcoin.data.crypto import merkle
from fedcoin.v1.task_pb2 import UTILITY_BALANCED_ACCURACY, EvaluationShard
from tests.support.explored_chain import Answer, Explored, explore
from tests.support.genesis import FDC
from tests.support.ledger_campaign import LedgerCampaign, additive

SENTENCE = "always answering 1, the most frequent label, is right for 70.0 %"


def evaluation_set(*, is_skewed: bool = True, num_inputs: int = 4) -> bytes:
    """Encode 100 examples of two classes."""
    labels = np.arange(100) % 10 < (7 if is_skewed else 5)
    inputs = np.zeros((100, num_inputs), np.float32)
    return encode_tensors({"x": inputs, "y": labels.astype(np.int64)})


async def settle(explored: Explored, evaluation: bytes, utility: int | None = None) -> str:
    """Settle a round whose base model answers 60 of 100 examples right; returns its page's path."""
    artifact = explored.live.artifacts.put(evaluation)
    changes = {} if utility is None else {"utility": utility}
    job = LedgerCampaign(explored.live.chain)
    job.open_campaign(
        rounds=1,
        budget=10 * FDC,
        evaluation_root=merkle.root([artifact]),
        evaluation_shards=1,
        **changes,
    )
    path = merkle.audit_path([artifact], 0)
    shard = EvaluationShard(artifact=artifact, index=0, path=path, size=100)
    task = job.open_task(evaluation=shard, **changes)
    job.settle({m: additive(5, 3, 0, base=60) for m in explored.live.chain.miners})
    await explored.caught_up()
    return f"/task/{task.hex()}"


def pages(folder: Path, *evaluations: bytes) -> list[Answer]:
    """Settle a round on each evaluation set, and fetch its page."""

    async def ask() -> list[Answer]:
        async with explore(folder) as explored:
            paths = [await settle(explored, evaluation) for evaluation in evaluations]
            return [await explored.get(path) for path in paths]

    return asyncio.run(ask())


def test_a_frequent_label_that_explains_the_base_model_is_named(tmp_path: Path) -> None:
    skewed, similar = pages(tmp_path, evaluation_set(), evaluation_set(is_skewed=False))
    assert f"Note: {SENTENCE}" in skewed.text
    assert (similar.status, "Note:" in similar.text) == (200, False)


def test_a_set_that_is_long_or_malformed_leaves_the_page_as_it_is(tmp_path: Path) -> None:
    long = evaluation_set(num_inputs=MAX_EVALUATION_BYTES // 400 + 1)
    for page in pages(tmp_path, long, b"no tensors"):
        assert (page.status, "Note:" in page.text) == (200, False)
        assert "Shapley value" in page.text


def test_a_set_that_the_node_does_not_hold_is_asked_for_once(tmp_path: Path) -> None:
    async def ask() -> tuple[Answer, Answer]:
        async with explore(tmp_path) as explored:
            path = await settle(explored, evaluation_set())
            artifacts = explored.live.artifacts
            assert artifacts.remove(artifacts.put(evaluation_set()))
            gone = await explored.get(path)
            artifacts.put(evaluation_set())
            return gone, await explored.get(path)

    for page in asyncio.run(ask()):
        assert (page.status, "Note:" in page.text) == (200, False)


def test_other_measures_have_no_such_note(tmp_path: Path) -> None:
    async def ask() -> Answer:
        async with explore(tmp_path) as explored:
            path = await settle(explored, evaluation_set(), UTILITY_BALANCED_ACCURACY)
            return await explored.get(path)

    page = asyncio.run(ask())
    assert (page.status, "Note:" in page.text) == (200, False)
