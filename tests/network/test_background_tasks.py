"""An owner of tasks cancels and awaits what it started."""

from __future__ import annotations

import asyncio
import contextlib
import logging

import pytest

from fedcoin.network import background_tasks
from fedcoin.network.background_tasks import BackgroundTasks, run_until_first, run_within


async def test_leaving_cancels_and_awaits() -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.01)
            ended.append("yes")

    async with BackgroundTasks("test") as owner:
        owner.start(work(), "work")
        await asyncio.sleep(0)
        assert len(owner) == 1
    assert ended == ["yes"]
    assert len(owner) == 0


async def test_a_failure_is_logged_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    async def broken() -> None:
        raise ValueError("broken on purpose")

    done = asyncio.Event()

    async def sound() -> None:
        await asyncio.sleep(0.01)
        done.set()

    with caplog.at_level(logging.ERROR):
        async with BackgroundTasks("test") as owner:
            owner.start(broken(), "broken")
            owner.start(sound(), "sound")
            await asyncio.wait_for(done.wait(), 1)
    assert "test: broken failed" in caplog.text


async def test_a_task_may_stop_its_own_owner() -> None:
    owner = BackgroundTasks("test")
    reached = asyncio.Event()

    async def stopper() -> None:
        await owner.stop()
        reached.set()

    owner.start(stopper(), "stopper")
    await asyncio.wait_for(reached.wait(), 1)


async def test_nothing_starts_after_the_end() -> None:
    owner = BackgroundTasks("test")
    await owner.stop()
    ran: list[int] = []

    async def work() -> None:
        ran.append(1)

    task = owner.start(work(), "late")
    await asyncio.wait([task])
    assert task.cancelled()
    assert not ran


async def test_a_task_that_restarts_work_while_stopping_still_ends() -> None:
    owner = BackgroundTasks("test")

    async def child() -> None:
        await asyncio.sleep(60)

    async def parent() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            owner.start(child(), "child")

    owner.start(parent(), "parent")
    await asyncio.sleep(0)
    await asyncio.wait_for(owner.stop(), 1)
    assert len(owner) == 0


async def test_a_task_that_loses_one_cancellation_ends_with_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fedcoin.network.background_tasks.CANCEL_AGAIN_S", 0.02)
    owner = BackgroundTasks("test")

    async def forgetful() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        await asyncio.sleep(60)

    owner.start(forgetful(), "forgetful")
    await asyncio.sleep(0)
    await asyncio.wait_for(owner.stop(), 1)
    assert len(owner) == 0


async def test_within_gives_the_result_the_error_or_up() -> None:
    async def quick() -> int:
        return 7

    async def broken() -> int:
        raise ValueError("broken on purpose")

    cancelled: list[bool] = []

    async def slow() -> int:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise
        return 0

    assert await run_within(1, quick()) == 7
    with pytest.raises(ValueError, match="on purpose"):
        await run_within(1, broken())
    with pytest.raises(asyncio.TimeoutError):
        await run_within(0.01, slow())
    assert cancelled == [True]


async def test_within_does_not_lose_a_cancellation_that_meets_the_result() -> None:
    event = asyncio.Event()

    async def waiter() -> None:
        await run_within(1, event.wait())
        raise AssertionError("the cancellation was lost")

    task = asyncio.ensure_future(waiter())
    await asyncio.sleep(0.01)
    event.set()
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_the_first_to_end_ends_the_others() -> None:
    ended: list[str] = []

    async def long() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("long")

    async def short() -> None:
        ended.append("short")

    async def broken() -> None:
        raise ValueError("broken on purpose")

    await run_until_first(long(), short())
    assert ended == ["short", "long"]
    with pytest.raises(ValueError, match="on purpose"):
        await run_until_first(long(), broken())


async def test_within_tells_anothers_cancellation_from_its_own() -> None:
    inner: list[asyncio.Task[None]] = []

    async def work() -> None:
        task = asyncio.current_task()
        assert task is not None
        inner.append(task)
        await asyncio.sleep(60)

    async def killer() -> None:
        await asyncio.sleep(0.01)
        inner[0].cancel()

    killing = asyncio.ensure_future(killer())
    with pytest.raises(ConnectionAbortedError):
        await run_within(5, work())
    await killing


class Failures:
    """Records what a group reports."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, bool]] = []

    def __call__(self, name: str, error: BaseException, is_vital: bool) -> None:
        self.seen.append((name, str(error), is_vital))


async def break_down() -> None:
    raise ValueError("broken on purpose")


async def test_listeners_learn_which_task_failed_and_whether_it_was_vital() -> None:
    async with BackgroundTasks("test") as owner:
        owner.on_failure(failures := Failures())
        tasks = [owner.start(break_down(), "one"), owner.start(break_down(), "two", vital=True)]
        await asyncio.wait(tasks)
        await asyncio.sleep(0)
    why = "broken on purpose"
    assert failures.seen == [("test: one", why, False), ("test: two", why, True)]


async def test_what_fails_while_the_owner_stops_is_not_reported() -> None:
    async def fail_at_the_end() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            raise ValueError("too late")

    async with BackgroundTasks("test") as owner:
        owner.on_failure(failures := Failures())
        owner.start(fail_at_the_end(), "late", vital=True)
        await asyncio.sleep(0)
    assert failures.seen == []


async def test_a_task_that_must_go_on_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background_tasks, "MIN_PAUSE_S", 0.01)
    starts: list[int] = []

    async def work() -> None:
        starts.append(len(starts))
        if len(starts) < 4:
            raise ValueError("broken on purpose")

    async with BackgroundTasks("test") as owner:
        owner.on_failure(failures := Failures())
        await asyncio.wait_for(owner.keep_running(work, "work"), 5)
    assert len(starts) == 4
    assert failures.seen == [("test: work", "broken on purpose", False)] * 3


async def test_a_timer_that_fails_is_reported() -> None:
    called = asyncio.Event()

    def ring() -> None:
        called.set()
        raise ValueError("broken on purpose")

    async with BackgroundTasks("test") as owner:
        owner.on_failure(failures := Failures())
        owner.call_later(0, ring, "timer")
        await asyncio.wait_for(called.wait(), 1)
    assert failures.seen == [("test: timer", "broken on purpose", True)]
