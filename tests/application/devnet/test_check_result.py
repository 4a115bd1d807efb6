from __future__ import annotations

from dataclasses import replace

from fedcoin.application.devnet.devnet_runner import check_result
from fedcoin.application.errors import ApplicationCode
from tests.application.devnet.conftest import MakeResult, refused


def test_nodes_that_agree_pass(make_result: MakeResult) -> None:
    check_result(make_result())


def test_nodes_in_different_states_fail(make_result: MakeResult) -> None:
    result = make_result()
    nodes = (replace(result.nodes[0], app_hash="ef" * 32), *result.nodes[1:])
    with refused(ApplicationCode.DISAGREEMENT):
        check_result(replace(result, nodes=nodes))


def test_a_changed_supply_fails(make_result: MakeResult) -> None:
    result = make_result()
    with refused(ApplicationCode.DISAGREEMENT):
        check_result(replace(result, supply_after=result.supply_before - 1))
