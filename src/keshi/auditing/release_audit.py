"""ReleaseAudit: what a synthetic table of any system is good for, and what it gives away, in one result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from keshi.auditing.evidence import NOTHING_FOUND_OUT, Evidence, JudgedRelease, table_evidence
from keshi.auditing.fidelity import Fidelity
from keshi.auditing.kept_extremes import KeptExtreme
from keshi.auditing.release_attacks import TARGETS, ReleaseAttacks, attack_release
from keshi.auditing.side_by_side import known
from keshi.auditing.small_groups import SmallGroups, group_errors, group_shares
from keshi.auditing.table_audit import Progress, TableAudit, as_categories, audit_table
from keshi.auditing.utility import CLASSIFIERS, Utility
from keshi.auditing.yardsticks import independent_columns

FEWEST_HELD = (
    400  # held-out rows, or half of them cannot stand as a release and the other half as its control
)


@dataclass(frozen=True)
class AuditedTable:
    """One table under audit, or a yardstick: None where it was not measured, with the reason in the audit's notes."""

    name: str
    rows: int
    fidelity: Fidelity
    utility: Utility | None
    attacks: ReleaseAttacks | None
    groups: SmallGroups | None = None

    def to_json(self) -> dict[str, Any]:
        parts = {
            "fidelity": self.fidelity,
            "utility": self.utility,
            "attacks": self.attacks,
            "groups": self.groups,
        }
        found = {key: None if part is None else part.to_json() for key, part in parts.items()}
        return {"name": self.name, "rows": self.rows, **found}


@dataclass(frozen=True)
class ReleaseAudit(JudgedRelease):
    """A release between its yardsticks, and beside a second release where one was given.

    Attributes:
        release: What was audited.
        holdout: Real rows as if they were the release: the best that is possible; None without a hold-out.
        independent: Independent columns: the cheapest that is possible.
        compared: The second release.
        ceiling: Classifiers trained on the real training rows.
        label: The class column.
        train_rows, holdout_rows: Real rows.
        seed: That repeats every figure.
        notes: What could not be measured, and why.
        evidence: What the verdict rests on.
    """

    release: AuditedTable
    holdout: AuditedTable | None
    independent: AuditedTable
    compared: AuditedTable | None
    ceiling: Utility | None
    label: str | None
    train_rows: int
    holdout_rows: int
    seed: int
    notes: tuple[str, ...] = ()
    evidence: Evidence = NOTHING_FOUND_OUT

    @property
    def extremes(self) -> tuple[KeptExtreme, ...]:
        """Columns that were cut at the training rows' own smallest or largest value."""
        return self.evidence.extremes

    @property
    def tables(self) -> tuple[AuditedTable, ...]:
        """The release, the second one, and the yardsticks, as far as they are there."""
        found = (self.release, self.compared, self.holdout, self.independent)
        return tuple(one for one in found if one is not None)

    @property
    def table_audit(self) -> TableAudit:
        """Fidelity and utility in the form that the sections of a report take."""
        held = self.holdout
        return TableAudit(
            self.release.fidelity,
            self.independent.fidelity,
            None if held is None else held.fidelity,
            self.release.utility,
            self.ceiling,
            self.independent.utility,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain lists and numbers (NaN where there is none)."""
        return {
            "verdict": self.verdict,
            "label": self.label,
            "train_rows": self.train_rows,
            "holdout_rows": self.holdout_rows,
            "seed": self.seed,
            "notes": list(self.notes),
            **self.evidence.to_json(),
            "kept_extremes": [one.to_json() for one in self.extremes],
            "ceiling": None if self.ceiling is None else self.ceiling.to_json(),
            "tables": [one.to_json() for one in self.tables],
        }

    def figure(self, gate: str) -> tuple[float | None, str]:
        """The figure of a gate that is no risk, or None and why there is none."""
        if gate == "two_way":
            return self.release.fidelity.equal_width.mean_two_way, "a table of one column has no pairs"
        if gate == "small_groups":
            groups = self.release.groups
            return (
                None if groups is None else groups.erased_share
            ), "no small group has enough rows to be judged"
        ours = self.release.utility.mean_roc_auc if self.release.utility else None
        best = self.ceiling.mean_roc_auc if self.ceiling else None
        if ours is None or best is None:
            return None, "ROC-AUC needs a hold-out, --label, and two classes with enough rows in every table"
        return best - ours, ""

    def summary(self) -> list[tuple[str, list[float | None]]]:
        """(figure, its value for each of `tables`): what a reader compares first."""
        columns = [_main_figures(one) for one in self.tables]
        names = list(dict.fromkeys(name for one in columns for name in one))
        return [(name, [known(one.get(name)) for one in columns]) for name in names]


def _main_figures(one: AuditedTable) -> dict[str, float | None]:
    found: dict[str, float | None] = {
        "mean distance of one column": one.fidelity.equal_width.mean_one_way,
        "mean distance of a pair": one.fidelity.equal_width.mean_two_way,
        "mean error of a 3-way range query": one.fidelity.range_query_error,
        "correlation difference": one.fidelity.correlation_difference,
        "mean ROC-AUC, tested on real rows": one.utility.mean_roc_auc if one.utility else None,
        "small groups erased, share": one.groups.erased_share if one.groups else None,
    }
    return found | ({} if one.attacks is None else one.attacks.main_figures())


def audit_release(
    synthetic: pd.DataFrame,
    train: pd.DataFrame,
    *,
    holdout: pd.DataFrame | None = None,
    label: str | None = None,
    categorical: Sequence[str] = (),
    compare: pd.DataFrame | None = None,
    secrets: Sequence[str] | None = None,
    quasi_identifiers: Sequence[str] | None = None,
    classifiers: Sequence[str] = tuple(CLASSIFIERS),
    targets: int = TARGETS,
    seed: int = 0,
    progress: Progress | None = None,
) -> ReleaseAudit:
    """Audit a synthetic table of any system: fidelity, utility, attacks, small groups, each beside its yardsticks.

    As yardsticks stand real held-out rows as if they were the release (half of them; the other half is the control of
    the attacks) and independent columns. Everything here is an exact statistic of the data, for its owner only.

    Args:
        synthetic: The release, (n, d).
        train: The real table that it was made from.
        holdout: Real rows of the same population that it never saw. Without them nothing can be said about privacy: a
            guess that succeeds may owe it to the population.
        label: Class column, for train-on-synthetic, test-on-real and the errors by group.
        categorical: Columns to take as categories even where they hold numbers; the label is one of them.
        compare: A second release of the same table.
        secrets, quasi_identifiers: Columns guessed, and known, by attribute inference; default: each from all others.
        classifiers: Names out of `utility.CLASSIFIERS`.
        targets: People attacked on either side.
        seed: Of queries, classifiers, choices and yardsticks.
        progress: Told what is being measured.

    Example:
        >>> people = pd.DataFrame({"age": range(600), "city": ["a", "b", "c"] * 200})
        >>> audit = audit_release(people[:300], people[:300], holdout=people[300:])
        >>> audit.verdict
        'leak'
    """

    def say(what: str) -> None:
        if progress is not None:
            progress(what)

    names = {*categorical, *([] if label is None else [label])}
    synthetic, train = as_categories(synthetic, names), as_categories(train, names)
    holdout = None if holdout is None else as_categories(holdout, names)
    compare = None if compare is None else as_categories(compare, names)
    options: dict[str, Any] = {"label": label, "classifiers": classifiers, "seed": seed}
    attack: dict[str, Any] = {
        "secrets": secrets,
        "quasi_identifiers": quasi_identifiers,
        "targets": targets,
        "seed": seed,
    }
    found = audit_table(synthetic, train, holdout=holdout, progress=progress, **options)
    notes = []
    evidence = NOTHING_FOUND_OUT
    if holdout is not None:
        say("attacks on the release")
        evidence = table_evidence(synthetic, train, holdout, **attack)

    def attacked(table: pd.DataFrame, control: pd.DataFrame | None, what: str) -> ReleaseAttacks | None:
        if control is None:
            return None
        say(f"attacks on {what}")
        return attack_release(table, train, control, **attack)

    def grouped(table: pd.DataFrame) -> SmallGroups:
        shares = group_shares(table, train)
        if holdout is None or label is None:
            return SmallGroups(shares)
        return SmallGroups(shares, group_errors(table, train, holdout, label=label, seed=seed))

    release = AuditedTable(
        "release",
        len(synthetic),
        found.fidelity,
        found.utility,
        evidence.attacks,
        grouped(synthetic),
    )
    compared = None
    if compare is not None:
        second = audit_table(compare, train, holdout=holdout, only_release=True, progress=progress, **options)
        compared = AuditedTable(
            "second release",
            len(compare),
            second.fidelity,
            second.utility,
            attacked(compare, holdout, "the second release"),
            grouped(compare),
        )
    shuffled = independent_columns(train, seed=seed)
    independent = AuditedTable(
        "independent columns",
        len(shuffled),
        found.independent,
        found.floor,
        attacked(shuffled, holdout, "independent columns"),
        grouped(shuffled),
    )
    best = None
    if holdout is None:
        notes.append(
            "No hold-out was given: no attack has a control, so nothing can be said about privacy, nor about learning."
        )
    else:
        assert found.holdout is not None
        say("the hold-out")
        notes += [
            f"The release is cut at the {one.end} {one.column} of the training rows, which no held-out row has: "
            f"{one.synthetic_rows:,} synthetic rows hold it. Such a bound was read from the records."
            for one in evidence.extremes
        ]
        halves = None
        if len(holdout) >= FEWEST_HELD:
            mixed = holdout.sample(frac=1.0, random_state=seed)
            half = len(mixed) // 2
            halves = attacked(mixed[:half], mixed[half:], "real held-out rows")
        else:
            notes.append(
                f"The hold-out has {len(holdout)} rows; with {FEWEST_HELD} the attacks would be tried on it too."
            )
        best = AuditedTable(
            "real hold-out",
            len(holdout),
            found.holdout,
            found.ceiling,
            halves,
            replace(grouped(holdout), errors=()),
        )
    if label is None:
        notes.append("No label was named: learning from the release was not measured.")
    return ReleaseAudit(
        release,
        best,
        independent,
        compared,
        found.ceiling,
        label,
        len(train),
        0 if holdout is None else len(holdout),
        seed,
        tuple(notes),
        evidence,
    )
