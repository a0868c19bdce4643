"""Neighbouring tables made from a Domain alone: what an audit runs the mechanism on. Never a user's records.

A base table keeps to the inside of every column (middle of the bounds, first half of the categories), so that each
extreme unit brings a value that no other has: a bound, a number far outside, an unseen category. Where the unit is a
subject, the records of an extreme one are all alike: then they add up as far as they can, and it makes no difference
which of them a bound on the records of a subject keeps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keshi.privacy.unit import PrivacyUnit
from keshi.records.arrays import array_bounds
from keshi.records.column_kinds import ArrayColumn, Categorical, Column, Image, Numerical, Timestamp
from keshi.records.domain import Domain

UNLISTED = "keshi audit: a value that no category lists"
FAR_OUTSIDE = 1e300  # clipped to a bound where the domain says so
INSIDE_SHARE = 0.3  # of the extreme records' numbers that lie between the bounds
MISSING_SHARE = 0.1  # of the extreme values of a column that may be missing
SUBJECT_RECORDS = (1, 5)  # of extreme subjects, in turn; then more than the bound on them, where there is one
BASE_SUBJECT_RECORDS = 3  # of a subject of the base, unlike each other, and no more than the bound
LARGEST_SUBJECT = (
    4_001  # records: a subject beyond that takes too long, and a larger bound is not put to the test
)


@dataclass(frozen=True, eq=False)
class NeighbouringTables:
    """A base table and extreme units; every two of the tables made from them are neighbours.

    Attributes:
        base: (rows, columns) records that all tables share.
        extremes: The records of each extreme unit, of which a table gets one: one record, or those of a subject.
    """

    base: pd.DataFrame
    extremes: tuple[pd.DataFrame, ...]

    def with_extreme(self, number: int | None) -> pd.DataFrame:
        """The base with one extreme unit in its midst, its records spread over the table, or without one."""
        if number is None:
            return self.base
        own = self.extremes[number]
        places = (np.arange(len(own)) + 0.5) * len(self.base) / len(own) - 0.5
        order = np.argsort(np.concatenate([np.arange(len(self.base)), places]), kind="stable")
        return pd.concat([self.base, own], ignore_index=True).iloc[order].reset_index(drop=True)

    def with_all(self) -> pd.DataFrame:
        """The base with every extreme unit after it."""
        return pd.concat([self.base, *self.extremes], ignore_index=True)


def neighbouring_tables(
    domain: Domain, *, rows: int, extremes: int, unit: PrivacyUnit = PrivacyUnit()
) -> NeighbouringTables:
    """Tables that follow the domain; the same ones each time, for nothing in them is secret.

    Args:
        domain: What is declared; out-of-range values occur only where it says that they are clipped.
        rows: Records of the base.
        extremes: Number of extreme units; the first has every lower bound, the second every upper bound.
        unit: Where it is a subject, the tables get the column that names it.
    """
    randomness = np.random.default_rng(0)
    columns = {
        name: _values(column, rows, extremes, clipped=domain.outside == "clip", randomness=randomness)
        for name, column in domain.columns.items()
    }
    table = pd.DataFrame(columns)
    base = table.iloc[:rows]
    records = [table.iloc[[rows + number]] for number in range(extremes)]
    if unit.subject is None:
        return NeighbouringTables(base, tuple(records))
    most = min(BASE_SUBJECT_RECORDS, unit.max_records or BASE_SUBJECT_RECORDS)
    subjects = -(-rows // most)
    base = base.assign(**{unit.subject: [f"subject {row % subjects}" for row in range(rows)]})
    counts = subject_records(unit)
    units = (
        record.loc[record.index.repeat(counts[number % len(counts)])].assign(
            **{unit.subject: f"extreme subject {number}"}
        )
        for number, record in enumerate(records)
    )
    return NeighbouringTables(base, tuple(units))


def subject_records(unit: PrivacyUnit) -> tuple[int, ...]:
    """How many records the extreme subjects have, in turn: one, several, and more than are kept of a subject.

    Twice the bound and one: a mechanism that keeps them all moves its sums more than twice as far as it pays for.
    """
    if unit.max_records is None:
        return SUBJECT_RECORDS
    return (*SUBJECT_RECORDS, min(2 * unit.max_records + 1, LARGEST_SUBJECT))


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
    if isinstance(column, ArrayColumn):
        return _arrays(column, rows, extremes, clipped=clipped, randomness=randomness)
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


def _arrays(
    column: ArrayColumn, rows: int, extremes: int, *, clipped: bool, randomness: np.random.Generator
) -> pd.Series:
    """Images or windows: `rows` from the inside of the bounds, then `extremes` from their corners.

    An extreme one has every entry at the lower bound, every one at the upper, or each at a bound drawn for itself; some
    lie in between, or far outside where that is clipped.
    """
    lower, upper = array_bounds(column)
    values = np.empty(rows + extremes, dtype=object)
    for row in range(rows):
        share = randomness.uniform(0.25, 0.75, size=column.shape)
        values[row] = _possible(column, lower * (1.0 - share) + upper * share)
    for number in range(extremes):
        if number < 2:
            values[rows + number] = (lower, upper)[number].copy()
        elif randomness.uniform() < INSIDE_SHARE:
            values[rows + number] = _possible(column, randomness.uniform(lower, upper))
        else:
            corner = np.where(randomness.uniform(size=column.shape) < 0.5, lower, upper)
            far = clipped and randomness.uniform() < 0.5
            values[rows + number] = np.where(corner == lower, -FAR_OUTSIDE, FAR_OUTSIDE) if far else corner
    return pd.Series(values)


def _possible(column: ArrayColumn, entries: NDArray[np.float64]) -> NDArray[np.float64]:
    """Entries within the bounds, made whole where they are declared so: an image with others is refused."""
    if not (isinstance(column, Image) and column.integer):
        return entries
    return np.clip(np.rint(entries), *array_bounds(column))
