from __future__ import annotations

import html.parser
import itertools
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcoin.application.devnet.report import (
    nice_ticks,
    payouts_plot,
    render_report,
    shares_of,
    shares_plot,
    values_plot,
)
from fedcoin.application.devnet.result import (
    ClientResult,
    DevnetResult,
    MinerResult,
    NodeResult,
    RoundResult,
)
from fedcoin.data.crypto.addresses import format_address

VALUES = {"honest": 120_000_000, "mislabelled": -20_000_000, "free rider": 0}


def address(number: int) -> str:
    return format_address(bytes([number]) * 20)


def one_round(number: int) -> RoundResult:
    clients = tuple(
        ClientResult(address(i), role, 100 * (i + 1), value // number, max(0, value) * 5)
        for i, (role, value) in enumerate(VALUES.items())
    )
    miners = tuple(
        MinerResult(address(10 + i), True, i < 2, i < 1, 200 if i == 0 else 0) for i in (0, 1, 2)
    )
    return RoundResult(
        round=number,
        task_id="ab" * 32,
        accuracy=0.5 + number / 10,
        winner=address(10),
        difficulty_nano=20_000_000,
        schedule="exact",
        evaluations=64,
        settle_seconds=1.25,
        training_price=700_000_000,
        aggregation_price=100_000_000,
        mining_price=200,
        server=address(9),
        clients=clients,
        miners=miners,
    )


def result(rounds: int = 3) -> DevnetResult:
    return DevnetResult(
        chain_id="fedcoin-devnet",
        supply_before=10**15,
        supply_after=10**15,
        rounds=tuple(one_round(number) for number in range(1, rounds + 1)),
        nodes=tuple(
            NodeResult(address(10 + i), 17, "cd" * 32, 98_000_000, 1.1, 10**11) for i in (0, 1, 2)
        ),
        elapsed_seconds=41.25,
    )


class Strict(html.parser.HTMLParser):
    """Notes whatever a page would fetch, and whether its elements close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "rect", "line", "polyline", "circle", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        if tag in ("rect", "circle"):
            return
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def parsed(page: str) -> Strict:
    found = Strict()
    found.feed(page)
    found.close()
    assert found.open == []
    return found


def test_the_page_needs_nothing_else() -> None:
    page = render_report(result())
    assert parsed(page).fetched == []
    assert "url(" not in page
    assert "<script" not in page
    assert "prefers-color-scheme: dark" in page


def test_the_page_says_what_happened() -> None:
    page = render_report(result())
    text = " ".join(parsed(page).text)
    for wanted in ("80.0 %", "one state", "conserved", "free rider", "mislabelled", "+0.1200"):
        assert wanted in text
    assert "disagree" not in text
    for number in (1, 2, 3):
        assert f"Round {number}" in text


def test_disagreement_and_lost_coins_show() -> None:
    good = result()
    nodes = (replace(good.nodes[0], app_hash="ef" * 32), *good.nodes[1:])
    page = render_report(replace(good, nodes=nodes, supply_after=10**15 - 1))
    assert "disagree" in page
    assert ">changed<" in page


def test_plots_are_wellformed_drawings() -> None:
    drawings = re.findall(r"<svg.*?</svg>", render_report(result()), flags=re.DOTALL)
    assert len(drawings) == 4
    for drawing in drawings:
        root = ET.fromstring(drawing)
        _, _, width, height = map(float, root.attrib["viewBox"].split())
        for shape in root.iter("rect"):
            assert 0 <= float(shape.attrib["x"]) <= width
            assert 0 <= float(shape.attrib["y"]) <= height
            assert float(shape.attrib["height"]) >= 0


def test_whatever_a_name_holds_is_text() -> None:
    page = render_report(replace(result(), chain_id="<script>alert(1)</script>"))
    assert "<script" not in page


@pytest.mark.parametrize("rounds", [0, 1, 20])
def test_any_number_of_rounds(rounds: int) -> None:
    parsed(render_report(result(rounds)))


def test_negative_values_hang_below_zero() -> None:
    plot = values_plot(result())
    for bar in plot.bars:
        if bar.kind == "mislabelled":
            assert bar.y == pytest.approx(plot.zero)
        else:
            assert bar.y + bar.height == pytest.approx(plot.zero)


def test_rounds_stand_upon_one_another() -> None:
    bars = [bar for bar in payouts_plot(result()).bars if bar.kind == "honest"]
    assert len(bars) == 3
    for below, above in itertools.pairwise(bars):
        assert above.y + above.height == pytest.approx(below.y)


def test_shares_add_up() -> None:
    turn = one_round(1)
    assert shares_of(turn) == (600_000_000, 100_000_000, 200, 100_000_000)
    assert next(label.about for label in shares_plot(result()).labels) == "18.00 FDC"


@given(st.floats(-1e6, 0), st.floats(0, 1e6))
def test_ticks_hold_the_range(low: float, high: float) -> None:
    ticks = nice_ticks(low, high)
    assert 2 <= len(ticks) <= 9
    slack = 1e-6 * (high - low) + 1e-9
    assert ticks[0] <= low + slack
    assert ticks[-1] >= high - slack
