"""Which validators count as connected, and when the log warns that they are too few."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from fedcoin.application.node.watching.validator_presence import (
    GRACE_MS,
    REPEAT_MS,
    VOTE_MARGIN_MS,
    ShortageLog,
    ValidatorPresence,
)
from fedcoin.consensus.validators import Validator, ValidatorSet
from fedcoin.data.messages.amounts import SAP_PER_FDC

INTERVAL_MS = 60_000
KEYS = [bytes([index]) * 32 for index in range(4)]
OWN, SECOND, THIRD, STRANGER = KEYS


@dataclass
class Site:
    """One of three validators, with a clock and peers that a test sets."""

    now_ms: int = 1_000_000
    peers: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.set = ValidatorSet.from_members(
            Validator.from_key(key, power * SAP_PER_FDC)
            for key, power in zip(KEYS[:3], (1, 2, 4), strict=True)
        )
        self.presence = ValidatorPresence(
            self, OWN, lambda: self.peers, INTERVAL_MS, lambda: self.now_ms
        )

    def validators(self) -> ValidatorSet:
        return self.set

    def vote(self, key: bytes) -> None:
        vote: Any = SimpleNamespace(public_key=key)
        self.presence.note_vote(vote)

    def power(self) -> int:
        return self.presence.connected_power() // SAP_PER_FDC


def test_a_node_counts_itself_and_connected_validators() -> None:
    site = Site()
    assert site.power() == 1
    site.peers = [THIRD, STRANGER]
    assert site.power() == 5
    site.peers = [SECOND, THIRD]
    assert site.power() == 7


def test_a_validator_whose_vote_came_through_others_counts_for_a_while() -> None:
    site = Site()
    site.vote(SECOND)
    site.vote(STRANGER)
    assert site.power() == 3
    site.now_ms += INTERVAL_MS + VOTE_MARGIN_MS
    assert site.power() == 3
    site.now_ms += 1
    assert site.power() == 1


def test_a_vote_stops_counting_when_its_signer_disconnects() -> None:
    site = Site(peers=[SECOND])
    site.vote(SECOND)
    assert site.power() == 3
    site.peers = []
    assert site.power() == 1


def test_a_lasting_shortage_is_logged_again_and_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "fedcoin")
    site, shortage = Site(), ShortageLog()
    short, enough = 4 * SAP_PER_FDC, 5 * SAP_PER_FDC
    shortage.observe(short, site.set, 0)
    shortage.observe(short, site.set, GRACE_MS - 1)
    assert not caplog.records
    shortage.observe(short, site.set, GRACE_MS)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "4 FDC of the voting power of 7 FDC are connected" in caplog.text
    shortage.observe(short, site.set, GRACE_MS + REPEAT_MS - 1)
    assert len(caplog.records) == 1
    shortage.observe(short, site.set, GRACE_MS + REPEAT_MS)
    assert len(caplog.records) == 2
    shortage.observe(enough, site.set, GRACE_MS + REPEAT_MS + 1)
    assert caplog.records[-1].levelname == "INFO"
    assert "enough for blocks" in caplog.text


def test_a_short_shortage_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "fedcoin")
    site, shortage = Site(), ShortageLog()
    shortage.observe(SAP_PER_FDC, site.set, 0)
    shortage.observe(site.set.total_power, site.set, GRACE_MS - 1)
    shortage.observe(SAP_PER_FDC, site.set, GRACE_MS)
    shortage.observe(SAP_PER_FDC, site.set, 2 * GRACE_MS - 1)
    assert not caplog.records
