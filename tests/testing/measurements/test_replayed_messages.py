from __future__ import annotations

from fedcoin.testing.measurements.replayed_messages import deliver_invalid_messages


def test_old_and_foreign_messages_are_refused() -> None:
    """`deliver_invalid_messages` itself asserts that each is refused and the state is unchanged."""
    refused = {message.what: message for message in deliver_invalid_messages()}
    assert len(refused) == 14
    assert refused["a vote of a final height"].points == 0
    assert refused["a transaction of another chain"].code == "WRONG_CHAIN"
    assert refused["a transaction of an earlier launch"].code == "BAD_SIGNATURE"
    for what in ("a transaction of an earlier launch", "a vote of an earlier launch"):
        assert refused[what].points >= 20
