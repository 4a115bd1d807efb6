from __future__ import annotations

from pathlib import Path

import pytest

from fedcoin.application.configuration.config import load_config, render_config
from fedcoin.application.devnet.plan import Options, check
from fedcoin.application.errors import ApplicationCode
from fedcoin.application.node.components import NodeComponents
from fedcoin.application.node.node import conduct_of
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import RefusalError
from fedcoin.testing.dishonest.conducts import CONDUCTS
from fedcoin.testing.dishonest.kinds import KINDS, parse_asked
from fedcoin.testing.dishonest.lying_miner import LyingMiner
from fedcoin.testing.dishonest.strategies import STRATEGIES

KEY = KeyPair.from_seed(b"k" * 32)
THREATS = Path(__file__).resolve().parents[3] / "docs" / "THREATS.md"


def test_every_kind_has_a_strategy_or_a_conduct() -> None:
    assert list(KINDS) == [*STRATEGIES, *CONDUCTS]
    assert all(STRATEGIES[kind].kind == kind for kind in STRATEGIES)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_differs_from_an_honest_node_in_one_part(kind: str) -> None:
    conduct = conduct_of(kind, KEY)
    parts = ("chain", "network", "miner", "beside")
    other = [
        part for part in parts if getattr(type(conduct), part) is not getattr(NodeComponents, part)
    ]
    assert len(other) == 1
    if kind in STRATEGIES:
        assert isinstance(conduct.miner(*[None] * 7), LyingMiner)


def test_who_is_not_told_to_lie_or_does_not_mine_is_honest() -> None:
    assert type(conduct_of("", KEY)) is type(conduct_of("copier", None)) is NodeComponents


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_in_the_documents(kind: str) -> None:
    text = THREATS.read_text(encoding="utf-8")
    assert f"| `{kind}` | " in text


@pytest.mark.parametrize(
    ("text", "asked"), [("copier", ("copier", 1)), ("partial-forger:3", ("partial-forger", 3))]
)
def test_what_is_asked_for(text: str, asked: tuple[str, int]) -> None:
    assert parse_asked(text) == asked


@pytest.mark.parametrize("text", ["", "saint", "copier:0", "copier:-1", "copier:", "COPIER", "a b"])
def test_what_cannot_be_asked_for(text: str) -> None:
    with pytest.raises(RefusalError) as caught:
        parse_asked(text)
    assert caught.value.code is ApplicationCode.BAD_ARGUMENT
    assert caught.value.field == "adversary"


def test_nobody_lies_by_accident() -> None:
    assert "adversary" not in render_config()
    assert load_config(None, {}).miner.adversary == ""
    assert 'adversary = "copier"' in render_config({"miner.adversary": "copier"})
    with pytest.raises(RefusalError) as caught:
        conduct_of("saint", KEY)
    assert caught.value.code is ApplicationCode.BAD_CONFIG


def test_one_miner_of_a_devnet_is_honest() -> None:
    def options(count: int) -> Options:
        asked = (("copier", count),)
        return Options(3, 1, 1, "digits", 10**8, 1, adversaries=asked)

    check(options(2))
    with pytest.raises(RefusalError) as caught:
        check(options(3))
    assert caught.value.code is ApplicationCode.BAD_ARGUMENT
