"""Limits of one listener: what one calling host, and all callers together, may use of it.

Everything that a caller makes the process hold is limited here: calls and streams at once, calls a
second, and how long a reply, an unread stream or a silent upload may last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from fedcoin.data.errors import RefusalError
from fedcoin.data.lru import LruDict
from fedcoin.network.errors import NetworkCode
from fedcoin.network.token_bucket import TokenBucket


@dataclass(frozen=True, slots=True)
class CallLimits:
    """The limits of one listener."""

    max_calls: int = 512
    """Calls with a single reply that are under way at once."""
    max_streams: int = 256
    """Calls with a stream of replies that are under way at once."""
    calls_per_second: float = 2_000.0
    """Calls a second of one host in the long run."""
    burst: float = 4_000.0
    """Calls of one host at once, after a pause."""
    max_hosts: int = 1_024
    """How many hosts' rates are remembered; the one that called longest ago is forgotten first."""
    reply_timeout_s: float = 60.0
    """How long a call with a single reply may take, in seconds."""
    write_timeout_s: float = 10.0
    """How long a caller may leave one reply of a stream unread, in seconds."""
    read_timeout_s: float = 30.0
    """How long an upload may be silent, in seconds."""


class CallLimiter:
    """Counts the calls that are under way on one listener, and refuses those beyond its limits."""

    def __init__(self, limits: CallLimits, clock: Callable[[], float]) -> None:
        """Begin with no calls.

        Args:
            limits: The listener's limits.
            clock: Gives the time in seconds and never goes back.
        """
        self._limits = limits
        self._clock = clock
        self._calls = 0
        self._streams = 0
        self._buckets = LruDict[str, TokenBucket](limits.max_hosts)

    @property
    def num_hosts(self) -> int:
        """How many hosts' rates are remembered."""
        return len(self._buckets)

    @contextmanager
    def admit(self, caller: str, is_stream: bool) -> Iterator[None]:
        """Count a call as long as the body runs.

        Args:
            caller: gRPC's name of the connection, such as `ipv4:10.0.0.7:51000`.
            is_stream: Whether the call has a stream of replies.

        Yields:
            Nothing.

        Raises:
            RefusalError: RATE_LIMITED when the host calls too often; TOO_MANY_CALLS when too many
                calls or streams are under way.
        """
        self._check_rate(host_of(caller))
        if is_stream:
            self._check_streams()
            self._streams += 1
        else:
            self._check_calls()
            self._calls += 1
        try:
            yield
        finally:
            if is_stream:
                self._streams -= 1
            else:
                self._calls -= 1

    def late_reply(self) -> RefusalError:
        """Make the refusal that ends a call whose reply takes too long.

        Returns:
            TIMED_OUT.
        """
        limit = f"{self._limits.reply_timeout_s:g} s"
        return RefusalError(
            NetworkCode.TIMED_OUT, f"The reply took longer than {limit}. Try again.", limit=limit
        )

    def slow_reader(self) -> RefusalError:
        """Make the refusal that ends a stream which is not read.

        Returns:
            SLOW_READER.
        """
        limit = f"{self._limits.write_timeout_s:g} s"
        message = f"The stream was not read for {limit}. Go on from the last message received."
        return RefusalError(NetworkCode.SLOW_READER, message, limit=limit)

    def silent_upload(self) -> RefusalError:
        """Make the refusal that ends an upload in which nothing comes.

        Returns:
            TIMED_OUT.
        """
        limit = f"{self._limits.read_timeout_s:g} s"
        message = f"Nothing was uploaded for {limit}. Go on from the next chunk."
        return RefusalError(NetworkCode.TIMED_OUT, message, limit=limit)

    def _check_calls(self) -> None:
        limit = self._limits.max_calls
        if self._calls >= limit:
            message = f"{limit} calls are under way, the most that are allowed. Try again later."
            raise RefusalError(NetworkCode.TOO_MANY_CALLS, message, limit=str(limit))

    def _check_streams(self) -> None:
        limit = self._limits.max_streams
        if self._streams >= limit:
            message = (
                f"{limit} streams are open, the most that are allowed. Close one, or try again"
                " later."
            )
            raise RefusalError(NetworkCode.TOO_MANY_CALLS, message, limit=str(limit))

    def _check_rate(self, host: str) -> None:
        now = self._clock()
        rate, burst = self._limits.calls_per_second, self._limits.burst
        bucket = self._buckets.get_or_create(host, lambda: TokenBucket(rate, burst, now))
        if not bucket.take(now):
            limit = f"{rate:g} calls a second"
            message = f"{host} makes more than {limit}. Slow down."
            raise RefusalError(NetworkCode.RATE_LIMITED, message, limit=limit)


def host_of(caller: str) -> str:
    """Name the host of a connection, without the port.

    Args:
        caller: gRPC's name of the connection, such as `ipv4:10.0.0.7:51000`.

    Returns:
        The name without the port (`ipv4:10.0.0.7`); that of a Unix socket as it is.
    """
    kind, _, rest = caller.partition(":")
    if kind in ("ipv4", "ipv6"):
        return f"{kind}:{rest.rpartition(':')[0]}"
    return caller
