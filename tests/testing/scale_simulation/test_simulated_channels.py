"""Messages take a line's, a distance's and a processor's time, and arrive in order."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from fedcoin.network.peers.connections.link import EXCHANGE
from fedcoin.network.peers.gossip.consensus_messages import encode_hints, encode_status
from fedcoin.network.ports.consensus_port import Position
from fedcoin.testing.scale_simulation.simulated_channels import (
    FRAME_BYTES,
    Machine,
    Wire,
    kind_of,
)
from fedcoin.testing.scale_simulation.virtual_time import run_in_virtual_time
from fedcoin.testing.scale_simulation.world_latencies import CITIES, one_way_seconds

STATUS = encode_status(Position(3, 0))
FRANKFURT, TOKYO = CITIES.index("Frankfurt"), CITIES.index("Tokyo")


def arrivals(*messages: bytes, line: float = 1e9, work: float = 0.0) -> list[tuple[bytes, float]]:
    """Send messages at once from Frankfurt to Tokyo; return when each is handled."""
    found: list[tuple[bytes, float]] = []

    def note(raw: bytes) -> None:
        found.append((raw, asyncio.get_running_loop().time()))

    async def send() -> None:
        sender, receiver = (Machine(city, line, work) for city in (FRANKFURT, TOKYO))
        wire = Wire(sender, receiver)
        for raw in messages:
            wire.send(EXCHANGE, raw, partial(note, raw))
        await asyncio.sleep(100)
        assert sender.sent_bytes == sum(len(raw) + FRAME_BYTES for raw in messages)
        assert sender.sent[EXCHANGE] == len(messages)

    run_in_virtual_time(send())
    return found


def test_a_message_from_frankfurt_is_in_tokyo_after_half_a_round_trip() -> None:
    assert one_way_seconds(FRANKFURT, TOKYO) == one_way_seconds(TOKYO + 10, FRANKFURT) == 0.1155
    assert one_way_seconds(3, 13) == 0.001
    ((_, at),) = arrivals(STATUS)
    assert at == pytest.approx(0.1155, abs=1e-6)


def test_a_slow_line_carries_one_message_after_the_other() -> None:
    size = len(STATUS) + FRAME_BYTES
    times = [at for _, at in arrivals(STATUS, STATUS, STATUS, line=size)]
    assert times == pytest.approx([1.1155, 2.1155, 3.1155])


def test_a_processor_handles_one_message_of_the_stream_after_the_other() -> None:
    times = [at for _, at in arrivals(STATUS, STATUS + STATUS, STATUS, work=0.5)]
    assert times == pytest.approx([0.6155, 1.6155, 2.1155])


def test_messages_arrive_in_the_order_in_which_they_were_sent() -> None:
    sent = [encode_status(Position(height, 0)) for height in range(1, 60)]
    assert [raw for raw, _ in arrivals(*sent)] == sent


def test_kinds_are_told_apart_by_their_bytes() -> None:
    assert kind_of(STATUS) == "status"
    assert kind_of(encode_hints([b"d" * 16] * 100, [], None)) == "hints"
