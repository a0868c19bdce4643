"""The door: the two functions that add noise, and write the ledger before the noise exists.

Noise is the discrete Gaussian of Canonne, Kamath & Steinke (2020) on the integers, drawn by OpenDP from the
operating system's entropy. No seed reaches it. Imports no networks; OpenDP is imported where it is needed.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from keshi._validate import in_range
from keshi.errors import BudgetError
from keshi.privacy.accounting import delta_slack, grid_distance
from keshi.privacy.ledger import PrivacyLedger
from keshi.privacy.unit import PrivacyUnit

LARGEST_SUM = 2**62  # sums stay below, so that adding noise cannot overflow 64 bits
COUNT = 2**30  # grid steps of one record in a count: the grid of the noise is that much finer than a count
Key = tuple[str, str | None]
"""What is counted: a column, and a value of it (None: missing)."""


@dataclass(frozen=True)
class Block:
    """A stretch of the vector that is released under one noise scale.

    Attributes:
        name: What it holds, for the statement.
        size: Number of coordinates.
        sensitivity: L2 sensitivity of the integer sums to one unit of privacy, in grid steps, rounding included.
        share: Part of mu^2 that this block spends; the shares of a vector sum to 1.
    """

    name: str
    size: int
    sensitivity: float
    share: float


def noise_scales(blocks: Sequence[Block], mu: float) -> tuple[int, ...]:
    """Noise scale of each block in grid steps, a whole number, rounded up, so that the whole vector is mu-GDP.

    One unit of privacy moves block b by at most sensitivity_b. Divided by its scale that is mu sqrt(share_b), and the
    squares of these sum to mu^2: the vector is one Gaussian measurement with mean shift mu in units of its noise.
    """
    total = math.fsum(block.share for block in blocks)
    if not math.isclose(total, 1.0, abs_tol=1e-9) or min(block.share for block in blocks) <= 0:
        raise ValueError(
            f"the shares of mu^2 must be positive and sum to 1, got {[b.share for b in blocks]}."
        )
    return tuple(math.ceil(block.sensitivity / (mu * math.sqrt(block.share / total))) for block in blocks)


def release(
    sums: NDArray[np.int64],
    blocks: Sequence[Block],
    *,
    mu: float,
    ledger: PrivacyLedger,
    run: str,
    index: int,
    what: str,
    plan_hash: str,
    unit: PrivacyUnit,
    largest_distance: float = 1e-12,
    outstanding: float | None = None,
) -> NDArray[np.int64]:
    """Spend mu in the ledger, then add discrete Gaussian noise to exact integer sums. Nothing else adds noise.

    A run that is resumed gets the value that was stored, never a second draw.

    Args:
        sums: (coordinates,) exact sums over the records, concatenated block by block.
        blocks: Sizes, sensitivities and shares, in the order of `sums`.
        mu: What the whole vector spends (Gaussian DP).
        ledger: Where the spend is written, and fsynced, before the noise is drawn.
        run, index: Identify this measurement in the ledger: the run, and its place in it.
        what: One or two words for the ledger.
        plan_hash: Hash of the public plan; a stored value is reused only under the plan, the unit of privacy and
            the mu it was measured by.
        unit: Whom it protects; a stored value is reused, and a spend added up, only under the same one.
        largest_distance: Total variation from the ideal Gaussian that the caller's delta leaves room for.
        outstanding: mu of this and all later measurements of the run; nothing is spent unless all are affordable.

    Returns:
        (coordinates,) noisy sums.

    Raises:
        BudgetError: if the ledger cannot afford it.
    """
    sums = np.ascontiguousarray(sums, dtype=np.int64)
    if len(sums) != sum(block.size for block in blocks):
        raise ValueError(f"expected {sum(block.size for block in blocks)} sums, got {len(sums)}.")
    if len(sums) and max(int(sums.max()), -int(sums.min())) >= LARGEST_SUM:
        raise ValueError("the sums are too large for 64-bit integers: too many records for this grid.")
    paid_for = _hash_of(plan_hash, unit, blocks, mu)
    stored = ledger.stored(run, index, plan=paid_for)
    if stored is not None:
        return np.frombuffer(stored, dtype="<i8").astype(np.int64)
    scales = noise_scales(blocks, mu)
    distance = grid_distance((block.size, scale) for block, scale in zip(blocks, scales, strict=True))
    if distance > largest_distance:
        raise BudgetError(
            f"the integer grid of the noise needs {distance:.3g} of total variation and the delta leaves room for "
            f"{largest_distance:.3g}: epsilon is too large, or delta too small, for this grid."
        )
    receipt = ledger.spend(
        run=run,
        index=index,
        what=what,
        mu=mu,
        delta_slack=delta_slack(distance, ledger.budget["epsilon"]),
        plan=paid_for,
        unit=unit.describe(),
        outstanding=outstanding,
    )  # on disk before the noise exists: a crash from here on loses budget, never privacy
    noisy = np.concatenate(
        [
            discrete_gaussian(part, scale)
            for part, scale in zip(
                np.split(sums, np.cumsum([block.size for block in blocks])[:-1]), scales, strict=True
            )
        ]
    )
    ledger.store(receipt, noisy.astype("<i8").tobytes())
    return noisy


def release_above_threshold(
    counts: Mapping[Key, int],
    *,
    touched: int,
    smallest: int,
    unit: PrivacyUnit,
    mu: float,
    delta_threshold: float,
    ledger: PrivacyLedger,
    run: str,
    index: int,
    what: str,
    plan_hash: str,
) -> dict[Key, int]:
    """Spend in the ledger, add noise to the counts of whatever occurs, and let out only what clears a threshold.

    The keys come from the records, so even the number of noisy counts is secret: only the pairs (key, noisy count) at
    or above `threshold` leave this function, sorted by key, and only they are stored in the ledger.

    Claim. Measurements of total mean shift mu (Gaussian DP), some of them thresholded with deltas t_1, t_2, ..., are
    (epsilon, delta_mu(epsilon) + sum t_i)-differentially private, where delta_mu is the curve of mu-GDP.

    Proof. A key is a candidate if at least `smallest` records hold it; others get no noise and never leave. Let D and
    D' be neighbours. On the keys that are candidates in both, the release is post-processing of Gaussian counts; one
    unit changes at most `touched` counts by 1 (2 touched under replace-one), which is what mu is computed from. Other
    keys get noise alike in both worlds or are candidates in one world only. Under add-or-remove these are all on the
    side of the larger data set, at most `touched` of them, each held by exactly `smallest` records there; such a key
    clears the threshold with probability at most q = t / (2 touched) (see `threshold`). Let J, J' be the laws of
    everything released, K' the law J' would be if these keys were never published. Noise is independent and each
    release hides its keys with probability >= 1 - touched q_i whatever was released before, so as measures
        J' >= (1 - s) K',   and the total variation of J' and K' is at most s = sum touched q_i = sum t_i / 2,
    and J, K' satisfy mu-GDP. Hence for every event S
        J'(S) <= K'(S) + s <= e^epsilon J(S) + delta_mu(epsilon) + s,
        J(S) <= e^a K'(S) + delta_mu(a) <= e^epsilon J'(S) + delta_mu(a)          with a = epsilon + log(1 - s).
    delta_mu(a) = P(A) - e^a Q(A) for the best test A of two Gaussians P, Q; it is >= 0, so Q(A) <= e^-a, and
        delta_mu(epsilon) >= P(A) - e^epsilon Q(A) = delta_mu(a) - e^a Q(A) s / (1 - s) >= delta_mu(a) - s / (1 - s).
    Both extra terms are at most s / (1 - s) <= 2 s = sum t_i. Under replace-one both worlds may have such keys, J is
    replaced by its own K at a cost of s in one direction and s / (1 - s) in the other, and q = t / (4 touched) makes
    s + s / (1 - s) <= 3 s < sum t_i. The grid's delta slack is counted for the coordinates that a unit can
    touch: on all others the noise of both worlds has the same law, discrete or not. (Gaussian thresholding: Wilkins
    et al. 2024 have a tighter, non-additive account.)

    Args:
        counts: How many records hold each key.
        touched: Number of counts that one record adds 1 to, at most.
        smallest: A key that fewer records hold is no candidate; saves the noise of a million rare values.
        unit: Whom it protects; every record must be a unit of its own.
        mu: What the counts spend.
        delta_threshold: What the threshold spends.
        ledger, run, index, what, plan_hash: As in `release`. The plan must not depend on the records.

    Returns:
        The published keys with their noisy counts, in grid steps (`COUNT` a record).

    Raises:
        BudgetError: if the ledger cannot afford it.
    """
    block = _counts_block(touched=touched, unit=unit)
    paid_for = _hash_of(f"{plan_hash} {smallest}", unit, [block], mu, delta_threshold=delta_threshold)
    stored = ledger.stored(run, index, plan=paid_for)
    if stored is not None:
        return {(column, value): steps for column, value, steps in json.loads(stored)}
    scale = threshold_scale(touched=touched, unit=unit, mu=mu)
    least = threshold(scale, touched=touched, smallest=smallest, unit=unit, delta_threshold=delta_threshold)
    candidates = sorted(
        (key for key, count in counts.items() if count >= smallest),
        key=lambda key: (key[0], key[1] is None, key[1] or ""),
    )
    if max(counts.values(), default=0) >= LARGEST_SUM // COUNT:
        raise ValueError("the counts are too large for 64-bit integers: too many records for this grid.")
    sums = np.array([counts[key] for key in candidates], dtype=np.int64) * COUNT
    distance = grid_distance([(touched * _sides(unit), scale)])
    receipt = ledger.spend(
        run=run,
        index=index,
        what=what,
        mu=mu,
        delta_slack=delta_slack(distance, ledger.budget["epsilon"]),
        delta_threshold=delta_threshold,
        plan=paid_for,
        unit=unit.describe(),
    )  # on disk before the noise exists
    noisy = discrete_gaussian(sums, scale)
    published = {key: int(steps) for key, steps in zip(candidates, noisy, strict=True) if steps >= least}
    lines = [[column, value, steps] for (column, value), steps in published.items()]
    ledger.store(receipt, json.dumps(lines).encode())
    return published


def threshold_scale(*, touched: int, unit: PrivacyUnit, mu: float) -> int:
    """Noise scale of thresholded counts, in grid steps."""
    return noise_scales([_counts_block(touched=touched, unit=unit)], mu)[0]


def _counts_block(*, touched: int, unit: PrivacyUnit) -> Block:
    """The counts that one unit can change: at most `touched` of them, or twice as many where it is replaced."""
    if unit.subject is not None:
        raise ValueError(
            f"thresholded counts protect single records so far, got the subject column {unit.subject!r}."
        )
    changed = touched * _sides(unit)
    return Block("thresholded counts", changed, COUNT * math.sqrt(changed), 1.0)


def threshold(scale: int, *, touched: int, smallest: int, unit: PrivacyUnit, delta_threshold: float) -> int:
    """Smallest noisy count that is published, in grid steps.

    A key held by `smallest` records is published with probability P(Z >= 1 + scale z) <= P(N >= scale z) = q, with Z
    discrete and N continuous Gaussian noise of this scale (Canonne, Kamath & Steinke 2020, Proposition 25).
    """
    in_range("delta_threshold", delta_threshold, 0.0, 1.0, open_ends=True)
    q = delta_threshold / (2 * touched * _sides(unit)) * (1.0 - 1e-9)  # less than the accuracy of inv_cdf
    return smallest * COUNT + 1 + math.ceil(-scale * NormalDist().inv_cdf(q))


def _sides(unit: PrivacyUnit) -> int:
    """How many of two neighbours may hold a unit that the other lacks."""
    return 1 if unit.relation == "add-or-remove" else 2


def _hash_of(
    plan_hash: str, unit: PrivacyUnit, blocks: Sequence[Block], mu: float, *, delta_threshold: float = 0.0
) -> str:
    """What a spend pays for: a resumed run under another unit, epsilon or plan must not get this value."""
    listing = [[block.name, block.size, block.sensitivity, block.share] for block in blocks]
    return hashlib.sha256(
        json.dumps([plan_hash, unit.to_dict(), mu, delta_threshold, listing]).encode()
    ).hexdigest()


def discrete_gaussian(sums: NDArray[np.int64], scale: int) -> NDArray[np.int64]:
    """`sums` plus independent discrete Gaussian noise of this scale, from operating-system entropy."""
    from opendp.domains import atom_domain, vector_domain
    from opendp.measurements import make_gaussian
    from opendp.metrics import l2_distance
    from opendp.mod import enable_features

    enable_features("contrib")
    if not len(sums):
        return sums
    mechanism = make_gaussian(
        vector_domain(atom_domain(T="i64"), size=len(sums)), l2_distance(T="f64"), scale=float(scale)
    )
    return np.array(mechanism(sums), dtype=np.int64)
