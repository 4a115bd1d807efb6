from __future__ import annotations

import pytest
from google.protobuf.descriptor import Descriptor
from hypothesis import given
from hypothesis import strategies as st

from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages import canonical
from fedcoin.v1.artifact_pb2 import ArtifactManifest, TensorFile
from fedcoin.v1.block_pb2 import Block, BlockHeader, Receipt, Settlement
from fedcoin.v1.task_pb2 import ClientUpdate, UpdateReceipt
from fedcoin.v1.transaction_pb2 import SignedTransaction, TransactionBody
from fedcoin.v1.vote_pb2 import VOTE_KIND_PREVOTE, Certificate, Proposal, SignedVote, Vote
from tests.support.paths import read_vectors

VOTE = canonical.encode(Vote(kind=VOTE_KIND_PREVOTE, height=300, round=2, block_hash=b"h" * 32))


def refused(raw: bytes, kind: type[Vote | Settlement] = Vote) -> DataCode:
    with pytest.raises(RefusalError) as caught:
        canonical.decode(kind, raw)
    code = caught.value.code
    assert isinstance(code, DataCode)
    return code


def test_the_one_encoding_is_read() -> None:
    assert canonical.encode(canonical.decode(Vote, VOTE)) == VOTE
    assert canonical.decode(Vote, b"") == Vote()


@pytest.mark.parametrize(
    "raw",
    [
        VOTE + b"\x78\x01",  # an unknown field
        VOTE + b"\x18\x02",  # the round twice
        VOTE[2:] + VOTE[:2],  # another order
        b"\x08\x81\x00",  # an idle byte in a number
        b"\x08\x00",  # a zero that is written out
        b"\x08",  # cut off
        b"\x22\x05ab",  # a length beyond the end
        b"\xff" * 20,
    ],
)
def test_every_other_encoding_is_refused(raw: bytes) -> None:
    assert refused(raw) is DataCode.MALFORMED


def test_unpacked_numbers_are_refused() -> None:
    packed = canonical.encode(Settlement(winner_shapley_nano=[1, 2]))
    assert canonical.decode(Settlement, packed).winner_shapley_nano == [1, 2]
    unpacked = b"\x18\x02\x18\x04"
    assert list(Settlement.FromString(unpacked).winner_shapley_nano) == [1, 2]
    assert refused(unpacked, Settlement) is DataCode.MALFORMED


def test_unknown_fields_inside_are_refused() -> None:
    inner = canonical.encode(SignedVote(body=b"x")) + b"\x78\x01"
    outer = b"\x0a" + bytes([len(inner)]) + inner
    with pytest.raises(RefusalError):
        canonical.decode(Certificate, outer)


@given(st.binary(max_size=60))
def test_any_bytes_are_the_encoding_or_refused(raw: bytes) -> None:
    try:
        message = canonical.decode(Vote, raw)
    except RefusalError:
        return
    assert canonical.encode(message) == raw


def test_the_code_is_the_callers() -> None:
    with pytest.raises(RefusalError) as caught:
        canonical.decode(Vote, b"\xff", code=DataCode.BAD_ARTIFACT)
    assert caught.value.code is DataCode.BAD_ARTIFACT


def test_golden_encodings() -> None:
    golden = read_vectors("encodings")
    for case in golden["accepted"]:
        raw = bytes.fromhex(case["raw"])
        vote = canonical.decode(Vote, raw)
        assert (vote.height, vote.block_hash.hex()) == (case["height"], case["block_hash"])
        assert canonical.encode(vote) == raw
    for case in golden["refused"]:
        assert refused(bytes.fromhex(case["raw"])) is DataCode.MALFORMED, case["why"]


def test_what_is_signed_is_declared_in_the_order_of_field_numbers() -> None:
    """Some generators, such as ts-proto, write fields in the order of their declaration."""
    waiting: list[Descriptor] = [
        *(SignedTransaction.DESCRIPTOR, TransactionBody.DESCRIPTOR, ClientUpdate.DESCRIPTOR),
        *(UpdateReceipt.DESCRIPTOR, Vote.DESCRIPTOR, Proposal.DESCRIPTOR, Block.DESCRIPTOR),
        *(BlockHeader.DESCRIPTOR, Receipt.DESCRIPTOR, Certificate.DESCRIPTOR),
        *(TensorFile.DESCRIPTOR, ArtifactManifest.DESCRIPTOR),
    ]
    seen = set()
    while waiting:
        message = waiting.pop()
        if message.full_name not in seen:
            seen.add(message.full_name)
            numbers = [field.number for field in message.fields]
            assert numbers == sorted(numbers), message.full_name
            waiting.extend(field.message_type for field in message.fields if field.message_type)
    assert len(seen) > 30
