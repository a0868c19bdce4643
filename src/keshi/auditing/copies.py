"""Are people's rows in the release as they are? Exact and near copies, against copies of held-out rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from keshi.auditing.controlled_rate import ControlledRate, controlled_rate
from keshi.auditing.mixed_distance import MixedRows, nearest

EXACT = "an equal synthetic record exists"
NEARLY = "a nearly equal synthetic record exists"
NEAR = 0.02  # of a column, in the mean over the columns: equal categories, and numbers of about the same rank


@dataclass(frozen=True)
class Copies:
    """Training rows that stand in the release, against held-out rows that do.

    Attributes:
        exact: Rows with an equal synthetic record; of all rows.
        near: Rows with a synthetic record within 2 % of a column in the mean; of the sampled rows.
        synthetic_equal_to_train: Share of the synthetic records that equal some training row; a description, since it
            grows with the table and with how common rows are.
    """

    exact: ControlledRate
    near: ControlledRate
    synthetic_equal_to_train: float

    def to_json(self) -> dict[str, Any]:
        return {
            "exact": self.exact.to_json(),
            "near": self.near.to_json(),
            "synthetic_equal_to_train": self.synthetic_equal_to_train,
        }


def copies(
    synthetic: MixedRows,
    train: MixedRows,
    control: MixedRows,
    *,
    train_sample: MixedRows | None = None,
    control_sample: MixedRows | None = None,
) -> Copies:
    """Count copies among all rows, and near copies among the samples (default: all rows too).

    Common rows are copied by chance, whoever is in the table: a fresh real sample has them as well. Where training rows
    are copied more often than held-out ones, the release has kept people.

    Args:
        synthetic, train, control: All rows, in one coding (`encode_rows`). Numbers that share a rank count as equal.
        train_sample, control_sample: Rows for the near copies, whose search takes long.
    """
    ours, real, held = (row_keys(rows.codes.T) for rows in (synthetic, train, control))
    exact = controlled_rate(EXACT, np.isin(real, ours), np.isin(held, ours))
    limit = NEAR * len(train.names)
    close = [
        nearest(rows, synthetic)[1] <= limit for rows in (train_sample or train, control_sample or control)
    ]
    near = controlled_rate(NEARLY, close[0], close[1])
    share = float(np.isin(ours, real).mean()) if len(ours) else float("nan")
    return Copies(exact, near, share)


def row_keys(records: np.ndarray) -> np.ndarray:
    """One comparable value per record, (n,): its bytes. `records` is (n, ...) of plain numbers."""
    table = np.ascontiguousarray(records.reshape(len(records), -1))
    return table.view(np.dtype((np.void, table.dtype.itemsize * table.shape[1]))).ravel()
