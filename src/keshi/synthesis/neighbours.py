"""Neighbouring tables made from a Domain alone: what an audit runs the mechanism on. Never a user's records.

A base table keeps to the inside of every column (middle of the bounds, first half of the categories), so that each
extreme record brings a value that no other record has: a bound, a number far outside, an unseen category.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from keshi.records.domain import Categorical, Column, Domain, Numerical, Timestamp

UNLISTED = "keshi audit: a value that no category lists"
FAR_OUTSIDE = 1e300  # clipped to a bound where the domain says so
INSIDE_SHARE = 0.3  # of the extreme records' numbers that lie between the bounds
MISSING_SHARE = 0.1  # of the extreme values of a column that may be missing


@dataclass(frozen=True, eq=False)
class NeighbouringTables:
    """A base table and extreme records; every two of the tables made from them are neighbours.

    Attributes:
        base: (rows, columns) records that all tables share.
        extremes: (count, columns) records of which a table gets one.
    """

    base: pd.DataFrame
    extremes: pd.DataFrame

    def with_extreme(self, number: int | None) -> pd.DataFrame:
        """The base with one extreme record in its midst, or without one."""
        if number is None:
            return self.base
        half = len(self.base) // 2
        parts = [self.base.iloc[:half], self.extremes.iloc[[number]], self.base.iloc[half:]]
        return pd.concat(parts, ignore_index=True)


def neighbouring_tables(domain: Domain, *, rows: int, extremes: int) -> NeighbouringTables:
    """Tables that follow the domain; the same ones each time, for nothing in them is secret.

    Args:
        domain: What is declared; out-of-range values occur only where it says that they are clipped.
        rows: Records of the base.
        extremes: Number of extreme records; the first has every lower bound, the second every upper bound.
    """
    randomness = np.random.default_rng(0)
    columns = {
        name: _values(column, rows, extremes, clipped=domain.outside == "clip", randomness=randomness)
        for name, column in domain.columns.items()
    }
    table = pd.DataFrame(columns)
    return NeighbouringTables(table.iloc[:rows], table.iloc[rows:].reset_index(drop=True))


def _values(
    column: Column, rows: int, extremes: int, *, clipped: bool, randomness: np.random.Generator
) -> pd.Series:
    """Values of one column: `rows` from its inside, then `extremes` from its edges."""
    if isinstance(column, Categorical):
        inside = list(column.categories[: max(1, len(column.categories) // 2)])
        edges = [
            *column.categories,
            *([UNLISTED] if column.other else []),
            *([None] if column.missing else []),
        ]
        drawn = [inside[i] for i in randomness.integers(len(inside), size=rows)]
        drawn += [edges[i] for i in randomness.integers(len(edges), size=extremes)]
        drawn[rows : rows + 2] = [edges[0], column.categories[-1]][:extremes]
        values = np.empty(len(drawn), dtype=object)  # np.array would turn a mixture of types into text
        values[:] = drawn
        return pd.Series(values)
    lower, upper = column.bounds_seconds if isinstance(column, Timestamp) else (column.lower, column.upper)
    share = randomness.uniform(0.25, 0.75, size=rows)
    quiet = lower * (1.0 - share) + upper * share
    if isinstance(column, Numerical) and column.integer:
        quiet = np.clip(np.rint(quiet), lower, upper)
    corners = [float(lower), float(upper)]
    if clipped and isinstance(column, Numerical):
        corners += [value for value in (-FAR_OUTSIDE, FAR_OUTSIDE) if not lower <= value <= upper]
    edge = np.array(corners)[randomness.integers(len(corners), size=extremes)]
    # Cosines of a corner and of its opposite can agree; the record furthest from another may lie in between.
    between = randomness.uniform(size=extremes) < INSIDE_SHARE
    edge[between] = randomness.uniform(lower, upper, size=extremes)[between]
    edge[:2] = corners[:2][:extremes]
    if column.missing:
        absent = randomness.uniform(size=extremes) < MISSING_SHARE
        absent[:2] = False
        edge[absent] = np.nan
    numbers = pd.Series(np.concatenate([quiet, edge]))
    if isinstance(column, Timestamp):
        moments = pd.to_datetime(numbers, unit="s", utc=True)
        return moments if column.zoned else moments.dt.tz_localize(None)
    return numbers
