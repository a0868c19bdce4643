"""Evidence: all that decides whether a release leaks, and the one verdict on it that every audit, gate and page uses.

Attacks need a control. Where the hold-out cannot be one (it is of another population, or shares records with the
training part or the release) silence says nothing, and what the difference would explain is not called a leak.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from keshi.auditing.controlled_rate import FEWEST_TARGETS
from keshi.auditing.copies import EXACT, row_keys
from keshi.auditing.holdout_check import HoldoutCheck, check_holdout
from keshi.auditing.holdout_overlap import HoldoutOverlap, holdout_overlap
from keshi.auditing.kept_extremes import KeptExtreme, kept_extremes
from keshi.auditing.mixed_distance import encode_rows
from keshi.auditing.release_attacks import FALSE_ALARM, TARGETS, ReleaseAttacks, Risk, Verdict, attack_release
from keshi.auditing.side_by_side import notebook_table


@dataclass(frozen=True)
class Evidence:
    """What was found out about one release; empty without a hold-out.

    Attributes:
        attacks: Every attack with its control.
        check: Whether the hold-out is of the same population.
        overlap: Records that the hold-out shares with the training part, or with the release.
        extremes: Columns that were cut at the training rows' own smallest or largest value.
    """

    attacks: ReleaseAttacks | None = None
    check: HoldoutCheck | None = None
    overlap: HoldoutOverlap | None = None
    extremes: tuple[KeptExtreme, ...] = ()

    @property
    def leaks(self) -> tuple[str, ...]:
        """Attacks that succeed beyond chance, and bounds that were read from the records."""
        found = () if self.attacks is None else self.attacks.leaks
        if self.attacks is not None and self.check is not None and self.check.differs:
            drift = self.check.interval[1]  # of what tells the records apart without any release
            beyond = {
                one.attack for one in self.attacks.membership if one.interval(1 - FALSE_ALARM)[0] > drift
            }
            found = tuple(name for name in found if name == EXACT or name in beyond)
        bounds = ", ".join(f"{one.end} {one.column}" for one in self.extremes)
        return (*found, f"bounds were read from the records ({bounds})") if bounds else found

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why silence says nothing here: sentences on the hold-out and on the size of the release."""
        if self.attacks is None:
            return ("No hold-out was given, so no attack has a control.",)
        found = [one.note for one in (self.overlap, self.check) if one is not None]
        if self.attacks.synthetic_rows < FEWEST_TARGETS:
            found.append(
                f"The release has {self.attacks.synthetic_rows:,} records; {FEWEST_TARGETS} are needed to clear it."
            )
        return tuple(note for note in found if note is not None)

    @property
    def verdict(self) -> Verdict:
        """ "leak", "no leak found" or "inconclusive"; without a hold-out always the last."""
        if self.leaks:
            return "leak"
        return "inconclusive" if self.attacks is None or self.doubts else self.attacks.verdict

    def to_json(self) -> dict[str, Any]:
        """The hold-out as a control, plain numbers; attacks and extremes have places of their own."""
        return {
            "leaks": list(self.leaks),
            "doubts": list(self.doubts),
            "holdout_check": None if self.check is None else self.check.to_json(),
            "holdout_overlap": None if self.overlap is None else self.overlap.to_json(),
        }


NOTHING_FOUND_OUT = Evidence()


class JudgedRelease:
    """What audits of tables and of arrays share: the verdict on their evidence, for gates, pages and notebooks."""

    evidence: Evidence

    @property
    def verdict(self) -> Verdict:
        """ "leak", "no leak found" or "inconclusive"; without a hold-out always the last."""
        return self.evidence.verdict

    @property
    def leaks(self) -> tuple[str, ...]:
        """Attacks that succeed beyond chance, and bounds that were read from the records."""
        return self.evidence.leaks

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why silence says nothing here."""
        return self.evidence.doubts

    @property
    def check(self) -> HoldoutCheck | None:
        """Whether the hold-out is of the same population."""
        return self.evidence.check

    def risks(self, gate: str) -> list[Risk]:
        """What a gate of this name looks at; nothing without a hold-out."""
        return [] if self.evidence.attacks is None else self.evidence.attacks.risks(gate)

    def _repr_html_(self) -> str:
        return notebook_table(self)  # type: ignore[arg-type]  # both audits bring the figures


def table_evidence(
    synthetic: pd.DataFrame,
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    *,
    secrets: Sequence[str] | None = None,
    quasi_identifiers: Sequence[str] | None = None,
    targets: int = TARGETS,
    seed: int = 0,
) -> Evidence:
    """Attack a synthetic table, and find out whether the hold-out can be the control; see `attack_release`."""
    attacks = attack_release(
        synthetic, train, holdout, secrets=secrets, quasi_identifiers=quasi_identifiers, targets=targets, seed=seed
    )  # fmt: skip
    names = list(train.columns)
    real, held, made = encode_rows([train, holdout[names]], [synthetic[names]])
    keys = [row_keys(part.codes.T) for part in (made, real, held)]
    return Evidence(
        attacks,
        check_holdout(real.codes.T, held.codes.T, seed=seed),
        holdout_overlap(keys[0], keys[1], keys[2], seed=seed),
        kept_extremes(synthetic, train, holdout),
    )
