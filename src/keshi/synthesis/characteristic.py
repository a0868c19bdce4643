"""Cosines and sines of <record, frequency>: the empirical characteristic function, exact and of proven sensitivity.

The phase of a record is computed exactly (all factors lie on public grids, so that a float64 holds every partial sum),
reduced to a position on the unit circle of 16,384 steps, and cosine and sine are read off a table of integers. Hence

    sensitivity    one record adds k pairs (c, s) of the table, so at most sqrt(k * max(c^2 + s^2)), rounding included;
    exactness      sums are exact integers: no order of rows, batch size, thread or shard changes a bit.

PEARL (Liew et al., ICLR 2022), section 3: F(x, y) = f(x) (outer) onehot(y), one vector for all classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from keshi.records.encoded import FEATURE_BITS, EncodedBatch
from keshi.synthesis.features import AMPLITUDE, WEIGHT, Features
from keshi.synthesis.frequencies import FREQUENCY_BITS

if TYPE_CHECKING:
    from torch import Tensor

_CIRCLE = (
    2**14
)  # steps in a turn: a table that stays in the processor's cache, and phases good to 0.0002 radians
_ROWS = (
    64  # rows at a time: their phases stay in the processor's cache, and their float32 sums below 2^24, exact
)
# Added to a float64 below 2^51 in size, this leaves its nearest whole number in the low bits: faster than rounding
# and converting, and the same for every value wherever it stands in a batch.
_ROUNDING = 1.5 * 2**52


@lru_cache(maxsize=1)
def _circle() -> NDArray[np.complex64]:
    """Integer cosine + i sine of the 16,384 positions (whole numbers; complex for one look-up instead of two)."""
    angle = 2.0 * math.pi * np.arange(_CIRCLE) / _CIRCLE
    circle: NDArray[np.complex64] = (
        np.rint(AMPLITUDE * np.cos(angle)) + 1j * np.rint(AMPLITUDE * np.sin(angle))
    ).astype(np.complex64)
    return circle


@dataclass(frozen=True, eq=False)
class CharacteristicFeatures(Features):
    """Cosine and sine of every frequency, for each class: 2 k C coordinates, of which a record touches 2 k.

    Attributes:
        frequencies: (k, width) frequencies in turns, on the grid of `FREQUENCY_BITS`.
        n_classes: C.
    """

    frequencies: NDArray[np.float64]
    n_classes: int
    kind: ClassVar[str] = "characteristic function"

    def __post_init__(self) -> None:
        steps = self.frequencies * 2**FREQUENCY_BITS
        if not np.array_equal(steps, np.rint(steps)):
            raise ValueError(f"frequencies must be multiples of 2^-{FREQUENCY_BITS} turns.")
        longest = float(np.abs(steps).sum(axis=1).max(initial=0.0)) * 2**FEATURE_BITS
        if longest >= 2**53:
            raise ValueError(
                "frequencies are too high: the phase of a record would not be exact in 64-bit floats."
            )

    @property
    def k(self) -> int:
        return len(self.frequencies)

    @property
    def size(self) -> int:
        return 2 * self.k * self.n_classes

    @property
    def norm(self) -> float:
        circle = _circle().astype(np.complex128)
        return math.sqrt(self.k * float((circle.real**2 + circle.imag**2).max()))

    def sums(self, batch: EncodedBatch, weights: NDArray[np.float64]) -> NDArray[np.int64]:
        total = np.zeros((self.n_classes, 2 * self.k))
        scaled = np.ascontiguousarray(self.frequencies.T) * _CIRCLE  # a power of two: still exact
        dtype = np.float64 if (weights != 1.0).any() else np.float32
        position = np.empty((_ROWS, self.k))
        pairs = np.empty((_ROWS, self.k), dtype=np.complex64)
        for start in range(0, len(batch), _ROWS):
            rows = slice(start, min(start + _ROWS, len(batch)))
            n = rows.stop - rows.start
            np.matmul(batch.vectors[rows], scaled, out=position[:n])
            position[:n] += _ROUNDING
            step = position[:n].view(np.int64)
            step &= _CIRCLE - 1
            _circle().take(step, mode="clip", out=pairs[:n])
            membership = np.zeros((self.n_classes, n), dtype=dtype)
            membership[batch.classes[rows], np.arange(n)] = weights[rows]
            total += membership @ pairs[:n].view(np.float32)  # (n, 2 k): c1, s1, c2, s2, ...
        return np.ascontiguousarray(total.astype(np.int64)).ravel()

    def cut(self, most: int) -> CharacteristicFeatures:
        return replace(self, frequencies=self.frequencies[:most])

    def settings(self) -> dict[str, Any]:
        return {"n_classes": self.n_classes}

    def tensors(self) -> dict[str, NDArray[Any]]:
        return {"frequencies": self.frequencies}

    def shaped(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """(size,) values -> (classes, k, 2): cosine and sine of every frequency."""
        return values.reshape(self.n_classes, self.k, 2)


def characteristic_function(vectors: Tensor, frequencies: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine of <row, frequency>: real and imaginary part of exp(i t.x), not yet averaged over rows.

    Args:
        vectors: (n, width) float tensor.
        frequencies: (k, width) frequencies in radians ("t" in PEARL).

    Returns:
        Two (n, k) tensors. Each row has norm sqrt(k), because cos^2 + sin^2 = 1.
    """
    phase = vectors @ frequencies.T
    return phase.cos(), phase.sin()


def natural(sums: NDArray[np.int64]) -> NDArray[np.float64]:
    """Integer sums in units of one record: divided by the steps of the public grid."""
    return sums / float(AMPLITUDE * WEIGHT)
