from __future__ import annotations

import pytest

from fedcoin.application.adversaries.kinds import KINDS, parse_asked
from fedcoin.application.adversaries.lying_miner import strategy_of
from fedcoin.application.adversaries.strategies import STRATEGIES
from fedcoin.application.config import load_config, render_config
from fedcoin.application.devnet.plan import Options, check
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import Refusal


def test_every_kind_has_a_strategy() -> None:
    assert set(KINDS) == set(STRATEGIES)
    assert all(STRATEGIES[kind].kind == kind for kind in KINDS)


@pytest.mark.parametrize(
    ("text", "asked"), [("copier", ("copier", 1)), ("partial-forger:3", ("partial-forger", 3))]
)
def test_what_is_asked_for(text: str, asked: tuple[str, int]) -> None:
    assert parse_asked(text) == asked


@pytest.mark.parametrize("text", ["", "saint", "copier:0", "copier:-1", "copier:", "COPIER", "a b"])
def test_what_cannot_be_asked_for(text: str) -> None:
    with pytest.raises(Refusal) as caught:
        parse_asked(text)
    assert caught.value.code is ApplicationCode.BAD_ARGUMENT
    assert caught.value.field == "adversary"


def test_nobody_lies_by_accident() -> None:
    assert "adversary" not in render_config()
    assert load_config(None, {}).mining.adversary == ""
    assert 'adversary = "copier"' in render_config({"mining.adversary": "copier"})
    with pytest.raises(Refusal) as caught:
        strategy_of("saint")
    assert caught.value.code is ApplicationCode.BAD_CONFIG


def test_one_miner_of_a_devnet_is_honest() -> None:
    def options(count: int) -> Options:
        asked = (("copier", count),)
        return Options(3, 1, 1, "digits", 10**8, 1, adversaries=asked)

    check(options(2))
    with pytest.raises(Refusal) as caught:
        check(options(3))
    assert caught.value.code is ApplicationCode.BAD_ARGUMENT
