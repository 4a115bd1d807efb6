"""The interceptors of every call: refusals, bugs, limits and stopping, over real gRPC."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]
from grpc import StatusCode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.network.call_limits import CallLimits
from fedcoin.network.client.rpc_error import rpc_error_of
from fedcoin.network.error_details import DETAILS_KEY
from fedcoin.network.errors import NetworkCode
from fedcoin.network.interceptors import CallInfo, InterceptorChain
from fedcoin.v1 import artifact_service_pb2 as pb
from fedcoin.v1 import artifact_service_pb2_grpc as rpc
from fedcoin.v1 import artifact_upload_service_pb2 as upload_pb
from fedcoin.v1 import artifact_upload_service_pb2_grpc as upload_rpc
from tests.support.probe_service import SERVICE, UPLOAD_SERVICE, Probe, no_errors_in, probing
from tests.support.waiting import until


async def failure(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


async def drain(call: Any) -> list[Any]:
    replies = []
    while (reply := await call.read()) is not grpc.aio.EOF:
        replies.append(reply)
    return replies


async def test_replies_pass_unchanged() -> None:
    async with probing(Probe()) as (channel, _):
        stub = rpc.ArtifactServiceStub(channel)
        assert await stub.GetManifest(pb.GetManifestRequest()) == pb.GetManifestResponse()
        replies = await drain(stub.Download(pb.DownloadRequest()))
        assert [reply.index for reply in replies] == [0, 1, 2]
        uploads = upload_rpc.ArtifactUploadServiceStub(channel)
        assert (await uploads.Upload(iter([upload_pb.UploadRequest()]))).id == bytes(32)


async def test_a_refusal_becomes_its_status_with_details(caplog: pytest.LogCaptureFixture) -> None:
    async def refuse(request: Any) -> Any:
        raise RefusalError(DataCode.BAD_ADDRESS, "address is ü", field="address", limit="41")

    probe = Probe()
    probe.single = refuse
    async with probing(probe) as (channel, _):
        error = await failure(rpc.ArtifactServiceStub(channel).GetManifest(pb.GetManifestRequest()))
    assert error.code() is StatusCode.INVALID_ARGUMENT
    assert error.details() == "address is ü"
    (raw,) = (value for key, value in error.trailing_metadata() if key == DETAILS_KEY)
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    details = status_pb2.Status.FromString(raw).details
    assert details[0].Unpack(info)
    assert details[1].Unpack(bad)
    assert (info.reason, info.domain) == ("BAD_ADDRESS", "fedcoin.data")
    assert dict(info.metadata) == {"field": "address", "limit": "41"}
    assert bad.field_violations[0].field == "address"
    told = rpc_error_of(error, "node:1")
    assert (told.code, told.field, told.limit) == ("BAD_ADDRESS", "address", "41")
    assert str(told) == "node:1: address is ü [BAD_ADDRESS]"
    assert no_errors_in(caplog)


@pytest.mark.parametrize("text", ["€" * 50_000, "\ud800", "line\nbreak\0", ""])
async def test_any_message_arrives(text: str) -> None:
    async def refuse(request: Any) -> Any:
        raise RefusalError(DataCode.BAD_ADDRESS, text, field=text, limit=text)

    probe = Probe()
    probe.single = refuse
    async with probing(probe) as (channel, _):
        error = await failure(rpc.ArtifactServiceStub(channel).GetManifest(pb.GetManifestRequest()))
    assert rpc_error_of(error, "").code == "BAD_ADDRESS"


async def test_a_refusal_in_the_middle_of_a_stream() -> None:
    async def some(request: Any) -> AsyncIterator[Any]:
        yield pb.DownloadResponse(index=7)
        raise RefusalError(NetworkCode.OUT_OF_RANGE, "no such chunk", field="first_chunk")

    probe = Probe()
    probe.replies = some
    async with probing(probe) as (channel, _):
        call = rpc.ArtifactServiceStub(channel).Download(pb.DownloadRequest())
        assert await call.read() == pb.DownloadResponse(index=7)
        error = await failure(drain(call))
    assert error.code() is StatusCode.OUT_OF_RANGE


async def test_a_bug_is_internal_with_an_id_that_the_log_has(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(request: Any) -> Any:
        raise KeyError("secret detail")

    probe = Probe()
    probe.single = broken
    async with probing(probe) as (channel, _):
        error = await failure(rpc.ArtifactServiceStub(channel).GetManifest(pb.GetManifestRequest()))
    assert error.code() is StatusCode.INTERNAL
    assert "secret" not in str(error.details())
    found = re.search(r"[0-9a-f]{8}", str(error.details()))
    assert found is not None
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [found.group() in record.getMessage() for record in errors] == [True]


async def test_calls_are_logged_with_their_outcome(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "fedcoin.network.interceptors"):
        async with probing(Probe()) as (channel, _):
            await rpc.ArtifactServiceStub(channel).GetManifest(pb.GetManifestRequest())
    lines = [record.getMessage() for record in caplog.records if "GetManifest" in record.message]
    assert len(lines) == 1
    assert re.fullmatch(rf"[0-9a-f]{{8}} /{SERVICE}/GetManifest from ipv4:.*: OK .* ms", lines[0])


METHODS = [
    f"{SERVICE}/GetManifest",
    f"{SERVICE}/Download",
    f"{UPLOAD_SERVICE}/Upload",
    f"{UPLOAD_SERVICE}/GetUploadStatus",
]


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.binary(min_size=1, max_size=64), method=st.sampled_from(METHODS))
async def test_random_bytes_are_refused_cleanly(
    data: bytes, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with probing(Probe()) as (untyped, _):
        channel: Any = untyped
        path = f"/{method}"
        if method.endswith("/Upload"):
            call: Any = channel.stream_unary(path)(iter([data]))
        elif method.endswith("/Download"):
            call = drain(channel.unary_stream(path)(data))
        else:
            call = channel.unary_unary(path)(data)
        status = StatusCode.OK
        try:
            await call
        except grpc.aio.AioRpcError as error:
            status = error.code()
    clean = (StatusCode.OK, StatusCode.INVALID_ARGUMENT, StatusCode.UNIMPLEMENTED)
    assert status in clean
    assert no_errors_in(caplog)


async def test_undecodable_bytes_are_named() -> None:
    async with probing(Probe()) as (channel, _):
        method: Any = channel.unary_unary(f"/{SERVICE}/GetManifest")
        error = await failure(method(b"\xff\xff\xff"))
    assert rpc_error_of(error, "").code == "MALFORMED"
    assert error.code() is StatusCode.INVALID_ARGUMENT


async def test_unknown_methods_are_unimplemented() -> None:
    async with probing(Probe()) as (channel, _):
        method: Any = channel.unary_unary(f"/{SERVICE}/Nothing")
        error = await failure(method(b""))
    assert error.code() is StatusCode.UNIMPLEMENTED


async def test_methods_without_an_implementation_are_unimplemented(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with probing(Probe()) as (channel, _):
        stub = upload_rpc.ArtifactUploadServiceStub(channel)
        error = await failure(stub.GetUploadStatus(upload_pb.GetUploadStatusRequest()))
    assert error.code() is StatusCode.UNIMPLEMENTED
    assert no_errors_in(caplog)


async def test_a_reply_has_a_deadline() -> None:
    async def slow(request: Any) -> Any:
        await asyncio.sleep(60)

    probe = Probe()
    probe.single = slow
    async with probing(probe, CallLimits(reply_timeout_s=0.05)) as (channel, _):
        error = await failure(rpc.ArtifactServiceStub(channel).GetManifest(pb.GetManifestRequest()))
    assert error.code() is StatusCode.DEADLINE_EXCEEDED
    assert rpc_error_of(error, "").code == "TIMED_OUT"


async def test_too_many_calls_at_once() -> None:
    hold, arrived = asyncio.Event(), []

    async def wait(request: Any) -> Any:
        arrived.append(request)
        await hold.wait()
        return pb.GetManifestResponse()

    probe = Probe()
    probe.single = wait
    async with probing(probe, CallLimits(max_calls=2)) as (channel, _):
        stub = rpc.ArtifactServiceStub(channel)
        held = [asyncio.ensure_future(stub.GetManifest(pb.GetManifestRequest())) for _ in range(2)]
        await until(lambda: len(arrived) == 2)
        error = await failure(stub.GetManifest(pb.GetManifestRequest()))
        assert error.code() is StatusCode.RESOURCE_EXHAUSTED
        hold.set()
        await asyncio.gather(*held)
        await stub.GetManifest(pb.GetManifestRequest())


async def test_too_many_streams_at_once() -> None:
    async def forever(request: Any) -> AsyncIterator[Any]:
        yield pb.DownloadResponse()
        await asyncio.Event().wait()

    async def reads() -> bool:
        stream = stub.Download(pb.DownloadRequest())
        try:
            return await stream.read() is not grpc.aio.EOF
        except grpc.aio.AioRpcError:
            return False
        finally:
            stream.cancel()

    probe = Probe()
    probe.replies = forever
    async with probing(probe, CallLimits(max_streams=1)) as (channel, _):
        stub = rpc.ArtifactServiceStub(channel)
        first = stub.Download(pb.DownloadRequest())
        await first.read()
        error = await failure(drain(stub.Download(pb.DownloadRequest())))
        assert error.code() is StatusCode.RESOURCE_EXHAUSTED
        assert rpc_error_of(error, "").code == "TOO_MANY_CALLS"
        assert not await reads()
        first.cancel()
        await until(reads)


async def test_a_slow_reader_is_cut() -> None:
    ended = asyncio.Event()

    async def flood(request: Any) -> AsyncIterator[Any]:
        try:
            while True:
                yield pb.DownloadResponse(data=bytes(262_144))
        finally:
            ended.set()

    probe = Probe()
    probe.replies = flood
    async with probing(probe, CallLimits(write_timeout_s=0.2)) as (channel, _):
        call = rpc.ArtifactServiceStub(channel).Download(pb.DownloadRequest())
        await call.read()
        await asyncio.wait_for(ended.wait(), 5)
        error = await failure(drain(call))
    assert error.code() is StatusCode.RESOURCE_EXHAUSTED
    assert rpc_error_of(error, "").code == "SLOW_READER"
    assert rpc_error_of(error, "").is_lost


async def test_a_silent_upload_ends() -> None:
    async def silent() -> AsyncIterator[upload_pb.UploadRequest]:
        yield upload_pb.UploadRequest()
        await asyncio.sleep(60)

    async with probing(Probe(), CallLimits(read_timeout_s=0.1)) as (channel, _):
        error = await failure(upload_rpc.ArtifactUploadServiceStub(channel).Upload(silent()))
    assert error.code() is StatusCode.DEADLINE_EXCEEDED


async def test_a_call_whose_request_does_not_come_ends() -> None:
    method = "/fedcoin.v1.ArtifactService/GetManifest"
    async with probing(Probe(), CallLimits(request_timeout_s=0.1)) as (channel, _):
        # On the wire, a stream that is still empty is a single request that is still to come.
        open_call: Any = channel.stream_stream(method)
        late = await failure(drain(open_call()))
        without = open_call()
        await without.done_writing()
        empty = await failure(drain(without))
    assert rpc_error_of(late, "").code == "TIMED_OUT"
    assert rpc_error_of(empty, "").code == "MALFORMED"


async def test_a_rate_per_host() -> None:
    async with probing(Probe(), CallLimits(calls_per_second=0.001, burst=3)) as (channel, _):
        stub = rpc.ArtifactServiceStub(channel)
        for _ in range(3):
            await stub.GetManifest(pb.GetManifestRequest())
        error = await failure(stub.GetManifest(pb.GetManifestRequest()))
    assert rpc_error_of(error, "").code == "RATE_LIMITED"


async def test_a_listeners_guard_runs_before_the_method() -> None:
    seen: list[CallInfo] = []

    @asynccontextmanager
    async def guard(call: CallInfo, context: Any) -> AsyncIterator[None]:
        seen.append(call)
        raise RefusalError(NetworkCode.NO_SESSION, "say hello first")
        yield

    async with probing(Probe(), guards=(guard,)) as (channel, _):
        error = await failure(rpc.ArtifactServiceStub(channel).GetManifest(pb.GetManifestRequest()))
    assert error.code() is StatusCode.UNAUTHENTICATED
    assert seen[0].method == f"/{SERVICE}/GetManifest"
    assert not seen[0].response_streaming


async def test_stopping_ends_streams_at_once_and_lets_calls_finish() -> None:
    begun = asyncio.Event()

    async def slow(request: Any) -> Any:
        begun.set()
        await asyncio.sleep(0.3)
        return pb.GetManifestResponse()

    async def forever(request: Any) -> AsyncIterator[Any]:
        yield pb.DownloadResponse()
        await asyncio.Event().wait()

    probe = Probe()
    probe.single, probe.replies = slow, forever
    async with probing(probe) as (channel, listener):
        stub = rpc.ArtifactServiceStub(channel)
        stream = stub.Download(pb.DownloadRequest())
        await stream.read()
        single = asyncio.ensure_future(stub.GetManifest(pb.GetManifestRequest()))
        await begun.wait()
        began = asyncio.get_running_loop().time()
        await listener.stop(5)
        assert asyncio.get_running_loop().time() - began < 2
        assert await single == pb.GetManifestResponse()
        error = await failure(drain(stream))
        assert error.code() is StatusCode.UNAVAILABLE
        assert rpc_error_of(error, "").code == "SHUTTING_DOWN"


async def test_a_caller_that_hangs_up_leaves_no_trace(caplog: pytest.LogCaptureFixture) -> None:
    ended = asyncio.Event()

    async def forever(request: Any) -> AsyncIterator[Any]:
        try:
            yield pb.DownloadResponse()
            await asyncio.Event().wait()
        finally:
            ended.set()

    probe = Probe()
    probe.replies = forever
    async with probing(probe) as (channel, _):
        call = rpc.ArtifactServiceStub(channel).Download(pb.DownloadRequest())
        await call.read()
        call.cancel()
        await asyncio.wait_for(ended.wait(), 5)
    assert no_errors_in(caplog)


class BrokenConnection:
    """The context of a call whose connection broke: gRPC races to cancel the handler first.

    Over a real connection the race is lost now and then only.
    """

    def peer(self) -> str:
        return "ipv4:127.0.0.1:1"

    def code(self) -> None:
        return None

    async def write(self, reply: Any) -> None:
        raise grpc.aio.InternalError("Failed execute_batch")


async def test_a_write_to_a_broken_connection_is_no_bug(caplog: pytest.LogCaptureFixture) -> None:
    async def find(details: Any) -> Any:
        return grpc.unary_stream_rpc_method_handler(
            Probe().Download, pb.DownloadRequest.FromString, bytes
        )

    async def requests() -> AsyncIterator[bytes]:
        yield b""

    details: Any = SimpleNamespace(method=f"/{SERVICE}/Download")
    handler: Any = await InterceptorChain(CallLimits()).intercept_service(find, details)
    with pytest.raises(asyncio.CancelledError):
        await handler.stream_stream(requests(), BrokenConnection())
    assert no_errors_in(caplog)
