"""What all tests share."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# Two busy cores make any time limit for one example a coin toss.
settings.register_profile(
    "fedcoin", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fedcoin"))

# A person's settings must not reach into the tests.
for name in [name for name in os.environ if name.startswith("FEDCOIN_")]:
    if name != "FEDCOIN_MNIST":
        del os.environ[name]
