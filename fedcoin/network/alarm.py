"""A callback that is due once, however often it is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Alarm:
    """Calls a function on the event loop a while after it was first asked to.

    Args:
        callback: What is called; it may set the alarm again.
    """

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback = callback
        self._handle: asyncio.TimerHandle | None = None

    @property
    def is_set(self) -> bool:
        """Whether the call is due."""
        return self._handle is not None

    def set(self, delay_s: float) -> None:
        """Have the function called, unless it is due already.

        Args:
            delay_s: After how long, in seconds.
        """
        if self._handle is None:
            self._handle = asyncio.get_running_loop().call_later(delay_s, self.ring)

    def ring(self) -> None:
        """Call the function now; what was due is not called again."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._callback()
