"""A client fetches and checks each model of its campaign once, with the frozen weights."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

from fedcoin.application.client.fetched_model import FetchedModel
from fedcoin.data.artifacts.manifest import compute_artifact_id
from fedcoin.data.artifacts.tensors import encode_tensors
from fedcoin.learning.model.frozen_weights import freeze_weights
from fedcoin.network.client.federated_client import FederatedClient
from tests.support.mining_campaign import CLASSES, PIXELS, linear_spec

WHOLE = linear_spec().SerializeToString(deterministic=True)
WEIGHTS = {"kernel": np.ones((PIXELS, CLASSES), np.float32), "bias": np.ones(CLASSES, np.float32)}
PART = freeze_weights(WHOLE, encode_tensors(WEIGHTS), ["bias"])


class Server:
    """Serves artifacts by their ids, and counts the downloads."""

    def __init__(self, *artifacts: bytes) -> None:
        self._artifacts = {compute_artifact_id(raw): raw for raw in artifacts}
        self.num_downloads = 0

    async def download_artifact(self, artifact: bytes, max_bytes: int) -> bytes:
        assert len(self._artifacts[artifact]) <= max_bytes
        self.num_downloads += 1
        return self._artifacts[artifact]


async def test_a_model_is_fetched_once_and_its_frozen_weights_lie_on_disk() -> None:
    server = Server(WHOLE, PART.spec, PART.frozen)
    checked: list[bytes] = []
    model = FetchedModel()

    async def fetch(spec: bytes) -> None:
        async def check(fetched: bytes) -> None:
            checked.append(fetched)

        client = cast(FederatedClient, server)
        await model.fetch(client, compute_artifact_id(spec), check)

    await fetch(PART.spec)
    await fetch(PART.spec)
    assert (checked, server.num_downloads, model.spec) == ([PART.spec], 2, PART.spec)
    file = model.frozen
    assert file is not None
    assert file.read_bytes() == PART.frozen
    await fetch(WHOLE)
    assert (checked, server.num_downloads) == ([PART.spec, WHOLE], 3)
    assert (model.spec, model.frozen) == (WHOLE, None)
    await model.close()
    assert not file.parent.exists()


async def test_a_model_that_does_not_fit_is_checked_again() -> None:
    model = FetchedModel()

    async def refuse(_: bytes) -> None:
        raise ValueError("it does not fit")

    for _ in range(2):
        client: Any = Server(PART.spec)
        with pytest.raises(ValueError, match="does not fit"):
            await model.fetch(client, compute_artifact_id(PART.spec), refuse)
        assert client.num_downloads == 1
    assert model.spec == b""
