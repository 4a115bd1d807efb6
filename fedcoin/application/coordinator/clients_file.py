"""The file that names the clients of a campaign and the most examples that each may claim."""

from __future__ import annotations

from pathlib import Path

from fedcoin.application.errors import ApplicationCode
from fedcoin.data.crypto.addresses import parse_address
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.client_list import ListedClient

_SETTING = "coordinator.clients_file"


def read_clients_file(path: str, *, field: str = _SETTING) -> tuple[ListedClient, ...]:
    """Read a list of clients: an address and a number of examples on each line.

    Empty lines and lines that begin with `#` are left out.

    Args:
        path: The file; an empty path lets anybody take part.
        field: The setting or argument that names the file, for the refusal.

    Returns:
        The clients by address; none when anybody may take part.

    Raises:
        RefusalError: BAD_CONFIG when the file cannot be read, names no client or names an address
            twice, or a line is not an address and a number from 1 to 4,294,967,295.
    """
    if not path:
        return ()
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise _bad(field, path, f"it cannot be read: {error}") from error
    clients: dict[bytes, ListedClient] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        client = _read_line(field, path, number, line)
        if client.address in clients:
            raise _bad(field, path, f"line {number} names an address again")
        clients[client.address] = client
    if not clients:
        raise _bad(field, path, "it names no client")
    return tuple(sorted(clients.values()))


def _read_line(field: str, path: str, number: int, line: str) -> ListedClient:
    try:
        address, cap = line.split()
        max_samples = int(cap)
        if not 1 <= max_samples < 2**32:
            raise ValueError("the number is out of range")
        return ListedClient(parse_address(address), max_samples)
    except (ValueError, RefusalError) as error:
        raise _bad(
            field,
            path,
            f"line {number} is not an address and the most examples it may claim: {error}",
        ) from error


def _bad(field: str, path: str, problem: str) -> RefusalError:
    return RefusalError(
        ApplicationCode.BAD_CONFIG,
        f"{field} is {path}, but {problem}",
        field=field,
    )
