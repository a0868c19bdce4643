"""The page of `keshi audit` on images or windows: promise and limits first, attacks, distances, use, pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keshi.auditing.array_audit import ArrayAudit
from keshi.auditing.array_sets import ArraySet
from keshi.auditing.gates import GateResult
from keshi.reports.array_section import (
    Arrays,
    array_utility_section,
    closest_section,
    pictures_section,
    traces_section,
)
from keshi.reports.attack_sections import (
    gates_section,
    groups_section,
    privacy_section,
    side_by_side_section,
    verdict_sentence,
)
from keshi.reports.audit import NO_STATEMENT, NOT_PROTECTED
from keshi.reports.charts import number
from keshi.reports.checklist import checklist_section, disclosure_checklist
from keshi.reports.report import Report, Section, Table
from keshi.reports.sections import settings_section

MOST_OF_A_CLASS = 500  # windows whose mean is drawn
ARRAYS_NOT_PROTECTED = (
    "Against a copy that was moved, turned or cut: records are compared entry by entry.",
    *NOT_PROTECTED,
)


def array_audit_report(
    audit: ArrayAudit,
    *,
    real: ArraySet,
    made: ArraySet,
    images: bool,
    title: str = "Audit of synthetic images",
    statement: Mapping[str, Any] | None = None,
    gates: Sequence[GateResult] = (),
    settings: Mapping[str, Any] | None = None,
    cost: Mapping[str, Any] | None = None,
) -> Report:
    """The owner's page.

    Args:
        audit: What was measured.
        real, made: Training and synthetic records, of which some are drawn.
        images: Pictures, or traces over time.
        title: Of the page.
        statement: The release's `statement.json`, or None.
        gates: Results of `check_gates`, or none.
        settings, cost: For the last section.
    """
    sections: list[Section] = [gates_section(gates)] if gates else []
    sections += [
        privacy_section(audit),
        side_by_side_section(audit, cheapest="the mean record of every class"),
    ]
    if audit.release.distances is not None:
        sections.append(distances_section(audit))
    if audit.release.utility and audit.ceiling:
        beside = {one.name: one.utility for one in (audit.compared, audit.cheapest) if one and one.utility}
        sections.append(
            array_utility_section(
                audit.release.utility, audit.ceiling, beside=beside, test_rows=audit.holdout_rows
            )
        )
    near = audit.release.nearness
    if near is not None and images:
        low, high = near.interval
        text = (
            f"{near.rows:,} synthetic records were compared with {near.pool:,} training and as many held-out ones. The "
            "share describes and proves nothing: only copies and membership, above, have a control for chance."
        )
        compared = f"95 % interval {low:.3f} to {high:.3f}; 0.5 where it knows neither"
        sections.append(closest_section(near.closest, text, share=number(near.share), compared=compared))
    by_class = [_by_class(one, 8 if images else MOST_OF_A_CLASS) for one in (real, made)]
    if images:
        sections.append(pictures_section("records", *by_class, bounds=_bounds(real)))
    else:
        sections.append(traces_section("records", *by_class))
    if audit.release.groups is not None and audit.release.groups.shares:
        sections.append(groups_section(audit.release.groups))
    sections += [
        checklist_section(disclosure_checklist(audit.release.groups, statement)),
        settings_section({"seed": audit.seed, **(settings or {})}, cost=cost),
    ]
    return Report(
        title=title,
        audience="private",
        statement=[NO_STATEMENT if statement is None else str(statement["sentence"])],
        not_protected=ARRAYS_NOT_PROTECTED,
        sections=sections,
        found=verdict_sentence(audit),
        subtitle=f"{audit.release.rows:,} synthetic records against {audit.train_rows:,} real ones, "
        f"{audit.holdout_rows:,} held out",
    )


def distances_section(audit: ArrayAudit) -> Section:
    """Frechet and kernel distance to the training records, of the release and of its yardsticks, on one extractor."""
    rows: list[tuple[Any, ...]] = []
    for one in audit.tables:
        if one.distances is not None:
            kernel, spread = one.distances.kernel, one.distances.frechet_interval
            rows.append(
                (
                    one.name, one.distances.frechet, _between(spread), kernel.value,
                    _between((kernel.lower, kernel.upper)), one.distances.rows, one.classes_apart,
                )
            )  # fmt: skip
    heading = (
        "set", "Frechet distance", "95 % interval", "kernel distance", "95 % interval", "records of each",
        "distance of the classes' shares",
    )  # fmt: skip
    accuracy = ""
    if audit.extractor_accuracy is not None:
        tested = f"{audit.extractor_tested:,} held-out records"
        accuracy = f" It names the class of {audit.extractor_accuracy:.1%} of {tested}."
    text = (
        f"Distances to real training records on features: {audit.extractor}.{accuracy} They compare with other figures "
        "only where extractor and number of records are the same. The real hold-out is the floor."
    )
    release = audit.release.distances
    beside = "" if audit.holdout is None or audit.holdout.distances is None else (
        f"real hold-out {number(audit.holdout.distances.frechet)}"
    )  # fmt: skip
    highlights = [] if release is None else [(number(release.frechet), "Frechet distance", beside)]
    return Section(
        "Distances",
        text,
        (),
        [Table(heading, rows, "Distance to the training records")],
        highlights,
        exact=True,
    )


def _between(limits: tuple[float, float] | None) -> str | None:
    return None if limits is None else f"{number(limits[0])} to {number(limits[1])}"


def _by_class(some: ArraySet, most: int) -> Arrays:
    if some.labels is None:
        return {"all": some.records[:most]}
    names = np.array([str(label) for label in some.labels.tolist()])
    return {name: some.records[np.flatnonzero(names == name)[:most]] for name in np.unique(names).tolist()}


def _bounds(real: ArraySet) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Black and white: 0 and 255 of bytes, else the smallest and the largest entry."""
    is_bytes = real.records.dtype == np.uint8
    lower, upper = (0.0, 255.0) if is_bytes else (float(real.records.min()), float(real.records.max()))
    shape = real.records.shape[1:]
    return np.full(shape, lower), np.full(shape, max(upper, lower + 1e-9))
