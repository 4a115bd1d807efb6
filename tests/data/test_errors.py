from __future__ import annotations

import pickle

from fedcoin.data.errors import DataCode, RefusalError


def test_codes_are_their_names() -> None:
    assert all(code.value == code.name for code in DataCode)


def test_a_refusal_says_its_sentence() -> None:
    refusal = RefusalError(DataCode.TOO_LARGE, "too much", field="body", limit="3")
    assert str(refusal) == "too much"
    assert repr(refusal) == "Refusal(TOO_LARGE, 'too much')"


def test_a_refusal_crosses_processes() -> None:
    refusal = RefusalError(DataCode.TOO_LARGE, "too much", field="body", limit="3")
    copy = pickle.loads(pickle.dumps(refusal))
    assert (copy.code, copy.message, copy.field, copy.limit) == (
        DataCode.TOO_LARGE,
        "too much",
        "body",
        "3",
    )
