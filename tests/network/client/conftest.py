from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.live_api import Live, serve


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Live]:
    async with serve(tmp_path) as live:
        yield live
