"""The parts of pages that tools write from the code are as the tools would write them now."""

from __future__ import annotations

from types import ModuleType

import pytest

from scripts.tools import write_error_codes, write_metrics_table, write_model_classes


@pytest.mark.parametrize(
    "tool",
    [write_error_codes, write_metrics_table, write_model_classes],
    ids=lambda tool: tool.__name__.rpartition(".")[2],
)
def test_the_page_is_up_to_date(tool: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", [tool.__name__, "--check"])
    assert tool.main() == 0
