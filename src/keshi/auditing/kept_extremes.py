"""Were bounds read from the records? A release that is cut at the training table's own extremes hands out one person's.

Only what piles up can be seen from records alone: a generator that is clipped at the smallest and the largest value of
its training table puts many records exactly there. Bounds that shape a release without showing are found by auditing
the mechanism.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from keshi.auditing.cells import as_numbers, is_numerical

FALSE_ALARM = 0.01  # of all columns together, on a release that knows the population only
FEWEST_PILED = 5  # records at the extreme: two may meet by chance


@dataclass(frozen=True)
class KeptExtreme:
    """A column whose smallest or largest value of the training rows is where the release was cut.

    Attributes:
        column, end: Which column, and "smallest" or "largest".
        train_rows, synthetic_rows: Rows that hold this very value.
        p_value: Of so many synthetic rows, were the value as frequent as in the training table (Fisher, one-sided).
    """

    column: str
    end: str
    train_rows: int
    synthetic_rows: int
    p_value: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def kept_extremes(
    synthetic: pd.DataFrame, train: pd.DataFrame, holdout: pd.DataFrame
) -> tuple[KeptExtreme, ...]:
    """Extremes of the training rows that are the release's too, on more rows than chance, and not in the hold-out.

    An extreme that held-out people share (a top code, a public bound) is a fact about the population and not counted.
    The value itself is not kept: it is one person's.

    Args:
        synthetic, train, holdout: Tables of the same columns; the hold-out of the same population.
    """
    from scipy.stats import fisher_exact

    numbers = [name for name in train.columns if is_numerical(train[name])]
    found = []
    for name in numbers:
        real, held, made = (as_numbers(table[name], train[name]) for table in (train, holdout, synthetic))
        real, held, made = (part[~np.isnan(part)] for part in (real, held, made))
        if not len(real) or not len(made) or real.min() == real.max():
            continue
        for end, extreme in (("smallest", real.min()), ("largest", real.max())):
            here = made.min() if end == "smallest" else made.max()
            if here != extreme or (held == extreme).any():
                continue
            ours, theirs = int((made == extreme).sum()), int((real == extreme).sum())
            counts = np.array([[ours, len(made) - ours], [theirs, len(real) - theirs]])
            p = float(fisher_exact(counts, alternative="greater")[1])
            if ours >= FEWEST_PILED and p < FALSE_ALARM / (2 * len(numbers)):
                found.append(KeptExtreme(str(name), end, theirs, ours, p))
    return tuple(found)
