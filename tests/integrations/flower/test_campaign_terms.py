"""Settings of the campaign behind a paid Flower federation."""

from __future__ import annotations

import pytest

pytest.importorskip("flwr", reason="flwr is not installed: make test-integrations has it")

from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError
from fedcoin.integrations.flower.campaign_terms import UNUSED, one_round_of, read_terms_of_campaign


def test_settings_are_those_of_a_coordinator_without_receipts() -> None:
    config = read_terms_of_campaign({"budget": "30fdc", "rounds": 3, "averaging": "equal"})
    assert (config.budget, config.rounds, config.averaging) == (30 * 10**8, 3, "equal")
    assert config.receipt_seconds == 0


@pytest.mark.parametrize(("seconds", "round_seconds"), [(3600, 60.0), (6, 3.0)])
def test_receipts_are_asked_for(seconds: int, round_seconds: float) -> None:
    config = read_terms_of_campaign({"receipt_seconds": seconds})
    assert (config.receipt_seconds, config.round_seconds) == (seconds, round_seconds)


def test_one_round_has_its_part_of_the_budget() -> None:
    config = one_round_of(read_terms_of_campaign({"budget": "30fdc", "rounds": 3}))
    assert (config.budget, config.rounds) == (10 * 10**8, 1)


@pytest.mark.parametrize("name", sorted(UNUSED))
def test_settings_that_flower_decides_are_refused(name: str) -> None:
    with pytest.raises(RefusalError, match=f"sets {name}, which has no effect") as caught:
        read_terms_of_campaign({name: 1})
    assert caught.value.code is ApplicationCode.BAD_CONFIG


def test_a_setting_that_does_not_exist_is_refused() -> None:
    with pytest.raises(RefusalError) as caught:
        read_terms_of_campaign({"bugdet": "30fdc"})
    assert caught.value.code is ApplicationCode.UNKNOWN_SETTING
