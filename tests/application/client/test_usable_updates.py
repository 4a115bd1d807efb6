from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fedcoin.application.client.usable_updates import fetch_usable
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.artifacts.tensors import decode_tensors, encode_tensors
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.updates import Update, decode_update, sign_update
from fedcoin.learning.workers.pool import WorkerPool
from fedcoin.v1.task_pb2 import ClientUpdate
from tests.conftest import ReportAttack
from tests.support.training_site import TrainingSite, client_key, materials, site

pytestmark = pytest.mark.usefixtures("inline_workers")


def update_of(here: TrainingSite, number: int, artifact: bytes) -> Update:
    key, genesis_hash = client_key(number), here.chain.genesis_hash
    message = ClientUpdate(
        campaign_id=bytes(32),
        round=1,
        base=bytes(32),
        update=artifact,
        num_samples=1,
        address=key.address,
    )
    return decode_update(sign_update(message, key, genesis_hash), genesis_hash)


@pytest.mark.asyncio
async def test_updates_that_no_miner_could_value_are_left_out(
    tmp_path: Path, report_attack: ReportAttack
) -> None:
    """One of them in its task would keep a client from opening the round."""
    given, lines = materials(), list[str]()
    weights = decode_tensors(given.weights)
    name = next(iter(weights))
    ruined = {**weights, name: np.full_like(weights[name], np.nan)}
    async with site(tmp_path) as here:
        model = await here.client.upload_artifact(given.model)
        contents = [
            given.weights,
            encode_tensors(ruined),
            encode_tensors({name: weights[name]}),
            b"junk",
            bytes(len(given.weights) + 100_000),
        ]
        artifacts = [await here.client.upload_artifact(content) for content in contents]
        artifacts.append(sha256(b"missing"))
        updates = [update_of(here, n, artifact) for n, artifact in enumerate(artifacts)]
        workers = WorkerPool()
        try:
            usable = await fetch_usable(
                here.client, updates, model.hex(), tmp_path, workers, lines.append
            )
            with pytest.raises(RefusalError, match="none of the registered") as caught:
                await fetch_usable(
                    here.client, updates[1:3], model.hex(), tmp_path, workers, lines.append
                )
            assert caught.value.code is ApplicationCode.NO_FILE
        finally:
            await workers.stop()
    assert usable == updates[:1]
    assert (tmp_path / artifacts[0].hex()).read_bytes() == given.weights
    assert len(lines) == 5 + 2
    assert all(line.startswith("left out ") for line in lines)
    report_attack(
        "a server registers a receipt for weights that are not finite, so that its clients' task is"
        " refused",
        "only the server could open it",
        "the client's program leaves it out, as voters allow",
    )
