"""Gaussian differential privacy: (epsilon, delta) <-> mu, composition, and what the integer grid costs.

A release of an integer vector with L2 sensitivity s and discrete Gaussian noise of scale sigma is, up to the slack
below, mu-GDP with mu = s / sigma (Dong, Roth & Su 2022); releases compose exactly: mu^2 adds. The conversion to
(epsilon, delta) is the analytic one of Balle & Wang (2018, eq. 6), computed by dp-accounting. Everything here rounds
towards more noise. Imports no networks; dp-accounting is imported where it is needed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from keshi._validate import in_range, positive

# Relative safety margin on numerical root finding (dp-accounting solves to 1e-12): always towards more noise.
_MARGIN = 1e-9

# Total variation between a discrete Gaussian of scale sigma (in grid steps) and the rounded continuous Gaussian is
# E|Z^2 - 1| / (48 sigma^2) = 0.02017 / sigma^2 for each coordinate, to leading order; the next term is O(sigma^-4).
_TV_CONSTANT = 0.0202
# Below this scale, in grid steps, the leading order is not trusted and a release is refused.
SMALLEST_SCALE = 64.0


def mu_from_epsilon(epsilon: float, delta: float) -> float:
    """Largest mu for which mu-GDP implies (epsilon, delta)-DP, rounded down."""
    positive("epsilon", epsilon)
    in_range("delta", delta, 0.0, 1.0, open_ends=True)
    import numpy as np
    from dp_accounting.gaussian_mechanism import get_sigma_gaussian

    with np.errstate(
        divide="ignore"
    ):  # its search passes delta = 0, whose logarithm is -inf, as it should be
        return (1.0 - _MARGIN) / float(get_sigma_gaussian(epsilon, delta))


def epsilon_from_mu(mu: float, delta: float) -> float:
    """Smallest epsilon for which mu-GDP implies (epsilon, delta)-DP, rounded up; 0 where mu is 0."""
    in_range("delta", delta, 0.0, 1.0, open_ends=True)
    if mu == 0:
        return 0.0
    positive("mu", mu)
    import numpy as np
    from dp_accounting.gaussian_mechanism import get_epsilon_gaussian

    with np.errstate(divide="ignore"):  # as above
        return float(get_epsilon_gaussian(1.0 / mu, delta)) * (1.0 + _MARGIN) + 1e-12


def delta_from_mu(mu: float, epsilon: float) -> float:
    """Smallest delta for which mu-GDP implies (epsilon, delta)-DP (Balle & Wang 2018, eq. 6), rounded up."""
    if mu == 0:
        return 0.0
    positive("mu", mu)
    from scipy.special import log_ndtr

    likely = float(log_ndtr(mu / 2 - epsilon / mu))
    rare = epsilon + float(log_ndtr(-mu / 2 - epsilon / mu))
    return max(0.0, math.exp(likely) * -math.expm1(min(0.0, rare - likely))) * (1.0 + _MARGIN)


def compose(mus: Iterable[float]) -> float:
    """The mu of several releases together: sqrt(sum mu^2), rounded up."""
    return math.sqrt(math.fsum(mu * mu for mu in mus)) * (1.0 + 1e-15)


def grid_distance(sizes_and_scales: Iterable[tuple[int, float]]) -> float:
    """Total variation between our discrete noise and the rounded continuous Gaussian the account is made for.

    Args:
        sizes_and_scales: For each block the number of coordinates and the noise scale in grid steps.

    Returns:
        An upper bound on the total variation distance of the whole vector (a sum over coordinates).

    Raises:
        ValueError: if a scale is below `SMALLEST_SCALE` steps, where the bound is not trusted.
    """
    distance = 0.0
    for size, scale in sizes_and_scales:
        if scale < SMALLEST_SCALE:
            raise ValueError(
                f"the noise scale must be at least {SMALLEST_SCALE:g} grid steps, got {scale:.3g}: "
                "epsilon is too large for this grid."
            )
        distance += size * _TV_CONSTANT / (scale * scale)
    return distance


def delta_slack(distance: float, epsilon: float) -> float:
    """What a total variation `distance` from the ideal mechanism adds to its delta: (1 + e^epsilon) * distance."""
    return (1.0 + math.exp(min(epsilon, 700.0))) * distance


def slack_share(epsilon: float) -> float:
    """Part of delta to keep back for the integer grid of the noise; a release that needs more is refused.

    What is needed grows as e^epsilon: at epsilon 20 a millionth refused the second measurement after the first was
    paid for. More than needed would be left over, and read as a remainder of the budget.
    """
    return min(1e-2, 1e-6 * math.exp(max(0.0, min(epsilon, 100.0) - 12.0)))
