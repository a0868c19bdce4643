"""What noise must look like that was drawn as declared: its scale, its independence, its last bits. And a Check's form.

The auditor knows the exact sums of the tables it made, so noisy minus exact is the noise itself, coordinate by
coordinate. Imports numpy, and scipy where it is needed.
"""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LOW_BITS = (
    8  # whole numbers that are drawn as such have these bits at random; rounded floats of 24 bits do not
)
_ROWS_FOR_PAIRS = 1_000  # correlations are looked at from so many draws
_MOST_FOR_PAIRS = 64  # coordinates
_SURELY_DISTINCT = 100  # bits of entropy in a noise vector above which two equal ones cannot be chance


@dataclass(frozen=True)
class Check:
    """One yes-or-no check of an audit.

    Attributes:
        name: The claim, in words.
        passed: Whether it held.
        detail: What was seen.
    """

    name: str
    passed: bool
    detail: str


class NoiseTally:
    """Collects noise vectors of one mechanism, and judges them.

    Args:
        scales: (coordinates,) declared standard deviations, in grid steps.
        alpha: Probability that noise as declared fails a check; shared by all of them.
    """

    def __init__(self, scales: NDArray[np.float64], *, alpha: float) -> None:
        self.scales = np.asarray(scales, dtype=np.float64)
        self.alpha = alpha
        self.n = 0
        size = len(self.scales)
        self._squares = np.zeros(size)
        self._pairs = np.zeros((size, size)) if size <= _MOST_FOR_PAIRS else None
        # Discrete Gaussian noise modulo 2^b is uniform to 1e-30 where its scale is at least 2^(b + 1).
        self._bits = int(min(LOW_BITS, math.log2(self.scales.min()) - 1))
        self._cells = np.zeros(2**self._bits, dtype=np.int64)
        # A random linear map to 64 bits tells vectors apart without keeping them.
        self._key = np.frombuffer(secrets.token_bytes(8 * size), dtype=np.uint64) | np.uint64(1)
        self._fingerprints: list[NDArray[np.uint64]] = []

    def add(self, noise: NDArray[np.int64]) -> None:
        """Add (n, coordinates) noise vectors."""
        standard = noise / self.scales
        self.n += len(noise)
        self._squares += np.einsum("nd,nd->d", standard, standard)
        if self._pairs is not None:
            self._pairs += standard.T @ standard
        self._cells += np.bincount((noise & (2**self._bits - 1)).ravel(), minlength=2**self._bits)
        self._fingerprints.append((noise.view(np.uint64) * self._key).sum(axis=1, dtype=np.uint64))

    def variances(self) -> NDArray[np.float64]:
        """(coordinates,) mean squared noise, in grid steps squared."""
        return self._squares / max(self.n, 1) * self.scales**2

    def checks(self, *, where: str) -> list[Check]:
        """Judge what was collected; `where` says what was measured."""
        return [self._scale(where), self._independence(where), self._last_bits(where)]

    def _scale(self, where: str) -> Check:
        """The sum of squares of every coordinate, and of each stretch of one scale, against chi-square."""
        from scipy.stats import chi2

        stretches = np.split(np.arange(len(self.scales)), np.flatnonzero(np.diff(self.scales)) + 1)
        groups = [*stretches, *(np.array([i]) for i in range(len(self.scales)))]
        worst, ratio = 1.0, 1.0
        for group in groups:
            total, freedom = float(self._squares[group].sum()), self.n * len(group)
            chance = 2.0 * min(float(chi2.cdf(total, freedom)), float(chi2.sf(total, freedom)))
            if chance < worst:
                worst, ratio = chance, math.sqrt(total / freedom)
        passed = worst * len(groups) > self.alpha / 3
        seen = f"{self.n:,} draws of {where}"
        if not passed:
            seen += f"; noise of {ratio:.3f} times the declared scale"
        return Check("noise has the declared scale in every coordinate", passed, seen)

    def _independence(self, where: str) -> Check:
        from scipy.special import ndtri

        name = "no noise occurs twice, and no coordinate's noise tells another's"
        entropy = float(np.log2(self.scales).sum())
        if entropy > _SURELY_DISTINCT and self._fingerprints:
            seen = np.concatenate(self._fingerprints)
            double = len(seen) - len(np.unique(seen))
            if double:
                return Check(name, False, f"{double:,} of {len(seen):,} noise vectors are copies of {where}")
        if self._pairs is None or self.n < _ROWS_FOR_PAIRS or len(self.scales) < 2:
            return Check(name, True, f"{self.n:,} vectors of {where}")
        lengths = np.sqrt(np.maximum(np.diag(self._pairs), 1e-300))
        pairs = np.triu(self._pairs / np.outer(lengths, lengths), k=1)
        count = len(self.scales) * (len(self.scales) - 1) / 2
        limit = -float(ndtri(self.alpha / (6.0 * count))) / math.sqrt(self.n)
        largest = float(np.abs(pairs).max())
        detail = (
            f"{self.n:,} vectors of {where}; largest correlation {largest:.4f}, chance allows {limit:.4f}"
        )
        return Check(name, largest <= limit, detail)

    def _last_bits(self, where: str) -> Check:
        from scipy.stats import chisquare

        cells, bits = self._cells, self._bits
        while bits > 1 and cells.sum() < 20 * len(cells):  # too few draws for so many cells: fewer bits
            cells, bits = cells[: len(cells) // 2] + cells[len(cells) // 2 :], bits - 1
        chance = float(chisquare(cells).pvalue)
        seen = f"the last {bits} bits of {int(cells.sum()):,} values of {where}; p = {chance:.2g}"
        return Check("noise is drawn on whole numbers, down to the last bit", chance > self.alpha / 3, seen)
