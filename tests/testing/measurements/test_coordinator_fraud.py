from __future__ import annotations

from fedcoin.testing.measurements.coordinator_fraud import try_coordinator_fraud


def test_the_ledger_refuses_everything_but_leaving_a_client_out() -> None:
    accepted = {attempt.what for attempt in try_coordinator_fraud() if not attempt.code}
    assert accepted == {"changes nothing", "leaves a client out"}
