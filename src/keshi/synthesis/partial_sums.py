"""Exact sums of the features of records, shard by shard: in any order, on any machines, with the same bits.

`embed_partial` and `merge` are the whole contract with a distributed engine. Sums are sensitive; noise comes in
`embedding.measure`, once, after the merge.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keshi.records.encoded import FEATURE_BITS, EncodedBatch
from keshi.synthesis.features import WEIGHT
from keshi.synthesis.private_embedding import Plan

LARGEST_BATCH = 2**16  # records: 2^16 of at most AMPLITUDE * WEIGHT = 2^34 each stay below 2^53
MOST_RECORDS = 2**27  # records of at most 2^34 each, so that sums stay below 2^62


@dataclass(frozen=True, eq=False)
class Partial:
    """Exact sums over some shards of the records. Sensitive: it must not leave the owner's machines.

    Attributes:
        plan_hash: Which plan it follows.
        shards: The shards it covers; merging refuses one that comes twice.
        rows: Number of records in it.
        by_subject: Whether the records were weighed by subject.
        sums: (plan.size,) int64.
    """

    plan_hash: str
    shards: frozenset[int]
    rows: int
    by_subject: bool
    sums: NDArray[np.int64]


def embed_partial(
    batches: Iterable[EncodedBatch],
    plan: Plan,
    *,
    shard: int = 0,
    weights: NDArray[np.uint32] | None = None,
) -> Partial:
    """Sum the features of the records of one shard.

    Args:
        batches: The records.
        plan: What to sum.
        shard: Number of the shard.
        weights: (rows,) weight of each record of this shard, as `privacy.contribution` gives them; None where
            every record is a unit of its own and weighs WEIGHT.
    """
    sums = np.zeros(plan.size, dtype=np.int64)
    rows = 0
    for batch in _sliced(batches):
        _check_bounded(batch, plan)
        if rows + len(batch) > MOST_RECORDS:
            raise ValueError(f"more than {MOST_RECORDS:,} records: their sums would not fit 64-bit integers.")
        if weights is None:
            own = np.ones(len(batch))
        else:
            own = weights[rows : rows + len(batch)].astype(np.float64)
            if len(own) < len(batch):
                raise ValueError(
                    "there are more records than weights; the records changed between two readings."
                )
        sums += np.concatenate([block.sums(batch, own) for block in plan.features])
        rows += len(batch)
    if weights is not None and rows != len(weights):
        raise ValueError("there are fewer records than weights; the records changed between two readings.")
    return Partial(
        plan.hash, frozenset({shard}), rows, weights is not None, sums * WEIGHT if weights is None else sums
    )


def _check_bounded(batch: EncodedBatch, plan: Plan) -> None:
    """The sensitivity is that of records as an encoder makes them; anything else must not be summed."""
    if batch.vectors.ndim != 2 or batch.classes.shape != (len(batch),):
        raise ValueError(
            "every record has one vector and one class: expected shapes (n, width) and (n,), got "
            f"{batch.vectors.shape} and {batch.classes.shape}."
        )
    steps = batch.vectors * 2.0**FEATURE_BITS
    if not (np.abs(batch.vectors) <= 1.0).all() or not np.array_equal(steps, np.rint(steps)):
        raise ValueError(
            "encoded records must lie in [-1, 1], on the grid of 2^-20; encode them with an encoder."
        )
    classes = min((getattr(block, "n_classes", 2**62) for block in plan.features), default=2**62)
    if len(batch) and not (batch.classes.min() >= 0 and batch.classes.max() < classes):
        raise ValueError(f"classes must be 0 or more, and lie below {classes}.")


def _sliced(batches: Iterable[EncodedBatch]) -> Iterator[EncodedBatch]:
    """The same records, at most LARGEST_BATCH at a time: so many weighted features sum exactly in a float64."""
    for batch in batches:
        for start in range(0, len(batch), LARGEST_BATCH):
            rows = slice(start, start + LARGEST_BATCH)
            yield EncodedBatch(batch.vectors[rows], batch.classes[rows])


def merge(partials: Iterable[Partial], *, shards: int) -> Partial:
    """Add the sums of all `shards` shards; in any order, with the same bits.

    Raises:
        ValueError: if a shard comes twice, is missing or unknown, or partials follow different plans.
    """
    merged: Partial | None = None
    for partial in partials:
        if merged is None:
            merged = partial
            continue
        double = merged.shards & partial.shards
        if double:
            raise ValueError(f"shard {min(double)} came twice; each may be counted once.")
        if merged.plan_hash != partial.plan_hash:
            raise ValueError("the partials follow different plans; embed every shard under one plan.")
        if merged.by_subject != partial.by_subject:
            raise ValueError("some shards were weighed by subject and some were not; weigh all or none.")
        if merged.rows + partial.rows > MOST_RECORDS:
            raise ValueError(f"more than {MOST_RECORDS:,} records: their sums would not fit 64-bit integers.")
        merged = Partial(
            merged.plan_hash,
            merged.shards | partial.shards,
            merged.rows + partial.rows,
            merged.by_subject,
            merged.sums + partial.sums,
        )
    if merged is not None and not merged.shards <= set(range(shards)):
        raise ValueError(
            f"shard {max(merged.shards)} is none of the {shards} expected, which are numbered from 0."
        )
    missing = set(range(shards)) - (merged.shards if merged else set())
    if merged is None or missing:
        raise ValueError(f"shards {sorted(missing)} of {shards} are missing.")
    return merged
