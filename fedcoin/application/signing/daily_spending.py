"""What a signer has signed away in fees and deposits in the last 24 hours."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

_HOUR_MS: Final = 3_600_000
_HOURS: Final = 24


@dataclass(frozen=True, slots=True)
class DailySpending:
    """Sums by hours; those of the last 24 hours and of the present one count."""

    hours: tuple[tuple[int, int], ...] = field(default=())
    """Pairs of an hour (Unix time in hours) and the sap that was signed away in it, in order."""

    def count(self, now_ms: int) -> int:
        """Add up what counts now.

        Args:
            now_ms: The time, Unix ms.

        Returns:
            The sum in sap. Hours that lie ahead, of a clock that was set back, count as well.
        """
        first = now_ms // _HOUR_MS - _HOURS
        return sum(amount for hour, amount in self.hours if hour >= first)

    def add(self, amount: int, now_ms: int) -> DailySpending:
        """Add what a transaction costs.

        Args:
            amount: Its fee and deposit, in sap.
            now_ms: The time, Unix ms.

        Returns:
            The spending with it, without hours that no longer count.
        """
        now = now_ms // _HOUR_MS
        kept = {hour: spent for hour, spent in self.hours if hour >= now - _HOURS}
        kept[now] = kept.get(now, 0) + amount
        return DailySpending(tuple(sorted(kept.items())))
