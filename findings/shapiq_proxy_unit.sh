#!/usr/bin/env bash
# shapiq and XGBoost: the unit of a utility decides its estimated Shapley values, which shrink to 0.
#
# ProxySHAP of shapiq 1.8.0 fits XGBoost to the game's values and reads Shapley values out of the trees. XGBoost
# 3.4.1 makes no split that gains less than 1e-6, also with gamma=0. A gain is a sum of squared values, so that a game
# in a small unit gets small trees, or none. Here all 256 coalitions of an additive game of eight players are evaluated.
# The values should add up to u(all) - u(none). They lose an eighth of it where that difference is 0.01, two thirds at
# 0.001, and all at 0.0003, without a warning and with estimated=False. Accuracies that differ in the fourth digit are
# such a game; the same accuracies in percent are not. Multiplying the utility by 1000 and dividing the values by 1000
# avoids it.
#
# Needs Python 3.12 or later, as shapiq 1.8 does: PYTHON=python3.12 bash findings/shapiq_proxy_unit.sh
#
# Output seen (Python 3.12, x86-64); "share" is the values' sum divided by u(all) - u(none):
#   shapiq 1.8.0, xgboost 3.4.1
#   u(all) - u(none) = 100: share 1.00, last player 0.22 of 0.22, estimated=False, smallest gain 1.0e-06
#   u(all) - u(none) = 1: share 0.99, last player 0.22 of 0.22, estimated=False, smallest gain 1.0e-06
#   u(all) - u(none) = 0.1: share 0.97, last player 0.22 of 0.22, estimated=False, smallest gain 1.0e-06
#   u(all) - u(none) = 0.01: share 0.87, last player 0.21 of 0.22, estimated=False, smallest gain 1.0e-06
#   u(all) - u(none) = 0.003: share 0.68, last player 0.18 of 0.22, estimated=False, smallest gain 1.1e-06
#   u(all) - u(none) = 0.001: share 0.30, last player 0.11 of 0.22, estimated=False, smallest gain 1.2e-06
#   u(all) - u(none) = 0.0003: share 0.00, last player 0.00 of 0.22, estimated=False, no split
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check \
    "shapiq==1.8.0" "xgboost-cpu==3.4.1" "numpy==2.4.6" "scikit-learn==1.9.1"
cat > "$folder/units.py" <<'PY'
import numpy as np
import shapiq
import xgboost

QUALITY = np.arange(1, 9) / 36  # the Shapley values of the additive game, which add up to 1
EVERY = np.array([[number >> player & 1 for player in range(8)] for number in range(256)], bool)

print(f"shapiq {shapiq.__version__}, xgboost {xgboost.__version__}")
for unit in (100, 1, 0.1, 0.01, 0.003, 0.001, 0.0003):
    approximator = shapiq.ProxySHAP(n=8, max_order=1, index="SV", random_state=0)
    found = approximator.approximate(256, lambda coalitions: 0.9 + unit * (coalitions @ QUALITY))
    values = np.array([found[(player,)] for player in range(8)]) / unit
    model = xgboost.XGBRegressor(random_state=0).fit(EVERY, unit * (EVERY @ QUALITY))
    trees = model.get_booster().trees_to_dataframe()
    gains = trees.Gain[trees.Feature != "Leaf"]
    splits = f"smallest gain {gains.min():.1e}" if len(gains) else "no split"
    print(f"u(all) - u(none) = {unit}: share {values.sum():.2f},", end=" ")
    print(f"last player {values[-1]:.2f} of 0.22, estimated={found.estimated}, {splits}")
PY
"$folder/env/bin/python" -W ignore "$folder/units.py" | tee "$folder/output"
diff "$folder/output" - <<'SEEN'
shapiq 1.8.0, xgboost 3.4.1
u(all) - u(none) = 100: share 1.00, last player 0.22 of 0.22, estimated=False, smallest gain 1.0e-06
u(all) - u(none) = 1: share 0.99, last player 0.22 of 0.22, estimated=False, smallest gain 1.0e-06
u(all) - u(none) = 0.1: share 0.97, last player 0.22 of 0.22, estimated=False, smallest gain 1.0e-06
u(all) - u(none) = 0.01: share 0.87, last player 0.21 of 0.22, estimated=False, smallest gain 1.0e-06
u(all) - u(none) = 0.003: share 0.68, last player 0.18 of 0.22, estimated=False, smallest gain 1.1e-06
u(all) - u(none) = 0.001: share 0.30, last player 0.11 of 0.22, estimated=False, smallest gain 1.2e-06
u(all) - u(none) = 0.0003: share 0.00, last player 0.00 of 0.22, estimated=False, no split
SEEN
