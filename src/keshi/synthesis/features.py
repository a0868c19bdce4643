"""Features: what a block of the embedding sums over the records, and the proof of how far one record can move it.

A block of features maps one record to a vector of integers, in steps of a public grid, by itself: neither other
records nor the batch it comes in can change a bit of it. Sums are exact, so the sensitivity of a sum is a statement
about single records:

    add-or-remove:  |f(x)|               <= norm
    replace-one:    |f(x) - f(x')|       <= 2 norm, and <= sqrt(2) norm where no entry is ever negative

Imports records (for the batch of encoded rows) and nothing of privacy's mechanisms.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from keshi.privacy.unit import PrivacyUnit
from keshi.records.encoded import EncodedBatch

AMPLITUDE = 2**14  # grid steps in a feature of size 1; a record's feature is rounded to 1/16384
# Weight of one unit of privacy. A record of a subject with m kept records weighs WEIGHT // m, so no subject weighs
# more than WEIGHT. It also makes the grid of the noise that much finer than the grid of the features.
WEIGHT = 2**20
EXACT_SQUARES = 2**13  # squares of numbers on the 2^-20 grid in [-1, 1] whose sum a float64 holds


class Features(ABC):
    """One block of the embedding. Subclasses are frozen dataclasses of public settings."""

    kind: ClassVar[str]
    nonnegative: ClassVar[bool] = False

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of coordinates."""

    @property
    @abstractmethod
    def norm(self) -> float:
        """Largest L2 norm of the integer features of one record, in grid steps, rounding included."""

    @abstractmethod
    def sums(self, batch: EncodedBatch, weights: NDArray[np.float64]) -> NDArray[np.int64]:
        """(size,) exact weighted sums of the integer features over the rows of a batch."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Public settings, as JSON."""

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Public arrays that go with the settings."""
        return {}

    def cut(self, most: int) -> Features:
        """The same block with at most so many of what it is made of; its noise is then calibrated for these.

        An audit's many trials run on a plan that was cut, through the same code as the whole.
        """
        return self

    def sensitivity(self, unit: PrivacyUnit) -> float:
        """L2 sensitivity of the sums to one unit of privacy, in steps of 1 / (AMPLITUDE * WEIGHT).

        A unit's records weigh WEIGHT together, so by the triangle inequality it adds at most WEIGHT * norm. For two
        units with non-negative features, |a - b|^2 = |a|^2 + |b|^2 - 2<a, b> <= |a|^2 + |b|^2.
        """
        bound = WEIGHT * self.norm
        if self.nonnegative and unit.count_is_public:
            return math.sqrt(2.0) * bound
        return unit.sensitivity(bound)


@dataclass(frozen=True)
class ClassCounts(Features):
    """How many units are in each class; one cell a class, so one record adds exactly AMPLITUDE to one cell."""

    n_classes: int
    kind: ClassVar[str] = "class counts"
    nonnegative: ClassVar[bool] = True

    @property
    def size(self) -> int:
        return self.n_classes

    @property
    def norm(self) -> float:
        return float(AMPLITUDE)

    def sums(self, batch: EncodedBatch, weights: NDArray[np.float64]) -> NDArray[np.int64]:
        counts = np.bincount(batch.classes, weights=weights, minlength=self.n_classes)
        return AMPLITUDE * counts.astype(np.int64)

    def settings(self) -> dict[str, Any]:
        return {"n_classes": self.n_classes}


@dataclass(frozen=True)
class SpreadStatistic(Features):
    """[1, x / R, |x|^2 / R^2] with R the largest norm the domain allows: what the length-scale is computed from.

    E|x - x'|^2 = 2 (E|x|^2 - |E x|^2). The released code takes this from ten raw records, which is not private.

    Attributes:
        width: Entries of x.
        radius: R.
        measured: Only so many entries of x, the first ones, in an audit's many trials; None for all of them.
    """

    width: int
    radius: float
    measured: int | None = None
    kind: ClassVar[str] = "length-scale"

    @property
    def size(self) -> int:
        return self._entries + 2

    @property
    def _entries(self) -> int:
        return self.width if self.measured is None else self.measured

    @property
    def norm(self) -> float:
        # 1^2 + |x/R|^2 + (|x|^2/R^2)^2 <= 3, and rounding moves each of the width + 1 rounded entries by at most 1/2.
        return math.sqrt(3.0) * AMPLITUDE + math.sqrt(self.width + 1) / 2

    def sums(self, batch: EncodedBatch, weights: NDArray[np.float64]) -> NDArray[np.int64]:
        total = np.zeros(self.size, dtype=np.int64)
        total[0] = AMPLITUDE * int(weights.sum())
        scaled = np.rint(batch.vectors[:, : self._entries] * (AMPLITUDE / self.radius))
        total[1:-1] = (weights @ scaled).astype(np.int64)
        total[-1] = int(weights @ np.rint(squared_norms(batch.vectors) * (AMPLITUDE / self.radius**2)))
        return total

    def cut(self, most: int) -> SpreadStatistic:
        return replace(self, measured=min(most, self.width))

    def settings(self) -> dict[str, Any]:
        found = {"width": self.width, "radius": self.radius}
        return found if self.measured is None else {**found, "measured": self.measured}

    def squared_length_scale(self, values: NDArray[np.float64], *, noise_std: float) -> float:
        """E|x - x'|^2 from the noisy values, kept within what the domain allows.

        Args:
            values: (size,) noisy sums, in units of one record.
            noise_std: Of their noise, which makes |mean|^2 larger by its variance in each of the many coordinates.
        """
        count = max(float(values[0]), 1.0)
        mean = values[1:-1] / count
        squared_mean = max(0.0, float(mean @ mean) - self.width * (noise_std / count) ** 2)
        spread = 2.0 * (float(values[-1]) / count - squared_mean) * self.radius**2
        # Where noise swamps the statistic, fall back to the range that is possible for vectors of this norm.
        return float(np.clip(spread, 1e-2 * self.radius**2, 2.0 * self.radius**2))


def squared_norms(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) |x|^2 of (n, width) vectors on the 2^-20 grid in [-1, 1]; the order of summation cannot change a bit.

    Squares are multiples of 2^-40, so 2^13 of them sum exactly in a float64. Wider vectors, images, are summed in
    stretches of so many entries, each rounded to a multiple of 2^-20: these sum exactly again.
    """
    stretches = [
        np.einsum("nd,nd->n", part, part)
        for part in (
            vectors[:, start : start + EXACT_SQUARES] for start in range(0, vectors.shape[1], EXACT_SQUARES)
        )
    ]
    if len(stretches) == 1:
        return stretches[0]
    return np.sum([np.rint(stretch * 2.0**20) for stretch in stretches], axis=0) / 2.0**20
