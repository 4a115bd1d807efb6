"""Find the key that signs for a row of a table of clients."""

from __future__ import annotations

from pathlib import Path

from fedcoin.application.configuration.home import KEY_NAME, Home
from fedcoin.application.errors import ApplicationCode
from fedcoin.application.offline.client_table import TableRow
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.key_files import load_key
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import RefusalError


def open_client_key(home: Home, folder: Path, passphrase: str | None, row: TableRow) -> KeyPair:
    """Open the key of a client: a file, or a key of the home by its name or its address.

    Args:
        home: The home of the command.
        folder: The folder of the table, to which paths in it are relative.
        passphrase: Opens encrypted keys; None when none was given.
        row: The client's row of the table.

    Returns:
        The client's key pair, decrypted.

    Raises:
        RefusalError: NO_FILE when the row names a file that is missing; NO_KEY when the home has no
            key of that name or address; NO_PASSPHRASE, WRONG_PASSPHRASE or BAD_KEY_FILE when the
            key cannot be opened.
    """
    if not row.key:
        return home.key(_find_name(home, row), passphrase)
    path = folder / row.key
    if path.is_file():
        return load_key(path, passphrase)
    if KEY_NAME.fullmatch(row.key):
        return home.key(row.key, passphrase)
    raise RefusalError(
        ApplicationCode.NO_FILE,
        f"there is no key file {path}, which the table of clients names for {row.file}; paths are "
        "relative to the table",
        field="table",
    )


def _find_name(home: Home, row: TableRow) -> str:
    for name in home.key_names():
        if home.key_info(name).address == row.address:
            return name
    raise RefusalError(
        ApplicationCode.NO_KEY,
        f"{home.root} has no key of {format_address(row.address)}, the client of {row.file}, and "
        "only that key can sign its update: name its file in the column key, or let the client "
        'join a coordinator with `fedcoin-node train client --command "..."`',
        field="table",
    )
