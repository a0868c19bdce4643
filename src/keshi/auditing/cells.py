"""Tables of any system as small integers: every column becomes cells, a missing value is a cell of its own.

What a column is (a number, or a category) is read from the *reference* table, never from the synthetic one,
so that every system under comparison is cut into the same cells. Imports numpy and pandas only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from keshi.errors import RecordsError

MISSING = "(missing)"  # label of the cell of missing values

LARGEST = 1e150  # greater numbers are cut to this, so that differences and their sums stay finite

Bounds = Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class CellColumn:
    """One column of the reference and of the synthetic table, cut into the same cells.

    `reference` and `synthetic` hold one cell number per row; the last cell (number `len(labels) - 1`) is the
    missing one. `edges` are the inner and outer borders of a numeric column's cells, None for a category.
    """

    name: str
    labels: tuple[str, ...]
    reference: np.ndarray
    synthetic: np.ndarray
    edges: np.ndarray | None = None

    @property
    def cells(self) -> int:
        return len(self.labels)


def shared_columns(reference: pd.DataFrame, synthetic: pd.DataFrame, *, least_rows: int = 1) -> list[str]:
    """Names of the columns, after checking that both tables have the same ones and enough rows.

    Raises:
        RecordsError: columns missing, unknown or named twice, or a table with fewer than `least_rows` rows.
    """
    problems = []
    for what, table in (("reference", reference), ("synthetic", synthetic)):
        twice = table.columns[table.columns.duplicated()].unique()
        if len(twice):
            problems.append(f"the {what} table names these columns twice: {_listed(twice)}")
        if len(table) < least_rows:
            problems.append(f"the {what} table has {len(table)} rows; at least {least_rows} are needed")
    lost = [name for name in reference.columns if name not in set(synthetic.columns)]
    extra = [name for name in synthetic.columns if name not in set(reference.columns)]
    if lost:
        problems.append(f"the synthetic table lacks these columns of the reference: {_listed(lost)}")
    if extra:
        problems.append(f"the synthetic table has columns that the reference lacks: {_listed(extra)}")
    if not len(reference.columns):
        problems.append("the reference table has no columns")
    if problems:
        raise RecordsError("these two tables cannot be compared: " + "; ".join(problems) + ".")
    return list(reference.columns)


def _listed(names: Sequence[Any] | pd.Index) -> str:
    shown = ", ".join(repr(str(name)) for name in list(names)[:8])
    return shown + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def is_numerical(column: pd.Series) -> bool:
    """Whether a column is cut into bins (numbers, dates, durations); if not, it is a category."""
    if isinstance(column.dtype, pd.CategoricalDtype) or pd.api.types.is_bool_dtype(column):
        return False
    kinds = pd.api.types
    return (
        kinds.is_numeric_dtype(column)
        or kinds.is_datetime64_any_dtype(column)
        or kinds.is_timedelta64_dtype(column)
    )


def as_numbers(column: pd.Series, like: pd.Series | None = None) -> np.ndarray:
    """The column as float64 of shape (n,); NaN where a value is missing or is not a number at all.

    Dates and durations become seconds, in UTC. `like` is the reference column, whose type decides how text is
    read.
    """
    like = column if like is None else like
    kinds = pd.api.types
    if kinds.is_datetime64_any_dtype(like):
        moments = pd.to_datetime(column, errors="coerce", utc=True)
        return ((moments - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)).to_numpy(np.float64)
    if kinds.is_timedelta64_dtype(like):
        return (pd.to_timedelta(column, errors="coerce") / pd.Timedelta(seconds=1)).to_numpy(np.float64)
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(object)
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    return np.where(np.isinf(numbers), numbers, np.clip(numbers, -LARGEST, LARGEST))


def as_text(column: pd.Series) -> np.ndarray:
    """The column as an object array of text, None where missing; 1 and 1.0 are the same text."""
    values = column.astype(object).to_numpy()
    codes, levels = pd.factorize(values, use_na_sentinel=True)
    texts = np.array([_text(level) for level in levels] + [None], dtype=object)
    return texts[codes]  # code -1, a missing value, finds the None at the end


def _text(value: Any) -> str:
    if isinstance(value, (float, np.floating)) and value.is_integer():
        return str(int(value))  # a column of codes becomes float as soon as one value is missing
    return str(value)


def category_cells(name: str, reference: pd.Series, synthetic: pd.Series) -> CellColumn:
    """Cells of a categorical column: the values of either table, the reference's most frequent first."""
    real, made = as_text(reference), as_text(synthetic)
    codes, levels = pd.factorize(np.concatenate([real, made]), use_na_sentinel=True)
    counts = np.bincount(codes[: len(real)][codes[: len(real)] >= 0], minlength=len(levels))
    order = np.argsort(-counts, kind="stable")
    rank = np.empty(len(levels) + 1, dtype=np.int64)
    rank[order] = np.arange(len(levels))
    rank[-1] = len(levels)  # code -1 points here
    cells = rank[codes]
    labels = tuple(str(levels[i]) for i in order) + (MISSING,)
    return CellColumn(name, labels, cells[: len(real)], cells[len(real) :])


def bin_edges(
    values: np.ndarray, *, bins: int, quantiles: bool, bounds: tuple[float, float] | None
) -> np.ndarray:
    """Borders of the bins of a numeric column, ascending and without ties; at least two.

    Equal-width bins span `bounds` (the public ones, where the caller has them) or else the finite values of
    the reference; quantile bins always follow the reference, and borders that coincide are merged.
    """
    finite = values[np.isfinite(values)]
    if quantiles and len(finite):
        edges = np.unique(np.quantile(finite, np.linspace(0, 1, bins + 1)))
    else:
        lower, upper = bounds or ((finite.min(), finite.max()) if len(finite) else (0.0, 0.0))
        edges = np.unique(np.linspace(lower, upper, bins + 1))
    return edges if len(edges) > 1 else np.array([edges[0], edges[0]])


def number_cells(
    name: str,
    reference: np.ndarray,
    synthetic: np.ndarray,
    *,
    bins: int,
    quantiles: bool,
    bounds: tuple[float, float] | None = None,
) -> CellColumn:
    """Cells of a numeric column. Bins are closed on the right; values outside go to the end bins."""
    edges = bin_edges(reference, bins=bins, quantiles=quantiles, bounds=bounds)
    inner = edges[1:-1]
    missing = len(edges) - 1

    def cut(values: np.ndarray) -> np.ndarray:
        return np.where(np.isnan(values), missing, np.searchsorted(inner, values, side="left"))

    labels = tuple(f"{low:.4g} to {high:.4g}" for low, high in pairwise(edges))
    return CellColumn(name, labels + (MISSING,), cut(reference), cut(synthetic), edges)


def cut_into_cells(
    reference: pd.DataFrame,
    synthetic: pd.DataFrame,
    *,
    bins: int = 20,
    quantiles: bool = False,
    bounds: Bounds | None = None,
) -> list[CellColumn]:
    """Every column of both tables as cells, in the order of the reference's columns."""
    columns = []
    for name in shared_columns(reference, synthetic):
        real, made = reference[name], synthetic[name]
        if is_numerical(real):
            numbers = as_numbers(real), as_numbers(made, real)
            limits = (bounds or {}).get(name)
            columns.append(number_cells(name, *numbers, bins=bins, quantiles=quantiles, bounds=limits))
        else:
            columns.append(category_cells(name, real, made))
    return columns
