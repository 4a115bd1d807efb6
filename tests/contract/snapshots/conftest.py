"""One chain and its snapshot for a module's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.ledger_campaign import LedgerCampaign
from tests.support.ledger_snapshots import chain_in, parts, snapshot_of
from tests.support.small_snapshots import ChainSnapshot, use_small_chunks


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChainSnapshot]:
    """A chain with two changes of validators and an open task, and its snapshot in small chunks."""
    folder = tmp_path_factory.mktemp("chain")
    with pytest.MonkeyPatch.context() as patch:
        use_small_chunks(patch)
        chain = chain_in(folder)
        job = LedgerCampaign(chain)
        job.open_campaign()
        job.open_task()
        assert chain.store is not None
        path = snapshot_of(chain.store, chain.genesis, folder / "x.snapshot")
        yield ChainSnapshot(chain, chain.store, path, parts(path))
        chain.store.close()
