from __future__ import annotations

from typing import Any

import pytest

from tests.support.node_process import Live


def test_no_tasks_yet(fedcoin: Any, live: Live) -> None:
    assert fedcoin("task", "list", "--home", live.home.root, "--json").json == []
    assert fedcoin("task", "list", "--home", live.home.root).out.startswith("TASK")


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["task", "show", "ab" * 32], 1, "TASK_NOT_FOUND"),
        (["task", "watch", "ab" * 32], 1, "TASK_NOT_FOUND"),
    ],
)
def test_unknown_tasks(
    fedcoin: Any, live: Live, arguments: list[str], code: int, word: str
) -> None:
    outcome = fedcoin(*arguments, "--home", live.home.root)
    assert (outcome.code, word in outcome.err) == (code, True), outcome.err
    assert not outcome.out
