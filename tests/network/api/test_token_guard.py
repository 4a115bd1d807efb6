"""Calls with and without tokens, at a served API."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import grpc
import pytest

from fedcoin.data.errors import RefusalError
from fedcoin.network.api.api_tokens import make_token, read_tokens, write_tokens
from fedcoin.network.api.permissions import ApiRole
from fedcoin.network.client.admin_client import AdminClient
from fedcoin.network.client.node_client import NodeClient
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.network.errors import NetworkCode
from tests.support.served_api import serve_api
from tests.support.waiting import until


def make_all(path: Path) -> dict[ApiRole, str]:
    """Write one token of each role; returns their texts."""
    made = {role: make_token(role.value, role, 0) for role in ApiRole}
    write_tokens(path, [entry for _, entry in made.values()])
    return {role: text for role, (text, _) in made.items()}


async def code_of(call: Any) -> str:
    try:
        await call
    except RpcError as error:
        return error.code
    return "OK"


async def until_refused(node: NodeClient, code: str) -> None:
    deadline = time.monotonic() + 5
    while await code_of(node.get_status()) != code:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)


async def test_each_role_may_call_what_it_includes(tmp_path: Path) -> None:
    tokens = make_all(tmp_path / "tokens.json")
    async with serve_api(tmp_path / "api", tokens=tmp_path / "tokens.json") as served:
        found = {}
        texts = {"none": "", "wrong": "fct_wrong", **{role.value: t for role, t in tokens.items()}}
        for name, text in texts.items():
            async with NodeClient(served.server.address, token=text) as node:
                await node.wait_until_serving(5)  # open to all
                stop = AdminClient(served.server.address)
                stop.metadata = node.metadata
                found[name] = [
                    await code_of(node.get_status()),
                    await code_of(node.upload_artifact(b"x")),
                    await code_of(stop.set_log_level("info")),
                ]
                await stop.close()
        own = NodeClient(served.server.address, token=served.server.own_token)
        assert await code_of(own.upload_artifact(b"y")) == "OK"
        await own.close()
        assert await code_of(served.admin.set_log_level("info")) == "OK"  # the socket asks for none
    assert found == {
        "none": ["NO_TOKEN"] * 3,
        "wrong": ["BAD_TOKEN"] * 3,
        "read": ["OK", "NOT_ALLOWED", "NOT_ALLOWED"],
        "submit": ["OK", "OK", "NOT_ALLOWED"],
        "admin": ["OK", "OK", "OK"],
    }


async def test_without_a_file_all_may_call_and_the_operator_s_service_is_not_served(
    tmp_path: Path,
) -> None:
    async with serve_api(tmp_path / "api", tokens=tmp_path / "tokens.json") as served:
        assert await code_of(served.node.get_status()) == "OK"
        async with AdminClient(served.server.address) as admin:
            with pytest.raises(RpcError) as caught:
                await admin.set_log_level("info")
        assert caught.value.status is grpc.StatusCode.UNIMPLEMENTED
        # The first token closes the API while it runs.
        _, entry = make_token("reader", ApiRole.READ, 0)
        write_tokens(tmp_path / "tokens.json", [entry])
        await until_refused(served.node, "NO_TOKEN")


async def test_tokens_are_never_sent_in_plaintext_to_other_machines(tmp_path: Path) -> None:
    make_all(tmp_path / "tokens.json")
    with pytest.raises(RefusalError, match="sent in plaintext") as caught:
        async with serve_api(tmp_path / "api", listen="0.0.0.0:0", tokens=tmp_path / "tokens.json"):
            pass
    assert caught.value.code is NetworkCode.NOT_SECURE
    with pytest.raises(RefusalError, match="refused to send the API token") as caught:
        NodeClient("192.0.2.7:7051", token="fct_secret")
    assert caught.value.code is NetworkCode.NOT_SECURE
    async with NodeClient("localhost:7051", token="fct_secret") as node:
        assert node.metadata == (("authorization", "Bearer fct_secret"),)


async def test_an_api_that_listens_in_plaintext_refuses_tokens_that_come_later(
    tmp_path: Path,
) -> None:
    path = tmp_path / "tokens.json"
    async with serve_api(tmp_path / "api", listen="0.0.0.0:0", tokens=path) as served:
        tokens = make_all(path)
        port = served.server.address.rpartition(":")[2]
        async with NodeClient(f"127.0.0.1:{port}", token=tokens[ApiRole.ADMIN]) as node:
            await until_refused(node, "NOT_SECURE")


async def test_streams_end_when_their_token_is_revoked_or_the_first_one_is_made(
    tmp_path: Path,
) -> None:
    path = tmp_path / "tokens.json"
    async with serve_api(tmp_path / "api", tokens=path) as served:
        open_to_all = asyncio.create_task(code_of(anext(served.node.watch_events(patience=0))))
        await until(lambda: served.port.num_waiting == 1)
        tokens = make_all(path)
        assert await asyncio.wait_for(open_to_all, 10) == "NO_TOKEN"
        kept = NodeClient(served.server.address, token=tokens[ApiRole.SUBMIT])
        revoked = NodeClient(served.server.address, token=tokens[ApiRole.READ])
        async with kept, revoked:
            waits = [
                asyncio.create_task(code_of(anext(node.watch_events(patience=0))))
                for node in (kept, revoked)
            ]
            await until(lambda: served.port.num_waiting == 2)
            write_tokens(path, [one for one in read_tokens(path) or () if one.name != "read"])
            assert await asyncio.wait_for(waits[1], 10) == "BAD_TOKEN"
            assert not waits[0].done()
            waits[0].cancel()
