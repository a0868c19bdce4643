"""The cheapest table that is possible: a release that is no better has kept nothing but margins."""

from __future__ import annotations

import numpy as np
import pandas as pd

from keshi._validate import positive_integer


def independent_columns(table: pd.DataFrame, *, rows: int | None = None, seed: int = 0) -> pd.DataFrame:
    """A table with the columns of `table`, each drawn by itself: margins are kept, every relation is lost.

    With `rows` = the rows of `table` (the default) each column is permuted, so that its margin is exact;
    otherwise values are drawn with replacement. It holds real values of real people, column by column: a
    yardstick, no release. A classifier trained on it can rank along a strong column by chance, in either
    direction, so its ROC-AUC may lie well beside 0.5; several seeds tell.

    Args:
        table: the real training table, (n, d).
        rows: rows of the result.
        seed: of the permutations.

    Example:
        >>> independent_columns(pd.DataFrame({"a": [1, 2], "b": [3, 4]}), seed=0).shape
        (2, 2)
    """
    if table.empty and rows != 0:
        raise ValueError(f"table must have at least one row and one column, got shape {table.shape}.")
    count = len(table) if rows is None else positive_integer("rows", rows)
    generator = np.random.default_rng(seed)

    def draw() -> np.ndarray:
        return (
            generator.permutation(len(table))
            if count == len(table)
            else generator.integers(0, len(table), count)
        )

    columns = [table.iloc[draw(), i].reset_index(drop=True) for i in range(table.shape[1])]
    return pd.concat(columns, axis=1)
