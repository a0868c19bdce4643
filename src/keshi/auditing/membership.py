"""Was this person in the training table? Attacks that see only the synthetic records, with a hold-out as control.

Members are rows of the training table, non-members real rows that the release never saw. Both must come from one
population: a hold-out of another year tells years apart, which is no leak. Imports numpy and pandas only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from keshi.auditing.controlled_rate import CONFIDENCE, FEWEST_TARGETS
from keshi.auditing.mixed_distance import MixedRows, nearest

FALSE_POSITIVE_RATES = (0.01, 0.001)
FEWEST_FALSE_POSITIVES = 5  # expected among the non-members, or a true positive rate says nothing
BOOTSTRAP_DRAWS = 400
DISTANCE = "distance to the closest synthetic record"
DENSITY = "density of synthetic against real records"
NEARBY = 0.01  # of a column: added to both distances, so that a distance of 0 has a logarithm


@dataclass(frozen=True)
class RateAt:
    """True positive rate at a false positive rate; `reason` where there are too few non-members for it."""

    false_positive_rate: float
    true_positive_rate: float
    interval: tuple[float, float]
    reason: str | None = None


@dataclass(frozen=True)
class MembershipAttack:
    """How well a score tells members from non-members: 0.5 is blind, 1 is certain.

    Attributes:
        attack: What the score is, in words.
        auc, error: Area under the ROC curve and its standard error (DeLong; over models for shadow models).
        rates: At 1 % and 0.1 % false positives, because an average hides the few who are known for certain (Carlini
            et al., IEEE S&P 2022).
        members, nonmembers: Rows scored.
        reason: Why nothing can be said; None where the figures count.
    """

    attack: str
    auc: float
    error: float
    rates: tuple[RateAt, ...]
    members: int
    nonmembers: int
    reason: str | None = None

    @property
    def is_conclusive(self) -> bool:
        return self.reason is None

    @property
    def gap(self) -> float:
        """AUC - 0.5: what the attack knows more than a coin."""
        return self.auc - 0.5

    def interval(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Two-sided normal interval of the AUC, cut to 0..1."""
        reach = NormalDist().inv_cdf(0.5 + confidence / 2) * self.error
        return max(self.auc - reach, 0.0), min(self.auc + reach, 1.0)

    def is_leak(self, alpha: float) -> bool:
        """Whether members stand out beyond chance: a false alarm happens with probability alpha / 2 at most."""
        return self.is_conclusive and self.interval(1 - alpha)[0] > 0.5

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, with the gap and the 95 % interval of the AUC."""
        return {**asdict(self), "gap": self.gap, "interval": list(self.interval())}


def membership_attacks(
    synthetic: MixedRows,
    reference: MixedRows,
    members: MixedRows,
    nonmembers: MixedRows,
    *,
    seed: int = 0,
) -> tuple[MembershipAttack, MembershipAttack]:
    """Two attacks on the records alone; the AUC of both is 0.5 in the mean where a release knows no members.

    By distance: whoever has a synthetic record close by was a member (Chen et al., GAN-Leaks, CCS 2020, full black
    box). By density: whoever lies where synthetic records are denser than real ones was a member (van Breugel et al.,
    DOMIAS, AISTATS 2023); both densities are nearest-neighbour estimates, inverse to a power of the distance, so the
    score is the logarithm of a ratio of distances. The second allows for how far a person is from everybody.

    Args:
        synthetic, members, nonmembers: Rows in one coding (`encode_rows`); members and non-members are a random sample
            each of the training table and of the hold-out.
        reference: Real rows that are neither members nor among the non-members.
        seed: Of the bootstrap.

    Returns:
        (by distance, by density). Without a reference the second is inconclusive.
    """
    made = [nearest(rows, synthetic)[1] for rows in (members, nonmembers)]
    real = [nearest(rows, reference)[1] for rows in (members, nonmembers)] if len(reference) else None
    return judge_distances(made, real, seed=seed)


def judge_distances(
    to_synthetic: Sequence[np.ndarray], to_reference: Sequence[np.ndarray] | None, *, seed: int = 0
) -> tuple[MembershipAttack, MembershipAttack]:
    """Both attacks from the distances of (members, non-members) to their nearest synthetic and reference record.

    Args:
        to_synthetic: (n,) of members and (m,) of non-members, in shares of a column's (or a pixel's) range.
        to_reference: The same to real records that are neither; None makes the second attack inconclusive.
        seed: Of the bootstrap.
    """
    members, nonmembers = to_synthetic
    by_distance = score_membership(DISTANCE, -members, -nonmembers, seed=seed)
    if to_reference is None:
        reason = "inconclusive: no real rows are left over as a reference"
        return by_distance, MembershipAttack(
            DENSITY, math.nan, math.nan, (), len(members), len(nonmembers), reason
        )
    score = [
        np.log(far + NEARBY) - np.log(near + NEARBY)
        for far, near in zip(to_reference, to_synthetic, strict=True)
    ]
    return by_distance, score_membership(DENSITY, score[0], score[1], seed=seed)


def score_membership(
    attack: str, members: np.ndarray, nonmembers: np.ndarray, *, seed: int = 0
) -> MembershipAttack:
    """Judge a score of any attack, the higher the more a member: (n,) of members and (m,) of non-members."""
    n, m = len(members), len(nonmembers)
    reason = None
    if min(n, m) < FEWEST_TARGETS:
        reason = (
            f"inconclusive: {n} members and {m} non-members were scored; {FEWEST_TARGETS} of each are needed"
        )
    if min(n, m) < 2:
        return MembershipAttack(attack, math.nan, math.nan, (), n, m, reason)
    auc, error = delong(members, nonmembers)
    rates = tuple(_rate_at(members, nonmembers, rate, seed=seed) for rate in FALSE_POSITIVE_RATES)
    return MembershipAttack(attack, auc, error, rates, n, m, reason)


def delong(members: np.ndarray, nonmembers: np.ndarray) -> tuple[float, float]:
    """AUC and its standard error (DeLong et al., Biometrics 1988, by ranks as Sun & Xu 2014); ties count half."""
    from scipy.stats import rankdata

    n, m = len(members), len(nonmembers)
    ranks = rankdata(np.concatenate([members, nonmembers]))
    above = (ranks[:n] - rankdata(members)) / m  # share of the non-members below each member
    below = 1 - (ranks[n:] - rankdata(nonmembers)) / n
    error = math.sqrt(above.var(ddof=1) / n + below.var(ddof=1) / m)
    return float(above.mean()), max(
        error, 0.5 / min(n, m)
    )  # perfect separation has no variance, yet is finite


def _rate_at(members: np.ndarray, nonmembers: np.ndarray, rate: float, *, seed: int) -> RateAt:
    """True positive rate at the lowest threshold that lets at most `rate` of the non-members pass."""
    allowed = math.floor(rate * len(nonmembers))

    def passed(ours: np.ndarray, theirs: np.ndarray) -> float:
        threshold = np.partition(theirs, len(theirs) - allowed - 1)[len(theirs) - allowed - 1]
        return float((ours > threshold).mean())

    needed = math.ceil(FEWEST_FALSE_POSITIVES / rate)
    if len(nonmembers) < needed:
        reason = f"inconclusive: {len(nonmembers):,} non-members; {needed:,} are needed"
        return RateAt(rate, passed(members, nonmembers), (0.0, 1.0), reason)
    random = np.random.default_rng(seed)
    draws = [
        passed(random.choice(members, len(members)), random.choice(nonmembers, len(nonmembers)))
        for _ in range(BOOTSTRAP_DRAWS)
    ]
    low, high = np.quantile(draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return RateAt(rate, passed(members, nonmembers), (float(low), float(high)))
