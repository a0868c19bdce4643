"""Lower bounds on epsilon, with confidence, from how well an attack tells two neighbouring worlds apart.

A mechanism that is (epsilon, delta)-differentially private limits the error rates of every attack (Kairouz, Oh &
Viswanath 2015; Dong, Roth & Su 2022). So error rates that are provably smaller refute the claim, whatever the code
says. The converse does not hold: an attack that fails proves nothing, and every result says how strong it could be.
Takes plain arrays from any system; imports numpy, and scipy where it is needed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from keshi._validate import in_range, positive

Verdict = Literal["consistent", "violated", "inconclusive"]

PILOT_SHARE = 0.05  # of the samples of each world: they choose the thresholds and are not counted
SMALLEST_PILOT = 50
POWER = (
    0.5  # an audit counts from the n at which a mechanism that spends all of its claim would show half of it
)
_GRID = 257  # thresholds that are tried on the pilot
_MISFIT = 5.0  # standard errors by which the pilot must contradict its normal fit
_MOST_SAMPLES = 10**12
Strength = Callable[[Any, Any], NDArray[np.float64]]
"""What upper bounds of the false positive and false negative rate prove."""


@dataclass(frozen=True)
class EpsilonBounds:
    """What an attack proves about epsilon, next to what is claimed.

    All intervals together hold with probability 1 - alpha: a mechanism that keeps its claim is called "violated" at
    most that often.

    Attributes:
        epsilon, delta: The claim.
        alpha: Probability of a false alarm.
        n: Samples of each world behind the intervals; those that chose the thresholds are not counted.
        minimum_n: Below it the audit is too weak to count; see `minimum_samples`.
        gaussian_mu: Lower bound on mu, if the mechanism is a Gaussian one (Gaussian differential privacy).
        gaussian_epsilon: The epsilon at `delta` that this mu means.
        gaussian_rates: Upper bounds of the attack's false positive and false negative rate behind it.
        epsilon_bound: Lower bound on epsilon at `delta` for any mechanism (Clopper-Pearson).
        epsilon_rates: Upper bound of its false positive rate and lower bound of its true positive rate.
        verdict: "violated" if a bound that applies exceeds the claim, "inconclusive" below `minimum_n`, or else
            "consistent".
    """

    epsilon: float
    delta: float
    alpha: float
    n: int
    minimum_n: int
    gaussian_mu: float
    gaussian_epsilon: float
    gaussian_rates: tuple[float, float]
    epsilon_bound: float
    epsilon_rates: tuple[float, float]
    verdict: Verdict


def lower_bounds(
    without: NDArray[np.float64],
    with_unit: NDArray[np.float64],
    *,
    epsilon: float,
    delta: float,
    alpha: float = 1e-6,
    pilot: int | None = None,
    gaussian: bool = True,
) -> EpsilonBounds:
    """Lower bounds on epsilon from an attack statistic in two neighbouring worlds.

    Two thresholds (one for each bound) are chosen on the first samples, the rates are measured on the others, where
    the thresholds are fixed: four one-sided Clopper-Pearson bounds, each at alpha / 4.

    Args:
        without: (n,) independent values of the statistic where the unit is absent (or another one is there).
        with_unit: (n,) values where it is present; the attack says "present" above a threshold.
        epsilon, delta: The claim.
        alpha: Probability of calling a mechanism that keeps its claim "violated".
        pilot: How many first samples of each world choose the thresholds; by default 5 %.
        gaussian: Whether the mechanism is claimed to be a Gaussian one. For another, the bound through mu means
            nothing, and does not enter the verdict.

    Example:
        >>> import numpy as np
        >>> noise = np.random.default_rng(0).normal(size=(2, 50_000))
        >>> bounds = lower_bounds(noise[0], noise[1] + 0.268, epsilon=1.0, delta=1e-5)
        >>> bounds.verdict, 0.6 < bounds.gaussian_epsilon < 1.0
        ('consistent', True)
    """
    positive("epsilon", epsilon)
    in_range("delta", delta, 0.0, 1.0, open_ends=True)
    in_range("alpha", alpha, 0.0, 1.0, open_ends=True)
    worlds = [_samples("without", without), _samples("with_unit", with_unit)]
    smallest = min(len(worlds[0]), len(worlds[1]))
    pilot = max(SMALLEST_PILOT, int(smallest * PILOT_SHARE)) if pilot is None else pilot
    n = max(0, smallest - pilot)
    needed = minimum_samples(epsilon, delta, alpha=alpha)
    if pilot < 2 or n < 1:
        return EpsilonBounds(
            epsilon, delta, alpha, n, needed, 0.0, 0.0, (1.0, 1.0), 0.0, (1.0, 0.0), "inconclusive"
        )
    first = [world[:pilot] for world in worlds]
    absent, present = (world[pilot : pilot + n] for world in worlds)

    def rates(threshold: float) -> tuple[int, int]:
        """Counts of false positives and false negatives."""
        return int((absent > threshold).sum()), int((present <= threshold).sum())

    false_positives, false_negatives = rates(_best_threshold(first, n, alpha, _gaussian_strength))
    gaussian_rates = (
        float(_upper(false_positives, n, alpha / 4)),
        float(_upper(false_negatives, n, alpha / 4)),
    )
    mu = float(_gaussian_strength(*gaussian_rates))
    gaussian_epsilon = epsilon_of_mu(mu, delta)

    def strength(positive_rate: Any, negative_rate: Any) -> NDArray[np.float64]:
        return _epsilon_strength(positive_rate, negative_rate, delta)

    false_positives, false_negatives = rates(_best_threshold(first, n, alpha, strength))
    upper = float(_upper(false_positives, n, alpha / 4)), float(_upper(false_negatives, n, alpha / 4))
    epsilon_bound = float(strength(*upper))
    verdict: Verdict = "consistent"
    if epsilon_bound > epsilon or (gaussian and gaussian_epsilon > epsilon):
        verdict = "violated"
    elif n < needed:
        verdict = "inconclusive"
    return EpsilonBounds(
        epsilon,
        delta,
        alpha,
        n,
        needed,
        mu,
        gaussian_epsilon,
        gaussian_rates,
        epsilon_bound,
        (upper[0], 1.0 - upper[1]),
        verdict,
    )


def minimum_samples(epsilon: float, delta: float, *, alpha: float) -> int:
    """Samples of each world from which an audit counts.

    It is the smallest n at which the best attack on a Gaussian mechanism that spends exactly (epsilon, delta) is
    expected to prove half of epsilon. An audit of fewer samples would stay silent about a mechanism that is broken.
    """
    from scipy.special import ndtr

    mu = mu_of_epsilon(epsilon, delta)
    rate = float(ndtr(-mu / 2.0))
    target = mu_of_epsilon(POWER * epsilon, delta)
    low, high = 1, _MOST_SAMPLES
    while high - low > max(1, low // 1000):  # to a tenth of a percent
        middle = int(math.sqrt(low * high)) if high > 4 * low else (low + high) // 2
        upper = _upper(rate * middle, middle, alpha / 4)
        if float(_gaussian_strength(upper, upper)) >= target:
            high = middle
        else:
            low = middle
    return high


def delta_of_mu(mu: float, epsilon: float) -> float:
    """The delta of mu-Gaussian differential privacy at epsilon (Balle & Wang 2018, eq. 6).

    Written down here anew: an audit must not take the formula from the code that it audits.
    """
    from scipy.special import log_ndtr

    first = math.exp(float(log_ndtr(mu / 2.0 - epsilon / mu)))
    return max(0.0, first - math.exp(epsilon + float(log_ndtr(-mu / 2.0 - epsilon / mu))))


def epsilon_of_mu(mu: float, delta: float) -> float:
    """The smallest epsilon of mu-Gaussian differential privacy at delta; rounded down, as a lower bound should be."""
    if mu <= 0 or delta_of_mu(mu, 0.0) <= delta:
        return 0.0
    return _bisect(lambda epsilon: delta_of_mu(mu, epsilon) > delta)


def mu_of_epsilon(epsilon: float, delta: float) -> float:
    """The mu whose Gaussian differential privacy is (epsilon, delta); rounded down."""
    return _bisect(lambda mu: delta_of_mu(mu, epsilon) <= delta)


def _bisect(holds: Callable[[float], bool]) -> float:
    """The largest positive number for which `holds`, which is true for small numbers and false for large ones."""
    low, high = 1e-12, 1.0
    while holds(high) and high < 1e6:
        low, high = high, 2.0 * high
    for _ in range(100):
        middle = (low + high) / 2.0
        if holds(middle):
            low = middle
        else:
            high = middle
    return low


def _samples(name: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or np.isnan(values).any():
        raise ValueError(f"{name} must be one row of numbers without NaN, got shape {values.shape}.")
    return values


def _upper(count: Any, n: int, alpha: float) -> NDArray[np.float64]:
    """One-sided upper Clopper-Pearson bound of a rate: `count` of `n`, for each count."""
    from scipy.stats import beta

    count = np.asarray(count, dtype=np.float64)
    bound = beta.ppf(1.0 - alpha, count + 1.0, np.maximum(n - count, 1e-9))
    return np.where(count >= n, 1.0, bound)


def _gaussian_strength(false_positive: Any, false_negative: Any) -> NDArray[np.float64]:
    """The mu at which these error rates lie on the trade-off curve (Dong, Roth & Su 2022, eq. 6); at least 0."""
    from scipy.special import ndtri

    strength: NDArray[np.float64] = np.maximum(0.0, -ndtri(false_positive) - ndtri(false_negative))
    return strength


def _epsilon_strength(false_positive: Any, false_negative: Any, delta: float) -> NDArray[np.float64]:
    """The epsilon that (epsilon, delta) needs at least for these error rates (Kairouz et al. 2015, eq. 3)."""
    gain = np.maximum(1.0 - np.asarray(false_negative) - delta, 1e-300)
    strength: NDArray[np.float64] = np.maximum(0.0, np.log(gain / false_positive))
    return strength


def _best_threshold(pilot: list[NDArray[np.float64]], n: int, alpha: float, strength: Strength) -> float:
    """The threshold that promises the largest bound at n samples, by the pilot.

    A normal fit of the two worlds smooths the rates, which small epsilons need. Where the pilot's own rates contradict
    the fit at its best threshold, the statistic is not normal, and the rates themselves decide. Any threshold gives a
    valid bound; a poor choice costs strength only.
    """
    from scipy.special import ndtr

    means = [float(world.mean()) for world in pilot]
    spreads = [
        max(float(world.std()), 1e-12 * (1.0 + abs(mean))) for world, mean in zip(pilot, means, strict=True)
    ]
    size = min(len(world) for world in pilot)
    if abs(math.log(spreads[0] / spreads[1])) < _MISFIT / math.sqrt(size):
        # Equal as far as the pilot can tell. A chance difference would tilt the fit, and choose an extreme threshold.
        spreads = [math.sqrt((spreads[0] ** 2 + spreads[1] ** 2) / 2.0)] * 2
    low = min(mean - 4.0 * spread for mean, spread in zip(means, spreads, strict=True))
    high = max(mean + 4.0 * spread for mean, spread in zip(means, spreads, strict=True))
    grid = np.array([sum(means) / 2.0, *np.linspace(low, high, _GRID)])

    def promised(rates: tuple[Any, Any], size: int) -> NDArray[np.float64]:
        return strength(*(_upper(rate * size, size, alpha / 4) for rate in rates))

    fitted = ndtr((means[0] - grid) / spreads[0]), ndtr((grid - means[1]) / spreads[1])
    smooth = int(promised(fitted, n).argmax())
    below = [np.searchsorted(np.sort(world), grid, side="right") / len(world) for world in pilot]
    seen = 1.0 - below[0], below[1]
    contradicted = any(
        abs(rate[smooth] - fit[smooth])
        > _MISFIT * math.sqrt(fit[smooth] * (1.0 - fit[smooth]) / size) + 1.0 / size
        for rate, fit in zip(seen, fitted, strict=True)
    )
    return float(grid[int(promised(seen, size).argmax()) if contradicted else smooth])
