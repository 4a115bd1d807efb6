"""The file that lists the clients of one process: a JSON list with one object for each client.

```
[{"home": "client-1", "data": "client-1/data.npz", "free_ride": false, "name": "Ann"}]
```

`home` is a folder with the client's key, `data` the path of an `.npz` file. Both are relative to
the file's own folder. `free_ride` and `name` may be left out.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.client_names import check_name

MAX_HOSTED_CLIENTS = 1000
"""The largest number of clients of one process."""


@dataclass(frozen=True, slots=True)
class HostedClient:
    """One client of a process that runs many."""

    home: Path
    """The home with the client's key and the network's genesis."""
    data: Path
    """The `.npz` file of its training data."""
    is_free_rider: bool = False
    """Whether it returns the base weights instead of training."""
    name: str = ""
    """What it calls itself in its updates, as `check_name` allows; empty for no name."""


def write_hosted_clients(path: Path, clients: Sequence[HostedClient]) -> None:
    """Write the list of the clients that one process runs.

    Args:
        path: The file, which is created or replaced.
        clients: The clients; their paths lie below the file's folder.

    Raises:
        OSError: The file cannot be written.
    """
    plain = [
        {
            "home": str(client.home.relative_to(path.parent)),
            "data": str(client.data.relative_to(path.parent)),
            "free_ride": client.is_free_rider,
            "name": client.name,
        }
        for client in clients
    ]
    path.write_text(json.dumps(plain, indent=2) + "\n", encoding="utf-8")


def read_hosted_clients(path: Path) -> tuple[HostedClient, ...]:
    """Read the list of the clients that one process runs.

    Args:
        path: A file as `write_hosted_clients` writes it.

    Returns:
        The clients, 1 to `MAX_HOSTED_CLIENTS`, each with another home.

    Raises:
        RefusalError: BAD_ARGUMENT when the file cannot be read or is not such a list.
    """
    try:
        entries: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        clients = tuple(_read_client(path.parent, entry) for entry in entries)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _bad_list(path, f"cannot be read: {error!r}") from error
    if not 1 <= len(clients) <= MAX_HOSTED_CLIENTS:
        raise _bad_list(path, f"lists {len(clients)} clients")
    if len({client.home for client in clients}) < len(clients):
        raise _bad_list(path, "lists one home twice")
    return clients


def _read_client(folder: Path, entry: dict[str, Any]) -> HostedClient:
    home, data, free_ride = entry["home"], entry["data"], entry.get("free_ride", False)
    name = entry.get("name", "")
    is_text = all(isinstance(value, str) for value in (home, data, name))
    if not (is_text and isinstance(free_ride, bool)):
        raise ValueError(f"{entry} has a value of another type")
    if unknown := sorted({*entry} - {"home", "data", "free_ride", "name"}):
        raise ValueError(f"{entry} has the unknown fields {unknown}")
    check_name(name)
    return HostedClient(folder / home, folder / data, free_ride, name)


def _bad_list(path: Path, fault: str) -> RefusalError:
    return RefusalError(
        ApplicationCode.BAD_ARGUMENT,
        f"the list of clients {path} {fault}; it must be a JSON list of 1 to {MAX_HOSTED_CLIENTS} "
        'objects with "home" and "data", "free_ride" where a client does not train, and "name" '
        "of up to 48 bytes where it has one, each with a home of its own",
        field="clients",
        limit=str(MAX_HOSTED_CLIENTS),
    )
