from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcoin.consensus.errors import ConsensusCode
from fedcoin.consensus.lock_record import decode_lock, encode_lock
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.blocks import Block
from fedcoin.data.messages.votes import Vote
from fedcoin.testing.consensus_simulation.block_application import opaque_block
from tests.support.signing_validators import (
    BLOCK,
    GENESIS_HASH,
    HEIGHT,
    NIL,
    OTHER,
    SigningValidators,
    hash_of,
)

COMMITTEE = SigningValidators()


def polka(value: Block | bytes = BLOCK, round: int = 3) -> list[Vote]:
    return [COMMITTEE.prevote(i, round, value) for i in (0, 2, 3)]


def refused(record: bytes) -> None:
    with pytest.raises(RefusalError, match="damaged") as caught:
        decode_lock(record, GENESIS_HASH, opaque_block)
    assert caught.value.code is ConsensusCode.BAD_LOCK


def test_a_lock_comes_back_as_it_went() -> None:
    lock = decode_lock(encode_lock(BLOCK, polka()), GENESIS_HASH, opaque_block)
    assert lock.block == BLOCK
    assert (lock.height, lock.round, lock.block_hash) == (HEIGHT, 3, hash_of(BLOCK))
    assert {vote.public_key for vote in lock.prevotes} == {v.public_key for v in polka()}


def test_a_damaged_lock_is_refused() -> None:
    record = encode_lock(BLOCK, polka())
    refused(b"")
    refused(record[:-1])
    refused(record[: 4 + len(BLOCK.raw)])
    refused(record + b"\0")
    refused(b"\xff\xff\xff\xff" + record)


def test_a_lock_is_made_of_prevotes_for_one_block_in_one_round() -> None:
    refused(encode_lock(BLOCK, [*polka(), COMMITTEE.prevote(1, 4, BLOCK)]))
    refused(encode_lock(BLOCK, [*polka(), COMMITTEE.prevote(1, 3, OTHER)]))
    refused(encode_lock(BLOCK, [COMMITTEE.precommit(1, 3, BLOCK)]))
    refused(encode_lock(BLOCK, polka(NIL)))


@given(st.binary(max_size=300))
def test_random_bytes_are_no_lock(record: bytes) -> None:
    refused(record)
