"""TableAudit: fidelity and utility of a synthetic table, with both yardsticks beside every figure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from keshi.auditing.fidelity import Fidelity, fidelity
from keshi.auditing.utility import CLASSIFIERS, Utility, train_on_synthetic_test_on_real
from keshi.auditing.yardsticks import independent_columns
from keshi.records.column_kinds import category_key

Progress = Callable[[str], None]


@dataclass(frozen=True)
class TableAudit:
    """What a synthetic table is good for, between the best that is possible and the cheapest.

    Attributes:
        fidelity: Synthetic against training table.
        independent: Independent columns against training table.
        holdout: Real held-out rows against training table; None without a hold-out.
        utility: Trained on synthetic, tested on the hold-out; None without hold-out or label.
        ceiling: Trained on the real training table.
        floor: Trained on independent columns.
    """

    fidelity: Fidelity
    independent: Fidelity
    holdout: Fidelity | None = None
    utility: Utility | None = None
    ceiling: Utility | None = None
    floor: Utility | None = None


def audit_table(
    synthetic: pd.DataFrame,
    train: pd.DataFrame,
    *,
    holdout: pd.DataFrame | None = None,
    label: str | None = None,
    categorical: Sequence[str] = (),
    classifiers: Sequence[str] = tuple(CLASSIFIERS),
    seed: int = 0,
    only_release: bool = False,
    progress: Progress | None = None,
) -> TableAudit:
    """Measure a synthetic table of any system against the table it was made from.

    Args:
        synthetic: The release.
        train: The real table it was made from.
        holdout: Real rows of the same kind that the release never saw.
        label: Class column for train-on-synthetic, test-on-real.
        categorical: Columns to compare as categories even where they hold numbers; the label is one of them.
        classifiers: Names out of `utility.CLASSIFIERS`.
        seed: Of the queries, the classifiers and the independent columns.
        only_release: Leave the ceiling and the floor of the classifiers out, for a second release of one table.
        progress: Told what is being measured.
    """

    def say(what: str) -> None:
        if progress is not None:
            progress(what)

    names = {*categorical, *([label] if label is not None else [])}
    synthetic, train = as_categories(synthetic, names), as_categories(train, names)
    shuffled = independent_columns(train, seed=seed)
    say("marginals of the release")
    measured = fidelity(train, synthetic, seed=seed)
    say("marginals of independent columns")
    independent = fidelity(train, shuffled, seed=seed)
    if holdout is None:
        return TableAudit(measured, independent)
    holdout = as_categories(holdout, names)
    say("marginals of the hold-out")
    held = fidelity(train, holdout, seed=seed)
    if label is None:
        return TableAudit(measured, independent, held)
    scores = []
    tables = (("the release", synthetic), ("real rows", train), ("independent columns", shuffled))
    for what, table in tables[:1] if only_release else tables:
        say(f"classifiers on {what}")
        scores.append(
            train_on_synthetic_test_on_real(table, holdout, label=label, classifiers=classifiers, seed=seed)
        )
    return TableAudit(measured, independent, held, *scores)


def as_categories(table: pd.DataFrame, names: set[str]) -> pd.DataFrame:
    """A copy whose categorical columns hold texts, so that 1 and "1" are the same category."""
    changed = {
        name: table[name].astype(object).map(category_key, na_action="ignore")
        for name in names
        if name in table
    }
    return table.assign(**changed)
