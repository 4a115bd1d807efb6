"""Tell a client at once that only one side speaks TLS, which no further attempt can mend."""

from __future__ import annotations

from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.network.client.tls_probe import speaks_tls


async def check_protection(target: str, error: RpcError, has_tls: bool) -> None:
    """Find out whether a coordinator cannot be reached because only one side speaks TLS.

    Args:
        target: The coordinator's `host:port`.
        error: The failure of the attempt to reach it.
        has_tls: Whether this client speaks TLS.

    Raises:
        RefusalError: OTHER_PROTECTION when only one of both sides does.
    """
    if has_tls:
        differs, found = "WRONG_VERSION_NUMBER" in error.message, "answers without TLS"
        remedy = "have it set its TLS files, or leave out this client's ([tls])"
    else:
        differs, found = await speaks_tls(target), "expects TLS, and this client has no TLS files"
        remedy = "set [tls] in its home's config.toml (`fedcoin-node tls` makes the files)"
    if differs:
        raise RefusalError(
            ApplicationCode.OTHER_PROTECTION,
            f"the coordinator at {target} {found}: {remedy}",
            field="server",
        ) from error
