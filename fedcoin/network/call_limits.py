"""How much of a listener one caller, and all of them together, can take.

Everything that a caller makes the node hold is counted here: calls at once, open streams,
calls per second, the time that a reply or a silent upload may take.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from fedcoin.data.errors import RefusalError
from fedcoin.network.errors import NetworkCode


@dataclass(frozen=True, slots=True)
class CallLimits:
    """One listener's limits."""

    calls: int = 512
    """Calls with a single reply at once."""
    streams: int = 256
    """Streams of replies (watchers, downloads) at once."""
    calls_per_second: float = 2_000.0
    """For each calling host, in the long run."""
    burst: float = 4_000.0
    """For each calling host, after a silence."""
    callers: int = 1_024
    """How many hosts are remembered; the longest silent one is forgotten first."""
    reply_seconds: float = 60.0
    """How long a single reply may take."""
    write_seconds: float = 10.0
    """How long a caller may take to accept one reply of a stream."""
    read_seconds: float = 30.0
    """How long an upload may be silent."""


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled: float


class CallLimiter:
    """Counts what the callers of one listener take. ``clock`` gives seconds."""

    def __init__(self, bounds: CallLimits, clock: Callable[[], float]) -> None:
        self._bounds = bounds
        self._clock = clock
        self._calls = 0
        self._streams = 0
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    @contextmanager
    def admit(self, caller: str, streaming: bool) -> Iterator[None]:
        """Hold a place while the call lasts. Refusal TOO_MANY_CALLS or RATE_LIMITED."""
        self._spend(host_of(caller))
        if streaming:
            self._check_streams()
            self._streams += 1
        else:
            self._check_calls()
            self._calls += 1
        try:
            yield
        finally:
            if streaming:
                self._streams -= 1
            else:
                self._calls -= 1

    def late(self) -> RefusalError:
        """What a reply that took too long turns into."""
        limit = f"{self._bounds.reply_seconds:g} s"
        return RefusalError(
            NetworkCode.TIMED_OUT, f"The answer took longer than {limit}. Try again.", limit=limit
        )

    def slow_reader(self) -> RefusalError:
        """What a stream turns into whose reader lags."""
        limit = f"{self._bounds.write_seconds:g} s"
        message = f"The stream was not read for {limit}. Go on from what was received last."
        return RefusalError(NetworkCode.SLOW_READER, message, limit=limit)

    def slow_writer(self) -> RefusalError:
        """What a silent upload turns into."""
        limit = f"{self._bounds.read_seconds:g} s"
        message = f"Nothing was uploaded for {limit}. Go on from where the upload stands."
        return RefusalError(NetworkCode.TIMED_OUT, message, limit=limit)

    def _check_calls(self) -> None:
        limit = self._bounds.calls
        if self._calls >= limit:
            message = f"{limit} calls are being answered already. Try again in a moment."
            raise RefusalError(NetworkCode.TOO_MANY_CALLS, message, limit=str(limit))

    def _check_streams(self) -> None:
        limit = self._bounds.streams
        if self._streams >= limit:
            message = f"{limit} streams are open already. Close one, or try again later."
            raise RefusalError(NetworkCode.TOO_MANY_CALLS, message, limit=str(limit))

    def _spend(self, host: str) -> None:
        now = self._clock()
        bucket = self._buckets.pop(host, None) or _Bucket(self._bounds.burst, now)
        self._buckets[host] = bucket
        if len(self._buckets) > self._bounds.callers:
            self._buckets.popitem(last=False)
        gained = (now - bucket.filled) * self._bounds.calls_per_second
        bucket.tokens = min(self._bounds.burst, bucket.tokens + gained)
        bucket.filled = now
        if bucket.tokens < 1:
            limit = f"{self._bounds.calls_per_second:g} calls a second"
            message = f"{host} makes more than {limit}. Slow down."
            raise RefusalError(NetworkCode.RATE_LIMITED, message, limit=limit)
        bucket.tokens -= 1


def host_of(caller: str) -> str:
    """A connection's name without its port: ``ipv4:10.0.0.7:51000`` -> ``ipv4:10.0.0.7``."""
    kind, _, rest = caller.partition(":")
    if kind in ("ipv4", "ipv6"):
        return f"{kind}:{rest.rpartition(':')[0]}"
    return caller
