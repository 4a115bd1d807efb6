"""gRPC ignores options that it does not know, such as misspelt ones."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from fedcoin.network.client.channels import channel_options
from fedcoin.network.grpc_options import server_options


@pytest.fixture(scope="module")
def library() -> bytes:
    """The binary of gRPC's core, which holds the names of its options."""
    path = importlib.import_module("grpc._cython.cygrpc").__file__
    assert path is not None
    return Path(path).read_bytes()


def test_grpc_knows_every_option(library: bytes) -> None:
    assert b"grpc.no_such_option" not in library
    for name, _ in (*server_options(1), *channel_options(1)):
        # Names end with a zero byte; another name may begin in the same way.
        assert name.encode() + b"\0" in library, name
