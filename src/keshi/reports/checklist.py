"""The disclosure checklist, after the hazards of NIST SP 800-226 (Guidelines for Evaluating Differential Privacy).

Each line is filled in from the privacy statement and from what the audit saw, or left to the owner. Nothing is assumed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keshi.auditing.kept_extremes import KeptExtreme
from keshi.auditing.small_groups import SmallGroups
from keshi.reports.report import Section, Table

OWNER = "for the owner to fill in"


@dataclass(frozen=True)
class ChecklistLine:
    """One hazard, what is known of it, and from where: the statement, the audit, or nobody yet."""

    hazard: str
    question: str
    answer: str
    source: str


def disclosure_checklist(
    groups: SmallGroups | None,
    statement: Mapping[str, Any] | None = None,
    *,
    extremes: Sequence[KeptExtreme] = (),
) -> tuple[ChecklistLine, ...]:
    """The nine hazards, each with an answer.

    Args:
        groups: What the audit saw of small groups, if it did.
        extremes: Bounds that the audit saw to be read from the records.
        statement: The release's `statement.json` (keshi's own, or any with the same keys); None where none was given.
    """
    said = dict(statement or {})
    unit = str(said.get("unit") or "")
    relation = next((word for word in ("adding or removing", "replacing") if word in unit), "")
    lines = []

    def line(hazard: str, question: str, answer: str, source: str = "statement") -> None:
        lines.append(ChecklistLine(hazard, question, answer or OWNER, source if answer else "nobody"))

    line("unit of privacy", "Whom does the guarantee protect: a record, or a person with all records?", unit)
    line(
        "neighbouring relation",
        "Adding or removing a unit, or replacing it? The first implies the second at twice the epsilon.",
        relation,
    )
    measured = said.get("measurements")
    composition = ""
    if isinstance(measured, (list, tuple)) and "epsilon" in said:
        count, ledger = len(measured), said.get("ledger")
        composition = (
            f"epsilon {said['epsilon']}, delta {said.get('delta')} for {count} noisy measurements together; "
            + (f"ledger {ledger}" if ledger else "no ledger kept, so other releases are not counted")
        )
    line("composition", "What was released in all, from the same people?", composition)
    public = said.get("assumed_public")
    listed = (
        f"taken as public: {'; '.join(map(str, public))}"
        if isinstance(public, (list, tuple)) and public
        else ""
    )
    source = "statement"
    if extremes:
        seen = "; ".join(f"{one.end} {one.column}" for one in extremes)
        listed = "; ".join(filter(None, [f"bounds read from the records: {seen}", listed]))
        source = "audit, statement" if "assumed_public" in said else "audit"
    line(
        "data-dependent parameters",
        "Were bounds, categories or settings read from the records?",
        listed,
        source,
    )
    ours = "mu" in said and "delta_slack" in said
    line(
        "floating point",
        "Is the noise exact, or does its rounding give records away?",
        f"noise on an integer grid; delta_slack {said['delta_slack']} pays for it" if ours else "",
    )
    line(
        "randomness",
        "Does the noise come from a secure source, never from a seed?",
        "noise from the operating system; seeds repeat the training only" if ours else "",
    )
    line("side channels", "Who can watch timing, memory, logs and refusals?", "")
    line("curator", "Who sees the records, and this report, which holds exact statistics?", "")
    bias = ""
    if groups is not None and groups.erased_share is not None:
        bias = f"{groups.erased_share:.0%} of {groups.conclusive} small groups lost more than half of their share"
        worst = next((one for one in groups.errors if one.reason is None), None)
        if worst is not None:
            bias += f"; largest excess of errors {worst.excess:.3f} ({worst.column} = {worst.group})"
    line("bias against small groups", "Who is erased, or served worse?", bias, "audit")
    return tuple(lines)


def checklist_section(lines: tuple[ChecklistLine, ...]) -> Section:
    """The checklist as a table; open lines are for the owner."""
    rows = [(one.hazard, one.question, one.answer, one.source) for one in lines]
    left = sum(one.answer == OWNER for one in lines)
    text = (
        "After the hazards of NIST SP 800-226. A line is filled in with what the privacy statement says or the "
        f"audit measured; {left} of {len(lines)} are left for the owner."
    )
    table = Table(("hazard", "question", "answer", "who says so"), rows, "Before the release is published")
    return Section("Disclosure checklist", text, (), [table], exact=True)
