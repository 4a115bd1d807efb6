from __future__ import annotations

from pathlib import Path

import pytest

from fedcoin.application.configuration.config import MinerConfig
from fedcoin.application.configuration.worker_bounds import choose_bounds
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError


def test_without_bubblewrap_a_node_says_so_or_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    bounds, phrase = choose_bounds(MinerConfig(), [tmp_path], [])
    assert bounds.sandbox is None
    assert phrase == "none: there is no program bwrap: install bubblewrap"
    (message,) = (record.getMessage() for record in caplog.records)
    assert message.startswith(f"worker processes run without a sandbox ({phrase}): ")
    assert message.endswith("see docs/OPERATIONS.md, The sandbox of workers")
    caplog.clear()
    assert choose_bounds(MinerConfig(sandbox="off"), [tmp_path], [])[1] == "none: switched off"
    assert not caplog.records
    with pytest.raises(
        RefusalError, match=r"miner.sandbox is 'require', but there is no"
    ) as caught:
        choose_bounds(MinerConfig(sandbox="require"), [tmp_path], [])
    assert caught.value.code is ApplicationCode.BAD_CONFIG
