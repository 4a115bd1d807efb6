from __future__ import annotations

from fedcoin.incentive.equal_updates import share_values

A, B, C = (letter * 32 for letter in (b"a", b"b", b"c"))


def test_different_updates_keep_their_values() -> None:
    assert share_values([A, B, C], [5, -3, 0]) == (5, -3, 0)
    assert share_values([], []) == ()


def test_equal_updates_have_the_same_part_of_their_sum() -> None:
    assert share_values([A, B, A], [90, 7, 10]) == (50, 7, 50)
    assert share_values([A, A, A, A], [100, 0, 0, -20]) == (20, 20, 20, 20)


def test_what_is_left_over_goes_to_the_first() -> None:
    assert share_values([B, A, B, A, B], [5, 1, 0, 2, 0]) == (2, 2, 2, 1, 1)
    # -7 is three times -3, and 2 are left over.
    assert share_values([A, A, A], [-7, 0, 0]) == (-2, -2, -3)


def test_groups_share_the_value_of_their_player() -> None:
    # The second of a group adds nothing to a coalition, so that its own value is 0.
    assert share_values((0, 1, 0, 1), (90, 7, 0, 0)) == (45, 4, 45, 3)
