"""Names of clients: which may be signed, and how they are shown."""

from __future__ import annotations

import pytest

from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages.client_names import (
    MAX_NAME_BYTES,
    check_name,
    describe_client,
    show_name,
)


@pytest.mark.parametrize("name", ["", "Praxis Süd", "病院 4", "x" * MAX_NAME_BYTES, "ü" * 24])
def test_allowed_and_shown_as_they_are(name: str) -> None:
    check_name(name)
    assert show_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "x" * 49,
        "ü" * 25,
        "a\x00",
        "\x1b[31mred",
        "a\r",
        "\x85",
        "zero\u200bwidth",
        "turned\u202egnp",
        "line\u2028break",
        "\u2066isolate",
        "\ufeffmark",
        "\ud800",
    ],
)
def test_refused(name: str) -> None:
    with pytest.raises(RefusalError) as caught:
        check_name(name, "update.name")
    assert (caught.value.code, caught.value.field) == (DataCode.MALFORMED, "update.name")


def test_what_cannot_be_printed_is_escaped() -> None:
    # Such names may be on the chain: which characters print depends on the version of Python.
    check_name("soft\u00adhyphen")
    assert show_name("soft\u00adhyphen") == "soft\\xadhyphen"
    assert show_name("\x1b[2J") == "\\x1b[2J"
    assert len(show_name("x" * 1000)) == MAX_NAME_BYTES


def test_a_client_in_a_line() -> None:
    address = bytes(20)
    plain = describe_client(address, "")
    assert describe_client(address, "Anna") == f'{plain} ("Anna")'
