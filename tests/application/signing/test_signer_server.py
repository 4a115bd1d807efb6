"""A key in another process: a server on a Unix socket and the key that asks it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fedcoin.application.errors import ApplicationCode
from fedcoin.application.signing.remote_key import RemoteKey
from fedcoin.application.signing.signed_record import SignedRecordFile
from fedcoin.application.signing.signer_server import SignerServer
from fedcoin.application.signing.signing_policy import SigningLimits, SigningPolicy
from fedcoin.data.clock import unix_ms
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages.votes import PREVOTE, decode_vote, sign_vote
from tests.support.keys import ALICE, MINERS

GENESIS = b"g" * 32


@asynccontextmanager
async def serving(
    folder: Path, key: KeyPair = MINERS[0], from_height: int | None = None
) -> AsyncIterator[str]:
    record = SignedRecordFile(folder / "signed")
    policy = SigningPolicy(GENESIS, record, SigningLimits(), from_height, unix_ms)
    async with SignerServer(key, policy).serve(folder / "s.sock"):
        yield f"unix:{folder / 's.sock'}"


async def test_a_vote_is_the_one_of_the_key_itself(tmp_path: Path) -> None:
    async with serving(tmp_path, from_height=1) as address:
        key = await asyncio.to_thread(RemoteKey, address)
        assert (key.public_key, key.address) == (MINERS[0].public_key, MINERS[0].address)
        block = b"b" * 32
        vote = await asyncio.to_thread(sign_vote, PREVOTE, 3, 0, block, key, GENESIS)
        assert vote == sign_vote(PREVOTE, 3, 0, block, MINERS[0], GENESIS)
        assert decode_vote(vote.envelope, GENESIS) == vote
        with pytest.raises(RefusalError) as caught:
            await asyncio.to_thread(sign_vote, PREVOTE, 3, 0, b"", key, GENESIS)
        assert caught.value.code is DataCode.CONFLICTING_VOTE
        with pytest.raises(RefusalError) as caught:
            await asyncio.to_thread(sign_vote, PREVOTE, 4, 0, b"", key, b"h" * 32)
        assert caught.value.code is ApplicationCode.SIGNER_REFUSED
        assert (tmp_path / "s.sock").stat().st_mode & 0o777 == 0o660


async def test_a_signer_that_is_away_or_another(tmp_path: Path) -> None:
    async with serving(tmp_path, from_height=1) as address:
        key = await asyncio.to_thread(RemoteKey, address)
    with pytest.raises(RefusalError) as caught:
        await asyncio.to_thread(sign_vote, PREVOTE, 5, 0, b"", key, GENESIS)
    assert caught.value.code is ApplicationCode.SIGNER_AWAY
    with pytest.raises(RefusalError) as caught:
        RemoteKey(address)
    assert caught.value.code is ApplicationCode.SIGNER_AWAY
    async with serving(tmp_path, ALICE):
        with pytest.raises(RefusalError, match="not of the key") as caught:
            await asyncio.to_thread(sign_vote, PREVOTE, 6, 0, b"", key, GENESIS)
        assert caught.value.code is ApplicationCode.SIGNER_AWAY
    async with serving(tmp_path):  # back again, under the same path
        await asyncio.to_thread(sign_vote, PREVOTE, 7, 0, b"", key, GENESIS)


async def test_requests_without_sense(tmp_path: Path) -> None:
    def ask(line: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(tmp_path / "s.sock"))
            connection.sendall(line)
            connection.shutdown(socket.SHUT_WR)
            return connection.makefile("rb").readline()

    async with serving(tmp_path, from_height=1) as address:
        for line in (b"{}\n", b"[]\n", b"\xff\n", b'{"sign": 1, "body": "x"}\n', b'"a"\n'):
            assert b'"code": "MALFORMED"' in await asyncio.to_thread(ask, line)
        assert await asyncio.to_thread(ask, b'{"show": "key"}') == b""  # without a line's end
        assert (await asyncio.to_thread(RemoteKey, address)).public_key == MINERS[0].public_key
