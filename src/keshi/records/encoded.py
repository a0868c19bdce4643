"""EncodedBatch: records as bounded vectors on a public grid, whatever they were before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Vectors are multiples of 2^-20: fine for any bounds, and products of two still fit a float64.
FEATURE_BITS = 20


@dataclass(frozen=True)
class EncodedBatch:
    """A batch of records as numbers.

    Attributes:
        vectors: (n, width) float64, entries in [-1, 1] on the 2^-20 grid.
        classes: (n,) int64 class of each record; all 0 where the domain has no label.
    """

    vectors: NDArray[np.float64]
    classes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.vectors)
