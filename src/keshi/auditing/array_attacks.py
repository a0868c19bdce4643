"""Attacks on synthetic images or windows: copies and membership by the nearest record, with a hold-out as control.

The distance of two records is the root mean square difference of their entries, as a share of the range. It sees a
picture that was kept, and not one that was moved aside by a few pixels. Imports numpy only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keshi._validate import positive_integer
from keshi.auditing.controlled_rate import controlled_rate, wilson
from keshi.auditing.copies import EXACT, NEARLY, Copies, row_keys
from keshi.auditing.membership import judge_distances
from keshi.auditing.release_attacks import ReleaseAttacks
from keshi.errors import RecordsError

Floats = NDArray[np.float32]

TARGETS = 2_000  # records attacked on either side
MOST_SYNTHETIC = 60_000  # searched; of a larger release a random part
NEAR = 0.05  # of the range, root mean square: noise that the eye sees, and the same picture
CLOSEST = 8  # pairs that are shown
_BLOCK = 1 << 22  # squared distances held at once (16 MB)


@dataclass(frozen=True)
class Nearness:
    """Do synthetic records lie nearer to training records than to held-out ones? A description, never a verdict.

    Attributes:
        share: Of the synthetic records, those nearer to a training record; 0.5 where the release knows neither.
        interval: 95 %, over synthetic records.
        rows: Synthetic records looked at.
        pool: Training records, and as many held-out ones, that were searched.
        closest: (k, 3, ...) the synthetic records nearest to training records, each with the training and with the
            held-out record that is nearest to it.
    """

    share: float
    interval: tuple[float, float]
    rows: int
    pool: int
    closest: NDArray[np.float32]


def nearest_arrays(targets: Floats, pool: Floats) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Row in the pool and distance (root mean square, share of the range) of every target's nearest record.

    Args:
        targets, pool: (n, ...) and (m, ...) records scaled to 0..1, m at least 1.
    """
    ours, theirs = (part.reshape(len(part), -1) for part in (targets, pool))
    index = np.zeros(len(ours), dtype=np.int64)
    lengths = np.einsum("ij,ij->i", theirs, theirs)
    step = max(1, _BLOCK // max(len(theirs), 1))
    for start in range(0, len(ours), step):
        rows = slice(start, start + step)
        index[rows] = (lengths - 2.0 * (ours[rows] @ theirs.T)).argmin(axis=1)
    # float32 sums cancel where records are nearly equal: the distance itself is computed anew, and 0 is exactly 0
    gaps = np.square(ours.astype(np.float64) - theirs[index]).mean(axis=1) if len(ours) else np.zeros(0)
    return index, np.sqrt(gaps)


def attack_arrays(
    synthetic: Floats, train: Floats, holdout: Floats, *, targets: int = TARGETS, seed: int = 0
) -> ReleaseAttacks:
    """Attack synthetic images or windows of any system where only the records are given.

    Args:
        synthetic: The release, (n, ...) scaled to 0..1 as the real ones are, and rounded where those are whole numbers.
        train: The real records that it was made from.
        holdout: Real records of the same population that it never saw: the control of every attack. A fifth of them,
            at most 5,000, serve as the reference of the density attack and are not attacked.
        targets: Records attacked on either side.
        seed: Of the choices among records.

    Raises:
        RecordsError: a set is empty, or their records are of different shapes.
    """
    positive_integer("targets", targets)
    shapes = {part.shape[1:] for part in (synthetic, train, holdout)}
    if len(shapes) > 1 or not (len(synthetic) and len(train) and len(holdout)):
        sizes = ", ".join(map(str, (synthetic.shape, train.shape, holdout.shape)))
        raise RecordsError(f"expected filled arrays of records of one shape, got {sizes}.")
    random = np.random.default_rng(seed)
    made = synthetic[random.permutation(len(synthetic))[:MOST_SYNTHETIC]]
    order = random.permutation(len(holdout))
    left_over = min(len(holdout) // 5, 5_000)
    reference, strangers = holdout[order[:left_over]], holdout[order[left_over:][:targets]]
    members = train[random.permutation(len(train))[:targets]]
    to_made = [nearest_arrays(part, made)[1] for part in (members, strangers)]
    to_real = [nearest_arrays(part, reference)[1] for part in (members, strangers)] if left_over else None
    ours, real, held = (row_keys(part) for part in (synthetic, train, holdout))
    return ReleaseAttacks(
        judge_distances(to_made, to_real, seed=seed),
        None,
        None,
        Copies(
            controlled_rate(EXACT, np.isin(real, ours), np.isin(held, ours)),
            controlled_rate(NEARLY, *(part <= NEAR for part in to_made)),
            float(np.isin(ours, real).mean()),
        ),
        len(made),
    )


def nearness(
    synthetic: Floats, train: Floats, holdout: Floats, *, rows: int = TARGETS, seed: int = 0
) -> Nearness:
    """Whether synthetic records lie nearer to training than to held-out records, of which as many are searched."""
    random = np.random.default_rng(seed)
    made = synthetic[random.permutation(len(synthetic))[:rows]]
    pool = min(len(train), len(holdout), 10_000)
    sides = [part[random.permutation(len(part))[:pool]] for part in (train, holdout)]
    (ours, near), (others, far) = (nearest_arrays(made, side) for side in sides)
    share = float((near < far).mean() + 0.5 * (near == far).mean())
    first = np.argsort(near, kind="stable")[:CLOSEST]
    closest = np.stack([made[first], sides[0][ours[first]], sides[1][others[first]]], axis=1)
    return Nearness(share, wilson(share, len(made)), len(made), pool, closest)
