"""ControlledRate: how often an attack succeeds on training rows, against rows that the release never saw.

A guess that the statistics of a population explain succeeds on both; only the excess is a leak of the release.
Imports numpy, and scipy where it is needed.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

FEWEST_TARGETS = 100  # on either side; below it an attack on a harmless release succeeds by chance too often
FEWEST_MISSES = 10  # of the control: where it is nearly always right there is nothing left to guess
CONFIDENCE = 0.95


@dataclass(frozen=True)
class ControlledRate:
    """Success on training rows and on held-out rows, and the risk that is due to the release.

    Attributes:
        what: The attack, in words.
        train_rate, control_rate: Share of successes, 0 to 1.
        train_n, control_n: Rows attacked.
        train_error, control_error: Standard errors, where a row's success is a share; None where it is yes or no.
        reason: Why nothing can be said; None where the figures count.
        nothing_to_guess: The control is right nearly always, so that the release cannot give more away.
    """

    what: str
    train_rate: float
    control_rate: float
    train_n: int
    control_n: int
    train_error: float | None = None
    control_error: float | None = None
    reason: str | None = None
    nothing_to_guess: bool = False

    @property
    def is_conclusive(self) -> bool:
        return self.reason is None

    @property
    def risk(self) -> float:
        """(train - control) / (1 - control): 0 where training rows are as safe as strangers, 1 where all is lost.

        Giomi et al., Anonymeter, PoPETs 2023, eq. 4. It may come out below 0 by chance. NaN without control misses.
        """
        missed = 1 - self.control_rate
        return (self.train_rate - self.control_rate) / missed if missed > 0 else math.nan

    def interval(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Two-sided interval of the risk; (NaN, 1) where the control never misses.

        The risk is 1 - (misses on training rows) / (misses of the control): the interval of that ratio follows from
        the Wilson intervals of both by Donner & Zou's MOVER (Statistical Methods in Medical Research 2012, eq. 9).
        """
        top, bottom = 1 - self.train_rate, 1 - self.control_rate
        if not (self.train_n and self.control_n) or bottom <= 0:
            return math.nan, 1.0
        low1, high1 = self._limits(top, self.train_n, self.train_error, confidence)
        low2, high2 = self._limits(bottom, self.control_n, self.control_error, confidence)
        product = top * bottom

        def root(one: float, other: float) -> float:
            return math.sqrt(max(product**2 - one * other * (2 * top - one) * (2 * bottom - other), 0.0))

        small = (product - root(low1, high2)) / (high2 * (2 * bottom - high2)) if 2 * bottom > high2 else 0.0
        divisor = low2 * (2 * bottom - low2)
        large = (product + root(high1, low2)) / divisor if divisor > 0 else math.inf
        return float(1 - large), float(min(1 - small, 1.0))

    @staticmethod
    def _limits(rate: float, n: int, error: float | None, confidence: float) -> tuple[float, float]:
        if error is None:
            return wilson(rate, n, confidence)
        reach = NormalDist().inv_cdf(0.5 + confidence / 2) * error
        return max(rate - reach, 1e-12), rate + reach

    def is_leak(self, alpha: float) -> bool:
        """Whether the risk is above 0 beyond chance: a false alarm happens with probability alpha / 2 at most."""
        lower = self.interval(1 - alpha)[0]
        return self.is_conclusive and not self.nothing_to_guess and lower > 0

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, with the risk and its 95 % interval."""
        return {**asdict(self), "risk": self.risk, "interval": list(self.interval())}


def controlled_rate(what: str, train: np.ndarray, control: np.ndarray) -> ControlledRate:
    """From the successes on training rows (n,) and on held-out rows (m,): bool, or shares from 0 to 1."""
    n, m = len(train), len(control)
    rates = [float(np.mean(one)) if len(one) else math.nan for one in (train, control)]
    errors: list[float | None] = [None, None]
    if train.dtype != bool:
        errors = [
            float(np.std(one, ddof=1) / math.sqrt(len(one))) if len(one) > 1 else None
            for one in (train, control)
        ]
    reason = None
    if min(n, m) < FEWEST_TARGETS:
        reason = f"inconclusive: {n} training and {m} held-out rows were attacked; {FEWEST_TARGETS} of each are needed"
    nothing = reason is None and train.dtype == bool and int(m - control.sum()) < FEWEST_MISSES
    return ControlledRate(what, rates[0], rates[1], n, m, errors[0], errors[1], reason, nothing)


def wilson(rate: float, n: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Score interval of a share (Wilson, JASA 1927); (0, 1) without rows."""
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    middle = (rate + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    return max(middle - reach, 0.0), min(middle + reach, 1.0)
