"""Bounded memory for banned peers and for messages that wait to be sent."""

from __future__ import annotations

import asyncio
import contextlib

from fedcoin.network.peers.protection.bans import MAX_BANS, Bans
from fedcoin.network.peers.protection.send_queue import MAX_WRITE_S, SendQueue
from tests.support.waiting import let_others_run


def test_bans_end() -> None:
    bans = Bans()
    bans.add(b"k", now=100.0, seconds=60)
    assert bans.until(b"k", 159.0) == 160.0
    assert bans.until(b"k", 160.0) is None
    assert bans.until(b"other", 100.0) is None
    bans.add(b"k", now=101.0, seconds=1)
    assert bans.until(b"k", 101.0) == 160.0, "a shorter ban does not end a longer one"
    assert bans.active(200.0) == {}


def test_bans_are_bounded() -> None:
    bans = Bans()
    for number in range(MAX_BANS + 10):
        bans.add(number.to_bytes(4, "big"), now=0.0, seconds=1000 + number)
    active = bans.active(0.0)
    assert len(active) == MAX_BANS
    assert (0).to_bytes(4, "big") not in active


def test_a_host_is_banned_with_its_third_key() -> None:
    bans = Bans()
    assert not bans.add(b"1", now=0.0, seconds=60, host="10.0.0.7")
    assert not bans.add(b"1", now=0.0, seconds=60, host="10.0.0.7"), "the same key counts once"
    assert not bans.add(b"2", now=0.0, seconds=60, host="10.0.0.7")
    assert not bans.add(b"3", now=0.0, seconds=60, host="10.0.0.8")
    assert not bans.add(b"4", now=0.0, seconds=60), "a ban by the operator counts against no host"
    assert bans.host_until("10.0.0.7", 0.0) is None
    assert bans.add(b"5", now=1.0, seconds=60, host="10.0.0.7")
    assert bans.host_until("10.0.0.7", 1.0) == 61.0
    assert bans.host_until("10.0.0.8", 1.0) is None
    assert bans.host_until("10.0.0.7", 61.0) is None
    # Bans that have ended no longer count.
    assert not bans.add(b"6", now=62.0, seconds=60, host="10.0.0.7")


def test_bans_of_hosts_are_bounded() -> None:
    bans = Bans()
    for number in range(MAX_BANS + 10):
        bans.add_host(f"host {number}", now=0.0, seconds=1000 + number)
    assert len(bans.encode(0.0)) == MAX_BANS
    assert bans.host_until("host 0", 0.0) is None


async def test_a_queue_sends_in_order_and_refuses_what_is_too_much() -> None:
    queue, sent = SendQueue(lambda: 0.0, max_messages=3, max_bytes=10), []

    async def write(raw: bytes) -> None:
        sent.append(raw)

    assert queue.put(b"12345")
    assert queue.put(b"678")
    assert not queue.put(b"too long for the rest")
    assert queue.put(b"90")
    assert not queue.put(b"")
    pump = asyncio.ensure_future(queue.pump(write))
    await let_others_run()
    assert sent == [b"1234567890"], "what waits at the same time is written at once"
    assert queue.put(b"1234567890"), "what was sent takes no room"
    await let_others_run()
    assert len(sent) == 2
    pump.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await pump


async def test_a_queue_knows_when_its_reader_is_too_slow() -> None:
    now = 0.0
    queue = SendQueue(lambda: now)
    stuck = asyncio.Event()

    async def write(raw: bytes) -> None:
        await stuck.wait()

    pump = asyncio.ensure_future(queue.pump(write))
    queue.put(b"x")
    await let_others_run()
    assert not queue.overdue()
    now = MAX_WRITE_S + 1
    assert queue.overdue()
    stuck.set()
    await let_others_run()
    assert not queue.overdue()
    pump.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await pump
