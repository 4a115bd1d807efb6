"""Tasks and campaigns that are named by the first digits of their ids."""

from __future__ import annotations

import pytest

from fedcoin.application.cli.shared.id_prefixes import HASH_PREFIX, ID_PREFIX, MAX_LISTED, choose
from fedcoin.data.errors import RefusalError

IDS = ["ab12" + "0" * 60, "ab12" + "1" * 60, "cd34" + "2" * 60]


def test_the_one_that_begins_so() -> None:
    assert choose("task", "cd34", IDS) == IDS[2]
    assert choose("task", "ab121", IDS) == IDS[1]
    with pytest.raises(RefusalError, match="task ab12: 2 ids begin so: give more digits"):
        choose("task", "ab12", IDS)
    with pytest.raises(RefusalError, match="campaign ffff: no id begins so"):
        choose("campaign", "ffff", IDS)
    with pytest.raises(RefusalError, match=f"among the latest {MAX_LISTED} tasks, no id"):
        choose("task", "ffff", (IDS * MAX_LISTED)[:MAX_LISTED])


def test_how_it_is_written() -> None:
    assert ID_PREFIX.parse("AB12…") == "ab12"
    assert ID_PREFIX.parse(IDS[0]) == IDS[0]
    for wrong in ("ab1", "xyz1", IDS[0] + "0", ""):
        with pytest.raises(ValueError, match="64 hex digits, or at least the first 4"):
            ID_PREFIX.parse(wrong)
    assert HASH_PREFIX.parse("AB12CD34…") == "ab12cd34"
    with pytest.raises(ValueError, match="64 hex digits, or at least the first 8"):
        HASH_PREFIX.parse("ab12cd3")
