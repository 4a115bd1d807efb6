"""Write fedcoin/learning/training/digits.npz from scikit-learn's copy of the UCI digits.

    python -m scripts.tools.make_digits

Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, UCI Machine Learning
Repository (doi:10.24432/C50P49), CC BY 4.0: 1,797 images of 8 x 8 pixels, 0 to 16. The split
into 1,437 images for training and 360 for testing keeps the share of each digit.
"""

from __future__ import annotations

import io
import sys
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

TARGET = Path(__file__).resolve().parents[2] / "fedcoin" / "learning" / "training" / "digits.npz"
"""The file that is written."""

TEST_IMAGES = 360
"""The number of images of the test set."""

SEED = 2002
"""Seed of the order of the images."""


def _split(labels: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Divide the indices into training and test set, shuffled, each digit in proportion."""
    generator = np.random.Generator(np.random.PCG64(SEED))
    order = generator.permutation(len(labels))
    # Evenly spaced positions among the images sorted by digit give each digit its share.
    by_digit = order[np.argsort(labels[order], kind="stable")]
    positions = np.linspace(0, len(labels) - 1, TEST_IMAGES).round().astype(int)
    test = by_digit[positions]
    train = np.setdiff1d(order, test)
    return generator.permutation(train), generator.permutation(test)


def main() -> None:
    """Write the data set; each run writes the same bytes."""
    bunch = load_digits()
    images = bunch.images.astype(np.uint8)
    labels = bunch.target.astype(np.uint8)
    train, test = _split(labels)
    arrays = {
        "x_train": images[train],
        "y_train": labels[train],
        "x_test": images[test],
        "y_test": labels[test],
    }
    # np.savez_compressed would write the time of day into the archive.
    with zipfile.ZipFile(TARGET, "w") as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.save(buffer, array, allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(2020, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, buffer.getvalue(), compresslevel=9)
    print(f"{TARGET}: {TARGET.stat().st_size} bytes", file=sys.stderr)


if __name__ == "__main__":
    main()
