"""Measures of one synthetic table, as the evaluation protocol names them; all of them come from keshi.auditing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from data_sets import TableSplit

from keshi.auditing.fidelity import fidelity
from keshi.auditing.utility import CLASSIFIERS, train_on_synthetic_test_on_real
from keshi.records.column_kinds import Numerical

LARGEST_TRAINING = (
    50_000  # rows that the classifiers see: four of them on 229,000 rows would cost more than the methods
)

MEASURES = {
    "roc_auc": "ROC-AUC",
    "average_precision": "AP",
    "one_way": "1-way TVD",
    "two_way": "2-way TVD",
    "one_way_quantile": "1-way TVD, quantile bins",
    "two_way_quantile": "2-way TVD, quantile bins",
    "query": "3-way query error",
    "correlation": "Cramer's V difference",
    "wasserstein": "Wasserstein, scaled",
}


def fidelity_scores(split: TableSplit, synthetic: pd.DataFrame, *, seed: int) -> dict[str, float]:
    """Distances of a table from the training table; equal-width bins span the public bounds."""
    bounds = {
        name: (column.lower, column.upper)
        for name, column in split.domain.columns.items()
        if isinstance(column, Numerical)
    }
    found = fidelity(split.train, synthetic, bounds=bounds, seed=seed)
    shifts = [value for value in found.wasserstein.values() if np.isfinite(value)]
    return {
        "one_way": found.equal_width.mean_one_way,
        "two_way": found.equal_width.mean_two_way,
        "one_way_quantile": found.quantile.mean_one_way,
        "two_way_quantile": found.quantile.mean_two_way,
        "query": found.range_query_error,
        "correlation": found.correlation_difference,
        "wasserstein": float(np.mean(shifts)) if shifts else float("nan"),
    }


def utility_scores(
    split: TableSplit, table: pd.DataFrame, *, seed: int, classifiers: tuple[str, ...] = tuple(CLASSIFIERS)
) -> dict[str, Any]:
    """Trained on `table`, tested on the real test part: probability ROC-AUC and average precision."""
    if len(table) > LARGEST_TRAINING:
        table = table.sample(LARGEST_TRAINING, random_state=seed)
    assert split.domain.label is not None
    found = train_on_synthetic_test_on_real(
        table, split.test, label=split.domain.label, seed=seed, classifiers=classifiers
    )
    reasons = {score.reason for score in found.scores if score.reason}
    return {
        "roc_auc": found.mean_roc_auc,
        "average_precision": found.mean_average_precision,
        "roc_auc_each": {score.classifier: score.roc_auc for score in found.scores},
        **({"no_utility": "; ".join(sorted(reasons))} if reasons else {}),
    }
