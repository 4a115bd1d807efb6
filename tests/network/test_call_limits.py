"""Limits for one caller of a listener, and for all callers together."""

from __future__ import annotations

import pytest

from fedcoin.data.errors import RefusalError
from fedcoin.network.call_limits import CallLimiter, CallLimits, host_of
from fedcoin.network.errors import NetworkCode


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def take(limiter: CallLimiter, caller: str) -> None:
    with limiter.admit(caller, False):
        pass


def test_the_rate_is_per_host_and_recovers() -> None:
    clock = Clock()
    limiter = CallLimiter(CallLimits(calls_per_second=2, burst=4), clock)
    for port in range(4):
        take(limiter, f"ipv4:10.0.0.1:{port}")
    with pytest.raises(
        RefusalError, match=r"10\.0\.0\.1 makes more than 2 calls a second"
    ) as caught:
        take(limiter, "ipv4:10.0.0.1:9")
    assert caught.value.code is NetworkCode.RATE_LIMITED
    take(limiter, "ipv4:10.0.0.2:1")
    clock.now = 0.5
    take(limiter, "ipv4:10.0.0.1:9")
    with pytest.raises(RefusalError):
        take(limiter, "ipv4:10.0.0.1:9")


def test_silence_earns_no_more_than_the_burst() -> None:
    clock = Clock()
    limiter = CallLimiter(CallLimits(calls_per_second=1, burst=2), clock)
    clock.now = 1e6
    take(limiter, "a")
    take(limiter, "a")
    with pytest.raises(RefusalError):
        take(limiter, "a")


def test_the_memory_of_callers_is_bounded() -> None:
    limiter = CallLimiter(CallLimits(max_hosts=10), Clock())
    for number in range(1_000):
        take(limiter, f"ipv6:[2001:db8::{number:x}]:1")
    assert limiter.num_hosts == 10


def test_a_place_is_given_back_after_a_failure() -> None:
    limiter = CallLimiter(CallLimits(max_calls=1), Clock())
    with pytest.raises(ValueError), limiter.admit("a", False):
        raise ValueError
    take(limiter, "a")


def test_calls_and_streams_are_counted_apart() -> None:
    limiter = CallLimiter(CallLimits(max_calls=1, max_streams=1), Clock())
    with limiter.admit("a", True), limiter.admit("a", False):
        for streaming in (True, False):
            with pytest.raises(RefusalError) as caught, limiter.admit("a", streaming):
                pass
            assert caught.value.code is NetworkCode.TOO_MANY_CALLS
            assert caught.value.limit == "1"


@pytest.mark.parametrize(
    ("caller", "host"),
    [
        ("ipv4:127.0.0.1:51000", "ipv4:127.0.0.1"),
        ("ipv6:%5B::1%5D:51000", "ipv6:%5B::1%5D"),
        ("unix:/run/node.sock", "unix:/run/node.sock"),
        ("unix:", "unix:"),
        ("", ""),
    ],
)
def test_hosts(caller: str, host: str) -> None:
    assert host_of(caller) == host
