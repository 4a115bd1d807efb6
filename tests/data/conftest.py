"""A genesis, a key and an empty store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.storage.chain_store import ChainStore
from tests.support.keys import ALICE
from tests.support.sample_blocks import genesis_of


@pytest.fixture
def genesis() -> Genesis:
    return genesis_of()


@pytest.fixture
def key() -> KeyPair:
    return ALICE


@pytest.fixture
def store(tmp_path: Path, genesis: Genesis) -> Iterator[ChainStore]:
    with ChainStore.open(tmp_path / "chain.sqlite", genesis) as opened:
        yield opened
