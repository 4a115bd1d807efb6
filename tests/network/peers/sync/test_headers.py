"""What a run of headers proves before any of its blocks is fetched."""

from __future__ import annotations

from typing import Any

import pytest

from fedcoin.consensus.errors import ConsensusCode
from fedcoin.consensus.validators import ValidatorSet
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.blocks import Block
from fedcoin.network.peers.sync.headers import ChainTip, certify_run
from fedcoin.v1.block_gossip_service_pb2 import CertifiedHeader
from fedcoin.v1.block_pb2 import BlockHeader
from fedcoin.v1.transaction_pb2 import Bond
from tests.support.genesis import FDC
from tests.support.keys import ALICE
from tests.support.ledger_chain import LedgerChain


def certified(block: Block, certificate: bytes) -> CertifiedHeader:
    return CertifiedHeader(header=block.header_bytes, certificate=certificate)


def run_of(chain: LedgerChain) -> list[CertifiedHeader]:
    return [
        certified(block, certificate)
        for block, certificate in zip(chain.blocks, chain.certificates, strict=True)
    ]


@pytest.fixture(scope="module")
def chain() -> LedgerChain:
    made = LedgerChain.create()
    for _ in range(6):
        made.produce()
    return made


def first_validators(chain: LedgerChain) -> ValidatorSet:
    return LedgerChain.create().ledger.validators()


def check(chain: LedgerChain, headers: list[CertifiedHeader]) -> list[ChainTip]:
    tip = ChainTip(0, chain.genesis.hash)
    run = certify_run(tip, first_validators(chain), chain.genesis, headers)
    return list(run.tips)


def test_one_good_certificate_vouches_for_all_before_it(chain: LedgerChain) -> None:
    headers = run_of(chain)
    for header in headers[:-1]:
        header.certificate = b"not looked at"
    found = check(chain, headers)
    assert found == [ChainTip(block.height, block.hash) for block in chain.blocks]
    assert check(chain, []) == []


def test_beyond_a_change_of_validators_nothing_is_sure_yet() -> None:
    chain = LedgerChain.create()
    chain.produce()
    chain.produce(chain.sign(ALICE, Bond(amount=10 * FDC)))
    chain.keys[ALICE.address] = ALICE
    chain.produce()
    found = check(chain, run_of(chain))
    assert [tip.height for tip in found] == [1, 2]


def altered(block: Block, certificate: bytes, **changes: Any) -> CertifiedHeader:
    header = BlockHeader.FromString(block.header_bytes)
    for name, value in changes.items():
        setattr(header, name, value)
    return CertifiedHeader(
        header=header.SerializeToString(deterministic=True), certificate=certificate
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"app_hash": bytes(32)},
        {"parent_hash": bytes(32)},
        {"height": 9},
        {"chain_id": "other"},
        {"next_validators_hash": bytes(32)},
        {"proposer": b""},
    ],
)
def test_a_changed_header_is_found(chain: LedgerChain, changes: dict[str, Any]) -> None:
    headers = run_of(chain)
    headers[2] = altered(chain.blocks[2], chain.certificates[2], **changes)
    with pytest.raises(RefusalError):
        check(chain, headers)


def test_gaps_and_wrong_starts_are_found(chain: LedgerChain) -> None:
    headers = run_of(chain)
    for wrong in (headers[1:], headers[:2] + headers[3:], [headers[0], headers[0]]):
        with pytest.raises(RefusalError):
            check(chain, wrong)


def test_the_last_certificate_counts(chain: LedgerChain) -> None:
    headers = run_of(chain)
    headers[-1].certificate = chain.certify(chain.blocks[-1], signers=2)
    with pytest.raises(RefusalError) as caught:
        check(chain, headers)
    assert caught.value.code is ConsensusCode.BAD_CERTIFICATE


def test_headers_of_another_chain_of_the_same_genesis(chain: LedgerChain) -> None:
    other = LedgerChain.create()
    other.produce(after_ms=77)
    other.produce()
    tip = ChainTip(1, chain.blocks[0].hash)
    with pytest.raises(RefusalError, match="does not name"):
        certify_run(tip, first_validators(chain), chain.genesis, run_of(other)[1:])
