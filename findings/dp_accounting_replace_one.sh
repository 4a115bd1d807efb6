#!/usr/bin/env bash
# dp-accounting: under REPLACE_ONE its two accountants mean different noise, and one epsilon is too small.
#
# GaussianDpEvent defines the noise multiplier as s / C, where each record's value has a norm of at most C. Replacing
# a record then changes the sum by up to 2 C. PLDAccountant counts with that from 0.5.0 on (0.4.4 did not).
# RdpAccountant of 0.6.0 computes the same epsilon under REPLACE_ONE as under ADD_OR_REMOVE_ONE. An epsilon by Renyi
# divergences is an upper bound; here it is half of the exact one. SampledWithoutReplacementDpEvent, which
# RdpAccountant takes under REPLACE_ONE alone, has the same convention: for DP-SGD with batches of a fixed size and
# gradients clipped to C it needs half the noise multiplier, and the bound for 100 batches of 10 of 1,000 is then 11.2
# instead of 1.5. Flower 1.42's RdpAccountant passes its noise multiplier on as it is, and also says 1.5. FedCoin
# samples by Poisson and counts one example more or less, where both accountants mean the same noise.
#
# Output seen (Python 3.11, x86-64), epsilon at delta 1e-5; "exact" is the Gaussian mechanism's closed form (Balle
# and Wang, 2018) for a sum that changes by C or by 2 C:
#   dp-accounting 0.4.4
#   ADD_OR_REMOVE_ONE, noise 2 C: RDP 2.17, PLD 1.99, exact 1.99
#   REPLACE_ONE, noise 2 C: RDP 2.17, PLD 1.99, exact 4.38
#   100 batches of 10 of 1000, noise multiplier 1: RDP 1.5
#   100 batches of 10 of 1000, noise multiplier 0.5: RDP 11.2
#   dp-accounting 0.6.0
#   ADD_OR_REMOVE_ONE, noise 2 C: RDP 2.17, PLD 1.99, exact 1.99
#   REPLACE_ONE, noise 2 C: RDP 2.17, PLD 4.38, exact 4.38
#   100 batches of 10 of 1000, noise multiplier 1: RDP 1.5
#   100 batches of 10 of 1000, noise multiplier 0.5: RDP 11.2
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cat > "$folder/epsilon.py" <<'PY'
import sys
from math import exp

import dp_accounting
from dp_accounting import NeighboringRelation, SampledWithoutReplacementDpEvent
from scipy.optimize import brentq
from scipy.stats import norm

DELTA = 1e-5


def account(accountant, relation, event, count=1):
    """Return epsilon after `count` events."""
    return accountant(neighboring_relation=relation).compose(event, count).get_epsilon(DELTA)


def compute_exactly(noise, change):
    """Return epsilon of a sum that changes by `change` and has Gaussian noise of deviation `noise`."""
    ratio = change / noise

    def excess(epsilon):
        lower, upper = -ratio / 2 - epsilon / ratio, ratio / 2 - epsilon / ratio
        return norm.cdf(upper) - exp(epsilon) * norm.cdf(lower) - DELTA

    return brentq(excess, 0, 100)


print("dp-accounting", sys.argv[1])
rdp, pld = dp_accounting.rdp.RdpAccountant, dp_accounting.pld.PLDAccountant
for relation, change in (
    (NeighboringRelation.ADD_OR_REMOVE_ONE, 1),
    (NeighboringRelation.REPLACE_ONE, 2),
):
    gaussian = dp_accounting.GaussianDpEvent(2)
    found = [account(accountant, relation, gaussian) for accountant in (rdp, pld)]
    print(f"{relation.name}, noise 2 C:", end=" ")
    print(f"RDP {found[0]:.2f}, PLD {found[1]:.2f}, exact {compute_exactly(2, change):.2f}")
for noise in (1, 0.5):
    sampled = SampledWithoutReplacementDpEvent(1000, 10, dp_accounting.GaussianDpEvent(noise))
    found = account(rdp, NeighboringRelation.REPLACE_ONE, sampled, 100)
    print(f"100 batches of 10 of 1000, noise multiplier {noise}: RDP {found:.1f}")
PY
for version in 0.4.4 0.6.0; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/pip" install --quiet --disable-pip-version-check \
        "dp-accounting==$version" "numpy<3" "scipy<2"
    "$folder/$version/bin/python" "$folder/epsilon.py" "$version"
done | tee "$folder/output"
diff "$folder/output" - <<'SEEN'
dp-accounting 0.4.4
ADD_OR_REMOVE_ONE, noise 2 C: RDP 2.17, PLD 1.99, exact 1.99
REPLACE_ONE, noise 2 C: RDP 2.17, PLD 1.99, exact 4.38
100 batches of 10 of 1000, noise multiplier 1: RDP 1.5
100 batches of 10 of 1000, noise multiplier 0.5: RDP 11.2
dp-accounting 0.6.0
ADD_OR_REMOVE_ONE, noise 2 C: RDP 2.17, PLD 1.99, exact 1.99
REPLACE_ONE, noise 2 C: RDP 2.17, PLD 4.38, exact 4.38
100 batches of 10 of 1000, noise multiplier 1: RDP 1.5
100 batches of 10 of 1000, noise multiplier 0.5: RDP 11.2
SEEN
