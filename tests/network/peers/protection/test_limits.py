"""The table of limits is complete and enforced."""

from __future__ import annotations

import pytest
from google.protobuf import descriptor_pool
from hypothesis import given
from hypothesis import strategies as st

from fedcoin.data.errors import RefusalError
from fedcoin.network.errors import NetworkCode
from fedcoin.network.peer_options import PEER_MESSAGE_BYTES
from fedcoin.network.peers.protection.limits import LIMITS, Meter, check_size
from fedcoin.network.token_bucket import TokenBucket
from fedcoin.v1 import (
    artifact_service_pb2,
    block_gossip_service_pb2,
    consensus_service_pb2,
    peer_service_pb2,
    transaction_relay_service_pb2,
)

SERVED = (
    artifact_service_pb2,
    block_gossip_service_pb2,
    consensus_service_pb2,
    peer_service_pb2,
    transaction_relay_service_pb2,
)


def test_every_method_of_the_peers_listener_has_a_limit() -> None:
    methods = {
        f"{service.name}/{method.name}"
        for module in SERVED
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    assert methods <= LIMITS.keys()


def test_every_kind_of_consensus_message_has_a_limit() -> None:
    message = descriptor_pool.Default().FindMessageTypeByName("fedcoin.v1.ConsensusMessage")
    kinds = {f"ConsensusMessage/{field.name}" for field in message.oneofs_by_name["kind"].fields}
    assert kinds <= LIMITS.keys()


def test_no_limit_is_beyond_what_grpc_takes() -> None:
    assert all(limit.max_bytes <= PEER_MESSAGE_BYTES for limit in LIMITS.values())


def test_sizes() -> None:
    check_size("ConsensusMessage/vote", 512)
    with pytest.raises(RefusalError) as refused:
        check_size("ConsensusMessage/vote", 513)
    assert refused.value.code is NetworkCode.TOO_LARGE
    assert refused.value.limit == "512"


def test_a_meter_refuses_what_comes_too_fast_and_forgives_with_time() -> None:
    meter, kind = Meter(), "PeerService/Ping"
    for _ in range(LIMITS[kind].burst):
        meter.spend(kind, 0.0)
    with pytest.raises(RefusalError) as refused:
        meter.spend(kind, 0.1)
    assert refused.value.code is NetworkCode.RATE_LIMITED
    meter.spend("PeerService/ListPeers", 0.1)
    meter.spend(kind, 1.0)


def test_a_meter_counts_calls_under_way() -> None:
    meter, kind = Meter(), "ConsensusService/Exchange"
    with meter.call(kind), meter.call(kind):
        with pytest.raises(RefusalError) as refused, meter.call(kind):
            raise AssertionError("not reached")
        assert refused.value.code is NetworkCode.TOO_MANY_CALLS
    with meter.call(kind):
        pass


@given(
    rate=st.floats(0.1, 100),
    burst=st.integers(1, 50),
    pauses=st.lists(st.floats(0, 5), max_size=100),
)
def test_no_more_than_the_burst_and_the_rate_ever_pass(
    rate: float, burst: int, pauses: list[float]
) -> None:
    bucket, now, passed = TokenBucket(rate, burst, 0.0), 0.0, 0
    for pause in pauses:
        now += pause
        passed += bucket.take(now)
        assert passed <= burst + rate * now + 1e-6
