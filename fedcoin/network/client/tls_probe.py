"""Ask a server whether it speaks TLS, when it closed a plaintext connection without a word."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress

_HANDSHAKE, _ALERT, _MAJOR = 22, 21, 3


async def speaks_tls(target: str, timeout_s: float = 3.0) -> bool:
    """Begin a TLS handshake with a server, and look at the first bytes of its answer.

    Nothing is verified, and the connection is closed at once: nothing else may be sent over it.

    Args:
        target: `host:port` or `[v6]:port`.
        timeout_s: How long to wait for the connection and for the answer, in seconds.

    Returns:
        Whether the answer is TLS: a handshake, or an alert such as that of a missing certificate.
        False also when there is no answer.
    """
    # Before Python 3.11 asyncio's error is another one than the built-in.
    with suppress(OSError, asyncio.TimeoutError, ValueError):
        return await asyncio.wait_for(_begins_with_tls(target), timeout_s)
    return False


async def _begins_with_tls(target: str) -> bool:
    host, _, port = target.rpartition(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["h2"])  # without which gRPC's servers end the handshake
    outgoing = ssl.MemoryBIO()
    session = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=host.strip("[]"))
    with suppress(ssl.SSLWantReadError):
        session.do_handshake()
    reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    try:
        writer.write(outgoing.read())
        answer = await reader.readexactly(2)
    except asyncio.IncompleteReadError:
        return False
    finally:
        writer.close()
    return answer[0] in (_HANDSHAKE, _ALERT) and answer[1] == _MAJOR
