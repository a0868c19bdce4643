"""The door: the one function that adds noise, and writes the ledger before the noise exists.

Noise is the discrete Gaussian of Canonne, Kamath & Steinke (2020) on the integers, drawn by OpenDP from the
operating system's entropy. No seed reaches it. Imports no networks; OpenDP is imported where it is needed.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keshi.errors import BudgetError
from keshi.privacy.accounting import delta_slack, grid_distance
from keshi.privacy.ledger import PrivacyLedger

LARGEST_SUM = 2**62  # sums stay below, so that adding noise cannot overflow 64 bits


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
    largest_distance: float = 1e-12,
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
        largest_distance: Total variation from the ideal Gaussian that the caller's delta leaves room for.

    Returns:
        (coordinates,) noisy sums.

    Raises:
        BudgetError: if the ledger cannot afford it.
    """
    sums = np.ascontiguousarray(sums, dtype=np.int64)
    if len(sums) != sum(block.size for block in blocks):
        raise ValueError(f"expected {sum(block.size for block in blocks)} sums, got {len(sums)}.")
    if len(sums) and np.abs(sums).max() >= LARGEST_SUM:
        raise ValueError("the sums are too large for 64-bit integers: too many records for this grid.")
    paid_for = _hash_of(plan_hash, blocks, mu)
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


def _hash_of(plan_hash: str, blocks: Sequence[Block], mu: float) -> str:
    """What a spend pays for: a resumed run under another unit, epsilon or plan must not get this value."""
    paid_for = [plan_hash, mu, [[block.name, block.size, block.sensitivity, block.share] for block in blocks]]
    return hashlib.sha256(json.dumps(paid_for).encode()).hexdigest()


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
