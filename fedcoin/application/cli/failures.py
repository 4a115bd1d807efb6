"""From an exception to one sentence and a code."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from fedcoin.data.errors import Refusal


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a command failed."""

    sentence: str
    code: str
    unexpected: bool = False


def explain(error: BaseException) -> Failure:
    """Refusals and what the operating system says are for people; all else is a bug."""
    if isinstance(error, Refusal):
        return Failure(error.message, str(error.code.value))
    remote = explain_remote(error)
    if remote is not None:
        return remote
    if isinstance(error, OSError):
        reason = error.strerror or str(error)
        where = f"{error.filename}: " if error.filename else ""
        return Failure(f"{where}{reason}", "OS_ERROR")
    return Failure(f"{type(error).__name__}: {error}", "INTERNAL", unexpected=True)


def explain_remote(error: BaseException) -> Failure | None:
    """What a node answered. Looks only where the client was loaded: it is slow to import."""
    module = sys.modules.get("fedcoin.network.api.failure")
    if module is None or not isinstance(error, module.RpcFailure):
        return None
    return Failure(f"{error.target}: {error.message}", error.code)
