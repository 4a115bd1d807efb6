from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.served_api import ServedApi, serve_api


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[ServedApi]:
    async with serve_api(tmp_path) as live:
        yield live
