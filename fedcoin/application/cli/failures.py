"""Explain an exception in one sentence and a code."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from fedcoin.application.cli.shared.exit_codes import FAILED, NODE_FAILED, WRONG_USAGE
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError

_EXPLAINED_BY_THEMSELVES = (
    ("fedcoin.application.node.watching.failure", "NodeFailedError", ApplicationCode.NODE_FAILED),
    ("fedcoin.learning.errors", "WorkerError", ApplicationCode.WORKER_FAILED),
)
"""Exceptions whose messages need no explanation: the module, the name, and the code of each."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The failure of a command, as it is shown to the user."""

    sentence: str
    """The error sentence, without a full stop."""
    code: str
    """The code of a refusal, or one of this module's for other failures."""
    unexpected: bool = False
    """True for a bug of this program."""

    @property
    def exit_code(self) -> int:
        """The exit code for the shell: 1 failed, 2 wrong usage, 3 a node failed."""
        if self.code == ApplicationCode.NODE_FAILED.value:
            return NODE_FAILED
        return WRONG_USAGE if self.code == ApplicationCode.BAD_ARGUMENT.value else FAILED


def explain(error: BaseException) -> Failure:
    """Explain why a command failed.

    Args:
        error: What the command raised.

    Returns:
        The explanation. Refusals, failed calls, failed workers, and errors of the database or the
        operating system are expected; everything else counts as a bug.
    """
    if isinstance(error, RefusalError):
        return Failure(error.message, str(error.code.value))
    if isinstance(error, _loaded("fedcoin.network.client.rpc_error", "RpcError")):
        failure: Any = error
        return Failure(f"{failure.target}: {failure.message}", failure.code)
    for module, name, code in _EXPLAINED_BY_THEMSELVES:
        if isinstance(error, _loaded(module, name)):
            return Failure(str(error), code.value)
    if isinstance(error, _loaded("sqlite3", "Error")):
        return Failure(f"the database failed: {error}", ApplicationCode.STORE_FAILED.value)
    if isinstance(error, OSError):
        reason = error.strerror or str(error)
        where = f"{error.filename}: " if error.filename else ""
        return Failure(f"{where}{reason}", ApplicationCode.OS_ERROR.value)
    sentence = f"{type(error).__name__}: {error}"
    return Failure(sentence, ApplicationCode.INTERNAL.value, unexpected=True)


# A module that was not imported cannot have raised anything, and need not be imported here.
def _loaded(module: str, name: str) -> tuple[type[BaseException], ...]:
    found = sys.modules.get(module)
    return (getattr(found, name),) if found is not None else ()
