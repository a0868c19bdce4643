"""Can a secret be guessed? Attribute inference from the nearest synthetic record, against a control.

Imports numpy and pandas only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keshi.auditing.controlled_rate import ControlledRate, controlled_rate
from keshi.auditing.mixed_distance import COLUMN, MixedRows, column_distances, distance_blocks
from keshi.errors import RecordsError

CLOSE = 0.05  # a number counts as guessed within 5 % of the people: the difference of ranks


@dataclass(frozen=True)
class AttributeInference:
    """`overall` is the share of all secrets of a row guessed rightly; `secrets` each column by itself."""

    overall: ControlledRate
    secrets: tuple[ControlledRate, ...]
    quasi_identifiers: tuple[str, ...] | None  # None: all other columns

    def to_json(self) -> dict[str, Any]:
        return {
            "overall": self.overall.to_json(),
            "secrets": [one.to_json() for one in self.secrets],
            "quasi_identifiers": None if self.quasi_identifiers is None else list(self.quasi_identifiers),
        }


def attribute_inference(
    synthetic: MixedRows,
    train: MixedRows,
    control: MixedRows,
    *,
    secrets: Sequence[str] | None = None,
    quasi_identifiers: Sequence[str] | None = None,
) -> AttributeInference:
    """Guess a secret column of people whose other columns are known (Giomi et al., Anonymeter, PoPETs 2023, 3.3).

    The guess is the value of the synthetic record nearest in the known columns. It is right where a category is equal
    or a number within 5 % of the ranks. What everybody's data would tell is in the control's rate as well; only the
    excess counts, so that a useful release is not blamed for being useful.

    Args:
        synthetic, train, control: Rows in one coding (`encode_rows`); shuffle the synthetic ones, ties go to the first.
        secrets: Columns to guess; default: every column in its turn.
        quasi_identifiers: Columns that the attacker knows; default: all but the secret. A secret never counts as known.

    Raises:
        RecordsError: A column of that name is not there, or nothing is left to know.
    """
    columns = list(train.names)
    for name in (*(secrets or ()), *(quasi_identifiers or ())):
        if name not in columns:
            raise RecordsError(f"there is no column {name!r} to guess or to know; the table has {columns}.")
    wanted = [columns.index(name) for name in (columns if secrets is None else secrets)]
    known = (
        range(len(columns)) if quasi_identifiers is None else [columns.index(q) for q in quasi_identifiers]
    )
    if any(not set(known) - {secret} for secret in wanted) or not wanted:
        raise RecordsError("guessing a secret needs at least one column that is known beside it.")
    right = [_guessed(synthetic, targets, wanted, list(known)) for targets in (train, control)]
    each = tuple(
        controlled_rate(columns[secret], right[0][:, i], right[1][:, i]) for i, secret in enumerate(wanted)
    )
    overall = controlled_rate("all secrets together", right[0].mean(axis=1), right[1].mean(axis=1))
    return AttributeInference(overall, each, None if quasi_identifiers is None else tuple(quasi_identifiers))


def _guessed(synthetic: MixedRows, targets: MixedRows, secrets: list[int], known: list[int]) -> np.ndarray:
    """Whether each secret of each target is guessed rightly, bool (targets, secrets)."""
    right = np.zeros((len(targets), len(secrets)), dtype=bool)
    for rows, total in distance_blocks(targets, synthetic, known):
        for i, secret in enumerate(secrets):
            # sums of whole numbers: taking a column off again is exact
            rest = total - column_distances(targets, synthetic, secret, rows) if secret in known else total
            guess = synthetic.codes[secret, rest.argmin(axis=1)]
            truth = targets.codes[secret, rows]
            right[rows, i] = (
                np.abs(guess - truth) <= CLOSE * COLUMN if targets.numerical[secret] else guess == truth
            )
    return right
