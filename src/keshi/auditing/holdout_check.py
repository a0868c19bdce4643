"""Is the hold-out of the population of the training records? Where it is not, a leak and a drift look alike."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keshi.auditing.controlled_rate import FEWEST_TARGETS
from keshi.auditing.membership import score_membership

MOST = 2_000  # records of either side to learn from, and as many to judge by
FALSE_ALARM = 0.01


@dataclass(frozen=True)
class HoldoutCheck:
    """How well a classifier that never sees the release tells training from held-out records: it should be 0.5.

    `differs` where the 99 % interval of the area under its ROC curve lies above 0.5.
    """

    auc: float
    interval: tuple[float, float]
    rows: int
    differs: bool

    @property
    def note(self) -> str | None:
        """What to say of it; None where nothing is to be said."""
        if not self.differs:
            return None
        low, high = self.interval
        return (
            f"The hold-out differs from the training records: without the release, a classifier tells them apart with "
            f"AUC {self.auc:.3f} (95 % interval {low:.3f} to {high:.3f}, {self.rows:,} of each). Attacks may "
            "succeed by that difference alone. Take the hold-out at random from the same records as the training part."
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def check_holdout(train: NDArray[Any], holdout: NDArray[Any], *, seed: int = 0) -> HoldoutCheck | None:
    """Gradient boosting on numbers (n, width): half of the records to learn from, half to judge; None for too few.

    Args:
        train, holdout: Numbers that stand for the records, made for both in the same way and learnt from neither.
        seed: Of the choice among records and of the classifier.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    random = np.random.default_rng(seed)
    size = min(MOST, len(train) // 2, len(holdout) // 2)
    if size < FEWEST_TARGETS:
        return None
    mixed = [part[random.permutation(len(part))[: 2 * size]] for part in (train, holdout)]
    learn, judge = np.concatenate([part[:size] for part in mixed]), [part[size:] for part in mixed]
    model = HistGradientBoostingClassifier(max_iter=30, max_leaf_nodes=8, random_state=seed)
    model.fit(learn, np.repeat([1, 0], size))
    scores = [model.predict_proba(part)[:, 1] for part in judge]  # of records that it did not learn from
    found = score_membership("hold-out", scores[0], scores[1], seed=seed)
    differs = found.interval(1 - 2 * FALSE_ALARM)[0] > 0.5
    return HoldoutCheck(found.auc, found.interval(), size, differs)
