"""Let callers of the API do what their token allows, for as long as it does."""

from __future__ import annotations

import asyncio
import copy
import hmac
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from fedcoin.data.errors import RefusalError
from fedcoin.network.api.api_tokens import LOOK_MS, PREFIX, ApiToken, TokenFile
from fedcoin.network.api.permissions import PERMISSIONS, ApiRole, Rule
from fedcoin.network.errors import NetworkCode
from fedcoin.network.interceptors import CallContext, CallInfo
from fedcoin.network.interruption import Interruption

METADATA_KEY: Final = "authorization"
"""The metadata key that carries a token."""

SCHEME: Final = "Bearer "
"""What precedes the token in that metadata."""

MAX_TOKEN_CHARACTERS: Final = 256
"""The longest token that is looked at."""


class TokenGuard:
    """Refuses calls without the right token, on a listener of a node that has tokens.

    Streams are checked again each time that the tokens change, and end when they would be refused.

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
        self._streams: dict[Interruption, tuple[str, CallContext]] = {}
        self._watch: asyncio.Task[None] | None = None

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
        """Check one call, and go on checking it while it is a stream; a `CallGuard`.

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
        before = self._tokens.current()
        self._check(call.method, context)
        if not (call.request_streaming or call.response_streaming):
            yield
            return
        revoked = Interruption()
        self._streams[revoked] = call.method, context
        if self._watch is None:
            self._watch = asyncio.create_task(self._watch_tokens(before))
        try:
            with revoked.interruptible():
                yield
        finally:
            del self._streams[revoked]
            if not self._streams and self._watch is not None:
                self._watch.cancel()
                self._watch = None

    async def _watch_tokens(self, checked: tuple[ApiToken, ...] | None) -> None:
        """End streams when the file of tokens changes, which no call may be there to notice."""
        while True:
            await asyncio.sleep(LOOK_MS / 1_000)
            tokens = self._tokens.current()
            if tokens is not checked:
                checked = tokens
                self._end_streams()

    def _end_streams(self) -> None:
        for revoked, (method, context) in list(self._streams.items()):
            try:
                self._check(method, context)
            except RefusalError as refusal:
                revoked.fire(partial(copy.copy, refusal))

    def _check(self, method: str, context: CallContext) -> None:
        if not self._tokens.is_required:
            return
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
