"""What a client hands in when the coordinator calls its update harmful."""

from __future__ import annotations

from typing import Any

import grpc
import numpy as np
import pytest

from fedcoin.application.client.handing_in import PARTS, UpdateSigner, hand_in, shrink_change
from fedcoin.application.client.round_payments import RoundPayments
from fedcoin.data.artifacts.tensors import decode_tensors, encode_tensors
from fedcoin.data.messages.updates import decode_update
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.v1.task_pb2 import ClientUpdate, SignedReceipt, SignedUpdate
from tests.support.training_site import client_key

BASE = encode_tensors(
    {"w": np.array([[1, 2], [3, 4]], np.float32), "b": np.array([0, 0], np.float32)}
)
TRAINED = encode_tensors(
    {"w": np.array([[5, 2], [3, 0]], np.float32), "b": np.array([8, -8], np.float32)}
)
GENESIS = b"g" * 32
HARMFUL = RpcError(grpc.StatusCode.FAILED_PRECONDITION, "HARMFUL_UPDATE", "it is 90 % worse")


class Coordinator:
    """Takes the update after some refusals, and remembers what it got."""

    def __init__(self, *refusals: RpcError) -> None:
        self.refusals = list(refusals)
        self.uploads: list[bytes] = []

    async def announce_update(self, update: SignedUpdate) -> int:
        return 1

    async def upload_artifact(self, data: bytes) -> None:
        self.uploads.append(data)

    async def download_artifact(self, artifact: bytes, max_bytes: int) -> bytes:
        assert artifact == b"b" * 32
        return BASE

    async def submit_update(self, update: SignedUpdate) -> SignedReceipt:
        if self.refusals:
            raise self.refusals.pop(0)
        return SignedReceipt(body=update.body)


def signer() -> UpdateSigner:
    update = ClientUpdate(
        campaign_id=b"c" * 32,
        round=2,
        base=b"b" * 32,
        num_samples=7,
        address=client_key(1).address,
    )
    return UpdateSigner(update, client_key(1), GENESIS)


async def handed(coordinator: Any, lines: list[str], first: float = 1.0) -> Any:
    return await hand_in(coordinator, signer(), TRAINED, lines.append, first)


def weight(raw: bytes) -> float:
    return float(decode_tensors(raw)["w"][0, 0])


async def test_all_of_it_at_first() -> None:
    coordinator, lines = Coordinator(), list[str]()
    taken = await handed(coordinator, lines)
    assert (taken.part, taken.weights, coordinator.uploads, lines) == (1, TRAINED, [TRAINED], [])


async def test_half_and_a_quarter_of_the_change_after_refusals() -> None:
    coordinator, lines = Coordinator(HARMFUL, HARMFUL), list[str]()
    taken = await handed(coordinator, lines)
    assert (taken.part, [weight(raw) for raw in coordinator.uploads]) == (0.25, [5, 3, 2])
    update = decode_update(taken.signed, GENESIS)
    assert (update.round, update.num_samples) == (2, 7)
    assert [line.split("; ")[1] for line in lines] == [
        f"handing in {part:g} of the change instead" for part in PARTS[1:]
    ]


async def test_later_rounds_begin_with_what_was_taken() -> None:
    coordinator = Coordinator(HARMFUL)
    await handed(coordinator, [], first=0.5)
    assert [weight(raw) for raw in coordinator.uploads] == [3, 2]


async def test_other_refusals_and_the_last_one_are_raised() -> None:
    late = RpcError(grpc.StatusCode.FAILED_PRECONDITION, "ROUND_NOT_OPEN", "it is over")
    for refusals, uploads in (([late], 1), ([HARMFUL] * 3, 3), ([HARMFUL, late], 2)):
        coordinator = Coordinator(*refusals)
        with pytest.raises(RpcError) as caught:
            await handed(coordinator, [])
        assert caught.value is refusals[-1]
        assert len(coordinator.uploads) == uploads


def test_a_client_leaves_a_coordinator_that_refuses_everything_twice() -> None:
    """It could keep the weights of each round for nothing."""
    payments = RoundPayments(lambda _: None)
    payments.note_refusal(HARMFUL, 1, 7)
    with pytest.raises(RpcError):
        payments.note_refusal(HARMFUL, 2, 7)


def test_a_part_of_the_way() -> None:
    shrunk = decode_tensors(shrink_change(BASE, TRAINED, 0.5))
    np.testing.assert_array_equal(shrunk["w"], np.array([[3, 2], [3, 2]], np.float32))
    np.testing.assert_array_equal(shrunk["b"], np.array([4, -4], np.float32))
    assert shrunk["w"].dtype == np.float32
    assert shrink_change(BASE, BASE, 0.25) == BASE
