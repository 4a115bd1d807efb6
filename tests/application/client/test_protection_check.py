from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from fedcoin.application.client.protection_check import check_protection
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError
from fedcoin.network.client.rpc_error import RpcError, rpc_error_of
from fedcoin.network.peers.connections.tls_files import TlsFiles
from tests.support.certificates import issue, make_authority


@asynccontextmanager
async def listening(files: TlsFiles | None) -> AsyncIterator[str]:
    server = grpc.aio.server()
    port = (
        server.add_secure_port("127.0.0.1:0", files.server_credentials())
        if files
        else server.add_insecure_port("127.0.0.1:0")
    )
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


async def failure(target: str, files: TlsFiles | None) -> RpcError:
    channel = (
        grpc.aio.secure_channel(target, files.channel_credentials())
        if files
        else grpc.aio.insecure_channel(target)
    )
    call: Any = channel.unary_unary("/a.B/C")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(b"", timeout=20)
    await channel.close()
    return rpc_error_of(caught.value, target)


async def test_only_different_protection_is_refused(tmp_path: Path) -> None:
    files = TlsFiles(issue(make_authority(tmp_path / "ca"), "own", "IP:127.0.0.1"))
    words = {True: "answers without TLS", False: "expects TLS"}
    for server in (files, None):
        async with listening(server) as target:
            for caller in (files, None):
                error = await failure(target, caller)
                if bool(server) is bool(caller):
                    await check_protection(target, error, caller is not None)
                    continue
                with pytest.raises(RefusalError) as caught:
                    await check_protection(target, error, caller is not None)
                assert caught.value.code is ApplicationCode.OTHER_PROTECTION
                assert words[caller is not None] in caught.value.message
    # Nothing listens there any more.
    await check_protection(target, await failure(target, None), False)
