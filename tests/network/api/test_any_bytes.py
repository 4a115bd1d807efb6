"""Random bytes to any method end with a proper status and no error in the log."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from grpc import StatusCode

from fedcoin.v1 import (
    admin_service_pb2,
    artifact_service_pb2,
    artifact_upload_service_pb2,
    node_service_pb2,
    shapley_task_service_pb2,
    transaction_service_pb2,
)
from tests.support.ledger_campaign import LedgerCampaign
from tests.support.probe_service import no_errors_in
from tests.support.served_api import ServedApi

API: list[Any] = [
    node_service_pb2,
    shapley_task_service_pb2,
    transaction_service_pb2,
    artifact_service_pb2,
    artifact_upload_service_pb2,
]
DIRTY = {StatusCode.INTERNAL, StatusCode.UNKNOWN, StatusCode.UNIMPLEMENTED, StatusCode.DATA_LOSS}


SERVICES: list[ServiceDescriptor] = [
    service
    for module in (*API, admin_service_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
]


def random_value(field: Any, rng: random.Random, depth: int) -> Any:
    kinds = FieldDescriptor
    if field.type == kinds.TYPE_MESSAGE:
        assert field.message_type is not None
        return random_message(message_factory.GetMessageClass(field.message_type), rng, depth - 1)
    if field.type == kinds.TYPE_STRING:
        choices = ["", "é\0", "f" * 64, "fc1" + "q" * 38, "/" + "a" * 300, "z" * rng.randrange(70)]
        return rng.choice(choices)
    if field.type == kinds.TYPE_BYTES:
        return rng.randbytes(rng.choice([0, 1, 20, 31, 32, 33, 64, 1_000]))
    if field.type == kinds.TYPE_BOOL:
        return rng.random() < 0.5
    if field.type == kinds.TYPE_ENUM:
        return rng.randrange(8)
    largest = 2**64 if field.type == kinds.TYPE_UINT64 else 2**32
    return rng.choice([0, 1, 2, largest - 1, rng.randrange(largest)]) % (
        largest if field.type in (kinds.TYPE_UINT32, kinds.TYPE_UINT64) else 2**31
    )


def random_message(kind: type[Message], rng: random.Random, depth: int = 3) -> Message:
    message = kind()
    for field in kind.DESCRIPTOR.fields:
        if rng.random() < 0.3 or depth == 0:
            continue
        if field.is_repeated:
            values = [random_value(field, rng, depth) for _ in range(rng.randrange(4))]
            getattr(message, field.name).extend(values)
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            getattr(message, field.name).CopyFrom(random_value(field, rng, depth))
        else:
            setattr(message, field.name, random_value(field, rng, depth))
    return message


def payloads(method: MethodDescriptor, rng: random.Random) -> Iterator[bytes]:
    kind = message_factory.GetMessageClass(method.input_type)
    for _ in range(6):
        yield rng.randbytes(rng.choice([0, 1, 3, 40, 500]))
    for _ in range(12):
        yield random_message(kind, rng).SerializeToString()
    yield rng.randbytes(100_000)


async def outcome(channel: grpc.aio.Channel, method: MethodDescriptor, raw: bytes) -> StatusCode:
    path = f"/{method.containing_service.full_name}/{method.name}"
    shapes: dict[tuple[bool, bool], Any] = {
        (False, False): channel.unary_unary,
        (False, True): channel.unary_stream,
        (True, False): channel.stream_unary,
        (True, True): channel.stream_stream,
    }
    open_call = shapes[method.client_streaming, method.server_streaming](path)
    call = open_call(iter([raw, raw]) if method.client_streaming else raw)
    try:
        # A valid stream stays open.
        await asyncio.wait_for(call.read() if method.server_streaming else call, 1)
    except asyncio.TimeoutError:
        return StatusCode.OK
    except grpc.aio.AioRpcError as error:
        return error.code()
    finally:
        call.cancel()
    return StatusCode.OK


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
async def test_any_bytes_to_any_method(
    live: ServedApi, service: ServiceDescriptor, caplog: pytest.LogCaptureFixture
) -> None:
    job = LedgerCampaign(live.chain)
    job.open_campaign()
    job.open_task()
    before = live.chain.ledger.app_hash
    channel = (live.admin if service.name == "AdminService" else live.node).channel
    for method in service.methods:
        rng = random.Random(method.full_name)
        # One call at a time would wait a second for each stream that stays open.
        outcomes = await asyncio.gather(
            *(outcome(channel, method, raw) for raw in payloads(method, rng))
        )
        assert not DIRTY & set(outcomes), method.full_name
        assert no_errors_in(caplog), method.full_name
    assert live.chain.ledger.app_hash == before
    assert (await live.node.get_status()).height == 2
