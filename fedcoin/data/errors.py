"""Refusals: input that breaks a rule, as opposed to a bug, a full disk or a lost peer."""

from __future__ import annotations

from enum import Enum


class DataCode(str, Enum):
    """Why this layer refused something; the value is the name."""

    MALFORMED = "MALFORMED"
    TOO_LARGE = "TOO_LARGE"
    UNKNOWN_ACTION = "UNKNOWN_ACTION"
    WRONG_CHAIN = "WRONG_CHAIN"
    BAD_SIGNATURE = "BAD_SIGNATURE"
    BAD_ADDRESS = "BAD_ADDRESS"
    BAD_AMOUNT = "BAD_AMOUNT"
    BAD_KEY = "BAD_KEY"
    BAD_KEY_FILE = "BAD_KEY_FILE"
    WRONG_PASSPHRASE = "WRONG_PASSPHRASE"  # noqa: S105 - a code, not a secret
    BAD_ROOT = "BAD_ROOT"
    BAD_ARTIFACT = "BAD_ARTIFACT"
    BAD_CHUNK = "BAD_CHUNK"
    UNKNOWN_ARTIFACT = "UNKNOWN_ARTIFACT"
    STORE_FULL = "STORE_FULL"
    BAD_TENSOR = "BAD_TENSOR"
    BAD_GENESIS = "BAD_GENESIS"
    BAD_STORE = "BAD_STORE"
    BAD_SNAPSHOT = "BAD_SNAPSHOT"
    NEWER_STORE = "NEWER_STORE"
    CONFLICTING_VOTE = "CONFLICTING_VOTE"


class RefusalError(Exception):
    """Input that breaks a rule, and which one.

    `code` is a member of the refusing layer's own enum, `message` a sentence for a person,
    `field` the name of the field at fault and `limit` the limit that it broke, each empty
    where there is none.
    """

    def __init__(self, code: Enum, message: str, *, field: str = "", limit: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field
        self.limit = limit

    def __str__(self) -> str:
        return self.message

    def prefixed(self, prefix: str, *, parent: str = "", field: str | None = None) -> RefusalError:
        """Return this refusal, told about something that encloses what was refused.

        Args:
            prefix: What encloses it, such as `transactions[3]` or `block 17`. It is put before
                the message, with a colon between them.
            parent: The field that encloses the refused field, joined to it with a dot.
            field: The refused field's name in the enclosing input, in place of the old name. With
                neither `parent` nor `field` the name stays as it is.

        Returns:
            A new refusal with the same code and limit.
        """
        if field is None:
            field = ".".join(name for name in (parent, self.field) if name)
        return RefusalError(self.code, f"{prefix}: {self.message}", field=field, limit=self.limit)

    def __repr__(self) -> str:
        return f"Refusal({self.code.name}, {self.message!r})"

    def __reduce__(self) -> tuple[object, ...]:
        # Refusals cross process borders; the default would lose the keywords.
        return _restore, (self.code, self.message, self.field, self.limit)


def _restore(code: Enum, message: str, field: str, limit: str) -> RefusalError:
    return RefusalError(code, message, field=field, limit=limit)
