"""Limits for one caller of a listener, and for all callers together."""

from __future__ import annotations

import ipaddress
from contextlib import ExitStack

import pytest

from fedcoin.data.crypto.key_policies import MAX_KEYS, make_policy
from fedcoin.data.errors import RefusalError
from fedcoin.network.call_limits import (
    BYTES_OF_TRANSACTION,
    CallLimiter,
    CallLimits,
    SubmissionLimiter,
)
from fedcoin.network.errors import NetworkCode
from fedcoin.network.host_groups import LOOPBACK, HostGroups
from fedcoin.v1.transaction_pb2 import TransactionBody
from tests.support.genesis import CHAIN_ID, GENESIS_HASH
from tests.support.keys import BOB
from tests.support.shared_accounts import members_of, sign_shared
from tests.support.transfers import sign_transfer, transfer_to


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
        take(limiter, f"ipv6:[2001:db8:0:{number:x}::1]:1")
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


def hold(limiter: CallLimiter, stack: ExitStack, caller: str, times: int, *, stream: bool) -> None:
    for _ in range(times):
        stack.enter_context(limiter.admit(caller, stream))


@pytest.mark.parametrize("stream", [False, True])
def test_one_host_cannot_take_all_calls_or_streams(stream: bool) -> None:
    limits = CallLimits(max_calls=8, max_streams=8, max_calls_of_host=3, max_streams_of_host=3)
    limiter = CallLimiter(limits, Clock())
    with ExitStack() as stack:
        hold(limiter, stack, "ipv4:10.0.0.1:5", 3, stream=stream)
        with pytest.raises(RefusalError, match=r"3 .* by 10\.0\.0\.1") as caught:
            hold(limiter, stack, "ipv4:10.0.0.1:6", 1, stream=stream)
        assert caught.value.code is NetworkCode.TOO_MANY_CALLS
        # An IPv6 host has a whole network of addresses.
        hold(limiter, stack, "ipv6:%5B2001:db8::1%5D:5", 2, stream=stream)
        hold(limiter, stack, "ipv6:%5B2001:db8::ffff:2%5D:5", 1, stream=stream)
        with pytest.raises(RefusalError, match="by 2001:db8::/64"):
            hold(limiter, stack, "ipv6:%5B2001:db8::3%5D:5", 1, stream=stream)
        hold(limiter, stack, "ipv4:10.0.0.2:5", 2, stream=stream)
        with pytest.raises(RefusalError, match=r"8 .* under way, the most"):
            hold(limiter, stack, "ipv4:10.0.0.3:5", 1, stream=stream)
    with ExitStack() as stack:
        hold(limiter, stack, "ipv4:10.0.0.1:5", 3, stream=stream)


def test_exempt_hosts_share_the_limit_of_all_only() -> None:
    limits = CallLimits(
        max_streams=5,
        max_streams_of_host=1,
        hosts=HostGroups((*LOOPBACK, ipaddress.ip_network("192.0.2.0/24"))),
    )
    limiter = CallLimiter(limits, Clock())
    with ExitStack() as stack:
        for caller in ("ipv4:127.0.0.1:5", "ipv4:192.0.2.7:5"):
            hold(limiter, stack, caller, 2, stream=True)
        hold(limiter, stack, "unix:", 1, stream=True)
        with pytest.raises(RefusalError):
            hold(limiter, stack, "ipv4:127.0.0.1:5", 1, stream=True)


def test_streams_that_need_no_session_do_not_take_the_others_places() -> None:
    limiter = CallLimiter(CallLimits(max_streams=1, max_open_streams=8), Clock())
    with ExitStack() as stack:
        for host in range(4):
            for _ in range(2):
                stack.enter_context(limiter.admit(f"ipv4:10.0.0.{host}:5", True, True))
        for caller in ("ipv4:10.0.0.1:5", "ipv4:127.0.0.1:5"):
            with pytest.raises(RefusalError) as caught:
                stack.enter_context(limiter.admit(caller, True, True))
            assert caught.value.code is NetworkCode.TOO_MANY_CALLS
        hold(limiter, stack, "ipv4:10.0.0.1:5", 1, stream=True)


def test_transactions_count_alone_and_in_batches_and_by_their_bytes() -> None:
    clock = Clock()
    limits = CallLimits(transactions_per_second=10, transactions_burst=100)
    limiter = SubmissionLimiter(limits, clock)
    caller, large = "ipv4:10.0.0.1:5", bytes(9 * BYTES_OF_TRANSACTION + 1)
    limiter.count(caller, [b"x"] * 80)
    limiter.count(caller, [large, large])
    with pytest.raises(
        RefusalError, match=r"10\.0\.0\.1 makes more than 10 transactions"
    ) as caught:
        limiter.count(caller, [b"x"])
    assert caught.value.code is NetworkCode.RATE_LIMITED
    limiter.count("ipv4:10.0.0.2:5", [b"x"] * 100)
    clock.now = 2.0
    limiter.count("ipv4:10.0.0.1:6", [large, large])
    # One that is larger than the burst has to wait for all of it.
    with pytest.raises(RefusalError):
        limiter.count(caller, [bytes(1_000 * BYTES_OF_TRANSACTION)])
    clock.now = 12.0
    limiter.count(caller, [bytes(1_000 * BYTES_OF_TRANSACTION)])


def test_each_signature_of_an_account_of_several_keys_counts() -> None:
    members = members_of(MAX_KEYS)
    policy = make_policy(MAX_KEYS, [key.public_key for key in members])
    body = TransactionBody(chain_id=CHAIN_ID, transfer=transfer_to((BOB.address, 1)))
    raw = sign_shared(policy, body, members, GENESIS_HASH)
    limiter = SubmissionLimiter(
        CallLimits(transactions_per_second=1, transactions_burst=100), Clock()
    )
    limiter.count("ipv4:10.0.0.1:5", [raw] * 6)
    with pytest.raises(RefusalError):
        limiter.count("ipv4:10.0.0.1:5", [raw])
    limiter.count("ipv4:10.0.0.1:5", [sign_transfer(0).raw] * 4)


def test_hosts_without_limits_of_their_own_submit_as_many_as_they_like() -> None:
    limiter = SubmissionLimiter(CallLimits(transactions_burst=1), Clock())
    for caller in ("ipv4:127.0.0.1:5", "unix:"):
        limiter.count(caller, [b"x"] * 10_000)


def test_only_who_uses_up_its_own_limit_is_reported_for_going_on() -> None:
    floods: list[str] = []
    limits = CallLimits(max_calls=3, max_calls_of_host=2, refused_burst=4)
    limiter = CallLimiter(limits, Clock())
    limiter.on_flood = floods.append
    with ExitStack() as stack:
        for port in (1, 2):
            stack.enter_context(limiter.admit(f"ipv4:10.0.0.1:{port}", False))
        stack.enter_context(limiter.admit("ipv4:10.0.0.2:1", False))
        for host in ("10.0.0.2", "10.0.0.3", "127.0.0.1"):
            # The others take all: this host would have had room of its own.
            for _ in range(20):
                with pytest.raises(RefusalError):
                    take(limiter, f"ipv4:{host}:9")
        assert not floods
        for _ in range(6):
            with pytest.raises(RefusalError):
                take(limiter, "ipv4:10.0.0.1:9")
    assert floods == ["ipv4:10.0.0.1:9"] * 2
