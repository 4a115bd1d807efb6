"""Limits of one listener: what one calling host, and all callers together, may use of it.

Everything that a caller makes the process hold is limited here: calls and streams at once, calls
and submitted transactions a second, and how long a reply, an unread stream or a silent upload may
last.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from fedcoin.data.errors import RefusalError
from fedcoin.data.lru import LruDict
from fedcoin.data.messages.transactions import estimate_signatures
from fedcoin.network.errors import NetworkCode
from fedcoin.network.host_groups import HostGroups, group_of, observed_host
from fedcoin.network.token_bucket import TokenBucket

MAX_BATCH: Final = 256
"""The largest number of transactions in one call."""

MAX_BATCH_BYTES: Final = 1 << 20
"""The largest size of all transactions in one call, in bytes; a single one may be larger."""


BYTES_OF_TRANSACTION: Final = 4_096
"""A submitted transaction counts once for each started part of this many bytes, and at least once
for each of its signatures."""


@dataclass(frozen=True, slots=True)
class CallLimits:
    """The limits of one listener."""

    max_connections: int | None = None
    """Connections at once, of which further ones are closed; None sets no limit. A host may have a
    quarter of them."""
    max_calls: int = 512
    """Calls with a single reply that are under way at once."""
    max_streams: int = 256
    """Calls with a stream of replies that are under way at once."""
    max_calls_of_host: int = 128
    """Of the calls with a single reply, those of one host."""
    max_streams_of_host: int = 64
    """Of the calls with a stream of replies, those of one host."""
    max_open_streams: int = 32
    """Streams of health and reflection, which need no session and count apart from all others."""
    hosts: HostGroups = field(default_factory=HostGroups)
    """The hosts that have no limit of their own."""
    calls_per_second: float = 2_000.0
    """Calls a second of one host in the long run."""
    burst: float = 4_000.0
    """Calls of one host at once, after a pause."""
    transactions_per_second: float = 2_000.0
    """Transactions a second that one host submits in the long run, alone or in batches."""
    transactions_burst: float = 8_192.0
    """Transactions that one host submits at once, after a pause."""
    refused_per_second: float = 10.0
    """Refused calls a second of one host in the long run, before its connections are closed."""
    refused_burst: float = 512.0
    """Refused calls of one host at once, after a pause, before its connections are closed."""
    max_hosts: int = 1_024
    """How many hosts' rates are remembered; the one that called longest ago is forgotten first."""
    reply_timeout_s: float = 60.0
    """How long a call with a single reply may take, in seconds."""
    write_timeout_s: float = 10.0
    """How long a caller may leave one reply of a stream unread, in seconds."""
    request_timeout_s: float = 10.0
    """How long the request of a call that takes a single one may take to arrive, in seconds."""
    read_timeout_s: float = 30.0
    """How long an upload may be silent, in seconds."""

    @property
    def max_connections_of_host(self) -> int | None:
        """Of the connections, those of one host; None sets no limit."""
        return None if self.max_connections is None else max(1, self.max_connections // 4)


class HostRates:
    """Limits how much each host does in a second."""

    def __init__(
        self, what: str, rate: float, burst: float, max_hosts: int, clock: Callable[[], float]
    ) -> None:
        """Begin with no hosts.

        Args:
            what: What is counted, in the plural, for the refusal's message.
            rate: How many a host may do in a second in the long run.
            burst: How many a host may do at once, after a pause.
            max_hosts: How many hosts are remembered; the one that was longest away is forgotten.
            clock: Gives the time in seconds and never goes back.
        """
        self._what = what
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._buckets = LruDict[str, TokenBucket](max_hosts)

    def __len__(self) -> int:
        """Return how many hosts are remembered."""
        return len(self._buckets)

    def count(self, host: str, amount: float = 1.0) -> None:
        """Count what a host does.

        Args:
            host: The host's group, from `host_groups.group_of`.
            amount: How many it does; more than the burst count as the burst.

        Raises:
            RefusalError: RATE_LIMITED when that is more than rate and burst allow.
        """
        now = self._clock()
        bucket = self._buckets.get_or_create(
            host, lambda: TokenBucket(self._rate, self._burst, now)
        )
        if not bucket.take(now, min(amount, self._burst)):
            limit = f"{self._rate:g} {self._what} a second"
            message = f"{host} makes more than {limit}. Slow down."
            raise RefusalError(NetworkCode.RATE_LIMITED, message, limit=limit)


class SubmissionLimiter:
    """Limits how many transactions each host submits, by number, bytes and signatures."""

    def __init__(self, limits: CallLimits, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with no hosts.

        Args:
            limits: The listener's limits.
            clock: Gives the time in seconds and never goes back.
        """
        rate, burst = limits.transactions_per_second, limits.transactions_burst
        self._rates = HostRates("transactions", rate, burst, limits.max_hosts, clock)
        self._hosts = limits.hosts

    def count(self, caller: str, raws: Sequence[bytes]) -> None:
        """Count the transactions of one call, before anything is done with them.

        Hosts without limits of their own (`CallLimits.hosts`) submit as many as they like.

        Args:
            caller: gRPC's name of the connection, such as `ipv4:10.0.0.7:51000`.
            raws: Serialised SignedTransactions.

        Raises:
            RefusalError: RATE_LIMITED when the host submits more than `transactions_per_second`.
        """
        host = observed_host(caller) or caller
        if not self._hosts.is_exempt(host):
            units = sum(
                max(estimate_signatures(raw), -(-len(raw) // BYTES_OF_TRANSACTION)) for raw in raws
            )
            self._rates.count(self._hosts.group_of(host), units)


class CallLimiter:
    """Counts the calls that are under way on one listener, and refuses those beyond its limits."""

    def __init__(self, limits: CallLimits, clock: Callable[[], float]) -> None:
        """Begin with no calls.

        Args:
            limits: The listener's limits.
            clock: Gives the time in seconds and never goes back.
        """
        self._limits = limits
        self._calls = _Running("calls", limits.max_calls, limits.max_calls_of_host)
        self._streams = _Running("streams", limits.max_streams, limits.max_streams_of_host)
        self._open_streams = _Running(
            "streams of health and reflection",
            limits.max_open_streams,
            max(1, limits.max_open_streams // 4),
        )
        rates = partial(HostRates, max_hosts=limits.max_hosts, clock=clock)
        self._rates = rates("calls", limits.calls_per_second, limits.burst)
        self._refused = rates("refused calls", limits.refused_per_second, limits.refused_burst)
        self.on_flood: Callable[[str], None] = lambda caller: None
        """Called with gRPC's name of a connection for each refused call beyond what a host may be
        refused. Calls that wait for the process are in one queue of gRPC for all hosts."""

    @property
    def num_hosts(self) -> int:
        """How many hosts' rates are remembered."""
        return len(self._rates)

    @contextmanager
    def admit(self, caller: str, is_stream: bool, is_open: bool = False) -> Iterator[None]:
        """Count a call as long as the body runs.

        Args:
            caller: gRPC's name of the connection, such as `ipv4:10.0.0.7:51000`.
            is_stream: Whether the call has a stream of replies.
            is_open: Whether the method is of a service that is open to all, such as health;
                its streams are counted apart, so that they take no room of other streams.

        Yields:
            Nothing; the call is counted inside the `with` block.

        Raises:
            RefusalError: RATE_LIMITED when the host makes more than `calls_per_second`;
                TOO_MANY_CALLS when as many calls or streams are under way, of the host or of all,
                as the limits allow.
        """
        host = observed_host(caller) or caller
        hosts = self._limits.hosts
        group = None if hosts.is_exempt(host) else hosts.group_of(host)
        running = self._calls
        if is_stream:
            running = self._open_streams if is_open else self._streams
        # Not of what it is refused because others take all.
        is_own_fault = True
        with ExitStack() as stack:
            try:
                self._rates.count(group or group_of(host))
                is_own_fault = group is not None and running.is_full_of(group)
                stack.enter_context(running.counted(group))
            except RefusalError:
                if group is not None and is_own_fault:
                    self._count_refused(group, caller)
                raise
            yield

    def _count_refused(self, group: str, caller: str) -> None:
        try:
            self._refused.count(group)
        except RefusalError:
            self.on_flood(caller)

    def late_reply(self) -> RefusalError:
        """Make the refusal that ends a call whose reply takes too long.

        Returns:
            A refusal with code TIMED_OUT.
        """
        limit = f"{self._limits.reply_timeout_s:g} s"
        return RefusalError(
            NetworkCode.TIMED_OUT, f"The reply took longer than {limit}. Try again.", limit=limit
        )

    def late_request(self) -> RefusalError:
        """Make the refusal that ends a call whose request does not come.

        Returns:
            A refusal with code TIMED_OUT.
        """
        limit = f"{self._limits.request_timeout_s:g} s"
        message = f"The request did not arrive within {limit}. Try again."
        return RefusalError(NetworkCode.TIMED_OUT, message, limit=limit)

    def slow_reader(self) -> RefusalError:
        """Make the refusal that ends a stream which is not read.

        Returns:
            A refusal with code SLOW_READER.
        """
        limit = f"{self._limits.write_timeout_s:g} s"
        message = f"The stream was not read for {limit}. Go on from the last message received."
        return RefusalError(NetworkCode.SLOW_READER, message, limit=limit)

    def silent_upload(self) -> RefusalError:
        """Make the refusal that ends an upload in which nothing comes.

        Returns:
            A refusal with code TIMED_OUT.
        """
        limit = f"{self._limits.read_timeout_s:g} s"
        message = f"Nothing was uploaded for {limit}. Go on from the next chunk."
        return RefusalError(NetworkCode.TIMED_OUT, message, limit=limit)


class _Running:
    """Counts the calls of one kind that are under way, in all and for each host."""

    def __init__(self, kind: str, limit: int, limit_of_host: int) -> None:
        self._kind = kind
        self._limit = limit
        self._limit_of_host = limit_of_host
        self._of_hosts: Counter[str] = Counter()
        self._total = 0

    def is_full_of(self, host: str) -> bool:
        """Tell whether a host has as many calls under way as it may have."""
        return self._of_hosts.get(host, 0) >= self._limit_of_host

    @contextmanager
    def counted(self, host: str | None) -> Iterator[None]:
        """Count a call while it runs; None is a host without a limit of its own."""
        if host is not None and self.is_full_of(host):
            raise self._too_many(self._limit_of_host, f" by {host}")
        if self._total >= self._limit:
            raise self._too_many(self._limit, "")
        self._total += 1
        if host is not None:
            self._of_hosts[host] += 1
        try:
            yield
        finally:
            self._total -= 1
            if host is not None:
                self._of_hosts[host] -= 1
                if not self._of_hosts[host]:
                    del self._of_hosts[host]

    def _too_many(self, limit: int, by_whom: str) -> RefusalError:
        message = (
            f"{limit} {self._kind} are under way{by_whom}, the most that are allowed. End one, or "
            "try again later."
        )
        return RefusalError(NetworkCode.TOO_MANY_CALLS, message, limit=str(limit))


def check_batch(raws: Sequence[bytes]) -> None:
    """Check the size of a batch.

    Args:
        raws: Serialised SignedTransactions.

    Raises:
        RefusalError: TOO_LARGE when there are more than `MAX_BATCH`, or several with more than
            `MAX_BATCH_BYTES`.
    """
    size = sum(map(len, raws))
    if len(raws) > MAX_BATCH or (len(raws) > 1 and size > MAX_BATCH_BYTES):
        raise RefusalError(
            NetworkCode.TOO_LARGE,
            f"transactions: {len(raws)} with {size} bytes, but one call holds at most "
            f"{MAX_BATCH} and {MAX_BATCH_BYTES} bytes, or a single larger one",
            field="transactions",
            limit=str(MAX_BATCH),
        )
