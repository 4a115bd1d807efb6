"""Every way in which a call can come to nothing is one error, and none is a cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from fedcoin.data.errors import RefusalError
from fedcoin.network.calls import CallError, ask, open_stream, step
from fedcoin.network.errors import NetworkCode
from fedcoin.v1 import artifact_service_pb2 as pb
from fedcoin.v1.artifact_service_pb2_grpc import ArtifactServiceStub
from tests.support.probe_service import Probe, probing

REQUEST = pb.GetManifestRequest()


async def failure_of(work: Any) -> CallError:
    with pytest.raises(CallError) as caught:
        await work
    return caught.value


async def test_a_reply_is_a_reply() -> None:
    async with probing(Probe()) as (channel, _):
        stub: Any = ArtifactServiceStub(channel)
        assert await ask(stub.GetManifest, REQUEST, 5) == pb.GetManifestResponse()
        call = open_stream(stub.Download, pb.DownloadRequest())
        assert [(await step(call.read(), 5)).index for _ in range(3)] == [0, 1, 2]
        assert await step(call.read(), 5) is grpc.aio.EOF


async def test_a_refusal_has_its_reason() -> None:
    probe = Probe()

    async def refuse(request: Any) -> Any:
        raise RefusalError(NetworkCode.RATE_LIMITED, "too fast")

    probe.single = refuse
    async with probing(probe) as (channel, _):
        failure = await failure_of(ask(ArtifactServiceStub(channel).GetManifest, REQUEST, 5))
    assert failure.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert failure.reason == "RATE_LIMITED"
    assert not failure.lost


async def never(request: Any) -> Any:
    await asyncio.sleep(60)


async def never_any(request: Any) -> AsyncIterator[Any]:
    await asyncio.sleep(60)
    yield pb.DownloadResponse()


async def test_what_takes_too_long() -> None:
    probe = Probe()
    probe.single, probe.replies = never, never_any
    async with probing(probe) as (channel, _):
        stub: Any = ArtifactServiceStub(channel)
        for work in (
            ask(stub.GetManifest, REQUEST, 0.1),
            step(open_stream(stub.Download, pb.DownloadRequest()).read(), 0.1),
        ):
            failure = await failure_of(work)
            assert failure.code is grpc.StatusCode.DEADLINE_EXCEEDED
            assert failure.lost


async def test_closing_the_channel_does_not_cancel_who_awaits_a_call() -> None:
    probe = Probe()
    probe.single, probe.replies = never, never_any
    async with probing(probe) as (channel, _):
        stub: Any = ArtifactServiceStub(channel)
        call = open_stream(stub.Download, pb.DownloadRequest())
        waiting = [
            asyncio.ensure_future(failure_of(ask(stub.GetManifest, REQUEST, 30))),
            asyncio.ensure_future(failure_of(step(call.read(), 30))),
        ]
        await asyncio.sleep(0.1)
        await channel.close()
        for task in waiting:
            assert (await task).lost
        assert (await failure_of(ask(stub.GetManifest, REQUEST, 1))).lost
        with pytest.raises(CallError):
            open_stream(stub.Download, pb.DownloadRequest())


async def test_ones_own_cancellation_comes_through() -> None:
    probe = Probe()
    probe.single = never
    async with probing(probe) as (channel, _):
        task = asyncio.ensure_future(ask(ArtifactServiceStub(channel).GetManifest, REQUEST, 30))
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()


async def test_nobody_there() -> None:
    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
        failure = await failure_of(ask(ArtifactServiceStub(channel).GetManifest, REQUEST, 5))
    assert failure.code is grpc.StatusCode.UNAVAILABLE
    assert failure.lost
