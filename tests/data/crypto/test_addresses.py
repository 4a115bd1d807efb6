from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcoin.data.crypto.addresses import (
    ADDRESS_BYTES,
    decode_bech32m,
    derive_address,
    encode_bech32m,
    format_address,
    parse_address,
)
from fedcoin.data.errors import DataCode, RefusalError
from tests.support.paths import read_vectors

# The test vectors of BIP-350.
VALID = [
    "A1LQFN3A",
    "a1lqfn3a",
    "an83characterlonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber11sg7hg6",
    "abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx",
    "11llllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllludsr8",
    "split1checkupstagehandshakeupstreamerranterredcaperredlc445v",
    "?1v759aa",
]
INVALID = [
    "\x201xj0phk",
    "\x7f1g6xzxy",
    "\x801vctc34",
    "an84characterslonghumanreadablepartthatcontainsthetheexcludedcharactersbioandnumber11d6pts4",
    "qyrz8wqd2c9m",
    "1qyrz8wqd2c9m",
    "y1b0jsk6g",
    "lt1igcx5c0",
    "in1muywd",
    "mm1crxm3i",
    "au1s5cgom",
    "M1VUXWEZ",
    "16plkw9",
    "1p2gdwpf",
]


@pytest.mark.parametrize("text", VALID)
def test_bip_350_valid(text: str) -> None:
    assert encode_bech32m(*decode_bech32m(text)) == text.lower()


@pytest.mark.parametrize("text", INVALID)
def test_bip_350_invalid(text: str) -> None:
    with pytest.raises(RefusalError) as caught:
        decode_bech32m(text)
    assert caught.value.code is DataCode.BAD_ADDRESS


def test_golden_addresses() -> None:
    for vector in read_vectors("addresses"):
        address = derive_address(bytes.fromhex(vector["public_key"]))
        assert address.hex() == vector["address"]
        assert format_address(address) == vector["text"]
        assert parse_address(vector["text"].upper()) == address


@given(st.binary(min_size=ADDRESS_BYTES, max_size=ADDRESS_BYTES))
def test_writing_loses_nothing(address: bytes) -> None:
    text = format_address(address)
    assert parse_address(text) == address
    assert len(text) == 41
    assert text.startswith("fc1")


@given(
    st.binary(min_size=ADDRESS_BYTES, max_size=ADDRESS_BYTES),
    st.integers(3, 40),
    st.sampled_from("qpzry9x8gf2tvdw0s3jn54khce6mua7l"),
)
def test_any_changed_character_is_detected(address: bytes, place: int, letter: str) -> None:
    text = format_address(address)
    slip = text[:place] + letter + text[place + 1 :]
    if slip != text:
        with pytest.raises(RefusalError, match="checksum"):
            parse_address(slip)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "fc1",
        "nobody",
        encode_bech32m("bc", [0] * 32),  # another prefix
        encode_bech32m("fc", [0] * 31),  # too short
        encode_bech32m("fc", [0] * 34),  # too long
        encode_bech32m("fc", [0] * 33),  # five idle bits
        encode_bech32m("fc", [0] * 31 + [1] + [1]),  # padding that is not zero
        "fc1" + "q" * 100,
        "Fc1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq",
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(RefusalError) as caught:
        parse_address(text)
    assert caught.value.code is DataCode.BAD_ADDRESS


@given(st.text(max_size=100))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        address = parse_address(text)
    except RefusalError:
        return
    assert format_address(address) == text.lower()


@pytest.mark.parametrize("length", [0, 19, 21, 32])
def test_only_twenty_bytes_are_an_address(length: int) -> None:
    with pytest.raises(RefusalError) as caught:
        format_address(bytes(length))
    assert caught.value.code is DataCode.BAD_ADDRESS


def test_golden_bad_addresses() -> None:
    for case in read_vectors("bad_addresses"):
        with pytest.raises(RefusalError) as caught:
            parse_address(case["text"])
        assert caught.value.code is DataCode.BAD_ADDRESS, case["why"]
