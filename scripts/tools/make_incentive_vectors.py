"""Write tests/vectors/incentive.json: run it only when the protocol itself changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

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

TARGET = Path(__file__).parents[2] / "tests" / "vectors" / "incentive.json"
"""The file that is written."""

TASK = bytes(range(32))
KEY = bytes(range(64, 96))
SALT = bytes(range(128, 160))
ADDRESS = bytes(range(200, 220))
SALTS = {ADDRESS: SALT, bytes(range(20)): bytes(range(32))}
BOUNDS = [1, 2, 3, 10, 1000, 3_000_000_000, 3_000_000_000, 1 << 32]


def _stream() -> dict[str, Any]:
    words, drawn = HashStream(TASK), HashStream(TASK)
    return {
        "seed": TASK.hex(),
        "words": [words.next_word() for _ in range(10)],
        "below": [[bound, drawn.draw_below(bound)] for bound in BOUNDS],
    }


def _orders() -> list[dict[str, Any]]:
    return [
        {
            "task_id": TASK.hex(),
            "public_key": KEY.hex(),
            "clients": clients,
            "antithetic": antithetic,
            "index": index,
            "order": WalkLayout(clients, antithetic, TASK, KEY).order(index),
        }
        for clients, antithetic, index in [
            (1, False, 0),
            (5, False, 0),
            (5, False, 1),
            (5, True, 0),
            (5, True, 1),
            (5, True, 7),
            (100, False, 999_999),
        ]
    ]


def _challenge() -> dict[str, Any]:
    value = derive_challenge(TASK, 1, SALTS)
    return {
        "task_id": TASK.hex(),
        "public_key": KEY.hex(),
        "attempt": 1,
        "salts": {address.hex(): salt.hex() for address, salt in SALTS.items()},
        "challenge": value.hex(),
        "leaves": [
            [samples, q, list(draw_challenged_leaves(value, KEY, samples, q))]
            for samples, q in [(1, 1), (5, 44), (64, 44), (2_500, 44), (1_000_000, 10)]
        ],
    }


def _tree(schedule: str, clients: int, samples: int, truncation: int) -> dict[str, Any]:
    exact = schedule == "SCHEDULE_EXACT"
    plan = SamplingPlan(
        schedule=task_pb2.Schedule.Value(schedule),
        clients=clients,
        evaluation_size=100,
        truncation=truncation,
        max_samples=0 if exact else 50,
        task_id=TASK,
        public_key=KEY,
    )
    leaves = plan.fixed_samples or samples
    drawn = np.random.default_rng(7).integers(0, 101, size=(leaves, plan.leaf_length))
    grand, empty, q = 90, 12, 3
    utilities = plan.fill_implied(range(leaves), drawn, grand, empty)
    grown = build_evidence_tree(plan, utilities, grand, empty)
    value = derive_challenge(TASK, 1, SALTS)
    indices = draw_challenged_leaves(value, KEY, leaves, q)
    evidence = grown.prove(indices)
    return {
        "schedule": schedule,
        "clients": clients,
        "evaluation_size": 100,
        "truncation": truncation,
        "max_samples": plan.max_samples,
        "task_id": TASK.hex(),
        "public_key": KEY.hex(),
        "utilities": utilities.tolist(),
        "grand": grand,
        "empty": empty,
        "root": grown.root.hex(),
        "total": grown.total,
        "salt": SALT.hex(),
        "attempt": 1,
        "address": ADDRESS.hex(),
        "commitment": compute_commitment(grown.build_opening(), SALT, TASK, 1, ADDRESS).hex(),
        "challenge": value.hex(),
        "q": q,
        "indices": list(indices),
        "siblings": [node.hash.hex() for node in evidence.siblings],
        "shapley_nano": list(verify_evidence(evidence, plan, value, q).shapley_nano),
    }


def main() -> None:
    """Write the vectors."""
    vectors = {
        "stream": _stream(),
        "orders": _orders(),
        "challenge": _challenge(),
        "trees": [
            _tree("SCHEDULE_EXACT", 1, 0, 0),
            _tree("SCHEDULE_EXACT", 3, 0, 0),
            _tree("SCHEDULE_EXACT", 7, 0, 0),
            _tree("SCHEDULE_PERMUTATION", 4, 1, 0),
            _tree("SCHEDULE_PERMUTATION", 4, 11, 10),
            _tree("SCHEDULE_ANTITHETIC", 3, 9, 0),
        ],
    }
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(json.dumps(vectors, indent=1) + "\n")


if __name__ == "__main__":
    main()
