"""The published algorithms against the golden vectors in tests/vectors/incentive.json."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fedcoin.incentive.proof.challenge import derive_challenge, draw_challenged_leaves
from fedcoin.incentive.proof.evidence import (
    build_evidence_tree,
    compute_commitment,
    verify_evidence,
)
from fedcoin.incentive.proof.hash_stream import HashStream
from fedcoin.incentive.proof.sampling_plan import SamplingPlan
from fedcoin.incentive.proof.walk_layout import WalkLayout
from fedcoin.v1 import task_pb2
from tests.support.paths import read_vectors

VECTORS: dict[str, Any] = read_vectors("incentive")


def test_stream() -> None:
    vector = VECTORS["stream"]
    stream = HashStream(bytes.fromhex(vector["seed"]))
    assert [stream.next_word() for _ in vector["words"]] == vector["words"]
    stream = HashStream(bytes.fromhex(vector["seed"]))
    assert [stream.draw_below(bound) for bound, _ in vector["below"]] == [
        d for _, d in vector["below"]
    ]


@pytest.mark.parametrize("vector", VECTORS["orders"])
def test_orders(vector: dict[str, Any]) -> None:
    walks = WalkLayout(
        vector["clients"],
        vector["antithetic"],
        bytes.fromhex(vector["task_id"]),
        bytes.fromhex(vector["public_key"]),
    )
    assert walks.order(vector["index"]) == vector["order"]


def test_challenge() -> None:
    vector = VECTORS["challenge"]
    salts = {bytes.fromhex(k): bytes.fromhex(v) for k, v in vector["salts"].items()}
    challenge = derive_challenge(bytes.fromhex(vector["task_id"]), vector["attempt"], salts)
    assert challenge.hex() == vector["challenge"]
    key = bytes.fromhex(vector["public_key"])
    for samples, q, leaves in vector["leaves"]:
        assert list(draw_challenged_leaves(challenge, key, samples, q)) == leaves


@pytest.mark.parametrize("vector", VECTORS["trees"])
def test_trees(vector: dict[str, Any]) -> None:
    plan = SamplingPlan(
        schedule=task_pb2.Schedule.Value(vector["schedule"]),
        clients=vector["clients"],
        evaluation_size=vector["evaluation_size"],
        truncation=vector["truncation"],
        max_samples=vector["max_samples"],
        task_id=bytes.fromhex(vector["task_id"]),
        public_key=bytes.fromhex(vector["public_key"]),
    )
    tree = build_evidence_tree(
        plan, np.array(vector["utilities"]), vector["grand"], vector["empty"]
    )
    assert tree.root.hex() == vector["root"]
    assert tree.total == vector["total"]
    assert (
        compute_commitment(
            tree.build_opening(),
            bytes.fromhex(vector["salt"]),
            plan.task_id,
            vector["attempt"],
            bytes.fromhex(vector["address"]),
        ).hex()
        == vector["commitment"]
    )
    challenge = bytes.fromhex(vector["challenge"])
    indices = draw_challenged_leaves(challenge, plan.public_key, tree.samples, vector["q"])
    assert list(indices) == vector["indices"]
    evidence = tree.prove(indices)
    assert [node.hash.hex() for node in evidence.siblings] == vector["siblings"]
    proved = verify_evidence(evidence, plan, challenge, vector["q"])
    assert list(proved.shapley_nano) == vector["shapley_nano"]
