"""Distances between rows of numbers and categories, in exact whole numbers, and the nearest row.

Every column contributes between 0 and 1: a number the difference of its ranks among the real rows, a category 0
where equal and 1 where not (Gower, Biometrics 1971, with ranks for the range). Ranks keep a long tail, an income
say, from hiding every other difference. Imports numpy and pandas only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from keshi.auditing.cells import as_numbers, as_text, is_numerical

COLUMN = 1 << 14  # the largest distance of one column; sums of whole numbers tie exactly where rows do
_BLOCK = 1 << 18  # distances held at once (1 MB of int32): a block stays in the cache


@dataclass(frozen=True)
class MixedRows:
    """Rows of a table as whole numbers: `codes` is int32 of shape (columns, rows).

    A number's code is its rank in 0..COLUMN, or -COLUMN where it is missing; a category's is arbitrary.
    """

    names: tuple[str, ...]
    numerical: np.ndarray
    codes: np.ndarray

    def __len__(self) -> int:
        return self.codes.shape[1]

    def take(self, rows: np.ndarray) -> MixedRows:
        """Only these rows, in this order."""
        return MixedRows(self.names, self.numerical, np.ascontiguousarray(self.codes[:, rows]))


def encode_rows(real: Sequence[pd.DataFrame], made: Sequence[pd.DataFrame]) -> list[MixedRows]:
    """All tables in one coding: first those of `real`, then those of `made`.

    The ranks are those of all real rows together. So the coding treats a training row and a held-out row alike, and
    a difference between them cannot come from it.
    """
    tables = [*real, *made]
    names = list(tables[0].columns)
    codes, kinds = [], []
    ends = np.cumsum([len(table) for table in tables])[:-1]
    for name in names:
        like = tables[0][name]
        kinds.append(is_numerical(like))
        if kinds[-1]:
            values = np.concatenate([as_numbers(table[name], like) for table in tables])
            known = np.sort(values[: sum(len(table) for table in real)])
            known = known[~np.isnan(known)]
            places = np.searchsorted(known, values, "left") + np.searchsorted(known, values, "right")
            ranks = np.rint(places / max(2 * len(known), 1) * COLUMN)
            column = np.where(np.isnan(values), -COLUMN, ranks)
        else:
            column = pd.factorize(np.concatenate([as_text(table[name]) for table in tables]))[0]
        codes.append(np.split(column.astype(np.int32), ends))
    numerical = np.array(kinds, dtype=bool)
    names_as_text = tuple(str(name) for name in names)
    return [
        MixedRows(names_as_text, numerical, np.stack([column[i] for column in codes]))
        for i in range(len(tables))
    ]


def column_distances(targets: MixedRows, pool: MixedRows, column: int, rows: slice) -> np.ndarray:
    """Distances in one column of some targets to all rows of the pool, int32 (targets, pool), 0 to COLUMN."""
    ours, theirs = targets.codes[column, rows][:, None], pool.codes[column][None, :]
    if not targets.numerical[column]:
        return (ours != theirs).astype(np.int32) * np.int32(COLUMN)
    gaps = np.subtract(ours, theirs)
    np.abs(gaps, out=gaps)
    return np.minimum(gaps, COLUMN, out=gaps)  # a missing number is as far from any other as can be


def distance_blocks(
    targets: MixedRows, pool: MixedRows, columns: Sequence[int] | None = None
) -> Iterator[tuple[slice, np.ndarray]]:
    """Sums over `columns` (default: all), for a few targets at a time: (which targets, int32 (targets, pool))."""
    step = max(1, _BLOCK // max(len(pool), 1))
    for start in range(0, len(targets), step):
        rows = slice(start, min(start + step, len(targets)))
        total = np.zeros((rows.stop - rows.start, len(pool)), dtype=np.int32)
        for column in range(len(targets.names)) if columns is None else columns:
            total += column_distances(targets, pool, column, rows)
        yield rows, total


def nearest(
    targets: MixedRows, pool: MixedRows, columns: Sequence[int] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Row number in the pool and distance (in columns, 0 to their count) of every target's nearest row.

    Of rows equally near the first counts; shuffle the pool for a fair choice.
    """
    index, distance = np.zeros(len(targets), dtype=np.int64), np.zeros(len(targets))
    for rows, block in distance_blocks(targets, pool, columns):
        index[rows] = block.argmin(axis=1)
        distance[rows] = block[np.arange(len(block)), index[rows]] / COLUMN
    return index, distance
