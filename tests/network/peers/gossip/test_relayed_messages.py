"""Kept, missing and indirect messages stay within their bounds."""

from __future__ import annotations

from fedcoin.network.peers.gossip.relayed_messages import (
    ASK_AFTER_S,
    ENTRY_BYTES,
    INDIRECT_S,
    MAX_KEPT_BYTES,
    MAX_MISSES,
    MAX_OFFERS,
    KeptMessages,
    MissingMessages,
    SourceRecord,
)

A, B = b"a" * 32, b"b" * 32


def test_the_oldest_messages_make_room() -> None:
    kept, size = KeptMessages(), MAX_KEPT_BYTES // 4
    for number in range(5):
        kept.put(bytes([number]), bytes(size))
        kept.put(bytes([number]), bytes(size))
    assert kept.num_bytes <= MAX_KEPT_BYTES
    assert [kept.get(bytes([number])) is not None for number in range(5)] == [0, 0, 1, 1, 1]
    kept.put(b"large", bytes(2 * MAX_KEPT_BYTES))
    assert kept.get(b"large")
    assert kept.num_bytes == 2 * MAX_KEPT_BYTES + ENTRY_BYTES


def test_peers_are_asked_one_after_another_for_what_is_late() -> None:
    missing = MissingMessages()
    missing.note_offer(b"x", A, 0.0)
    missing.note_offer(b"x", B, 0.1)
    missing.note_offer(b"x", A, 0.1)
    assert missing.choose_peers(ASK_AFTER_S / 2) == []
    assert missing.choose_peers(ASK_AFTER_S) == [(A, b"x")]
    assert missing.choose_peers(ASK_AFTER_S * 1.5) == []
    assert missing.choose_peers(ASK_AFTER_S * 2) == [(B, b"x")]
    assert missing.choose_peers(ASK_AFTER_S * 3) == []
    assert len(missing) == 0


def test_what_arrives_is_asked_for_no_more() -> None:
    missing = MissingMessages()
    for digest in (b"x", b"y"):
        missing.note_offer(digest, A, 0.0)
    assert not missing.arrive(b"x")
    assert missing.choose_peers(ASK_AFTER_S) == [(A, b"y")]
    assert missing.arrive(b"y")
    assert not missing.arrive(b"y")


def test_a_flood_of_offers_pushes_out_those_of_its_peer_alone() -> None:
    missing = MissingMessages()
    missing.note_offer(b"x", A, 0.0)
    for number in range(2 * MAX_OFFERS):
        missing.note_offer(number.to_bytes(16, "big"), B, 0.0)
    assert len(missing) == MAX_OFFERS + 1
    assert missing.choose_peers(ASK_AFTER_S)[0] == (A, b"x")
    # What was asked for counts until the answer is overdue.
    for number in range(2 * MAX_OFFERS):
        missing.note_offer(number.to_bytes(17, "big"), B, ASK_AFTER_S)
    assert len(missing) == MAX_OFFERS + 1
    assert missing.arrive(b"x")
    assert {peer for peer, _ in missing.choose_peers(2 * ASK_AFTER_S)} == {B}
    assert missing.choose_peers(3 * ASK_AFTER_S) == []
    assert len(missing) == 0


def test_peers_that_do_not_give_what_they_offer_delay_others_shortly() -> None:
    missing = MissingMessages()
    for liar in range(20):
        missing.note_offer(b"x", bytes([liar]) * 32, 0.0)
    missing.note_offer(b"x", A, 0.2)
    asked = [missing.choose_peers(turn * ASK_AFTER_S) for turn in range(1, 6)]
    assert [len(turn) for turn in asked] == [1, 2, 4, 8, 6]
    assert (A, b"x") in asked[4]


def test_a_peer_whose_messages_are_asked_for_again_and_again_is_indirect_for_a_while() -> None:
    sources = SourceRecord()
    for _ in range(MAX_MISSES - 1):
        sources.note(A, 0.0, is_direct=False)
    sources.note(A, 0.0, is_direct=True)
    for _ in range(MAX_MISSES - 1):
        sources.note(A, 1.0, is_direct=False)
    assert not sources.list_indirect(1.0)
    sources.note(A, 2.0, is_direct=False)
    assert sources.list_indirect(2.0 + INDIRECT_S - 1) == {A}
    assert not sources.list_indirect(2.0 + INDIRECT_S)
