"""The kinds of dishonest miners: the devnet's data file, the documents, and what runs them."""

from __future__ import annotations

import dataclasses
import re
import runpy
import subprocess
import sys

import pytest

from fedcoin.application.devnet.dishonest_miners import load_dishonest_miners, parse_adversary
from fedcoin.application.errors import ApplicationCode
from fedcoin.application.node.components import NodeComponents
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import RefusalError
from fedcoin.testing.dishonest.dishonest_miner import DishonestMiner
from fedcoin.testing.dishonest.mining_strategies import MINING_STRATEGIES
from fedcoin.testing.dishonest.node_components import KINDS, dishonest_components
from tests.support.paths import DOCS, ROOT

KEY = KeyPair.from_seed(b"k" * 32)
THREATS = DOCS / "THREATS.md"


def test_the_devnets_file_names_what_the_testing_package_implements() -> None:
    assert tuple(load_dishonest_miners().kinds) == KINDS
    assert all(MINING_STRATEGIES[kind].kind == kind for kind in MINING_STRATEGIES)


@pytest.mark.parametrize("page", ["README.md", "CHANGELOG.md"])
def test_pages_say_how_many_kinds_there_are(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert re.findall(r"in one of (\d+) ways", text) == [str(len(KINDS))]


def test_the_devnets_file_names_a_module_that_starts_each_kind() -> None:
    command = [sys.executable, "-m", load_dishonest_miners().module, "--help"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "Usage: python -m fedcoin.testing.dishonest [OPTIONS] KIND" in done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_differs_from_an_honest_node_in_one_component(kind: str) -> None:
    components, honest = dishonest_components(kind, KEY), NodeComponents()
    names = [field.name for field in dataclasses.fields(NodeComponents)]
    changed = [name for name in names if getattr(components, name) != getattr(honest, name)]
    assert len(changed) == 1
    if kind in MINING_STRATEGIES:
        assert isinstance(components.make_miner(KEY, *[None] * 6), DishonestMiner)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_in_the_documents(kind: str) -> None:
    text = THREATS.read_text(encoding="utf-8")
    assert f"| `{kind}` | " in text


@pytest.mark.parametrize(
    ("text", "parsed"), [("copier", ("copier", 1)), ("partial-forger:3", ("partial-forger", 3))]
)
def test_parsing_an_adversary(text: str, parsed: tuple[str, int]) -> None:
    assert parse_adversary(text) == parsed


@pytest.mark.parametrize("text", ["", "saint", "copier:0", "copier:-1", "copier:", "COPIER", "a b"])
def test_a_malformed_or_unknown_adversary_is_refused(text: str) -> None:
    with pytest.raises(RefusalError) as caught:
        parse_adversary(text)
    assert caught.value.code is ApplicationCode.BAD_ARGUMENT
    assert caught.value.field == "adversary"


def test_the_entry_point_refuses_an_unknown_kind(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["dishonest", "saint"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_module("fedcoin.testing.dishonest", run_name="__main__")
    assert caught.value.code == 2
    assert "'saint' is not one of 'copier'" in capsys.readouterr().err
