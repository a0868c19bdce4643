"""Does the hold-out share records with the training part or with the release? Then it is no control of any attack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keshi.auditing.controlled_rate import ControlledRate, controlled_rate

FALSE_ALARM = 0.01  # of both comparisons together
LEAST_IN_RELEASE = (
    0.05  # a release of common rows meets more people than a real table does: a little is no proof
)


@dataclass(frozen=True)
class HoldoutOverlap:
    """Held-out records that stand elsewhere too, beyond what common records explain.

    Attributes:
        in_train: Held-out records that equal one of a half of the training records, against those of the other half.
        in_release: Held-out records that equal a synthetic record, against those that equal a training record.
    """

    in_train: ControlledRate
    in_release: ControlledRate

    @property
    def shares_train(self) -> bool:
        return self.in_train.is_leak(FALSE_ALARM)

    @property
    def shares_release(self) -> bool:
        lower = self.in_release.interval(1 - FALSE_ALARM)[0]
        return self.in_release.is_leak(FALSE_ALARM) and lower > LEAST_IN_RELEASE

    @property
    def note(self) -> str | None:
        """What to say of it; None where nothing is to be said."""
        if self.shares_train:
            return (
                f"The hold-out holds training records: {self.in_train.train_rate:.1%} of it equal a record in half of "
                f"the training part, by chance {self.in_train.control_rate:.1%} would. So a leak can hide: give "
                "records that the release never saw."
            )
        if self.shares_release:
            return (
                f"The release holds held-out records: {self.in_release.train_rate:.1%} of the hold-out stand in it, in "
                f"a real table {self.in_release.control_rate:.1%} would. So a leak can hide: give records that the "
                "release never saw."
            )
        return None

    def to_json(self) -> dict[str, Any]:
        return {"in_train": self.in_train.to_json(), "in_release": self.in_release.to_json()}


def holdout_overlap(
    synthetic: NDArray[Any], train: NDArray[Any], holdout: NDArray[Any], *, seed: int = 0
) -> HoldoutOverlap:
    """Compare records by their keys (`copies.row_keys`); common records meet by chance, in any two samples.

    Args:
        synthetic, train, holdout: One key per record.
        seed: Of the halves of the training part, and of a part of the release as large as the training part.
    """
    random = np.random.default_rng(seed)
    mixed = random.permutation(train)
    half = len(mixed) // 2
    made = random.permutation(synthetic)[: len(train)]
    return HoldoutOverlap(
        controlled_rate(
            "a held-out record stands in the training part",
            np.isin(holdout, mixed[:half]),
            np.isin(mixed[half:], mixed[:half]),
        ),
        controlled_rate(
            "a held-out record stands in the release", np.isin(holdout, made), np.isin(holdout, train)
        ),
    )
