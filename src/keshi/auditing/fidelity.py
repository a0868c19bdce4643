"""How close a synthetic table is to the real one: margins, pairs, ranges, correlation, Wasserstein distance.

Takes two pandas tables of any system; imports neither torch nor anything of keshi that makes releases. All
figures are **exact statistics of the real data**: they belong into `private/`, for the owner only.

A figure says little by itself: set beside it a real hold-out (`fidelity(train, holdout)`, the best that is
possible) and `yardsticks.independent_columns(train)` (the cheapest table that is possible).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from keshi._validate import positive_integer
from keshi.auditing.cells import Bounds, CellColumn, as_numbers, cut_into_cells, is_numerical, shared_columns

DENSE_CELLS = 1_000_000  # joint tables above this many cells are counted by sorting instead of by bincount


@dataclass(frozen=True)
class MarginalDistances:
    """Total variation distance (half L1, 0 to 1) of all 1-way and 2-way marginals, for one binning.

    `pairs` is the symmetric (d, d) matrix in the order of `columns`; its diagonal holds the 1-way distances.
    """

    binning: str
    columns: tuple[str, ...]
    pairs: np.ndarray

    @property
    def one_way(self) -> dict[str, float]:
        return dict(zip(self.columns, np.diag(self.pairs).tolist(), strict=True))

    @property
    def mean_one_way(self) -> float:
        return float(np.diag(self.pairs).mean())

    @property
    def mean_two_way(self) -> float:
        """Mean over the d(d-1)/2 pairs; NaN for a table of one column."""
        upper = self.pairs[np.triu_indices(len(self.columns), 1)]
        return float(upper.mean()) if len(upper) else float("nan")


@dataclass(frozen=True)
class ColumnHistogram:
    """Shares of one column's equal-width bins or categories, real against synthetic; each sums to 1."""

    column: str
    labels: tuple[str, ...]
    reference: tuple[float, ...]
    synthetic: tuple[float, ...]
    edges: tuple[float, ...] | None  # of a numeric column, one more than bins; the last label is "(missing)"
    distance: float  # total variation distance, 0 to 1


@dataclass(frozen=True)
class Fidelity:
    """All figures of one comparison; `to_json` gives plain lists and numbers.

    Fields: `range_query_error` is the mean absolute error of random 3-way range queries (share of rows, 0 to
    1); `correlation_difference` the mean absolute difference of the bias-corrected Cramer's V over all pairs
    (0 to 1); `wasserstein` the first Wasserstein distance of each numeric column in shares of the reference's
    range.
    """

    reference_rows: int
    synthetic_rows: int
    equal_width: MarginalDistances
    quantile: MarginalDistances
    histograms: tuple[ColumnHistogram, ...]
    range_query_error: float
    correlation_difference: float
    correlation_reference: np.ndarray
    correlation_synthetic: np.ndarray
    wasserstein: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        plain = asdict(self)
        for name in ("equal_width", "quantile"):
            distances: MarginalDistances = getattr(self, name)
            plain[name] |= {"mean_one_way": distances.mean_one_way, "mean_two_way": distances.mean_two_way}
            plain[name]["pairs"] = distances.pairs.tolist()
        for name in ("correlation_reference", "correlation_synthetic"):
            plain[name] = getattr(self, name).tolist()
        return plain


def fidelity(
    reference: pd.DataFrame,
    synthetic: pd.DataFrame,
    *,
    bins: int = 20,
    queries: int = 1000,
    seed: int = 0,
    bounds: Bounds | None = None,
) -> Fidelity:
    """Compare a synthetic table with the real one it was made from.

    Args:
        reference: the real training table, (n, d). Its column types decide what is a number and what a
            category.
        synthetic: a table of any system with the same columns, any number of rows.
        bins: bins of a numeric column, once of equal width and once at the quantiles of `reference`.
        queries: random 3-way range queries, the same for every table compared under the same `seed`.
        seed: of the queries.
        bounds: public (lower, upper) of numeric columns for the equal-width bins; default: the range of
            `reference`.

    Raises:
        RecordsError: the tables do not have the same columns, or one of them is empty.

    Example:
        >>> real = pd.DataFrame({"age": [20, 30, 40, 50], "city": ["a", "a", "b", "b"]})
        >>> fidelity(real, real).equal_width.mean_two_way
        0.0
    """
    positive_integer("bins", bins)
    positive_integer("queries", queries)
    shared_columns(reference, synthetic, least_rows=1)
    width_cells = cut_into_cells(reference, synthetic, bins=bins, bounds=bounds)
    quantile_cells = cut_into_cells(reference, synthetic, bins=bins, quantiles=True)
    quantile, real_v, made_v = _pair_statistics("quantile", quantile_cells)
    equal_width, _, _ = _pair_statistics("equal-width", width_cells, with_correlation=False)
    off_diagonal = np.triu_indices(len(width_cells), 1)
    gaps = np.abs(real_v - made_v)[off_diagonal]
    return Fidelity(
        reference_rows=len(reference),
        synthetic_rows=len(synthetic),
        equal_width=equal_width,
        quantile=quantile,
        histograms=tuple(_histogram(column) for column in width_cells),
        range_query_error=range_query_error(width_cells, queries=queries, seed=seed),
        correlation_difference=float(gaps.mean()) if len(gaps) else float("nan"),
        correlation_reference=real_v,
        correlation_synthetic=made_v,
        wasserstein=scaled_wasserstein(reference, synthetic, bounds=bounds),
    )


def _histogram(column: CellColumn) -> ColumnHistogram:
    real = np.bincount(column.reference, minlength=column.cells) / len(column.reference)
    made = np.bincount(column.synthetic, minlength=column.cells) / len(column.synthetic)
    edges = None if column.edges is None else tuple(column.edges.tolist())
    distance = float(np.abs(real - made).sum() / 2)
    return ColumnHistogram(
        column.name, column.labels, tuple(real.tolist()), tuple(made.tolist()), edges, distance
    )


def _pair_statistics(
    binning: str, columns: Sequence[CellColumn], *, with_correlation: bool = True
) -> tuple[MarginalDistances, np.ndarray, np.ndarray]:
    """Distances of all 1-way and 2-way marginals, and Cramer's V of both tables."""
    size = len(columns)
    distances = np.zeros((size, size))
    real_v, made_v = np.eye(size), np.eye(size)
    for i, column in enumerate(columns):
        distances[i, i] = _histogram(column).distance
    for i, j in combinations(range(size), 2):
        a, b = columns[i], columns[j]
        real, made, cells = joint_cells(a, b)
        shares = [np.bincount(codes, minlength=cells) / len(codes) for codes in (real, made)]
        distances[i, j] = distances[j, i] = np.abs(shares[0] - shares[1]).sum() / 2
        if with_correlation:
            real_v[i, j] = real_v[j, i] = cramers_v(a.reference, b.reference, real)
            made_v[i, j] = made_v[j, i] = cramers_v(a.synthetic, b.synthetic, made)
    names = tuple(str(column.name) for column in columns)
    return MarginalDistances(binning, names, distances), real_v, made_v


def joint_cells(a: CellColumn, b: CellColumn) -> tuple[np.ndarray, np.ndarray, int]:
    """The pair's joint cell of every row, reference and synthetic, and the number of joint cells.

    Wide pairs (two columns of free text, say) number only the cells that occur, so memory stays below the row
    count.
    """
    real = a.reference * b.cells + b.reference
    made = a.synthetic * b.cells + b.synthetic
    size = a.cells * b.cells
    if size > DENSE_CELLS:
        occurring, flat = np.unique(np.concatenate([real, made]), return_inverse=True)
        real, made, size = flat[: len(real)], flat[len(real) :], len(occurring)
    return real, made, size


def cramers_v(a: np.ndarray, b: np.ndarray, joint: np.ndarray) -> float:
    """Bias-corrected Cramer's V of one pair (Bergsma, J. Korean Stat. Soc. 2013), 0 to 1.

    The plain V of two independent columns grows with the number of cells and shrinks with the rows, so that a
    small table would look more correlated than a large one; the correction removes that. Zero where a column
    is constant.

    Args:
        a, b, joint: cell of every row in the first column, in the second, and in the pair; each of shape
            (n,).
    """
    n = len(a)
    in_a, in_b, in_both = np.bincount(a), np.bincount(b), np.bincount(joint)
    r, c = np.count_nonzero(in_a), np.count_nonzero(in_b)
    if min(r, c) < 2 or n < 3:
        return 0.0
    # chi^2 / n = sum over joint cells of n_ab^2 / (n_a n_b), less 1; written as a sum over rows
    phi2 = float((in_both[joint] / (in_a[a] * in_b[b].astype(np.float64))).sum()) - 1
    phi2 = max(0.0, phi2 - (r - 1) * (c - 1) / (n - 1))
    smallest = min(r - (r - 1) ** 2 / (n - 1), c - (c - 1) ** 2 / (n - 1)) - 1
    return float(min(1.0, np.sqrt(phi2 / smallest))) if smallest > 0 else 0.0


def range_query_error(columns: Sequence[CellColumn], *, queries: int, seed: int) -> float:
    """Mean absolute error (share of rows, 0 to 1) of random 3-way range queries.

    A query names up to three distinct columns and asks for the share of rows that lie in a random run of bins
    of each numeric one and in a random subset (each value with probability 1/2) of each categorical one.
    Missing is in no run.
    """
    generator = np.random.default_rng(seed)
    width = min(3, len(columns))
    errors = np.empty(queries)
    for query in range(queries):
        inside_real: np.ndarray | bool = True
        inside_made: np.ndarray | bool = True
        for index in generator.choice(len(columns), width, replace=False):
            column = columns[index]
            wanted = _random_range(column, generator)
            inside_real = inside_real & wanted[column.reference]
            inside_made = inside_made & wanted[column.synthetic]
        shares = [np.count_nonzero(inside) / np.size(inside) for inside in (inside_real, inside_made)]
        errors[query] = abs(shares[0] - shares[1])
    return float(errors.mean())


def _random_range(column: CellColumn, generator: np.random.Generator) -> np.ndarray:
    """Which cells a query asks for, bool of shape (cells,); never none of them."""
    wanted = np.zeros(column.cells, dtype=bool)
    if column.edges is None:
        values = (
            column.cells - 1 if column.cells > 1 else column.cells
        )  # missing is no value, unless there is no other
        wanted[:values] = generator.random(values) < 0.5
        wanted[generator.integers(values)] = True
    else:
        one, other = generator.integers(0, column.cells - 1, size=2).tolist()
        wanted[min(one, other) : max(one, other) + 1] = True
    return wanted


def scaled_wasserstein(
    reference: pd.DataFrame, synthetic: pd.DataFrame, *, bounds: Bounds | None = None
) -> dict[str, float]:
    """First Wasserstein distance of every numeric column, in shares of its range (0 is equal, 1 end to end).

    The range is `bounds` where given, or else that of the reference. Missing and infinite values are left
    out; NaN where a table has no finite value in the column.
    """
    from scipy.stats import wasserstein_distance

    distances = {}
    for name in reference.columns:
        if not is_numerical(reference[name]):
            continue
        real, made = as_numbers(reference[name]), as_numbers(synthetic[name], reference[name])
        real, made = real[np.isfinite(real)], made[np.isfinite(made)]
        if not len(real) or not len(made):
            distances[str(name)] = float("nan")
            continue
        lower, upper = (bounds or {}).get(name) or (real.min(), real.max())
        distance = wasserstein_distance(real, made)
        if upper > lower:
            distances[str(name)] = float(distance / (upper - lower))
        else:
            distances[str(name)] = (
                0.0 if distance == 0 else float("inf")
            )  # a constant column that was not kept
    return distances
