"""From an exception to one sentence and a code."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError

FAILED, WRONG_USAGE = 1, 2


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a command failed."""

    sentence: str
    code: str
    unexpected: bool = False

    @property
    def exit_code(self) -> int:
        """For the shell."""
        return WRONG_USAGE if self.code == ApplicationCode.BAD_ARGUMENT.value else FAILED


def explain(error: BaseException) -> Failure:
    """Refusals and what the world does to us are for people; all else is a bug."""
    if isinstance(error, RefusalError):
        return Failure(error.message, str(error.code.value))
    if isinstance(error, loaded("fedcoin.network.client.rpc_error", "RpcError")):
        failure: Any = error
        return Failure(f"{failure.target}: {failure.message}", failure.code)
    if isinstance(error, loaded("fedcoin.learning.errors", "WorkerError")):
        return Failure(str(error), "WORKER_FAILED")
    if isinstance(error, loaded("sqlite3", "Error")):
        return Failure(f"the database failed: {error}", "STORE_FAILED")
    if isinstance(error, OSError):
        reason = error.strerror or str(error)
        where = f"{error.filename}: " if error.filename else ""
        return Failure(f"{where}{reason}", "OS_ERROR")
    return Failure(f"{type(error).__name__}: {error}", "INTERNAL", unexpected=True)


def loaded(module: str, name: str) -> tuple[type[BaseException], ...]:
    """A class of a module if that was imported; what was not cannot have raised anything."""
    found = sys.modules.get(module)
    return (getattr(found, name),) if found is not None else ()
