"""What a client's training has said about its examples so far, kept in its home.

Each training with differential privacy is written down before its update is signed, so that a
restart forgets none. The spent budget is computed by dp-accounting (extra `privacy`): RDP of the
Gaussian mechanism with Poisson sampling, composed over all steps of all rounds of a campaign.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from fedcoin.application.errors import ApplicationCode
from fedcoin.data.atomic_files import replace_file
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.privacy_claims import MAX_EPSILON_MILLI, PICO
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.training.private_sgd import PrivacySettings, SampledSteps
from fedcoin.v1.task_pb2 import PrivacyClaim

DEFAULT_DELTA: Final = 1e-5
"""The delta for which epsilon is computed, unless another one is asked for."""

_Entry = tuple[float, float, int]
"""Sampling rate, noise multiplier, number of steps."""


class PrivacyLedger:
    """The trainings of a home's client, by campaign.

    Args:
        path: The ledger's file; it is made with the first training.
        delta: The delta for which epsilon is computed, above 0 and below 1.

    Raises:
        RefusalError: MISSING_PACKAGE when dp-accounting is not installed; BAD_STATE when the file
            is damaged.
    """

    def __init__(self, path: Path, delta: float = DEFAULT_DELTA) -> None:
        _load_accounting()
        self._path = path
        self.delta = delta
        self._spent = _read(path)

    def spend(
        self, campaign_id: bytes, settings: PrivacySettings, steps: SampledSteps
    ) -> PrivacyClaim:
        """Write a training down, and compute what the campaign has spent with it.

        Args:
            campaign_id: The campaign's id, 32 bytes.
            settings: Clipping and noise of the training.
            steps: The number of the training's steps, and the probability with which one takes an
                example.

        Returns:
            The epsilon and delta of all trainings of the campaign so far, with this one's clipping
            and noise.

        Raises:
            RefusalError: BAD_ARGUMENT when epsilon is larger than a claim can say.
            OSError: The file cannot be written.
        """
        entries = self._spent.setdefault(campaign_id.hex(), [])
        entries.append((steps.rate, settings.noise_multiplier, steps.count))
        replace_file(self._path, json.dumps({"campaigns": self._spent}, indent=1).encode())
        epsilon = compute_epsilon(entries, self.delta)
        if not epsilon * 1000 <= MAX_EPSILON_MILLI:
            raise RefusalError(
                ApplicationCode.BAD_ARGUMENT,
                f"the noise multiplier {settings.noise_multiplier:g} gives epsilon {epsilon:g}, "
                f"which promises nothing and is more than {MAX_EPSILON_MILLI // 1000}, the most "
                "that an update can say: raise it, or train without",
                field="noise-multiplier",
            )
        return PrivacyClaim(
            epsilon_milli=max(1, math.ceil(epsilon * 1000)),
            delta_pico=max(1, round(self.delta * PICO)),
            clip_micro=max(1, round(settings.clip * 1e6)),
            noise_micro=max(1, round(settings.noise_multiplier * 1e6)),
        )


def compute_epsilon(entries: Sequence[_Entry], delta: float) -> float:
    """Compute the epsilon of several trainings on the same examples.

    Args:
        entries: Of each training the probability with which a step takes an example, the noise
            multiplier, and the number of steps.
        delta: The delta of (epsilon, delta)-differential privacy, above 0 and below 1.

    Returns:
        Epsilon, for data sets that differ by one example more or less.

    Raises:
        RefusalError: MISSING_PACKAGE when dp-accounting is not installed.
    """
    events, rdp = _load_accounting()
    accountant = rdp.RdpAccountant()
    with _without_warnings():
        for rate, noise, count in entries:
            event = events.GaussianDpEvent(noise)
            sampled = event if rate >= 1 else events.PoissonSampledDpEvent(rate, event)
            accountant.compose(sampled, count)
    return float(accountant.get_epsilon(delta))


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Keep silent about orders that the accountant leaves out: epsilon then is larger, and true."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _load_accounting() -> tuple[Any, Any]:
    try:
        import dp_accounting
        from dp_accounting import rdp
    except ImportError as error:
        raise RefusalError(
            LearningCode.MISSING_PACKAGE,
            "a claim of privacy needs dp-accounting, which computes the spent budget: "
            "pip install 'fedcoin[privacy]'",
            field="privacy",
        ) from error
    return dp_accounting, rdp


def _read(path: Path) -> dict[str, list[_Entry]]:
    try:
        content = json.loads(path.read_bytes())
        return {
            str(campaign): [(float(rate), float(noise), int(count)) for rate, noise, count in spent]
            for campaign, spent in content["campaigns"].items()
        }
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RefusalError(
            ApplicationCode.BAD_STATE,
            f"{path} is not a ledger of spent privacy ({error!r}); restore it: without it, what "
            "earlier rounds have spent is not counted",
            field="privacy",
        ) from error
