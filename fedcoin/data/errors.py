"""Refusals, and the codes of those of the data layer.

A code's value is its name. Its text says what happened and, after a blank line, what to do.
`scripts/tools/write_error_codes.py` copies both into docs/API.md, with the code's gRPC status from
`network/error_statuses.py`.
"""

from __future__ import annotations

from enum import Enum


class DataCode(str, Enum):
    """Why the data layer refused a message, a key, a file or an artifact."""

    # Messages.
    MALFORMED = "MALFORMED"
    """A message cannot be decoded, is not in canonical encoding, or has a field of the wrong
    length or out of range.

    Build the message as its `.proto` file and docs/PROTOCOL.md describe, and serialise it
    once."""
    TOO_LARGE = "TOO_LARGE"
    """A transaction, block, message or artifact is longer than allowed.

    Keep it within the limit that the error names."""
    UNKNOWN_ACTION = "UNKNOWN_ACTION"
    """A transaction holds no action that this version of the program knows.

    Set exactly one action, and use the version of the program that the network runs."""
    WRONG_CHAIN = "WRONG_CHAIN"
    """A message, proof or database belongs to another chain.

    Use the chain id and the genesis file of the network that you mean."""
    BAD_SIGNATURE = "BAD_SIGNATURE"
    """A signature is not that of the message's public key over this message for this network.

    Sign the exact bytes that are sent, with the key that is sent along, and the hash of the
    network's genesis.json."""
    BAD_POLICY = "BAD_POLICY"
    """The keys of an account, or how many of them must sign, are not allowed.

    Name 2 to 16 different public keys in the order of their bytes, and a threshold from 1 to their
    number."""
    TOO_FEW_SIGNATURES = "TOO_FEW_SIGNATURES"
    """Fewer keys of an account have signed a transaction than must sign it.

    Have more of the account's keys sign it."""
    BAD_ADDRESS = "BAD_ADDRESS"
    """Text is not an address (bech32m of 20 bytes), or an address is not that of the signing
    key.

    Copy the address anew; its checksum shows typing errors."""
    BAD_AMOUNT = "BAD_AMOUNT"
    """Text is not an amount or has no unit, or the amount is more than can exist.

    Write a number with a unit, such as `1.5fdc` or `200sap`."""
    BAD_ROOT = "BAD_ROOT"
    """A Merkle root or a path does not belong to the content.

    Take block or proof from another node; this one sent a false one."""

    # Keys.
    BAD_KEY = "BAD_KEY"
    """A private key does not have 32 bytes.

    Make a key with `fedcoin-node keys new`."""
    BAD_KEY_FILE = "BAD_KEY_FILE"
    """A key file cannot be read as one.

    Restore it from a backup."""
    WRONG_PASSPHRASE = "WRONG_PASSPHRASE"  # noqa: S105 - a code, not a secret
    """The key file is encrypted, and the passphrase is missing or wrong.

    Give its passphrase."""

    # Artifacts.
    BAD_ARTIFACT = "BAD_ARTIFACT"
    """A manifest does not fit its id, or the artifact is empty.

    Compute the manifest from the content; a downloaded one must be taken from another
    server."""
    BAD_CHUNK = "BAD_CHUNK"
    """A chunk is not the one that the manifest lists at this place.

    Send the chunks in order and unchanged; go on from the one that the error names."""
    UNKNOWN_ARTIFACT = "UNKNOWN_ARTIFACT"
    """An artifact is needed that this node does not hold and cannot fetch.

    Upload it, or wait until a peer offers it."""
    STORE_FULL = "STORE_FULL"
    """The artifact store has reached its size limit.

    Raise `limits.artifacts_total_bytes`, or remove artifacts."""
    BAD_TENSOR = "BAD_TENSOR"
    """An artifact is not a file of named tensors in the canonical form.

    Write it with `encode_tensors`, or as docs/PROTOCOL.md describes."""

    # Files of a node.
    BAD_GENESIS = "BAD_GENESIS"
    """The genesis file is not valid; the error names the field.

    Correct the field, or copy the network's genesis file anew."""
    BAD_STORE = "BAD_STORE"
    """The chain's database is damaged or is not one.

    Restore it from a backup, or move it away and let the node fetch the chain again."""
    NEWER_STORE = "NEWER_STORE"
    """The database was written by a newer version of the program.

    Use that version, or a later one."""
    OTHER_PROTOCOL = "OTHER_PROTOCOL"
    """The database holds a chain of another version of the protocol.

    Move it away and start a new chain, or use the program that wrote it."""
    OTHER_LAYOUT = "OTHER_LAYOUT"
    """The database or snapshot holds a state whose entries have another form.

    Move it away and start a new chain, or use the program that wrote it."""
    BAD_SNAPSHOT = "BAD_SNAPSHOT"
    """A snapshot file is damaged or cut short.

    Delete the file and fetch the snapshot again."""
    VOTES_MISSING = "VOTES_MISSING"
    """The database may lack votes that this validator has signed, so it signs nothing yet.

    Wait until the chain has moved on; docs/OPERATIONS.md says how to end a halt in which all
    validators wait."""
    CONFLICTING_VOTE = "CONFLICTING_VOTE"
    """This validator may have signed a different vote for the same height and round; the new
    one was not signed.

    Run a key on one node only, and do not restore an older database under a running
    validator."""


class RefusalError(Exception):
    """Input that breaks a rule, as opposed to a bug, a full disk or a lost connection.

    Attributes:
        code: A member of the refusing layer's enum of codes.
        message: What is wrong, what is allowed and what to do, for a person.
        field: The name of the field at fault; empty where there is none.
        limit: The limit that the field broke, as text; empty where there is none.
    """

    def __init__(self, code: Enum, message: str, *, field: str = "", limit: str = "") -> None:
        """Refuse an input.

        Args:
            code: A member of the refusing layer's enum of codes.
            message: What is wrong, what is allowed and what to do, for a person.
            field: The name of the field at fault, if any.
            limit: The limit that the field broke, if any.
        """
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field
        self.limit = limit

    def __str__(self) -> str:
        return self.message

    def prefixed(self, prefix: str, *, parent: str = "", field: str | None = None) -> RefusalError:
        """Return this refusal as one about an enclosing input.

        Args:
            prefix: The part of the enclosing input, such as `transactions[3]` or `block 17`. It is
                put before the message, with a colon between them.
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
        return f"RefusalError({self.code.name}, {self.message!r})"

    def __reduce__(self) -> tuple[object, ...]:
        # Worker processes send refusals to their parent; the default would lose the keywords.
        return _restore, (self.code, self.message, self.field, self.limit)


def _restore(code: Enum, message: str, field: str, limit: str) -> RefusalError:
    return RefusalError(code, message, field=field, limit=limit)
