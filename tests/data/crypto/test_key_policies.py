"""Policies of accounts of several keys: what is allowed, and that an address commits to it."""

from __future__ import annotations

from enum import Enum
from itertools import permutations

import pytest

from fedcoin.data.crypto.addresses import derive_address
from fedcoin.data.crypto.key_policies import MAX_KEYS, make_policy
from fedcoin.data.errors import DataCode, RefusalError
from tests.support.shared_accounts import MEMBERS, PURSE, members_of

KEYS = PURSE.public_keys


def code_of(threshold: int, keys: tuple[bytes, ...]) -> Enum:
    with pytest.raises(RefusalError) as caught:
        make_policy(threshold, keys)
    assert caught.value.field.startswith("policy.")
    return caught.value.code


def test_numbers_out_of_range_are_refused() -> None:
    many = tuple(key.public_key for key in members_of(MAX_KEYS + 1))
    assert make_policy(16, many[:MAX_KEYS]).threshold == 16
    for threshold, keys in ((0, KEYS), (4, KEYS), (1, KEYS[:1]), (0, ()), (1, many)):
        assert code_of(threshold, keys) is DataCode.BAD_POLICY


def test_keys_have_one_order_and_one_length() -> None:
    orders = [keys for keys in permutations(KEYS) if keys != KEYS]
    for keys in (*orders, (KEYS[0], KEYS[0]), (KEYS[0], KEYS[1][:31]), (KEYS[0], KEYS[1] + b"x")):
        assert code_of(2, keys) is DataCode.BAD_POLICY


def test_an_address_commits_to_keys_and_threshold_and_is_no_key_s() -> None:
    policies = [
        PURSE,
        make_policy(1, KEYS),
        make_policy(3, KEYS),
        make_policy(2, KEYS[:2]),
        make_policy(2, KEYS[1:]),
    ]
    addresses = {policy.address for policy in policies}
    assert len(addresses) == len(policies)
    assert not addresses & {key.address for key in MEMBERS}
    # Not even a "key" that is the policy's hash: the address is not a hash of it.
    assert derive_address(PURSE.hash) != PURSE.address
    assert str(PURSE) == "2 of 3"
