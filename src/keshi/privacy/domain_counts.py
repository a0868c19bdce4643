"""Exact counts behind a learnt domain, in two readings of the records; sensitive, and never written anywhere.

The first reading counts what is of fixed size, the second only the texts that could clear a threshold: memory does not
grow with the number of different texts until a bucket holds as many records as a candidate needs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keshi.privacy.histograms import Ladder
from keshi.privacy.mechanisms import Key
from keshi.records.raw_columns import RawBatches

BUCKETS = 2**20  # counters a text column, 8 MiB


@dataclass(frozen=True, eq=False)
class FixedCounts:
    """Exact counts of fixed size; sensitive.

    Attributes:
        ladders: For each column of numbers what Ladder.count gives.
        buckets: (BUCKETS,) for each text column how many records fall in each bucket of a hash.
        missing: For each text column the missing values.
    """

    ladders: dict[str, NDArray[np.int64]]
    buckets: dict[str, NDArray[np.int64]]
    missing: Counter[str]


def count_fixed(batches: RawBatches, ladders: Mapping[str, Ladder], texts: Sequence[str]) -> FixedCounts:
    nothing = {name: steps.count(np.empty(0)) for name, steps in ladders.items()}
    fixed = FixedCounts(nothing, {name: np.zeros(BUCKETS, dtype=np.int64) for name in texts}, Counter())
    for batch in batches():
        for name, steps in ladders.items():
            fixed.ladders[name] += steps.count(batch.numbers[name])
        for name in texts:
            counted = batch.texts[name]
            np.add.at(fixed.buckets[name], counted.hashes % BUCKETS, counted.counts)
            fixed.missing[name] += counted.missing
    return fixed


def count_candidates(
    batches: RawBatches, texts: Sequence[str], fixed: FixedCounts, smallest: int
) -> dict[Key, int]:
    """Exact counts of every value that at least `smallest` records may hold: its bucket holds no fewer."""
    counts: Counter[Key] = Counter({(name, None): fixed.missing[name] for name in texts})
    for batch in batches():
        for name in texts:
            counted = batch.texts[name]
            for i in np.flatnonzero(fixed.buckets[name][counted.hashes % BUCKETS] >= smallest):
                counts[name, counted.values[i]] += int(counted.counts[i])
    return counts
