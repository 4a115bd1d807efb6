"""Tables of clients: whose each file of a folder of updates is."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedcoin.application.errors import ApplicationCode
from fedcoin.application.offline.client_table import TableRow, read_client_table
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.errors import RefusalError
from tests.support.keys import ALICE

ADDRESS = format_address(ALICE.address)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_rows_in_their_order(tmp_path: Path, separator: str) -> None:
    lines = ["file,num_samples,key,address,name", f"b.pt,250,,{ADDRESS},Ben", ""]
    lines.append("a.npz,,keys/a.key,,")
    table = tmp_path / "clients.csv"
    # Spreadsheets write a byte order mark.
    table.write_text("\n".join(lines).replace(",", separator), encoding="utf-8-sig")
    assert read_client_table(table) == (
        TableRow("b.pt", "", ALICE.address, 250, "Ben"),
        TableRow("a.npz", "keys/a.key", b"", None),
    )


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "must have the column file"),
        ("file,num_samples\na,1", "must have the column file, and key or address"),
        ("file,key,samples\na,k,1", "has the columns file, key, samples"),
        ("file,key,key\na,k,k", "each at most once"),
        ("file,key\na", "has 1 cells in line 2; the header has 2"),
        ("file,key\na,k\na,l", "names the file a again in line 3"),
        ("file,key\n../a,k", "must be a file's name alone"),
        ("file,key\n,k", "must be a file's name alone"),
        ("file,key,address\na,,", "neither a key nor an address in line 2"),
        ("file,key,num_samples\na,k,1.5", "num_samples '1.5' in line 2"),
        ("file,key,num_samples\na,k,0", "num_samples 0 in line 2, not 1 to 1000000000"),
        ("file,key,name\na,k," + "x" * 49, "is wrong in line 2: name has 49 bytes"),
        ("file,address\na,fed1abc", "has no address in line 2"),
        ("fc1xyz 400\nfc1abc 20", "takes as --clients"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, content: str, problem: str) -> None:
    table = tmp_path / "clients.csv"
    table.write_text(content)
    with pytest.raises(RefusalError) as caught:
        read_client_table(table)
    assert caught.value.code is ApplicationCode.BAD_ARGUMENT
    assert problem in caught.value.message


def test_a_table_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "clients.csv").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "clients.csv", tmp_path / "missing.csv"):
        with pytest.raises(RefusalError, match="cannot be read"):
            read_client_table(path)
