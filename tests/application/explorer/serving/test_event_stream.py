from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from pathlib import Path

from tests.support.explored_chain import Explored, call, explore, play
from tests.support.waiting import until


async def read(explored: Explored, count: int, last_event_id: str = "") -> list[str]:
    """Read the first events of a stream, without heartbeats."""
    found: list[str] = []
    async with aclosing(explored.streams.open(last_event_id)) as parts:
        async for part in parts:
            found += [part.decode()] if not part.startswith(b":") else []
            if len(found) == count:
                return found
    raise AssertionError("the stream ended")


def data_of(event: str) -> dict[str, object]:
    (line,) = [line for line in event.splitlines() if line.startswith("data: ")]
    found = json.loads(line.removeprefix("data: "))
    assert isinstance(found, dict)
    return found


async def test_a_stream_tells_of_new_blocks(tmp_path: Path) -> None:
    async with explore(tmp_path) as explored:
        await until(lambda: explored.follower.is_connected)
        reading = asyncio.create_task(read(explored, 3))
        await asyncio.sleep(0.05)
        play(explored.live.chain)
        retry, node, block = await asyncio.wait_for(reading, 10)
        assert retry == "retry: 2000\n\n"
        assert data_of(node) == {"connected": True}
        assert block.startswith("id: 1\nevent: block\n")
        assert data_of(block)["height"] == 1


async def test_a_stream_goes_on_after_the_last_block_that_was_heard(tmp_path: Path) -> None:
    async with explore(tmp_path) as explored:
        play(explored.live.chain)
        await explored.caught_up()
        last = explored.live.chain.height
        *_, block = await read(explored, 3, str(last - 1))
        assert block.startswith(f"id: {last}\n")
        # A number that no block of this chain has is that of another chain.
        *_, block = await read(explored, 3, str(last + 1_000))
        assert block.startswith("id: ")


async def test_streams_are_bounded_and_freed(tmp_path: Path) -> None:
    async with explore(tmp_path, max_streams=1) as explored:
        await until(lambda: explored.follower.is_connected)
        async with aclosing(explored.streams.open("")) as parts:
            await anext(parts)
            assert not explored.streams.has_room
            refused = await explored.get("/events")
            assert (refused.status, "TOO_MANY_CALLS" in refused.text) == (503, True)
        assert explored.streams.has_room


async def test_a_lost_node_is_told(tmp_path: Path) -> None:
    async with explore(tmp_path) as explored:
        await until(lambda: explored.follower.is_connected)
        await explored.live.server.stop(0)
        await until(lambda: not explored.follower.is_connected)
        _, node = await read(explored, 2)
        assert data_of(node) == {"connected": False}


async def test_the_head_of_a_stream_opens_none(tmp_path: Path) -> None:
    async with explore(tmp_path) as explored:
        answer = await call(explored.app, "HEAD", "/events", {"host": "localhost"})
        assert (answer.status, answer.text) == (200, "")
        assert answer.headers["content-type"].startswith("text/event-stream")


async def test_streams_end_before_the_server(tmp_path: Path) -> None:
    async with explore(tmp_path) as explored:
        await until(lambda: explored.follower.is_connected)
        async with aclosing(explored.streams.open("")) as parts:
            await anext(parts)
            explored.follower.close()
            assert [part async for part in parts] == []
        assert explored.streams.has_room
