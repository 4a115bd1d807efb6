"""A campaign of a tiny network over random images, with all its artifacts in a store."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.artifacts.tensors import decode_tensors, encode_tensors
from fedcoin.data.crypto import merkle
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.transactions import Transaction
from fedcoin.data.messages.updates import sign_update
from fedcoin.incentive.payout import compute_round_prices
from fedcoin.learning.model.aggregation import federated_average
from fedcoin.learning.model.frozen_weights import freeze_weights
from fedcoin.v1 import artifact_pb2, task_pb2
from tests.support.genesis import FDC
from tests.support.keys import ALICE, BOB, key_of
from tests.support.local_chain import LocalChain

FLOAT32 = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}}
PIXELS, CLASSES, EXAMPLES = 6, 3, 120


def layer(name: str, **config: Any) -> dict[str, Any]:
    return {
        "module": "keras.layers",
        "class_name": name,
        "config": {"name": name.lower(), "trainable": True, "dtype": FLOAT32, **config},
        "registered_name": None,
    }


def linear_spec() -> artifact_pb2.ModelSpec:
    """Return softmax regression: one dense layer."""
    layers = [
        layer("InputLayer", batch_shape=[None, PIXELS], dtype="float32"),
        layer("Dense", units=CLASSES, activation="softmax", use_bias=True),
    ]
    model = {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": "tiny", "trainable": True, "dtype": FLOAT32, "layers": layers},
        "registered_name": None,
    }
    spec = artifact_pb2.ModelSpec(
        keras_json=json.dumps(model), input_shape=[PIXELS], num_classes=CLASSES
    )
    for name, shape in (("kernel", (PIXELS, CLASSES)), ("bias", (CLASSES,))):
        spec.weights.add(name=name, dtype=artifact_pb2.TENSOR_DTYPE_FLOAT32, shape=shape)
    return spec


@dataclass
class MiningCampaign:
    """A campaign of one round, whose clients' updates differ in quality."""

    chain: LocalChain
    store: ArtifactStore
    clients: int = 4
    schedule: int = task_pb2.SCHEDULE_EXACT
    requester: KeyPair = field(default_factory=lambda: ALICE)
    server: KeyPair = field(default_factory=lambda: BOB)
    budget: int = 10 * FDC
    campaign_id: bytes = b""
    receipt_window_ms: int = 0

    def __post_init__(self) -> None:
        rng = np.random.default_rng(1)
        truth = rng.standard_normal((PIXELS, CLASSES)).astype(np.float32)
        x = rng.standard_normal((EXAMPLES, PIXELS)).astype(np.float32)
        y = (x @ truth).argmax(axis=1).astype(np.int64)
        self.base = self._weights(rng.standard_normal((PIXELS, CLASSES)) * 0.3)
        # Each client's update is the true weights with an error of its own.
        self.weights = [
            self._weights(truth + rng.standard_normal(truth.shape) * (0.3 + number))
            for number in range(self.clients)
        ]
        self.num_samples = [100 + 10 * number for number in range(self.clients)]
        self.model_id = self.store.put(linear_spec().SerializeToString(deterministic=True))
        self.evaluation_id = self.store.put(encode_tensors({"x": x, "y": y}))
        self.base_id = self.store.put(encode_tensors(self.base))
        self.update_ids = [self.store.put(encode_tensors(w)) for w in self.weights]
        keys = (key_of(f"client {number}") for number in range(self.clients))
        self.keys = sorted(keys, key=lambda k: k.address)
        average = federated_average(self.weights, self.num_samples)
        self.aggregate_id = self.store.put(encode_tensors(average))

    def freeze(self, patterns: Sequence[str]) -> bytes:
        """Train only the weights that patterns name; returns the artifact id of the others."""
        raw, whole = self.store.read(self.model_id), self.store.read(self.base_id)
        divided = freeze_weights(raw, whole, patterns)
        names = list(decode_tensors(divided.trained))
        self.weights = [{name: weights[name] for name in names} for weights in self.weights]
        self.model_id, self.base_id = self.store.put(divided.spec), self.store.put(divided.trained)
        self.update_ids = [self.store.put(encode_tensors(w)) for w in self.weights]
        average = federated_average(self.weights, self.num_samples)
        self.aggregate_id = self.store.put(encode_tensors(average))
        return self.store.put(divided.frozen)

    @staticmethod
    def _weights(kernel: NDArray[Any]) -> dict[str, NDArray[Any]]:
        return {
            "kernel": kernel.astype(np.float32),
            "bias": np.zeros(CLASSES, dtype=np.float32),
        }

    def campaign(self) -> task_pb2.OpenCampaign:
        return task_pb2.OpenCampaign(
            utility=task_pb2.UTILITY_ACCURACY,
            server=self.server.address,
            model=self.model_id,
            initial_weights=self.base_id,
            rounds=1,
            budget=self.budget,
            spread=task_pb2.BUDGET_SPREAD_EQUAL,
            split=task_pb2.PriceSplit(training=7, aggregation=1, mining=2),
            mining_reward=task_pb2.MINING_REWARD_WINNER,
            training_reward=task_pb2.TRAINING_REWARD_PROPORTIONAL,
            evaluation_root=merkle.root([self.evaluation_id]),
            evaluation_shards=1,
            receipt_window_ms=self.receipt_window_ms,
        )

    async def open_campaign(self) -> None:
        opening = await self.chain.submit(self.requester, self.campaign())
        self.campaign_id = opening.hash
        await self.chain.produce()

    def terms(self, **changes: Any) -> task_pb2.OpenTask:
        exact = self.schedule == task_pb2.SCHEDULE_EXACT
        due = compute_round_prices(
            self.budget,
            1,
            task_pb2.BUDGET_SPREAD_EQUAL,
            1,
            task_pb2.PriceSplit(training=7, aggregation=1, mining=2),
        )
        given: dict[str, Any] = {
            "campaign_id": self.campaign_id,
            "round": 1,
            "base": self.base_id,
            "aggregate": self.aggregate_id,
            "updates": [self.update(number) for number in range(self.clients)],
            "evaluation": task_pb2.EvaluationShard(
                artifact=self.evaluation_id, index=0, path=[], size=EXAMPLES
            ),
            "utility": task_pb2.UTILITY_ACCURACY,
            "empty_coalition": task_pb2.EMPTY_COALITION_BASE_MODEL,
            "averaging": task_pb2.AVERAGING_FIXED_DENOMINATOR,
            "sampling": task_pb2.Sampling(
                schedule=self.schedule,  # type: ignore[arg-type]
                max_samples=0 if exact else 400,
            ),
            "prices": task_pb2.RoundPrices(
                training=due.training, aggregation=due.aggregation, mining=due.mining
            ),
            "commit_window_ms": 10_000,
            "reveal_window_ms": 10_000,
            "max_attempts": 3,
        }
        return task_pb2.OpenTask(**given | changes)

    def update(self, number: int) -> task_pb2.SignedUpdate:
        client = self.keys[number]
        update = task_pb2.ClientUpdate(
            campaign_id=self.campaign_id,
            round=1,
            base=self.base_id,
            update=self.update_ids[number],
            num_samples=self.num_samples[number],
            address=client.address,
        )
        return sign_update(update, client, self.chain.chain.genesis.hash)

    async def open_task(self, **changes: Any) -> Transaction:
        opening = await self.chain.submit(self.server, self.terms(**changes))
        await self.chain.produce()
        return opening
