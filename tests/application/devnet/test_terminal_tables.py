from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from fedcoin.application.devnet.results import DevnetResult
from fedcoin.application.devnet.terminal_tables import print_result, shorten
from tests.application.devnet.conftest import MakeResult

LARGE = 10**8 * 10**8
"""A hundred million FDC, in sap: the largest budget of a devnet."""


def print_at(width: int, result: DevnetResult) -> str:
    file = io.StringIO()
    print_result(result, Console(file=file, width=width))
    return file.getvalue()


def largest(result: DevnetResult) -> DevnetResult:
    """Widen every column as much as a devnet can."""
    rounds = tuple(
        replace(
            round,
            utility=1.0,
            evaluations=10**7,
            settle_seconds=10_000.0,
            clients=tuple(
                replace(client, samples=60_000, shapley_nano=-987_654_321, payout=LARGE)
                for client in round.clients
            ),
            miners=tuple(replace(miner, reward=LARGE // 3) for miner in round.miners),
        )
        for round in result.rounds
    )
    kinds = ("", "challenge-grinder", "equivocator")
    nodes = tuple(
        replace(node, height=99_999, adversary=kind, bond=0 if kind == "equivocator" else 10**11)
        for node, kind in zip(result.nodes, kinds, strict=True)
    )
    return replace(result, rounds=rounds, nodes=nodes)


def addresses_of(result: DevnetResult) -> list[str]:
    clients = [client.address for client in result.rounds[0].clients]
    return [*clients, *(node.address for node in result.nodes)]


def test_eighty_columns_show_every_cell(make_result: MakeResult) -> None:
    result = largest(make_result())
    printed = print_at(80, result)
    lines = printed.splitlines()
    assert max(map(len, lines)) <= 80
    for client in result.rounds[0].clients:
        row = next(line for line in lines if line.startswith(shorten(client.address)))
        cells = [client.role, "60,000", "-0.987654", "100,000,000.0000"]
        assert [cell for cell in cells if cell not in row] == []
    for node in result.nodes:
        kind = node.adversary or "honest"
        row = next(line for line in lines if line.startswith(shorten(node.address)))
        cells = ["99999", "cdcdcdcd", "100,000,000.0000", kind]
        assert [cell for cell in cells if cell not in row] == []
    assert "slashed" in printed
    for title in ("What it is", "Payout (FDC)", "Shapley value", "Rewards (FDC)", "App hash"):
        assert title in printed
    # Only addresses are shortened, in the middle.
    for address in addresses_of(result):
        printed = printed.replace(shorten(address), "")
    assert "…" not in printed


def test_names_of_clients_are_shown(make_result: MakeResult) -> None:
    result = make_result()
    first = result.rounds[0]
    named = tuple(replace(c, name=f"client-{i}") for i, c in enumerate(first.clients))
    result = replace(result, rounds=(replace(first, clients=named), *result.rounds[1:]))
    for width, has_addresses in ((80, False), (200, True)):
        printed = print_at(width, result).split("Round 2")[0]
        for client in named:
            assert client.name in printed
            assert (client.address in printed) == has_addresses


def test_a_note_follows_its_round(make_result: MakeResult) -> None:
    result = make_result(2)
    assert "Note:" not in print_at(80, result)
    noted = replace(result.rounds[0], note="always answering 2, [0], is right for 70.0 %")
    printed = print_at(200, replace(result, rounds=(noted, result.rounds[1])))
    first, second = printed.split("Round 2")
    assert "Note: always answering 2, [0], is right for 70.0 %." in first
    assert "Note:" not in second


def test_wide_terminals_show_whole_addresses(make_result: MakeResult) -> None:
    result = largest(make_result())
    lines = print_at(110, result).splitlines()
    assert max(map(len, lines)) <= 110
    for address in addresses_of(result):
        assert any(line.startswith(address) for line in lines)
    assert not any("…" in line for line in lines)


def test_the_summary(make_result: MakeResult) -> None:
    printed = print_at(80, make_result(2))
    assert "Accuracy by round: 60.0 %, 70.0 %" in printed
    assert "All 3 miners agree on the state." in printed
    assert "Supply: 10,000,000.0000 FDC before, 10,000,000.0000 FDC after: conserved." in printed
    assert "64 coalitions proved by 2 miners" in printed


def test_disagreement_and_lost_coins_are_printed(make_result: MakeResult) -> None:
    good = make_result()
    nodes = (replace(good.nodes[0], app_hash="ef" * 32), *good.nodes[1:])
    printed = print_at(80, replace(good, nodes=nodes, supply_after=1))
    assert "All 3 miners DO NOT AGREE on the state." in printed
    assert "NOT CONSERVED" in printed


@pytest.mark.parametrize(
    ("whole", "short"),
    [
        ("fc10zwtfr37xnzl9qkekdt8gycfx8uc5hweycv5ar", "fc10zwtf…cv5ar"),
        ("a text of 14 c", "a text of 14 c"),
    ],
)
def test_shortening_leaves_out_the_middle(whole: str, short: str) -> None:
    assert shorten(whole) == short
