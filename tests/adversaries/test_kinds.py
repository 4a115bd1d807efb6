from __future__ import annotations

from pathlib import Path

import pytest

from fedcoin.application.adversaries.conducts import CONDUCTS
from fedcoin.application.adversaries.kinds import KINDS, parse_asked
from fedcoin.application.adversaries.lying_miner import LyingMiner
from fedcoin.application.adversaries.strategies import STRATEGIES
from fedcoin.application.conduct import Conduct
from fedcoin.application.config import load_config, render_config
from fedcoin.application.devnet.plan import Options, check
from fedcoin.application.errors import ApplicationCode
from fedcoin.application.node import conduct_of
from fedcoin.data.errors import Refusal
from fedcoin.data.keys import KeyPair

KEY = KeyPair.from_seed(b"k" * 32)
SECURITY = Path(__file__).resolve().parents[2] / "docs" / "SECURITY.md"


def test_every_kind_has_a_strategy_or_a_conduct() -> None:
    assert list(KINDS) == [*STRATEGIES, *CONDUCTS]
    assert all(STRATEGIES[kind].kind == kind for kind in STRATEGIES)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_differs_from_an_honest_node_in_one_part(kind: str) -> None:
    conduct = conduct_of(kind, KEY)
    parts = ("chain", "network", "miner", "beside")
    other = [part for part in parts if getattr(type(conduct), part) is not getattr(Conduct, part)]
    assert len(other) == 1
    if kind in STRATEGIES:
        assert isinstance(conduct.miner(*[None] * 7), LyingMiner)


def test_who_is_not_told_to_lie_or_does_not_mine_is_honest() -> None:
    assert type(conduct_of("", KEY)) is type(conduct_of("copier", None)) is Conduct


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_in_the_documents(kind: str) -> None:
    text = SECURITY.read_text(encoding="utf-8")
    assert f"| `{kind}` | " in text


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
    assert load_config(None, {}).miner.adversary == ""
    assert 'adversary = "copier"' in render_config({"miner.adversary": "copier"})
    with pytest.raises(Refusal) as caught:
        conduct_of("saint", KEY)
    assert caught.value.code is ApplicationCode.BAD_CONFIG


def test_one_miner_of_a_devnet_is_honest() -> None:
    def options(count: int) -> Options:
        asked = (("copier", count),)
        return Options(3, 1, 1, "digits", 10**8, 1, adversaries=asked)

    check(options(2))
    with pytest.raises(Refusal) as caught:
        check(options(3))
    assert caught.value.code is ApplicationCode.BAD_ARGUMENT
