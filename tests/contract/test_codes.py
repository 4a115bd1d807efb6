"""Every code is raised by the contract and asserted by its tests, and every action has a rule."""

from __future__ import annotations

import re

from fedcoin.contract.actions import ACTIONS
from fedcoin.contract.errors import PREMATURE_CODES, LedgerCode
from fedcoin.v1.transaction_pb2 import TransactionBody
from tests.support.paths import PACKAGE, TESTS


def named(text: str) -> set[str]:
    return set(re.findall(r"LedgerCode\.([A-Z_]+)", text))


def test_every_code_is_used_and_tested() -> None:
    everything = {code.name for code in LedgerCode}
    source = "".join(
        path.read_text()
        for path in (PACKAGE / "contract").rglob("*.py")
        if path.name != "errors.py"
    )
    tests = "".join(path.read_text() for path in (TESTS / "contract").rglob("test_*.py"))
    assert named(source) == everything
    assert named(tests) == everything
    assert all(code.value == code.name for code in LedgerCode)
    assert set(LedgerCode) > PREMATURE_CODES


def test_every_action_has_a_rule() -> None:
    actions = TransactionBody.DESCRIPTOR.oneofs_by_name["action"].fields
    assert {field.name for field in actions} == set(ACTIONS)
