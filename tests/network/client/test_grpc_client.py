"""Each way in which a call can fail is an `RpcError`, and none is a cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from grpc import StatusCode
from grpc_reflection.v1alpha import reflection_pb2

from fedcoin.data.errors import RefusalError
from fedcoin.network.client.channels import MAX_ATTEMPTS, open_channel
from fedcoin.network.client.grpc_client import DuplexStream, GrpcClient, resume_stream
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.network.errors import NetworkCode
from fedcoin.network.listener import Listener
from fedcoin.v1 import artifact_service_pb2 as pb
from fedcoin.v1 import artifact_upload_service_pb2 as upload_pb
from fedcoin.v1.artifact_service_pb2_grpc import ArtifactServiceStub
from fedcoin.v1.artifact_upload_service_pb2_grpc import ArtifactUploadServiceStub
from tests.support.probe_service import Probe, probing

REQUEST = pb.GetManifestRequest()
SERVICE = pb.DESCRIPTOR.services_by_name["ArtifactService"]


@asynccontextmanager
async def client_of(probe: Probe) -> AsyncIterator[tuple[GrpcClient, Any]]:
    """A client of the probe that retries, and its stub."""
    async with probing(probe) as (_, listener):
        channel = open_channel(listener.address, retried_services=[SERVICE])
        async with GrpcClient(listener.address, channel) as client:
            yield client, ArtifactServiceStub(channel)


async def error_of(work: Awaitable[object]) -> RpcError:
    with pytest.raises(RpcError) as caught:
        await work
    return caught.value


async def never(request: Any) -> Any:
    await asyncio.sleep(60)


async def never_any(request: Any) -> AsyncIterator[Any]:
    await asyncio.sleep(60)
    yield pb.DownloadResponse()


def failing(code: NetworkCode, times: int, calls: list[int]) -> Callable[[Any], Awaitable[Any]]:
    """Refuse this many calls, then answer; `calls` counts all."""

    async def behave(request: Any) -> Any:
        calls.append(len(calls))
        if len(calls) <= times:
            raise RefusalError(code, "not now")
        return pb.GetManifestResponse()

    return behave


async def test_replies_come_back() -> None:
    async with client_of(Probe()) as (client, stub):
        assert await client.call(stub.GetManifest, REQUEST) == pb.GetManifestResponse()
        with client.open_stream(stub.Download, pb.DownloadRequest()) as replies:
            assert [await replies.read(5) for _ in range(3)] == [
                pb.DownloadResponse(index=index) for index in range(3)
            ]
            assert await replies.read(5) is None
        streamed = [reply.index async for reply in client.stream(stub.Download, REQUEST)]
        assert streamed == [0, 1, 2]


async def test_a_refusal_has_its_code_and_names_the_server() -> None:
    probe = Probe()
    probe.single = failing(NetworkCode.RATE_LIMITED, 1, [])
    async with client_of(probe) as (client, stub):
        error = await error_of(client.call(stub.GetManifest, REQUEST))
    assert error.status is StatusCode.RESOURCE_EXHAUSTED
    assert error.code == "RATE_LIMITED"
    assert error.target == client.target
    assert str(error) == f"{client.target}: not now [RATE_LIMITED]"
    assert not error.is_lost
    assert error.is_transient


async def test_a_server_that_is_too_slow() -> None:
    probe = Probe()
    probe.single, probe.replies = never, never_any
    async with client_of(probe) as (client, stub):
        stream = client.open_stream(stub.Download, pb.DownloadRequest())
        for work in (client.call(stub.GetManifest, REQUEST, timeout=0.1), stream.read(0.1)):
            error = await error_of(work)
            assert error.status is StatusCode.DEADLINE_EXCEEDED
            assert "did not answer in time" in str(error)
            assert error.is_transient


async def test_closing_the_client_does_not_cancel_the_callers() -> None:
    probe = Probe()
    probe.single, probe.replies = never, never_any
    async with client_of(probe) as (client, stub):
        stream = client.open_stream(stub.Download, pb.DownloadRequest())
        waiting = [
            asyncio.ensure_future(error_of(client.call(stub.GetManifest, REQUEST))),
            asyncio.ensure_future(error_of(stream.read(30))),
        ]
        await asyncio.sleep(0.1)
        await client.close()
        for task in waiting:
            assert (await task).status is StatusCode.CANCELLED
        assert (await error_of(client.call(stub.GetManifest, REQUEST))).is_lost
        with pytest.raises(RpcError):
            client.open_stream(stub.Download, pb.DownloadRequest())


async def test_the_callers_own_cancellation_comes_through() -> None:
    probe = Probe()
    probe.single = never
    async with client_of(probe) as (client, stub):
        task = asyncio.ensure_future(client.call(stub.GetManifest, REQUEST))
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()


async def test_no_server() -> None:
    async with GrpcClient("127.0.0.1:1", open_channel("127.0.0.1:1")) as client:
        error = await error_of(
            client.call(ArtifactServiceStub(client.channel).GetManifest, REQUEST)
        )
    assert error.status is StatusCode.UNAVAILABLE
    assert error.is_lost
    assert str(error).startswith("127.0.0.1:1: cannot be reached (Connection refused)")


async def test_streams_of_requests() -> None:
    probe = Probe()

    async def requests() -> AsyncIterator[upload_pb.UploadRequest]:
        for index in range(3):
            yield upload_pb.UploadRequest(chunk=upload_pb.ArtifactChunk(index=index))

    async with client_of(probe) as (client, _):
        upload = ArtifactUploadServiceStub(client.channel).Upload
        reply = await client.call_with_stream(upload, requests(), timeout=5)
    assert reply == upload_pb.UploadResponse(id=bytes(32))
    assert [request.chunk.index for request in probe.uploaded] == [0, 1, 2]


async def test_a_failing_source_of_requests_ends_the_call() -> None:
    async def requests() -> AsyncIterator[upload_pb.UploadRequest]:
        yield upload_pb.UploadRequest()
        raise OSError("the disk is gone")

    async with client_of(Probe()) as (client, _):
        upload = ArtifactUploadServiceStub(client.channel).Upload
        with pytest.raises(OSError, match="the disk is gone"):
            await client.call_with_stream(upload, requests(), timeout=5)


def list_services(client: GrpcClient) -> DuplexStream[Any]:
    """Begin a call of reflection, which every listener serves in both directions."""
    method: Any = client.channel.stream_stream
    path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
    return client.open_duplex(
        method(
            path,
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
    )


async def test_streams_in_both_directions() -> None:
    question = reflection_pb2.ServerReflectionRequest(list_services="")
    async with client_of(Probe()) as (client, _):
        with list_services(client) as stream:
            await stream.write(question)
            assert await stream.read(5) is not None
            await stream.write(question)
            await stream.done_writing()
            assert len([reply async for reply in stream]) == 1
            error = await error_of(stream.write(question))
            assert error.is_lost
            assert error.target == client.target


async def test_closing_the_client_ends_a_stream_in_both_directions() -> None:
    async with client_of(Probe()) as (client, _):
        stream = list_services(client)
        waiting = asyncio.create_task(error_of(stream.read()))
        await asyncio.sleep(0.05)
        await client.close()
        assert (await waiting).code == "CANCELLED"
        await error_of(stream.write(reflection_pb2.ServerReflectionRequest()))
        with pytest.raises(RpcError):
            list_services(client)


async def test_waiting_until_the_server_serves() -> None:
    listener = Listener("127.0.0.1:0", [])
    await listener.start()
    async with GrpcClient(listener.address, open_channel(listener.address)) as client:
        assert (await error_of(client.wait_until_serving(0.3))).code == "NOT_SERVING"
        waiting = asyncio.ensure_future(client.wait_until_serving(5))
        await asyncio.sleep(0.2)
        await listener.set_serving()
        await waiting
    await listener.stop(0)


# Retries ------------------------------------------------------------------------------------------


async def test_an_idempotent_call_is_tried_again_when_the_server_is_unavailable() -> None:
    probe, calls = Probe(), list[int]()
    probe.single = failing(NetworkCode.SHUTTING_DOWN, MAX_ATTEMPTS - 1, calls)
    async with client_of(probe) as (client, stub):
        assert await client.call(stub.GetManifest, REQUEST) == pb.GetManifestResponse()
    assert len(calls) == MAX_ATTEMPTS


async def test_after_the_last_attempt_the_reason_is_reported() -> None:
    probe, calls = Probe(), list[int]()
    probe.single = failing(NetworkCode.SHUTTING_DOWN, 100, calls)
    async with client_of(probe) as (client, stub):
        error = await error_of(client.call(stub.GetManifest, REQUEST))
    assert (error.status, error.code) == (StatusCode.UNAVAILABLE, "SHUTTING_DOWN")
    assert len(calls) == MAX_ATTEMPTS


async def test_other_refusals_are_not_tried_again() -> None:
    probe, calls = Probe(), list[int]()
    probe.single = failing(NetworkCode.RATE_LIMITED, 100, calls)
    async with client_of(probe) as (client, stub):
        assert (await error_of(client.call(stub.GetManifest, REQUEST))).code == "RATE_LIMITED"
    assert len(calls) == 1


async def test_nothing_is_tried_again_on_a_channel_without_retries() -> None:
    probe, calls = Probe(), list[int]()
    probe.single = failing(NetworkCode.SHUTTING_DOWN, 100, calls)
    async with (
        probing(probe) as (_, listener),
        GrpcClient(listener.address, open_channel(listener.address)) as client,
    ):
        stub = ArtifactServiceStub(client.channel)
        await error_of(client.call(stub.GetManifest, REQUEST))
    assert len(calls) == 1


async def test_all_attempts_share_one_deadline() -> None:
    probe, calls = Probe(), list[int]()
    probe.single = failing(NetworkCode.SHUTTING_DOWN, 100, calls)
    async with client_of(probe) as (client, stub):
        error = await error_of(client.call(stub.GetManifest, REQUEST, timeout=0.05))
    assert error.is_transient
    assert len(calls) == 1


# Resumed streams ----------------------------------------------------------------------------------


def breaking(*errors: RpcError | None) -> tuple[Callable[[], Any], list[int]]:
    """A stream that yields one number each time it is opened, and then ends or fails."""
    opened: list[int] = []

    async def stream() -> AsyncIterator[int]:
        opened.append(len(opened))
        yield opened[-1]
        error = errors[opened[-1]]
        if error is not None:
            raise error

    return stream, opened


def lost() -> RpcError:
    return RpcError(StatusCode.UNAVAILABLE, "UNAVAILABLE", "gone", target="x:1")


async def test_a_lost_stream_is_opened_again() -> None:
    stream, opened = breaking(lost(), lost(), None)
    assert [number async for number in resume_stream(stream, 60)] == [0, 1, 2]
    assert opened == [0, 1, 2]


async def test_a_refused_stream_is_not_opened_again() -> None:
    stream, opened = breaking(RpcError(StatusCode.NOT_FOUND, "TASK_NOT_FOUND", "gone"))
    numbers = resume_stream(stream, 60)
    assert await anext(numbers) == 0
    assert (await error_of(anext(numbers))).code == "TASK_NOT_FOUND"
    assert opened == [0]


async def test_a_stream_that_stays_lost_fails() -> None:
    stream, _ = breaking(lost())
    numbers = resume_stream(stream, 0)
    assert await anext(numbers) == 0
    assert (await error_of(anext(numbers))).is_lost
