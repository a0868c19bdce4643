"""The page of `keshi audit --features`: who is named by fresh attackers, beside floors and ceilings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from keshi.auditing.feature_audit import FeatureAudit
from keshi.auditing.gates import GateResult
from keshi.auditing.identification import Identification
from keshi.reports.attack_sections import gates_section
from keshi.reports.charts import number
from keshi.reports.checklist import checklist_section, disclosure_checklist
from keshi.reports.interval_chart import intervals
from keshi.reports.report import Figure, Report, Section, Table
from keshi.reports.sections import settings_section

NO_STATEMENT = (
    "No worst-case guarantee: what follows was measured on these features, with freshly trained attackers."
)
NOT_PROTECTED = (
    "Against a better attacker than these: fresh networks of three sizes, nearest neighbours, boosted trees.",
    "Other traits than who it is: age, health or place may be read off the same features.",
    "People whose recordings are unlike those audited here.",
    "Whole recordings: what is uncertain in one window can be certain over many.",
    "Together with other releases of the same people: each audit sees one of them.",
)
YARDSTICKS = {
    "softmax": "softmax only",
    "raw": "raw records",
    "second release": "second release",
}


def feature_audit_report(
    audit: FeatureAudit,
    *,
    has_trials: bool,
    title: str = "Audit of features",
    statement: Mapping[str, Any] | None = None,
    gates: Sequence[GateResult] = (),
    settings: Mapping[str, Any] | None = None,
    cost: Mapping[str, Any] | None = None,
) -> Report:
    """The owner's page.

    Args:
        audit: What was measured.
        has_trials: Whether the recordings were named; else rows count as independent.
        title: Of the page.
        statement: A guarantee of whatever made the features, or None.
        gates: Results of `check_gates`, or none.
        settings, cost: For the last section.
    """
    sections: list[Section] = [gates_section(gates)] if gates else []
    sections.append(identification_section(audit, has_trials=has_trials))
    if audit.label_macro_f1 is not None or audit.uses:
        sections.append(kept_section(audit))
    sections += [
        checklist_section(disclosure_checklist(None, statement)),
        settings_section(settings or {}, cost=cost),
    ]
    unit = "recordings" if has_trials else "rows"
    return Report(
        title=title,
        audience="private",
        statement=[NO_STATEMENT if statement is None else str(statement["sentence"])],
        not_protected=NOT_PROTECTED,
        sections=sections,
        found=found_sentence(audit),
        subtitle=f"{audit.subjects} people; {audit.train_rows:,} rows to learn from, {audit.test_rows:,} held out "
        f"({audit.test_trials:,} {unit})",
    )


def kept_section(audit: FeatureAudit) -> Section:
    """What the features are good for: the label, and every further use that was named."""
    text, tables, highlights = [], [], []
    if audit.label_macro_f1 is not None:
        text.append(
            "The label: logistic regression on the features, learnt from the same rows as the attackers."
        )
        f1 = audit.label_macro_f1
        rows = [("logistic regression on the features", f1, audit.test_rows)]
        tables.append(
            Table(("label predicted by", "macro-F1", "rows tested"), rows, "What the features are for")
        )
        highlights.append((number(f1), "macro-F1 of the label", f"{audit.test_rows:,} rows tested"))
    if audit.uses:
        text.append(
            "Uses beyond the label: a linear probe, learnt from known people's rows, on their held-out recordings and "
            "on people it never met (macro-F1 of classes, R2 of measurements)."
        )
        personal = [name for name, each in audit.uses.items() if each["features"].of_person]
        if personal:
            text.append(
                f"The same in all rows of a person, and so hidden with the person: {', '.join(personal)}."
            )
        heading = (
            "use",
            "read off",
            "measure",
            "known people",
            "95 % interval",
            "unknown people",
            "same answer",
        )
        tables.append(Table(heading, _use_rows(audit), "Uses beyond the label"))
        for name, each in audit.uses.items():
            known = each["features"].known
            note = f"{each['features'].measure}; always the same answer {number(known.floor)}"
            highlights.append((number(known.score), f"use {name}, known people", note))
    return Section("What it keeps", " ".join(text), (), tables, highlights, exact=True)


def _use_rows(audit: FeatureAudit) -> list[tuple[Any, ...]]:
    rows = []
    for name, each in audit.uses.items():
        for what, one in each.items():
            known, unknown = one.known, None if one.unknown is None else one.unknown.score
            interval = "–" if math.isnan(known.lower) else f"{known.lower:.3f} to {known.upper:.3f}"
            shown = YARDSTICKS.get(what, what)
            rows.append((name, shown, one.measure, known.score, interval, unknown, known.floor))
    return rows


def found_sentence(audit: FeatureAudit) -> str:
    """What the worst attacker found, in words."""
    if audit.verdict == "inconclusive":
        return f"Inconclusive: {(audit.reason or '').removeprefix('inconclusive: ')}."
    name, worst = audit.worst
    rate = f"names {worst.accuracy:.1%} of the rows, {audit.floor:.1%} without any features"
    if audit.verdict == "leak":
        return f"LEAK: attacker {name} {rate}."
    return f"No leak found: attacker {name} {rate}. That is no proof: a better attacker may find one."


def identification_section(audit: FeatureAudit, *, has_trials: bool) -> Section:
    """Every attacker with its interval, between what the label tells and what the raw records tell."""
    name, worst = audit.worst
    shown = {f"attacker {one}": result for one, result in audit.attackers.items()}
    shown |= {YARDSTICKS[one]: result for one, result in audit.beside.items()}
    alt = "Share of rows whose person is named: " + "; ".join(
        f"{one} {number(result.accuracy)}" for one, result in shown.items()
    )
    svg = intervals(
        list(shown),
        [one.accuracy for one in shown.values()],
        [(one.lower, one.upper) for one in shown.values()],
        beside=[None] * len(shown),
        zero=audit.floor,
        axis_label="share of held-out rows whose person is named",
        alt=alt,
    )
    floors = [
        ("most frequent person", audit.majority),
        ("most frequent person of the true label", audit.label_only),
        ("most frequent person of the predicted label", audit.predicted_only),
    ]
    heading = (
        "what is attacked",
        "rows named",
        "95 % interval",
        "recordings named",
        "bits a row",
        "n (rows)",
    )
    rows = [(one, *_figures(result, has_trials=has_trials)) for one, result in shown.items()]
    rows += [(what, share, None, None, None, audit.test_rows) for what, share in floors if share is not None]
    low, high = audit.interval()
    text = (
        f"{found_sentence(audit)} Attackers are trained afresh on the finished features, and judged on recordings that "
        "they did not learn from; all together raise a false alarm in 1 of 100 audits. At least so many bits leak as "
        "the table says; a better attacker may find more."
    )
    if audit.beside:
        text += " Beside the features stand the worst attackers on the softmax, raw records or second release given."
    if not has_trials:
        text += " No recordings were named: where windows overlap, all figures here are too high."
    if audit.verification is not None:
        pairs = audit.verification
        text += (
            f" Tried on {pairs.people} people it never met, an attacker who says whether two rows are of one "
            f"person errs in {pairs.eer:.3f} of the pairs (equal error rate; 0.5 is guessing)."
        )
    figure = Figure(
        svg,
        "Share of held-out rows whose person is named, with its 95 % interval. The dashed line needs no features: the "
        "most frequent person, overall or of the true label.",
        alt,
        Table(heading, rows, "Who is it?"),
        [("named by the worst of the attackers, with its 95 % interval", "made", "dot")],
        data=audit.to_json(),
    )
    trials = (
        ""
        if math.isnan(worst.trial_accuracy) or not has_trials
        else f"; {number(worst.trial_accuracy)} of recordings"
    )
    highlights = [
        (audit.verdict, "verdict", f"attacker {name}, the worst of {len(audit.attackers)}"),
        (
            number(worst.accuracy),
            "of the rows: the worst attacker names the person",
            f"95 % interval {worst.lower:.3f} to {worst.upper:.3f}; {number(audit.floor)} without features{trials}",
        ),
        (number(audit.risk), "risk beyond the floor", f"95 % interval {low:.3f} to {high:.3f}"),
    ]
    return Section("What it gives away", text, [figure], (), highlights, exact=True)


def _figures(one: Identification, *, has_trials: bool) -> tuple[Any, ...]:
    trials = one.trial_accuracy if has_trials and not math.isnan(one.trial_accuracy) else None
    return one.accuracy, f"{one.lower:.3f} to {one.upper:.3f}", trials, one.bits, one.rows
