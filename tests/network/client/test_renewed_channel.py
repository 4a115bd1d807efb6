"""Clients go on with renewed certificates and authorities, against real TLS servers."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from fedcoin.network.client.channels import open_channel
from fedcoin.network.client.grpc_client import GrpcClient, resume_stream
from fedcoin.network.client.renewed_channel import CHECK_INTERVAL_S, RenewedChannel
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.network.listener import Listener
from fedcoin.network.peer_options import Tls
from fedcoin.network.peers.connections.tls_files import TlsFiles
from fedcoin.v1 import artifact_service_pb2 as pb
from fedcoin.v1.artifact_service_pb2_grpc import ArtifactServiceStub
from tests.support.certificates import issue, make_authority
from tests.support.ports import reserved_address
from tests.support.probe_service import Probe, probe_services
from tests.support.waiting import until

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the keys")

REQUEST = pb.GetManifestRequest()


class Site:
    """Two authorities, the files of a server and of a client, and the server's address."""

    def __init__(self, folder: Path, issued: Sequence[Sequence[Tls]], address: str) -> None:
        self.address = address
        self.probe = Probe()
        self.channels: list[grpc.aio.Channel] = []
        self.issued = issued
        both = folder / "both.pem"
        both.write_bytes(b"".join(tls.authority.read_bytes() for tls, _ in reversed(self.issued)))
        self.both = both
        self.server, self.client = (
            Tls(folder / f"{name}.pem", folder / f"{name}.key", folder / f"{name}.ca")
            for name in ("server", "client")
        )
        self.install(0)

    def install(self, number: int) -> None:
        """Put the files of an authority in the places of both sides."""
        for place, tls in zip((self.server, self.client), self.issued[number], strict=True):
            put(tls.authority, place.authority)
            put(tls.key, place.key)
            put(tls.certificate, place.certificate)

    def trust_both(self) -> None:
        """Have both sides trust both authorities."""
        for place in (self.server, self.client):
            put(self.both, place.authority)

    @asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        """Run the server, with its files of now."""
        credentials = TlsFiles(self.server).server_credentials()
        listener = Listener(self.address, probe_services(self.probe), credentials=credentials)
        await listener.start()
        await listener.set_serving()
        try:
            yield
        finally:
            await listener.stop(0)

    @asynccontextmanager
    async def dialled(self) -> AsyncIterator[tuple[GrpcClient, Any]]:
        """Open a client with the client's files, and its stub."""

        def dial(credentials: grpc.ChannelCredentials) -> grpc.aio.Channel:
            self.channels.append(open_channel(self.address, credentials=credentials))
            return self.channels[-1]

        channel = RenewedChannel(TlsFiles(self.client), dial)
        async with GrpcClient(self.address, channel) as client:
            yield client, ArtifactServiceStub(client.channel)

    def num_open(self) -> int:
        """Return how many channels of the client are open."""
        states = [channel.get_state() for channel in self.channels]
        return sum(state is not grpc.ChannelConnectivity.SHUTDOWN for state in states)


def put(new: Path, place: Path) -> None:
    os.replace(shutil.copy(new, place.with_suffix(".copy")), place)


async def answers(client: GrpcClient, stub: Any) -> bool:
    try:
        await client.call(stub.GetManifest, REQUEST, timeout=2.0)
    except RpcError as error:
        if not error.is_transient:
            raise
        return False
    return True


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> list[list[Tls]]:
    """The files of a server and of a client, from an old and from a new authority."""
    folder = tmp_path_factory.mktemp("authorities")
    authorities = [make_authority(folder / name) for name in ("old", "new")]
    return [[issue(one, name, "IP:127.0.0.1") for name in ("s", "c")] for one in authorities]


@pytest.fixture
def site(tmp_path: Path, issued: list[list[Tls]]) -> Iterator[Site]:
    with reserved_address() as address:
        yield Site(tmp_path, issued, address)


async def test_calls_and_streams_go_on_with_a_new_authority(site: Site) -> None:
    counted = asyncio.Event()

    async def count(request: Any) -> AsyncIterator[Any]:
        yield pb.DownloadResponse(index=request.first_chunk)
        counted.set()
        await asyncio.sleep(60)

    site.probe.replies = count
    async with site.dialled() as (client, stub):
        heard: list[int] = []

        def open_stream() -> AsyncGenerator[Any, None]:
            request = pb.DownloadRequest(first_chunk=len(heard))
            return client.stream(stub.Download, request)

        async def follow() -> None:
            async with aclosing(resume_stream(open_stream, 60)) as replies:
                async for reply in replies:
                    heard.append(reply.index)

        following = asyncio.ensure_future(follow())
        async with site.served():
            await until(counted.is_set, "the stream has begun")
            assert await answers(client, stub)
        assert not await answers(client, stub)
        site.install(1)
        async with site.served():
            await until(lambda: len(heard) >= 2, "the stream goes on")
            assert await answers(client, stub)
        assert heard == list(range(len(heard)))
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def test_calls_in_flight_end_on_the_old_channel(site: Site) -> None:
    release = asyncio.Event()

    async def two_parts(request: Any) -> AsyncIterator[Any]:
        yield pb.DownloadResponse(index=0)
        await release.wait()
        for index in range(1, 50):
            yield pb.DownloadResponse(index=index)

    site.probe.replies = two_parts
    site.trust_both()
    async with site.served(), site.dialled() as (client, stub):
        with client.open_stream(stub.Download, pb.DownloadRequest()) as replies:
            first = await replies.read(5)
            site.install(1)
            site.trust_both()
            await asyncio.sleep(CHECK_INTERVAL_S)
            assert await answers(client, stub)
            assert site.num_open() == 2
            release.set()
            await asyncio.sleep(0.2)
            assert await answers(client, stub)
            rest = [reply async for reply in replies]
        assert [reply.index for reply in [first, *rest]] == list(range(50))
        await until(lambda: site.num_open() == 1, "the old channel is closed")


async def test_a_half_written_file_leaves_the_channel(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    whole = site.issued[1][1].authority.read_bytes()
    async with site.served(), site.dialled() as (client, stub):
        for content in (whole[: len(whole) // 2], b""):
            site.client.authority.write_bytes(content)
            for _ in range(2):
                await asyncio.sleep(CHECK_INTERVAL_S)
                assert await answers(client, stub)
        warnings = [text for text in caplog.messages if "cannot be used" in text]
        assert len(warnings) == 2
        assert all(str(site.client.authority) in text for text in warnings)
        assert "PEM lib" in warnings[0]
        assert "no certificate" in warnings[1].lower()


async def test_the_clients_own_certificate_is_renewed(site: Site) -> None:
    site.trust_both()
    async with site.dialled() as (client, stub):
        async with site.served():
            assert await answers(client, stub)
        site.install(1)  # the server trusts the new authority alone
        async with site.served():
            await until(lambda: answers(client, stub), "the server accepts the new certificate")


async def test_closing_ends_every_channel(site: Site) -> None:
    async def silent(request: Any) -> AsyncIterator[Any]:
        await asyncio.sleep(60)
        yield pb.DownloadResponse()

    site.probe.replies = silent
    site.trust_both()
    async with site.served(), site.dialled() as (client, stub):
        stream = client.open_stream(stub.Download, pb.DownloadRequest())
        reading = asyncio.ensure_future(stream.read(30))
        await asyncio.sleep(0.1)
        site.install(1)
        site.trust_both()
        await asyncio.sleep(CHECK_INTERVAL_S)
        assert await answers(client, stub)
        await client.close()
        with pytest.raises(RpcError, match="on this side"):
            await reading
        with pytest.raises(RpcError) as caught:
            await client.call(stub.GetManifest, REQUEST)
        assert (caught.value.is_lost, site.num_open()) == (True, 0)


async def test_the_source_is_asked_once_a_second() -> None:
    given = [grpc.ssl_channel_credentials() for _ in range(2)]
    asked: list[float] = []
    dialled: list[grpc.ChannelCredentials] = []
    now = 0.0

    class Source:
        def channel_credentials(self) -> grpc.ChannelCredentials:
            asked.append(now)
            return given[now > 3]

    def dial(credentials: grpc.ChannelCredentials) -> grpc.aio.Channel:
        dialled.append(credentials)
        return grpc.aio.secure_channel("127.0.0.1:1", credentials)

    async with RenewedChannel(Source(), dial, monotonic=lambda: now) as channel:
        for tenths in range(50):
            now = tenths / 10
            channel.get_state()
    assert asked == [0, 1, 2, 3, 4]
    assert dialled == given
