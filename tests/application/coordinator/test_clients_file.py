from __future__ import annotations

from pathlib import Path

import pytest

from fedcoin.application.coordinator.clients_file import read_clients_file
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.client_list import ListedClient
from tests.support.keys import ALICE, BOB

A, B = (format_address(key.address) for key in (ALICE, BOB))


def test_a_list_is_read_in_the_order_of_addresses(tmp_path: Path) -> None:
    assert read_clients_file("") == ()
    path = tmp_path / "clients"
    path.write_text(f"# the hospitals\n{A} 100\n\n{B}\t4294967295\n")
    expected = sorted([ListedClient(ALICE.address, 100), ListedClient(BOB.address, 2**32 - 1)])
    assert read_clients_file(str(path)) == tuple(expected)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "names no client"),
        (f"{A}\n", "line 1 .* it has 1 word$"),
        (f"{A} 0\n", "from 1 to 4294967295"),
        (f"{A} 4294967296\n", "from 1 to 4294967295"),
        (f"{A} many\n", "line 1 .* the number is many"),
        (f"{A} 1 2\n", "line 1 .* it has 3 words"),
        ("file,key,num_samples\n", "takes as --table"),
        ("fc1nobody 1\n", "line 1"),
        (f"{A} 1\n{A} 2\n", "line 2 names an address again"),
    ],
)
def test_a_bad_list_is_refused(tmp_path: Path, content: str, problem: str) -> None:
    path = tmp_path / "clients"
    path.write_text(content)
    with pytest.raises(RefusalError, match=problem) as caught:
        read_clients_file(str(path))
    assert caught.value.code is ApplicationCode.BAD_CONFIG
    with pytest.raises(RefusalError, match="cannot be read"):
        read_clients_file(str(tmp_path / "missing"))
