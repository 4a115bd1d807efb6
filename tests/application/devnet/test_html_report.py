from __future__ import annotations

import html.parser
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from fedcoin.application.devnet.html_report import render_report
from tests.application.devnet.conftest import MakeResult


class StrictParser(html.parser.HTMLParser):
    """Records the resources of a page, and checks that its elements close in order."""

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


def parse(page: str) -> StrictParser:
    parser = StrictParser()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    return parser


def test_the_page_loads_nothing(make_result: MakeResult) -> None:
    page = render_report(make_result())
    assert parse(page).fetched == []
    assert "url(" not in page
    assert "<script" not in page
    assert "prefers-color-scheme: dark" in page


def test_the_page_shows_the_results(make_result: MakeResult) -> None:
    text = " ".join(parse(render_report(make_result())).text)
    for expected in ("80.0 %", "one state", "conserved", "free rider", "mislabelled", "+0.1200"):
        assert expected in text
    assert "3 miners, 3 clients" in text
    assert "disagree" not in text
    for number in (1, 2, 3):
        assert f"Round {number}" in text


def test_one_of_a_kind_is_in_the_singular(make_result: MakeResult) -> None:
    result = make_result(1)
    alone = replace(
        result,
        nodes=result.nodes[:1],
        rounds=(replace(result.rounds[0], clients=result.rounds[0].clients[:1], evaluations=1),),
    )
    text = " ".join(parse(render_report(alone)).text)
    assert "1 miner, 1 client," in text
    assert "1 round in 41.2 s" in text
    assert "1 coalition proved" in text


def test_the_page_shows_disagreement_and_lost_coins(make_result: MakeResult) -> None:
    good = make_result()
    nodes = (replace(good.nodes[0], app_hash="ef" * 32), *good.nodes[1:])
    page = render_report(replace(good, nodes=nodes, supply_after=10**15 - 1))
    assert "disagree" in page
    assert ">changed<" in page


def test_a_note_stands_in_its_round_alone(make_result: MakeResult) -> None:
    result = make_result(2)
    assert "Note:" not in render_report(result)
    noted = replace(result.rounds[1], note="always answering 2 is right for 70.0 %")
    page = render_report(replace(result, rounds=(result.rounds[0], noted)))
    first, second = page.split("<h3>Round 2</h3>")
    assert "Note:" not in first
    assert "Note: always answering 2 is right for 70.0 %." in second


def test_plots_are_well_formed_drawings(make_result: MakeResult) -> None:
    drawings = re.findall(r"<svg.*?</svg>", render_report(make_result()), flags=re.DOTALL)
    assert len(drawings) == 4
    for drawing in drawings:
        root = ET.fromstring(drawing)
        _, _, width, height = map(float, root.attrib["viewBox"].split())
        for shape in root.iter("rect"):
            assert 0 <= float(shape.attrib["x"]) <= width
            assert 0 <= float(shape.attrib["y"]) <= height
            assert float(shape.attrib["height"]) >= 0


def test_markup_in_a_name_is_escaped(make_result: MakeResult) -> None:
    page = render_report(replace(make_result(), chain_id="<script>alert(1)</script>"))
    assert "<script" not in page


@pytest.mark.parametrize("rounds", [0, 1, 20])
def test_any_number_of_rounds(make_result: MakeResult, rounds: int) -> None:
    parse(render_report(make_result(rounds)))
