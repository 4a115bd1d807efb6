"""Watch how long the TLS certificates of this node are valid, and warn before they expire."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from fedcoin.data.clock import Clock
from fedcoin.data.errors import RefusalError
from fedcoin.network.peer_options import Tls

log = logging.getLogger(__name__)

CHECK_SECONDS: Final = 60.0
"""Time between two looks at the files, in seconds."""

HOUR_MS: Final = 3_600_000
"""One hour in ms."""

DAY_MS: Final = 86_400_000
"""One day in ms."""
EARLY_DAYS: Final = 30
"""From this many days before the end on, the log warns once a day."""
URGENT_DAYS: Final = 3
"""From this many days before the end on, it warns every hour."""


class CertificateWatch:
    """Knows when the first of some certificates expires, and when to warn.

    Args:
        files: The PEM files.
        clock: Gives Unix ms.
    """

    def __init__(self, files: Sequence[Path], clock: Clock) -> None:
        self._files = files
        self._clock = clock
        self._warned_ms = 0
        self.expiry_ms: int | None = None
        """When the first of the certificates expires, in Unix ms; None without certificates."""

    def look(self) -> str | None:
        """Read the files again.

        Returns:
            A sentence to warn with; None when nothing has to be said now.
        """
        sentence, pause_ms = self._judge()
        now_ms = self._clock()
        if sentence is None:
            self._warned_ms = 0
            return None
        if now_ms - self._warned_ms < pause_ms:
            return None
        self._warned_ms = now_ms
        return sentence

    def _judge(self) -> tuple[str | None, int]:
        """Return what there is to warn of, and for how long that need not be repeated, in ms."""
        # Imported here, so that nodes without TLS do not load the library.
        from fedcoin.application.certificates.certificate_info import (
            describe_certificate,
            read_certificate,
        )

        try:
            found = [(describe_certificate(read_certificate(file)), file) for file in self._files]
        except (OSError, RefusalError) as error:
            return f"a TLS certificate cannot be read: {error}", HOUR_MS
        if not found:
            return None, 0
        first, file = min(found, key=lambda each: each[0].not_after_ms)
        self.expiry_ms = first.not_after_ms
        left_ms = first.not_after_ms - self._clock()
        if left_ms > EARLY_DAYS * DAY_MS:
            return None, 0
        when = "has expired" if left_ms <= 0 else f"expires in {left_ms / DAY_MS:.1f} days"
        sentence = f"the certificate {file} {when}: renew it with `fedcoin-node tls renew`"
        return sentence, HOUR_MS if left_ms <= URGENT_DAYS * DAY_MS else DAY_MS


def open_certificate_watch(tls: Tls | None, clock: Clock) -> CertificateWatch | None:
    """Check the certificates of a node that starts, and make their watch.

    Args:
        tls: The TLS files; None without TLS.
        clock: Gives Unix ms.

    Returns:
        The watch; None without TLS.

    Raises:
        OSError: A file cannot be read.
        RefusalError: CERTIFICATE_EXPIRED or CERTIFICATE_NOT_YET_VALID; BAD_CERTIFICATE when a file
            holds none.
    """
    if tls is None:
        return None
    # Imported here, so that nodes without TLS do not load the library.
    from fedcoin.application.certificates.certificate_info import check_validity

    files = (tls.certificate, tls.authority)
    for file in files:
        check_validity(file, clock())
    return CertificateWatch(files, clock)


async def watch_certificates(
    watch: CertificateWatch, warn: Callable[[str], None] = log.warning
) -> None:
    """Look at the certificates and warn; runs until it is cancelled.

    Args:
        watch: The certificates.
        warn: Gets each sentence.
    """
    while True:
        sentence = await asyncio.to_thread(watch.look)
        if sentence is not None:
            warn(sentence)
        await asyncio.sleep(CHECK_SECONDS)
