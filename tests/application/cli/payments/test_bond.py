from __future__ import annotations

from typing import Any

from fedcoin.data.messages.amounts import SAP_PER_FDC
from tests.support.node_process import Live


def test_bond_and_unbond(fedcoin: Any, live: Live) -> None:
    home = live.home.root
    assert fedcoin("bond", "5fdc", "--home", home).code == 0
    assert fedcoin("unbond", "3fdc", "--home", home).code == 0
    account = fedcoin("account", "--home", home, "--json").json
    assert account["bond"] == 1_002 * SAP_PER_FDC
    validators = fedcoin("validators", "--home", home, "--json").json
    assert [v["bond"] for v in validators] == [1_002 * SAP_PER_FDC]
    assert "100.0 %" in fedcoin("validators", "--home", home).out
