"""What training with differential privacy has spent: counted, kept and claimed."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest

from fedcoin.application.client.privacy_ledger import PrivacyLedger, compute_epsilon
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.privacy_claims import check_privacy
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.training.private_sgd import PrivacySettings, SampledSteps

SETTINGS = PrivacySettings(clip=1.5, noise_multiplier=1.1)
STEPS = SampledSteps(rate=0.01, count=1000)
CAMPAIGN = b"c" * 32


@pytest.fixture
def accounting() -> None:
    pytest.importorskip("dp_accounting", reason="needs dp-accounting: the extra `privacy`")


@pytest.mark.usefixtures("accounting")
def test_orders_that_are_left_out_are_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert compute_epsilon([(0.5, 0.3, 10)], 1e-5) == pytest.approx(81.444, abs=0.01)
    assert not caplog.records


def delta_of_gaussian(epsilon: float, noise: float) -> float:
    """Return the Gaussian mechanism's exact delta (Balle and Wang, ICML 2018, theorem 8)."""

    def below(value: float) -> float:
        return math.erfc(-value / math.sqrt(2)) / 2

    shift = 1 / (2 * noise)
    return below(shift - epsilon * noise) - math.exp(epsilon) * below(-shift - epsilon * noise)


@pytest.mark.usefixtures("accounting")
@pytest.mark.parametrize(("noise", "count"), [(5.0, 1), (20.0, 16), (2.0, 1)])
def test_epsilon_of_steps_that_take_all_examples(noise: float, count: int) -> None:
    # Several such steps are one with less noise.
    epsilon = compute_epsilon([(1.0, noise, count)], 1e-5)
    alone = noise / math.sqrt(count)
    assert delta_of_gaussian(epsilon, alone) <= 1e-5
    assert delta_of_gaussian(0.8 * epsilon, alone) > 1e-5


@pytest.mark.usefixtures("accounting")
def test_sampling_saves_privacy() -> None:
    # 60 epochs of batches of 256 of 60,000 examples, noise 1.1.
    epsilon = compute_epsilon([(256 / 60_000, 1.1, 60 * 60_000 // 256)], 1e-5)
    assert 2 < epsilon < 3.5
    assert compute_epsilon([(1.0, 1.1, 60 * 60_000 // 256)], 1e-5) > 100


@pytest.mark.usefixtures("accounting")
def test_rounds_of_a_campaign_add_up_also_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "privacy.json"
    first = PrivacyLedger(path).spend(CAMPAIGN, SETTINGS, STEPS)
    second = PrivacyLedger(path).spend(CAMPAIGN, SETTINGS, STEPS)
    other = PrivacyLedger(path).spend(b"d" * 32, SETTINGS, STEPS)
    assert first.epsilon_milli < second.epsilon_milli < 2 * first.epsilon_milli
    assert other == first
    together = compute_epsilon([(0.01, 1.1, 2000)], 1e-5)
    assert second.epsilon_milli == pytest.approx(1000 * together, abs=1)
    # Rounded up: a claim never says less than was spent.
    assert second.epsilon_milli >= 1000 * together
    assert (second.clip_micro, second.noise_micro) == (1_500_000, 1_100_000)
    assert second.delta_pico == 10**7
    check_privacy(second)


@pytest.mark.usefixtures("accounting")
def test_noise_that_hides_nothing_is_refused(tmp_path: Path) -> None:
    ledger = PrivacyLedger(tmp_path / "privacy.json")
    with pytest.raises(RefusalError, match="raise it, or train without") as caught:
        ledger.spend(CAMPAIGN, PrivacySettings(1.0, 1e-6), STEPS)
    assert caught.value.code is ApplicationCode.BAD_ARGUMENT


@pytest.mark.usefixtures("accounting")
@pytest.mark.parametrize("content", ["", "[]", "{}", '{"campaigns": {"aa": [[1, 2]]}}'])
def test_a_damaged_ledger_is_not_begun_anew(tmp_path: Path, content: str) -> None:
    (tmp_path / "privacy.json").write_text(content)
    with pytest.raises(RefusalError) as caught:
        PrivacyLedger(tmp_path / "privacy.json")
    assert caught.value.code is ApplicationCode.BAD_STATE


def test_without_the_package_nothing_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "dp_accounting", None)
    with pytest.raises(RefusalError, match=r"fedcoin\[privacy\]") as caught:
        PrivacyLedger(tmp_path / "privacy.json")
    assert caught.value.code is LearningCode.MISSING_PACKAGE
