#!/usr/bin/env bash
# shapiq: stratified sampling visits small coalitions first, so that values of a saturating utility come out too large.
#
# StratifiedSamplingSV of shapiq 1.8.0 averages, for each player, its marginal contributions over the coalition sizes
# that it has visited. It visits them in one order: every player with the empty coalition, every player with one other,
# and so on. A budget that ends before every player was tried with every size leaves the large sizes out, and the mean
# over the rest takes their place. A utility that saturates, as accuracies do, gains most with small coalitions: with
# ten equal players worth the square root of their number, the values add up to 5.90 with 50 evaluations and to 4.32
# with 100, instead of 3.16. The players that the last size did not reach get other values than their equals, always the
# same ones: the seed changes neither. From 2 n^2 - 2 n + 2 evaluations on (182 of the 1,024 coalitions) the values are
# right here. An additive utility shows nothing of this, since its marginal contributions are the same in every size.
#
# Needs Python 3.12 or later, as shapiq 1.8 does: PYTHON=python3.12 bash findings/shapiq_stratified_order.sh
#
# Output seen (Python 3.12, x86-64); the values of the first and of the last player, and the sum of all:
#   shapiq 1.8.0
#   seed 0, 30 evaluations: 0.707, 1.000, sum 7.364
#   seed 0, 50 evaluations: 0.577, 0.707, sum 5.903
#   seed 0, 100 evaluations: 0.408, 0.447, sum 4.316
#   seed 0, 181 evaluations: 0.316, 0.333, sum 3.179
#   seed 0, 182 evaluations: 0.316, 0.316, sum 3.162
#   seed 1, 50 evaluations: 0.577, 0.707, sum 5.903
#   additive, 50 evaluations: 1.000, 1.000, sum 10.000
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check \
    "shapiq==1.8.0" "numpy==2.4.6" "scikit-learn==1.9.1"
cat > "$folder/order.py" <<'PY'
import numpy as np
import shapiq


def show(name, seed, budget, utility):
    approximator = shapiq.StratifiedSamplingSV(n=10, random_state=seed)
    found = approximator.approximate(
        budget, lambda coalitions: utility(np.atleast_2d(coalitions).sum(axis=1))
    )
    values = [float(found[(player,)]) for player in range(10)]
    print(f"{name}, {budget} evaluations: {values[0]:.3f}, {values[-1]:.3f}, sum {sum(values):.3f}")


print(f"shapiq {shapiq.__version__}")
for seed, budget in ((0, 30), (0, 50), (0, 100), (0, 181), (0, 182), (1, 50)):
    show(f"seed {seed}", seed, budget, np.sqrt)
show("additive", 0, 50, lambda sizes: sizes.astype(float))
PY
"$folder/env/bin/python" -W ignore "$folder/order.py" | tee "$folder/output"
diff "$folder/output" - <<'SEEN'
shapiq 1.8.0
seed 0, 30 evaluations: 0.707, 1.000, sum 7.364
seed 0, 50 evaluations: 0.577, 0.707, sum 5.903
seed 0, 100 evaluations: 0.408, 0.447, sum 4.316
seed 0, 181 evaluations: 0.316, 0.333, sum 3.179
seed 0, 182 evaluations: 0.316, 0.316, sum 3.162
seed 1, 50 evaluations: 0.577, 0.707, sum 5.903
additive, 50 evaluations: 1.000, 1.000, sum 10.000
SEEN
