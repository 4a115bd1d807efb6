"""A node asks each peer for artifacts less often than the peer allows."""

from __future__ import annotations

import pytest

from fedcoin.network.peers.protection.limits import LIMITS, Meter
from fedcoin.network.peers.sync.artifact_pace import ArtifactPace

PEER, OTHER = b"p" * 32, b"o" * 32
MANIFEST, DOWNLOAD = "ArtifactService/GetManifest", "ArtifactService/Download"


@pytest.mark.parametrize("is_there", [True, False])
def test_no_peer_is_asked_more_often_than_it_allows(is_there: bool) -> None:
    now, calls = 0.0, 0
    pace, meter = ArtifactPace(lambda: now), Meter()
    for step in range(3_000):
        now = step / 50
        # What a peer refuses to count it takes for a flood.
        for _ in range(20):
            if not pace.begin(PEER):
                break
            pace.end(PEER)
            calls += 1
            meter.spend(MANIFEST, now)
            if is_there:
                meter.spend(DOWNLOAD, now)
            else:
                pace.note_refused(PEER)
    limit = LIMITS[DOWNLOAD if is_there else MANIFEST]
    assert calls > 0.7 * (limit.burst + limit.rate * now)


def test_each_peer_has_a_pace_of_its_own() -> None:
    pace = ArtifactPace(lambda: 0.0)
    while pace.begin(PEER):
        pace.end(PEER)
    assert pace.begin(OTHER)


def test_who_does_not_answer_is_asked_for_few_and_then_left_out() -> None:
    now = 100.0
    pace = ArtifactPace(lambda: now)
    assert sum(pace.begin(PEER) for _ in range(20)) == 4
    for _ in range(4):
        pace.note_silence(PEER)
        pace.end(PEER)
    for silence in (30, 60):
        now += silence - 1
        assert not pace.begin(PEER)
        now += 1
        assert pace.begin(PEER)
        pace.note_silence(PEER)
        pace.end(PEER)
    pace.note_sent(PEER)
    assert pace.begin(PEER)
