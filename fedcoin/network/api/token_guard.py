"""Let callers of the API do what their token allows."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from fedcoin.data.errors import RefusalError
from fedcoin.network.api.api_tokens import PREFIX, TokenFile
from fedcoin.network.api.permissions import PERMISSIONS, ApiRole, Rule
from fedcoin.network.errors import NetworkCode
from fedcoin.network.interceptors import CallContext, CallInfo

METADATA_KEY: Final = "authorization"
"""The metadata key that carries a token."""

SCHEME: Final = "Bearer "
"""What precedes the token in that metadata."""

MAX_TOKEN_CHARACTERS: Final = 256
"""The longest token that is looked at."""


class TokenGuard:
    """Refuses calls without the right token, on a listener of a node that has tokens.

    Args:
        tokens: The node's tokens.
        is_private: Whether nobody else can read what is sent: the listener has TLS, or is on
            loopback.
    """

    def __init__(self, tokens: TokenFile, *, is_private: bool) -> None:
        self._tokens = tokens
        self._is_private = is_private
        self.own_token = PREFIX + secrets.token_urlsafe(32)
        """A token of the role `submit` for callers in this process, which is stored nowhere."""

    def check_start(self) -> None:
        """Refuse to begin to listen where tokens could be read on their way.

        Raises:
            RefusalError: NOT_SECURE when there are tokens, and the listener is neither on loopback
                nor has TLS.
        """
        if self._tokens.is_required and not self._is_private:
            raise _not_secure("api.listen: API tokens would be sent in plaintext")

    @asynccontextmanager
    async def __call__(self, call: CallInfo, context: CallContext) -> AsyncIterator[None]:
        """Check one call; a `CallGuard`.

        Args:
            call: The call.
            context: gRPC's context of the call, with its metadata.

        Yields:
            Nothing; the call runs inside the `with` block.

        Raises:
            RefusalError: NO_TOKEN without a token; BAD_TOKEN when there is no such token;
                NOT_ALLOWED when its role does not include the method; NOT_SECURE when there are
                tokens, and the listener is in plaintext where others can read it.
        """
        if self._tokens.is_required:
            self._check(call.method, context)
        yield

    def _check(self, method: str, context: CallContext) -> None:
        rule = PERMISSIONS.get(method, ApiRole.ADMIN)
        if rule is Rule.OPEN:
            return
        if not self._is_private:
            raise _not_secure("this API has tokens, and they would be sent in plaintext")
        role = self._role_of(context)
        if not isinstance(rule, ApiRole) or not role.includes(rule):
            raise RefusalError(
                NetworkCode.NOT_ALLOWED,
                f"{method}: a token of the role {role.value!r} may not call it; use one of the role"
                f" {rule.value!r}",
                field=METADATA_KEY,
                limit=rule.value,
            )

    def _role_of(self, context: CallContext) -> ApiRole:
        text = _read_token(context)
        if hmac.compare_digest(text.encode(), self.own_token.encode()):
            return ApiRole.SUBMIT
        token = self._tokens.find(text)
        if token is None:
            raise RefusalError(
                NetworkCode.BAD_TOKEN,
                "authorization: the node has no such token; its operator lists them with"
                " `fedcoin-node token list`",
                field=METADATA_KEY,
            )
        return token.role


def _read_token(context: CallContext) -> str:
    for key, value in context.invocation_metadata() or ():
        text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
        if key == METADATA_KEY and text[: len(SCHEME)].lower() == SCHEME.lower():
            return text[len(SCHEME) :].strip()[:MAX_TOKEN_CHARACTERS]
    raise RefusalError(
        NetworkCode.NO_TOKEN,
        "authorization: this API needs a token, as metadata `authorization: Bearer TOKEN`; give"
        " --token-file or FEDCOIN_TOKEN_FILE",
        field=METADATA_KEY,
    )


def _not_secure(problem: str) -> RefusalError:
    return RefusalError(
        NetworkCode.NOT_SECURE,
        f"{problem}: set the TLS files, or listen on loopback",
        field="api.listen",
    )
