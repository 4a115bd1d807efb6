"""Types of the arrays that this package passes around."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
"""Coalitions, one a row: shape (m, n), true where the player belongs."""
Ints = NDArray[np.int64]
"""Sizes, counts and indices."""
Floats = NDArray[np.float64]
"""Utilities, values and their variances."""
