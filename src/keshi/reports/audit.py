"""The page of `keshi audit`: promise and limits first, then what a release gives away and what it is good for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keshi.auditing.gates import GateResult
from keshi.auditing.release_audit import ReleaseAudit
from keshi.reports.attack_sections import (
    gates_section,
    groups_section,
    privacy_section,
    side_by_side_section,
    verdict_sentence,
)
from keshi.reports.checklist import checklist_section, disclosure_checklist
from keshi.reports.report import Report, Section
from keshi.reports.sections import marginals_section, pairs_section, settings_section, utility_section

NO_STATEMENT = "No privacy statement was given: what follows was measured, and nothing of it is a guarantee."
NOT_PROTECTED = (
    "Against a stronger attack than these: one that fails proves nothing.",
    "A small group whose rows were kept with a little noise: the attacks look at everybody at once, and may miss it.",
    "Facts about the population: what holds for everyone can be learnt without any one person.",
    "Timing and memory of the computer that made the release, and a curator who looks at the records.",
    "People whom the hold-out does not resemble: it must come from the same population as the training rows.",
    "Together with other releases of the same people: each audit sees one of them.",
)


def audit_report(
    audit: ReleaseAudit,
    *,
    title: str = "Audit of a synthetic table",
    statement: Mapping[str, Any] | None = None,
    gates: Sequence[GateResult] = (),
    settings: Mapping[str, Any] | None = None,
    cost: Mapping[str, Any] | None = None,
) -> Report:
    """The owner's page.

    Args:
        audit: What was measured.
        title: Of the page.
        statement: The release's `statement.json`, or None.
        gates: Results of `check_gates`, or none.
        settings, cost: For the last section.
    """
    tables = audit.table_audit
    sections: list[Section] = [gates_section(gates)] if gates else []
    sections.append(privacy_section(audit))
    sections.append(side_by_side_section(audit))
    if tables.utility is not None:
        sections.append(utility_section(tables.utility, ceiling=tables.ceiling, floor=tables.floor))
    if audit.release.groups is not None:
        sections.append(groups_section(audit.release.groups))
    sections += [
        marginals_section(tables.fidelity),
        pairs_section(tables.fidelity, independent=tables.independent, holdout=tables.holdout),
        checklist_section(disclosure_checklist(audit.release.groups, statement, extremes=audit.extremes)),
        settings_section({"seed": audit.seed, **(settings or {})}, cost=cost),
    ]
    sentence = NO_STATEMENT if statement is None else str(statement["sentence"])
    return Report(
        title=title,
        audience="private",
        statement=[sentence],
        not_protected=NOT_PROTECTED,
        sections=sections,
        found=verdict_sentence(audit),
        subtitle=f"{audit.release.rows:,} synthetic rows against {audit.train_rows:,} real ones, "
        f"{audit.holdout_rows:,} held out",
    )
